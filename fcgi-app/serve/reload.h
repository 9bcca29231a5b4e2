/*
 * Reload: a new generation of workers starts with the new settings while the old one serves, and the old one ends only
 * when all workers of the new one are ready. So a bad configuration costs nothing. Rejected: php-fpm's way, which stops
 * accepting first and loses the requests in progress.
 */
#ifndef BOOKY_RELOAD_H
#define BOOKY_RELOAD_H

#include "serve/pool_state.h"

/* Reads configuration and keys again. If they are valid, a reload begins. */
void reload_begin(pool *p);

/* Called on each tick: starts missing workers of the new generation, and completes or aborts the reload. */
void reload_continue(pool *p);

/* Kills the new generation; the old one keeps serving. */
void reload_abort(pool *p, const char *why);

#endif
