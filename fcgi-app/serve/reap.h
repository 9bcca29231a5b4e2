/* Processes of the pool that have ended. */
#ifndef BOOKY_REAP_H
#define BOOKY_REAP_H

#include "serve/pool_state.h"

/* Removes ended processes from the table, counts and logs why they ended, and reacts to crashes: a reload is aborted,
 * new workers wait for a back-off, and after too many crashes the whole pool restarts. */
void reap_members(pool *p);

#endif
