/*
 * What a process is doing now, in memory that other processes read: the status page shows it, and the master cancels
 * requests that take too long. One process writes it; readers may see a request id that is half written.
 */
#ifndef BOOKY_PROGRESS_H
#define BOOKY_PROGRESS_H

#include <stdatomic.h>
#include <stdint.h>

enum { PROGRESS_ID_SIZE = 68 }; /* a request id and its NUL, rounded up */

typedef struct progress {
    _Atomic int32_t stage;              /* index of the stage (stages.c); negative: outside of a request */
    _Atomic int32_t endpoint;           /* row in routes[] of the current or last request; -1: none */
    _Atomic int64_t request_started_us; /* current or last request, by clock_monotonic_us */
    char request_id[PROGRESS_ID_SIZE];  /* current or last request */
} progress;

/* When the request that is being processed began; 0: there is none. The stage is read before the start: the writer sets
 * them in the other order, so a request that begins in between is never taken for one that began earlier. */
static inline int64_t progress_request_us(const progress *p)
{
    return atomic_load(&p->stage) < 0 ? 0 : atomic_load(&p->request_started_us);
}

#endif
