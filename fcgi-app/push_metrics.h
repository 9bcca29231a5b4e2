/* The metrics of the push process: one row each (push_metrics.c), in Prometheus' text format. */
#ifndef BOOKY_PUSH_METRICS_H
#define BOOKY_PUSH_METRICS_H

#include <stdint.h>

#include "arena.h"

enum { PUSH_LIMIT, PUSH_EVICTED, PUSH_SLOW, PUSH_EXPIRED, PUSH_ENDINGS };

typedef struct push_counts {
    int64_t streams[2];            /* open now: Server-Sent Events, WebSocket */
    int64_t opened;                /* since the start */
    int64_t endings[PUSH_ENDINGS]; /* streams that were refused or ended here, by reason */
    int64_t received[2];           /* pokes from workers of this host, from other hosts */
    int64_t invalid;               /* datagrams that are none */
    int64_t sent, coalesced;       /* pokes to streams; those that a newer one took the place of */
    int64_t peers_up;              /* -1: there are no other hosts */
    int64_t notified, notify_failed;
} push_counts;

void push_metrics_write(const push_counts *counts, strbuf *out);

#endif
