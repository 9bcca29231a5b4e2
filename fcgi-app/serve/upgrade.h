/* The master replaces itself by the program at its path: an upgrade (SIGUSR2), or a restart after too many crashes. */
#ifndef BOOKY_UPGRADE_H
#define BOOKY_UPGRADE_H

#include "serve/pool_state.h"

/* Executes the program at the master's path with the same arguments and sockets. Workers finish their current request.
 * Returns, with the reason logged, only if the program could not start. */
void upgrade_exec(pool *p, const char *why);

#endif
