/* How many workers there should be, and bringing the pool to that number. */
#ifndef BOOKY_SCALE_H
#define BOOKY_SCALE_H

#include "serve/pool_state.h"

/* The number of workers that there should be with the configuration `c`. */
int scale_size(const pool *p, const conf *c);

/* pool.mode = dynamic: keeps between min_spare and max_spare workers idle, as php-fpm does. */
void scale_follow_load(pool *p);

/* Starts or stops workers of the current generation until their number is right, and starts the reporter if there is
 * none. */
void scale_apply(pool *p, int64_t now_us);

#endif
