#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "batch.h"
#include "clock.h"
#include "log.h"

/* Dice: splitmix64 */

dice dice_new(const char *test)
{
    const char *given = getenv("BOOKY_SEED");
    uint64_t seed;
    if (given)
        seed = strtoull(given, NULL, 10);
    else if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        abort();
    else
        seed %= 1000000000;
    printf("%s: BOOKY_SEED=%llu\n", test, (unsigned long long)seed);
    fflush(stdout);
    return (dice){seed};
}

uint64_t dice_throw(dice *d)
{
    uint64_t z = (d->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

size_t dice_below(dice *d, size_t n)
{
    return (size_t)(dice_throw(d) % n);
}

bool dice_chance(dice *d, unsigned percent)
{
    return dice_below(d, 100) < percent;
}

/* Peers */

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    if (!value) ck_abort_msg("%s is not set", name);
    return value;
}

void user_new(char out[64])
{
    uint64_t n[2];
    if (getrandom(n, sizeof n, 0) != (ssize_t)sizeof n) abort();
    snprintf(out, 64, "dbtest-%016llx%016llx", (unsigned long long)n[0], (unsigned long long)n[1]);
}

peer *peer_new_for(const char *user)
{
    char fault[512];
    peer *p = calloc(1, sizeof *p);
    if (!p) abort();
    if (!conf_load(&p->conf, NULL, fault, sizeof fault)) ck_abort_msg("%s", fault);
    free((char *)p->conf.dsn);
    p->conf.dsn = strdup(environment("BOOKY_TEST_DSN"));
    /* The log is not made for threads, and most of these tests provoke what it would report. */
    log_set_level(getenv("BOOKY_TEST_LOG") ? LOG_LEVEL_DEBUG : (log_level)0);
    p->a = arena_new();
    p->db = db_new(&p->conf);
    snprintf(p->user, sizeof p->user, "%s", user);
    return p;
}

peer *peer_new(void)
{
    char user[64];
    user_new(user);
    return peer_new_for(user);
}

void peer_free(peer *p)
{
    db_free(p->db);
    arena_free(p->a);
    conf_free(&p->conf);
    free(p);
}

void peer_become(peer *p, const char *user)
{
    arena_reset(p->a);
    if (user)
        snprintf(p->user, sizeof p->user, "%s", user);
    else
        user_new(p->user);
}

static void collect(void *to, const char *bytes, size_t len)
{
    strbuf_add(to, bytes, len);
}

call *peer_call(peer *p, strbuf *to)
{
    *to = STRBUF(p->a);
    p->call = (call){.a = p->a, .conf = &p->conf, .db = p->db, .user = p->user, .write = collect, .to = to};
    return &p->call;
}

static void release_json(void *value)
{
    json_decref(value);
}

static json_t *parse(peer *p, const strbuf *text)
{
    json_error_t error;
    json_t *value = json_loadb(text->data, text->len, JSON_REJECT_DUPLICATES, &error);
    if (!value) ck_abort_msg("the reply is not JSON: %s: %s", error.text, text->data);
    arena_defer(p->a, release_json, value);
    return value;
}

rc peer_try(peer *p, const char *body, json_t **reply)
{
    strbuf streamed, text = STRBUF(p->a);
    call *c = peer_call(p, &streamed);
    *reply = NULL;
    rc code = db_ready(p->db);
    if (code == RC_OK) code = batch_run(c, body, strlen(body), &text);
    if (code == RC_OK) *reply = parse(p, &text);
    return code;
}

json_t *peer_post(peer *p, const char *body)
{
    json_t *reply;
    rc code = peer_try(p, body, &reply);
    if (code != RC_OK)
        ck_abort_msg("%s (%s): %.2000s", rc_info(code)->error, p->call.message ? p->call.message : "no message", body);
    return reply;
}

const json_t *result_of(const json_t *reply, size_t i)
{
    const json_t *result = json_array_get(json_object_get(reply, "results"), i);
    if (!result) ck_abort_msg("the reply has no result %zu", i);
    return result;
}

json_t *peer_pull(peer *p, const pull_query *q)
{
    strbuf text;
    call *c = peer_call(p, &text);
    rc code = db_ready(p->db);
    if (code == RC_OK) code = pull_run(c, q);
    if (code != RC_OK) ck_abort_msg("pull: %s (%s)", rc_info(code)->error, c->message ? c->message : "no message");
    return parse(p, &text);
}

json_t *peer_pull_all(peer *p)
{
    return peer_pull(p, &(pull_query){.since = "1970-01-01T00:00:00Z"});
}

const char *peer_printf(peer *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = arena_vprintf(p->a, fmt, ap);
    va_end(ap);
    return text;
}

const char *peer_operation(peer *p, const char *id, const char *type, const char *kind, const char *entity_id,
                           const char *data, int64_t at)
{
    return peer_printf(p,
                       "{\"id\":\"%s\",\"type\":\"%s\",\"entity\":\"%s\",\"entityId\":\"%s\",\"timestamp\":%lld%s%s}",
                       id, type, kind, entity_id, (long long)at, data ? ",\"data\":" : "", data ? data : "");
}

const char *peer_body(peer *p, const char *const *operations, size_t count)
{
    strbuf body = STRBUF(p->a);
    strbuf_puts(&body, "{\"operations\":[");
    for (size_t i = 0; i < count; i++) strbuf_printf(&body, "%s%s", i ? "," : "", operations[i]);
    strbuf_puts(&body, "]}");
    return body.data;
}

const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (!text) ck_abort_msg("no text member \"%s\"", name);
    return text;
}

