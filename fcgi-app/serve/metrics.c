#include "serve/metrics.h"

#include <stddef.h>
#include <string.h>

#include "base/version.h"
#include "http/route.h"

typedef struct dimension {
    const char *label;
    const char *const *values; /* NULL-terminated; NULL: the endpoints */
    size_t stride;             /* elements from one value to the next */
} dimension;

typedef struct metric {
    const char *name, *type, *help;
    enum { COUNTER, GAUGE, HISTOGRAM } source; /* `offset` is into counters or gauges; or the request durations */
    size_t offset;
    dimension dimensions[2];
} metric;

static const int codes[BOARD_CODES] = {200, 201, 304, 400, 401, 404, 405, 409, 410, 413, 415, 429, 500, 503};
static const char *const code_names[] = {"200", "201", "304", "400", "401", "404", "405", "409",
                                         "410", "413", "415", "429", "500", "503", NULL};
static const char *const types[] = {"create", "update", "delete", "invalid", NULL};
static const char *const outcomes[] = {"success", "conflict", "failed", "duplicate", NULL};
static const char *const resolutions[] = {"client", "server", "merged", "open", NULL};
static const char *const poke_outcomes[] = {"sent", "dropped", NULL};
static const char *const restart_reasons[] = {"crash", "timeout", "max_requests", "reload", "drain", NULL};
static const char *const reload_outcomes[] = {"done", "failed", NULL};
static const char *const read_servers[] = {"primary", "replica", NULL};
static const char *const replica_faults[] = {"behind", "away", NULL};
static const char *const worker_states[] = {"idle", "busy", "starting", NULL};
static const char *const versions[] = {PACKAGE_VERSION, NULL};

/* Seconds. */
static const double bounds[BOARD_BUCKETS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10};

#define COUNTERS(field) COUNTER, offsetof(counters, field)
#define GAUGES(field) GAUGE, offsetof(gauges, field)

// clang-format off
static const metric metrics[] = {
    {"booky_sync_http_requests_total", "counter", "Requests answered, by endpoint and status.",
        COUNTERS(requests), {{"endpoint", NULL, BOARD_CODES}, {"code", code_names, 1}}},
    {"booky_sync_http_request_duration_seconds", "histogram", "Time from the first byte read to the last byte written.",
        HISTOGRAM, 0, {{0}}},
    {"booky_sync_operations_total", "counter", "Operations processed, by type and outcome.",
        COUNTERS(operations), {{"type", types, 4}, {"outcome", outcomes, 1}}},
    {"booky_sync_conflicts_total", "counter", "Conflicts logged, by resolution.",
        COUNTERS(conflicts), {{"resolution", resolutions, 1}}},
    {"booky_sync_ledger_replays_total", "counter", "Repeated operations that were answered with their stored result.",
        COUNTERS(replays), {{0}}},
    {"booky_sync_pokes_total", "counter", "Pokes sent to the push process after a write, by outcome.",
        COUNTERS(pokes), {{"outcome", poke_outcomes, 1}}},
    {"booky_sync_queue_waiting", "gauge", "Queued operations that wait to be applied, of all users.",
        GAUGES(totals.queue_waiting), {{0}}},
    {"booky_sync_queue_review", "gauge", "Queued operations of all users that failed five times and wait for a person.",
        GAUGES(totals.queue_review), {{0}}},
    {"booky_sync_conflicts_open", "gauge", "Conflicts that wait for a person, of all users.",
        GAUGES(totals.conflicts_open), {{0}}},
    {"booky_sync_totals_timestamp_seconds", "gauge",
        "When the values of all users were read from the database, in seconds since 1970.",
        GAUGES(totals.read_at), {{0}}},
    {"booky_sync_workers", "gauge", "Worker processes, by state.",
        GAUGES(workers), {{"state", worker_states, 1}}},
    {"booky_sync_workers_max", "gauge", "Maximum number of workers.",
        GAUGES(workers_max), {{0}}},
    {"booky_sync_workers_max_reached_total", "counter", "Times that the pool needed more workers than the maximum.",
        COUNTERS(max_reached), {{0}}},
    {"booky_sync_worker_restarts_total", "counter", "Workers replaced, by reason.",
        COUNTERS(restarts), {{"reason", restart_reasons, 1}}},
    {"booky_sync_reloads_total", "counter", "Reloads of the configuration, by outcome.",
        COUNTERS(reloads), {{"outcome", reload_outcomes, 1}}},
    {"booky_sync_listen_queue_length", "gauge", "Connections that wait for a worker.",
        GAUGES(queue_length), {{0}}},
    {"booky_sync_listen_queue_limit", "gauge", "Maximum number of connections that wait.",
        GAUGES(queue_limit), {{0}}},
    {"booky_sync_slow_requests_total", "counter", "Requests that took longer than pool.slow_log.",
        COUNTERS(slow), {{0}}},
    {"booky_sync_rate_limited_total", "counter", "Requests refused because of rate.requests.",
        COUNTERS(rate_limited), {{0}}},
    {"booky_sync_quota_refused_total", "counter", "Requests and operations refused because of a quota.",
        COUNTERS(over_quota), {{0}}},
    {"booky_sync_db_up", "gauge", "1 if the database answers, 0 otherwise.",
        GAUGES(totals.db_up), {{0}}},
    {"booky_sync_db_round_trips_total", "counter", "Round trips to the database.",
        COUNTERS(round_trips), {{0}}},
    {"booky_sync_db_connects_total", "counter", "Connections made to the database.",
        COUNTERS(connects), {{0}}},
    {"booky_sync_reads_total", "counter", "Large reads, by the server that answered.",
        COUNTERS(reads), {{"target", read_servers, 1}}},
    {"booky_sync_replica_passed_total", "counter", "Large reads that the replica could not answer, by reason.",
        COUNTERS(replica_faults), {{"reason", replica_faults, 1}}},
    {"booky_sync_start_time_seconds", "gauge", "Start of the master, in seconds since 1970.",
        GAUGES(start_time), {{0}}},
    {"booky_sync_build_info", "gauge", "Version of the running program.",
        GAUGES(build_info), {{"version", versions, 1}}},
};
// clang-format on

