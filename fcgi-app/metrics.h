/* The metrics: one row each (metrics.c), written in Prometheus' text format. */
#ifndef BOOKY_METRICS_H
#define BOOKY_METRICS_H

#include "arena.h"
#include "board.h"

/* What is looked up when somebody asks. */
typedef struct gauges {
    int64_t queue_waiting, queue_review, conflicts_open; /* of the whole database; -1: not known */
    int64_t workers[3];                                  /* idle, busy, starting */
    int64_t workers_max;
    int64_t listen_queue, listen_limit; /* -1: not known */
    int64_t db_up;
    int64_t start_time; /* seconds since 1970 */
    int64_t build_info;
} gauges;

/* Counts a request of the route with that index (-1: none), answered with `status` after `us`. */
void metrics_request(counters *c, int endpoint, int status, int64_t us);

/* Appends all metrics. */
void metrics_write(const counters *c, const gauges *g, strbuf *out);

#endif
