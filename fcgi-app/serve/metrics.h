/* The metrics of the pool: one row each (metrics.c), written in Prometheus' text format. */
#ifndef BOOKY_METRICS_H
#define BOOKY_METRICS_H

#include "base/arena.h"
#include "serve/board.h"
#include "serve/totals.h"

/* Values that are read when somebody asks for them. */
typedef struct gauges {
    totals totals;
    int64_t workers[3]; /* idle, busy, starting */
    int64_t workers_max;
    int64_t queue_length, queue_limit; /* of the listening socket; -1: not known */
    int64_t start_time;                /* seconds since 1970 */
    int64_t build_info;                /* always 1 */
} gauges;

/* Counts a request for row `endpoint` of routes[] (-1: none) that was answered with `status` after `us`. */
void metrics_request(counters *c, int endpoint, int status, int64_t us);

/* What the alerts are about, since the start of the master. Repeats do not count as operations, nor health checks as
 * requests. */
typedef struct metric_sums {
    uint64_t operations, conflicts, requests, failures;
} metric_sums;

void metrics_sum(const counters *c, metric_sums *out);

/* Appends all metrics. */
void metrics_write(const counters *c, const gauges *g, strbuf *out);

#endif
