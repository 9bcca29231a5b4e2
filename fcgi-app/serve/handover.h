/* Members of a pool that outlive its program: when the master executes another program (upgrade.h), its process keeps
 * its children, and the new program must know which of them still finish a request. */
#ifndef BOOKY_HANDOVER_H
#define BOOKY_HANDOVER_H

#include "serve/pool_state.h"

/* Tells the program that this process executes next about the members, all of which have been told to stop. */
void handover_pass(pool *p);

/* Takes over the members of the program before, if there was one. They serve no further request and are killed like
 * all others if they take too long. */
void handover_take(pool *p);

#endif