/* The name of endpoint `i`; NULL after the last one, which counts requests without a route. */
static const char *endpoint_name(size_t i)
{
    size_t count = 0;
    while (routes[count].name) count++;
    return i < count ? routes[i].name : i == count ? "none" : NULL;
}

static const char *value_name(const dimension *d, size_t i)
{
    return d->values ? d->values[i] : endpoint_name(i);
}

static int64_t read_value(const metric *m, const counters *c, const gauges *g, size_t index)
{
    if (m->source == GAUGE) return ((const int64_t *)((const char *)g + m->offset))[index];
    const _Atomic uint64_t *counter = (const _Atomic uint64_t *)((const char *)c + m->offset);
    return (int64_t)atomic_load_explicit(&counter[index], memory_order_relaxed);
}

/* Leaves out unknown gauges, and counters by endpoint that are 0: most combinations never occur. */
static void write_sample(const metric *m, const char *labels, int64_t value, strbuf *out)
{
    bool sparse = m->source == COUNTER && m->dimensions[0].label && !m->dimensions[0].values;
    if (value < 0 || (sparse && value == 0)) return;
    strbuf_printf(out, "%s%s %lld\n", m->name, labels, (long long)value);
}

static void write_values(const metric *m, const counters *c, const gauges *g, strbuf *out)
{
    const dimension *x = &m->dimensions[0], *y = &m->dimensions[1];
    if (!x->label) {
        write_sample(m, "", read_value(m, c, g, 0), out);
        return;
    }
    for (size_t i = 0; value_name(x, i); i++) {
        for (size_t j = 0; j == 0 || (y->label && value_name(y, j)); j++) {
            const char *labels = y->label ? arena_printf(out->a, "{%s=\"%s\",%s=\"%s\"}", x->label, value_name(x, i),
                                                         y->label, value_name(y, j))
                                          : arena_printf(out->a, "{%s=\"%s\"}", x->label, value_name(x, i));
            write_sample(m, labels, read_value(m, c, g, i * x->stride + j), out);
            if (!y->label) break;
        }
    }
}

static void write_histogram(const metric *m, const counters *c, strbuf *out)
{
    for (size_t i = 0; endpoint_name(i); i++) {
        uint64_t sum = 0;
        for (size_t j = 0; j <= BOARD_BUCKETS; j++)
            sum += atomic_load_explicit(&c->buckets[i][j], memory_order_relaxed);
        if (sum == 0) continue;
        uint64_t below = 0;
        for (size_t j = 0; j < BOARD_BUCKETS; j++) {
            below += atomic_load_explicit(&c->buckets[i][j], memory_order_relaxed);
            strbuf_printf(out, "%s_bucket{endpoint=\"%s\",le=\"%g\"} %llu\n", m->name, endpoint_name(i), bounds[j],
                          (unsigned long long)below);
        }
        strbuf_printf(out, "%s_bucket{endpoint=\"%s\",le=\"+Inf\"} %llu\n", m->name, endpoint_name(i),
                      (unsigned long long)sum);
        strbuf_printf(out, "%s_sum{endpoint=\"%s\"} %.6f\n", m->name, endpoint_name(i),
                      (double)atomic_load_explicit(&c->duration_us[i], memory_order_relaxed) / 1e6);
        strbuf_printf(out, "%s_count{endpoint=\"%s\"} %llu\n", m->name, endpoint_name(i), (unsigned long long)sum);
    }
}

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void metrics_sum(const counters *c, metric_sums *out)
{
    *out = (metric_sums){0};
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 3; j++) out->operations += read_counter(&c->operations[i][j]); /* without duplicates */
        out->conflicts += read_counter(&c->conflicts[i]);
    }
    for (size_t i = 0; endpoint_name(i); i++) {
        if (strcmp(endpoint_name(i), "health") == 0) continue;
        for (int j = 0; j < BOARD_CODES; j++) {
            uint64_t n = read_counter(&c->requests[i][j]);
            out->requests += n;
            if (codes[j] >= 500) out->failures += n;
        }
    }
}

void metrics_write(const counters *c, const gauges *g, strbuf *out)
{
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        const metric *m = &metrics[i];
        strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
        if (m->source == HISTOGRAM)
            write_histogram(m, c, out);
        else
            write_values(m, c, g, out);
    }
}

void metrics_request(counters *c, int endpoint, int status, int64_t us)
{
    size_t i = 0, code = 0, bucket = 0;
    while (endpoint < 0 && routes[i].name) i++;
    if (endpoint >= 0) i = (size_t)endpoint;
    while (codes[code] && codes[code] != status) code++;
    if (codes[code]) board_count(&c->requests[i][code], 1);
    while (bucket < BOARD_BUCKETS && (double)us > bounds[bucket] * 1e6) bucket++;
    board_count(&c->buckets[i][bucket], 1);
    board_count(&c->duration_us[i], (uint64_t)us);
}
