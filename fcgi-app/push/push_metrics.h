/* The metrics of the push process: one row each (push_metrics.c), in Prometheus' text format. */
#ifndef BOOKY_PUSH_METRICS_H
#define BOOKY_PUSH_METRICS_H

#include <stdint.h>

#include "base/arena.h"

/* Why a stream was refused or ended: push.streams, push.streams_per_user, not written to for too long, token expired.
 */
enum { PUSH_LIMIT, PUSH_EVICTED, PUSH_SLOW, PUSH_EXPIRED, PUSH_ENDINGS };

typedef struct push_counts {
    int64_t streams[2];            /* open now: Server-Sent Events, WebSocket */
    int64_t opened;                /* streams since the start */
    int64_t endings[PUSH_ENDINGS]; /* streams that were refused, or ended by the server */
    int64_t received[2];           /* pokes from workers of this host, from other hosts */
    int64_t invalid;               /* datagrams that are not pokes */
    int64_t sent;                  /* pokes written to streams */
    int64_t coalesced;             /* pokes that were replaced by a newer one before they were written */
    int64_t peers_up;              /* whether the connection to the other hosts listens; -1: there are no other hosts */
    int64_t notified, notify_failed;
} push_counts;

void push_metrics_write(const push_counts *counts, strbuf *out);

#endif
