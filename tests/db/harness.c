#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/db_connect.h"
#include "sync/batch.h"

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

sync_ctx *peer_ctx(peer *p, strbuf *to)
{
    *to = STRBUF(p->a);
    p->ctx = (sync_ctx){.a = p->a, .conf = &p->conf, .db = p->db, .user = p->user, .write = collect, .to = to};
    return &p->ctx;
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
    sync_ctx *ctx = peer_ctx(p, &streamed);
    *reply = NULL;
    rc code = db_ready(p->db);
    if (code == RC_OK) code = batch_run(ctx, body, strlen(body), &text);
    if (code == RC_OK) *reply = parse(p, &text);
    return code;
}

json_t *peer_post(peer *p, const char *body)
{
    json_t *reply;
    rc code = peer_try(p, body, &reply);
    if (code != RC_OK)
        ck_abort_msg("%s (%s): %.2000s", rc_info(code)->error, p->ctx.message ? p->ctx.message : "no message", body);
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
    sync_ctx *ctx = peer_ctx(p, &text);
    rc code = db_ready(p->db);
    if (code == RC_OK) code = pull_run(ctx, q);
    if (code != RC_OK) ck_abort_msg("pull: %s (%s)", rc_info(code)->error, ctx->message ? ctx->message : "no message");
    return parse(p, &text);
}

json_t *peer_pull_all(peer *p)
{
    return peer_pull(p, &(pull_query){.since = "1970-01-01T00:00:00Z", .initial = "true"});
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
    char text[CLOCK_TEXT]; /* small integers look like seconds */
    return peer_printf(p,
                       "{\"id\":\"%s\",\"type\":\"%s\",\"entity\":\"%s\",\"entityId\":\"%s\",\"timestamp\":\"%s\"%s%s}",
                       id, type, kind, entity_id, clock_format(at, text), data ? ",\"data\":" : "", data ? data : "");
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

void sql_identify(PGconn *c, const char *user)
{
    const char *asked = getenv("BOOKY_DATABASE_DISTRIBUTED");
    const char *text = sql_find(SQL_IDENTIFY, asked && strcmp(asked, "none") != 0)->text;
    PGresult *r = PQexecParams(c, text, 1, NULL, &user, NULL, NULL, 0);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) ck_abort_msg("%s: %s", text, PQresultErrorMessage(r));
    PQclear(r);
}

bool sql_on_citus(PGconn *c)
{
    return sql_number(c, "SELECT count(*) FROM pg_extension WHERE extname = 'citus'") > 0;
}

/* A connection of a cluster waits on a shard, where the processes of both have other numbers. */
#define WAITERS                                                                                                        \
    "WITH RECURSIVE w (pid) AS (SELECT %d UNION SELECT a.pid FROM pg_stat_activity a, w"                               \
    " WHERE a.wait_event_type = 'Lock' AND w.pid = ANY (pg_blocking_pids(a.pid))) SELECT count(*) - 1 FROM w"
#define WAITERS_ON_SHARDS                                                                                              \
    "SELECT count(DISTINCT waiting_gpid) FROM citus_lock_waits"                                                        \
    " WHERE blocking_gpid = (SELECT global_pid FROM citus_stat_activity WHERE pid = %d AND is_worker_query = false)"

void sql_await_waiters(PGconn *watcher, PGconn *holder, int count)
{
    int64_t until = clock_monotonic_us() + 20 * 1000000;
    const char *text = sql_on_citus(watcher) ? WAITERS_ON_SHARDS : WAITERS;
    for (;;) {
        long long waiting = sql_number(watcher, text, PQbackendPID(holder));
        if (waiting >= count) return;
        if (clock_monotonic_us() > until) ck_abort_msg("%lld of %d connections wait for the clock", waiting, count);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}