/* SQL */

#define OPTIONS "-c search_path=booky -c client_min_messages=warning"

static PGconn *open_dsn(const char *dsn, const char *options)
{
    char fault[512];
    PGconn *c = db_connect(dsn, "", options, fault, sizeof fault);
    if (!c) ck_abort_msg("%s", fault);
    return c;
}

PGconn *sql_open_admin(void)
{
    return open_dsn(environment("BOOKY_TEST_ADMIN_DSN"), OPTIONS);
}

PGconn *sql_open_planner(void)
{
    return open_dsn(environment("BOOKY_TEST_ADMIN_DSN"), OPTIONS " " DB_PLANNER_OPTIONS);
}

PGconn *sql_open_worker(void)
{
    return open_dsn(environment("BOOKY_TEST_DSN"), OPTIONS);
}

static PGresult *run(PGconn *c, const char *fmt, va_list ap)
{
    char *text;
    if (vasprintf(&text, fmt, ap) < 0) abort();
    PGresult *r = PQexec(c, text);
    free(text);
    return r;
}

PGresult *sql_run(PGconn *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    PGresult *r = run(c, fmt, ap);
    va_end(ap);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) ck_abort_msg("%s: %s", fmt, PQresultErrorMessage(r));
    return r;
}

long long sql_number(PGconn *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    PGresult *r = run(c, fmt, ap);
    va_end(ap);
    if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1) ck_abort_msg("%s: %s", fmt, PQresultErrorMessage(r));
    long long number = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    return number;
}

const char *sql_state(PGconn *c, const char *fmt, ...)
{
    static char state[6];
    va_list ap;
    va_start(ap, fmt);
    PGresult *r = run(c, fmt, ap);
    va_end(ap);
    const char *found = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    snprintf(state, sizeof state, "%s", found ? found : "");
    PQclear(r);
    return state;
}

int64_t sql_hold_clock(PGconn *c, const char *user)
{
    PQclear(sql_run(c, "BEGIN"));
    return sql_number(c,
                      "INSERT INTO clocks AS c (user_id, clock, started) SELECT '%s', t, t FROM"
                      " (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS t) AS now"
                      " ON CONFLICT (user_id) DO UPDATE SET clock = greatest(c.clock + 1, excluded.clock)"
                      " RETURNING clock",
                      user);
}

void sql_await_waiters(PGconn *watcher, PGconn *holder, int count)
{
    int64_t until = clock_monotonic_us() + 20 * 1000000;
    for (;;) {
        long long waiting = sql_number(
            watcher,
            "WITH RECURSIVE w (pid) AS (SELECT %d UNION SELECT a.pid FROM pg_stat_activity a, w"
            " WHERE a.wait_event_type = 'Lock' AND w.pid = ANY (pg_blocking_pids(a.pid))) SELECT count(*) - 1 FROM w",
            PQbackendPID(holder));
        if (waiting >= count) return;
        if (clock_monotonic_us() > until) ck_abort_msg("%lld of %d connections wait for the clock", waiting, count);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}
