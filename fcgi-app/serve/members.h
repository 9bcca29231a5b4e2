/* The processes of the pool: starts them and tells them to stop. */
#ifndef BOOKY_MEMBERS_H
#define BOOKY_MEMBERS_H

#include "serve/pool_state.h"

/* Each starts a process with the settings of the generation. False: it cannot be started now. */
bool members_start_worker(pool *p, int generation);
bool members_start_reporter(pool *p, int generation);

/* Tells a process to stop after its current request; it is killed after pool.drain_timeout. */
void members_stop(pool *p, member *m);

/* The same for all of a generation. */
void members_stop_generation(pool *p, int generation);

/* Kills workers that have not stopped in time. Cancels requests that take longer than pool.request_timeout, and kills
 * the worker if that does not help. */
void members_check_timeouts(pool *p, int64_t now_us);

#endif
