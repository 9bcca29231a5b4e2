#include "db.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"

enum { DEADLINE_MARGIN_MS = 5000, PIPELINE_MAX = 32, WAKE_MS = 1000 };

/* How the two kinds of servers are treated. */
typedef struct db_manner {
    const char *name, *connect_timeout; /* seconds */
    int64_t backoff_first_ms, backoff_max_ms;
    int64_t patience_ms; /* how long the first answer may take; 0: as long as a statement */
} db_manner;

static const db_manner primary = {"primary", "5", 100, 2000, 0}, replica = {"replica", "2", 1000, 30000, 3000};

struct db {
    const conf *conf;
    const db_manner *manner;
    const char *dsn;
    bool pooled;         /* nothing may outlive a transaction: no prepared statements, settings with SET LOCAL only */
    char identify[1024]; /* pooled: the text of SQL_IDENTIFY, with the settings */
    struct {
        const char *user; /* NULL: nothing is required */
        char clock[24], epoch[24];
    } required; /* see db_require */
    bool behind;
    bool enclosed; /* the round trip has a transaction block that nobody asked for, so that it is one snapshot */
    PGconn *conn; /* NULL: not connected */
    bool lost;
    rc failed;                 /* first error of the current round trip */
    sql_id sent[PIPELINE_MAX]; /* what is in the pipeline, in order */
    int count, taken;
    bool synced;   /* the sync was sent and its result not yet taken */
    bool streaming; /* the statement at `taken` is being read row by row */
    PGresult *row;  /* the last one */
    int64_t deadline_us;
    int64_t retry_at_us, backoff_ms;
    uint64_t round_trips, connects;
    const volatile sig_atomic_t *interrupt;
    int64_t sent_us;   /* when the round trip was sent */
    char slowest[160]; /* the statements of the slowest round trip */
    int64_t slowest_us;
};

/* Parameters */

db_param db_text(const char *s)
{
    return (db_param){.value = s};
}

db_param db_int(arena *a, int64_t value)
{
    return (db_param){.value = arena_printf(a, "%lld", (long long)value)};
}

db_param db_null(void)
{
    return (db_param){0};
}

/* PostgreSQL's binary array: dimensions, has-nulls, element type, then length and lower bound of the one dimension. */
db_array db_array_new(arena *a, db_type type)
{
    db_array x = {.bytes = STRBUF(a)};
    uint32_t header[] = {htonl(1), htonl(1), htonl((uint32_t)type), 0, htonl(1)};
    strbuf_add(&x.bytes, (const char *)header, sizeof header);
    return x;
}

void db_array_add(db_array *x, const char *bytes, size_t len)
{
    uint32_t size = htonl(bytes ? (uint32_t)len : UINT32_MAX);
    strbuf_add(&x->bytes, (const char *)&size, sizeof size);
    if (bytes) strbuf_add(&x->bytes, bytes, len);
    x->count++;
}

void db_array_text(db_array *x, const char *s)
{
    db_array_add(x, s, s ? strlen(s) : 0);
}

void db_array_int4(db_array *x, int32_t value)
{
    uint32_t n = htonl((uint32_t)value);
    db_array_add(x, (const char *)&n, sizeof n);
}

void db_array_int8(db_array *x, int64_t value, int64_t null)
{
    uint64_t n = htobe64((uint64_t)value);
    db_array_add(x, value == null ? NULL : (const char *)&n, sizeof n);
}

db_param db_array_param(db_array *x)
{
    uint32_t count = htonl((uint32_t)x->count);
    memcpy(x->bytes.data + 12, &count, sizeof count);
    return (db_param){x->bytes.data, (int)x->bytes.len, true};
}

/* Connecting */

static PGconn *open_connection(const char *dsn, const char *password_file, const char *options, const char *timeout,
                               char *fault, size_t fault_size)
{
    char password[1024] = "";
    if (*password_file && !conf_read_secret(password_file, password, sizeof password, fault, fault_size)) return NULL;
    /* What stands before dbname is a default that the DSN may change; what stands behind goes before it. */
    const char *names[] = {"fallback_application_name", "connect_timeout",  "keepalives_idle", "keepalives_interval",
                           "keepalives_count",          "tcp_user_timeout", "dbname",          "client_encoding",
                           "options",                   *password ? "password" : NULL, NULL};
    const char *values[] = {"booky-sync", timeout, "30", "10", "3", "10000", dsn, "UTF8", options, password, NULL};
    PGconn *conn = PQconnectdbParams(names, values, 1);
    explicit_bzero(password, sizeof password);
    if (PQstatus(conn) == CONNECTION_OK) return conn;
    snprintf(fault, fault_size, "%s", PQerrorMessage(conn));
    fault[strcspn(fault, "\n")] = '\0';
    PQfinish(conn);
    return NULL;
}

PGconn *db_connect(const char *dsn, const char *password_file, const char *options, char *fault, size_t fault_size)
{
    return open_connection(dsn, password_file, options, primary.connect_timeout, fault, fault_size);
}

#define SET_LOCAL(name, value) ", set_config('" name "', '" value "', true)"

static db *db_make(const conf *c, const db_manner *manner, const char *dsn)
{
    db *d = calloc(1, sizeof *d);
    if (!d) abort();
    d->conf = c;
    d->manner = manner;
    d->dsn = dsn;
    d->backoff_ms = manner->backoff_first_ms;
    d->pooled = strcmp(c->pooler, "transaction") == 0;
    snprintf(d->identify, sizeof d->identify,
             "%s, set_config('search_path', 'booky', true), set_config('statement_timeout', '%lld', true)"
             ", set_config('idle_in_transaction_session_timeout', '60000', true)" DB_PLANNER_SETTINGS(SET_LOCAL),
             sql_statements[SQL_IDENTIFY].text, (long long)c->statement_timeout);
    return d;
}

db *db_new(const conf *c)
{
    return db_make(c, &primary, c->dsn);
}

db *db_new_replica(const conf *c)
{
    return *c->replica_dsn ? db_make(c, &replica, c->replica_dsn) : NULL;
}

void db_free(db *d)
{
    if (!d) return;
    db_drop(d);
    free(d);
}

void db_drop(db *d)
{
    if (d->conn) PQfinish(d->conn);
    PQclear(d->row);
    d->conn = NULL;
    d->row = NULL;
    d->lost = true;
    d->count = d->taken = 0;
    d->synced = d->streaming = false;
}

bool db_lost(const db *d)
{
    return d->lost;
}

void db_require(db *d, const char *user, int64_t clock, int64_t epoch)
{
    d->required.user = user;
    snprintf(d->required.clock, sizeof d->required.clock, "%lld", (long long)clock);
    snprintf(d->required.epoch, sizeof d->required.epoch, "%lld", (long long)epoch);
}

bool db_behind(const db *d)
{
    return d->behind;
}

void db_interrupt(db *d, const volatile sig_atomic_t *flag)
{
    d->interrupt = flag;
}

const char *db_slowest(const db *d, int64_t *us)
{
    *us = d->slowest_us;
    return *d->slowest ? d->slowest : NULL;
}

void db_watch_reset(db *d)
{
    *d->slowest = '\0';
    d->slowest_us = 0;
}

uint64_t db_round_trips(const db *d)
{
    return d->round_trips;
}

uint64_t db_connects(const db *d)
{
    return d->connects;
}

static bool connect_once(db *d, char *fault, size_t fault_size)
{
    char options[512];
    snprintf(options, sizeof options,
             "-c search_path=booky -c statement_timeout=%lld -c idle_in_transaction_session_timeout=60000" DB_PLANNER_OPTIONS,
             (long long)d->conf->statement_timeout);
    d->conn = open_connection(d->dsn, d->conf->password_file, d->pooled ? NULL : options, d->manner->connect_timeout, fault,
                              fault_size);
    if (!d->conn) return false;
    for (int id = 0; id < SQL_COUNT && !d->pooled; id++) {
        const sql_statement *s = &sql_statements[id];
        PGresult *r = PQprepare(d->conn, s->name, s->text, 0, NULL);
        bool ok = PQresultStatus(r) == PGRES_COMMAND_OK;
        const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE), *hint = "";
        if (!ok && state && (strcmp(state, "42P01") == 0 || strcmp(state, "42703") == 0))
            hint = "; has `booky-sync migrate` been run?";
        if (!ok) snprintf(fault, fault_size, "%.200s%s", PQresultErrorMessage(r), hint);
        PQclear(r);
        if (!ok) return false;
    }
    return PQsetnonblocking(d->conn, 1) == 0 && PQenterPipelineMode(d->conn) == 1;
}

rc db_ready(db *d)
{
    if (d->conn && PQstatus(d->conn) == CONNECTION_OK) {
        d->lost = false;
        return RC_OK;
    }
    int64_t now = clock_monotonic_us();
    if (now < d->retry_at_us) return RC_UNAVAILABLE;
    db_drop(d);
    char fault[512] = "";
    if (connect_once(d, fault, sizeof fault)) {
        if (d->backoff_ms > d->manner->backoff_first_ms)
            log_event(LOG_LEVEL_INFO, "database", "connected again to the %s", d->manner->name);
        d->connects++;
        d->backoff_ms = d->manner->backoff_first_ms;
        d->lost = false;
        return RC_OK;
    }
    db_drop(d);
    fault[strcspn(fault, "\n")] = ' ';
    if (d->manner == &primary) log_event(LOG_LEVEL_ERROR, "database", "cannot connect: %s", fault);
    else if (d->backoff_ms == d->manner->backoff_first_ms) /* once is enough of what nobody notices */
        log_event(LOG_LEVEL_WARN, "database", "cannot connect to the replica, the primary answers: %s", fault);
    int64_t next = d->backoff_ms * 2, most = d->manner->backoff_max_ms;
    d->retry_at_us = clock_monotonic_us() + d->backoff_ms * 1000;
    d->backoff_ms = next < most ? next : most;
    return RC_UNAVAILABLE;
}

/* The pipeline */

static void fail(db *d, rc code)
{
    if (d->failed == RC_OK) d->failed = code;
}

static void fail_lost(db *d, const char *what)
{
    if (d->conn) log_event(LOG_LEVEL_WARN, "database", "connection lost while %s: %s", what, PQerrorMessage(d->conn));
    fail(d, RC_UNAVAILABLE);
    db_drop(d);
}

void db_send(db *d, sql_id id, const db_param *params)
{
    const sql_statement *s = &sql_statements[id];
    const char *values[16];
    int lengths[16], formats[16];
    if (d->count == 0) d->failed = RC_OK;
    if (d->count == 0) d->behind = d->enclosed = false;
    if (d->count == 0 && id == SQL_IDENTIFY && d->required.user) {
        db_send(d, SQL_BEGIN_READ, NULL);
        d->enclosed = true;
    }
    if (!d->conn) {
        fail(d, RC_UNAVAILABLE);
        return;
    }
    if (d->count == PIPELINE_MAX) abort();
    for (int i = 0; i < s->params; i++) {
        values[i] = params[i].value;
        lengths[i] = params[i].len;
        formats[i] = params[i].binary;
    }
    const char *text = id == SQL_IDENTIFY ? d->identify : s->text;
    int sent = d->pooled ? PQsendQueryParams(d->conn, text, s->params, NULL, values, lengths, formats, 0)
                         : PQsendQueryPrepared(d->conn, s->name, s->params, values, lengths, formats, 0);
    if (sent != 1) {
        fail_lost(d, "sending");
        return;
    }
    d->sent[d->count++] = id;
    if (id == SQL_IDENTIFY && d->required.user)
        db_send(d, SQL_REACHED, DB_PARAMS(db_text(d->required.user), db_text(d->required.clock), db_text(d->required.epoch)));
}

static bool interrupted(db *d)
{
    if (!d->interrupt || !*d->interrupt) return false;
    char fault[256];
    PGcancel *cancel = PQgetCancel(d->conn);
    if (cancel) PQcancel(cancel, fault, sizeof fault);
    PQfreeCancel(cancel);
    log_event(LOG_LEVEL_WARN, "database", "statement cancelled: the request took too long");
    return true;
}

/* Waits until the socket is readable, or writable while there is something left to send. */
static bool wait_socket(db *d)
{
    int unsent = PQflush(d->conn);
    if (unsent < 0) return false;
    if (interrupted(d)) return false;
    int64_t left_ms = (d->deadline_us - clock_monotonic_us()) / 1000;
    if (left_ms <= 0) {
        log_event(LOG_LEVEL_ERROR, "database", "no answer within the deadline; connection dropped");
        return false;
    }
    /* Woken now and then, for a signal that comes just before poll would otherwise wait the whole time. */
    struct pollfd p = {PQsocket(d->conn), (short)(POLLIN | (unsent ? POLLOUT : 0)), 0};
    int ready = poll(&p, 1, left_ms < WAKE_MS ? (int)left_ms : WAKE_MS);
    if (ready < 0 && errno != EINTR) return false;
    return !(p.revents & (POLLIN | POLLERR | POLLHUP)) || PQconsumeInput(d->conn) == 1;
}

/* Whether there is nothing to take yet. When libpq has no memory for a result it can drop it and wait for another one, which
 * never comes: *ok is false then. */
static bool is_busy(db *d, bool *ok)
{
    errno = 0;
    bool busy = PQisBusy(d->conn);
    *ok = !busy || errno != ENOMEM;
    return busy;
}

/* The next PGresult, or NULL at the end of a statement. *ok is false when the connection broke. */
static PGresult *next_result(db *d, bool *ok)
{
    while (is_busy(d, ok)) {
        if (*ok && wait_socket(d)) continue;
        *ok = false;
        return NULL;
    }
    return PQgetResult(d->conn);
}

void db_flush(db *d)
{
    if (!d->conn) return;
    if (d->enclosed) db_send(d, SQL_COMMIT, NULL);
    int64_t patience_ms = d->manner->patience_ms ? d->manner->patience_ms : d->conf->statement_timeout + DEADLINE_MARGIN_MS;
    d->sent_us = clock_monotonic_us();
    d->deadline_us = d->sent_us + patience_ms * 1000;
    d->round_trips++;
    if (PQpipelineSync(d->conn) != 1 || PQflush(d->conn) < 0) {
        fail_lost(d, "sending");
        return;
    }
    d->synced = true;
}

static rc rc_of_sqlstate(const char *state)
{
    static const char *const passing[] = {"08", "25006", "40", "53", "55P03", "57", "58030", NULL};
    for (const char *const *p = passing; state && *p; p++)
        if (strncmp(state, *p, strlen(*p)) == 0) return RC_UNAVAILABLE;
    return RC_FAILED;
}

static rc result_failed(db *d, sql_id id, const PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    rc code = state ? rc_of_sqlstate(state) : RC_UNAVAILABLE;
    log_begin(code == RC_FAILED ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "database");
    log_str("statement", sql_statements[id].name);
    log_str("sqlstate", state);
    log_str("message", message ? message : PQerrorMessage(d->conn));
    log_end();
    fail(d, code);
    /* A standby after a failover, or a server that is going down: another connection may find the primary. */
    if (state && (strcmp(state, "25006") == 0 || strncmp(state, "57P", 3) == 0)) d->lost = true;
    /* Without a state the fault is libpq's own: the connection broke, or there was no memory for a result. What the server
     * has done is not known, and the results that follow may not come either. */
    if (!state) db_drop(d);
    return d->failed;
}

static bool expected(const sql_statement *s, const PGresult *r)
{
    int rows = PQntuples(r);
    switch (s->expect) {
    case SQL_NONE:
        return rows == 0;
    case SQL_ONE:
        return rows == 1;
    case SQL_MAYBE:
        return rows <= 1;
    case SQL_ROWS:
        return true;
    }
    return false;
}

static void release_result(void *result)
{
    PQclear(result);
}

/* Reads the NULL that ends a statement. */
static bool end_statement(db *d)
{
    bool ok;
    for (PGresult *r; (r = next_result(d, &ok));) PQclear(r);
    if (!ok) fail_lost(d, "waiting");
    return ok;
}

/* Notes the slowest round trip. The server sends the results of a pipeline all at once, so which of its statements took the
 * time cannot be told; those that only frame the others are left out. */
static void watch(db *d)
{
    int64_t us = clock_monotonic_us() - d->sent_us;
    if (d->taken > 1 || us <= d->slowest_us) return;
    d->slowest_us = us;
    *d->slowest = '\0';
    for (int i = 0; i < d->count; i++) {
        size_t used = strlen(d->slowest);
        if (d->sent[i] <= SQL_IDENTIFY) continue;
        snprintf(d->slowest + used, sizeof d->slowest - used, "%s%s", used ? "+" : "", sql_statements[d->sent[i]].name);
    }
}

static rc take_one(db *d, arena *a, PGresult **result)
{
    bool ok;
    *result = NULL;
    if (!d->conn || d->taken >= d->count) {
        fail(d, RC_UNAVAILABLE);
        return d->failed;
    }
    sql_id id = d->sent[d->taken++];
    PGresult *r = next_result(d, &ok);
    watch(d);
    if (!r) {
        fail_lost(d, "waiting");
        return d->failed;
    }
    arena_defer(a, release_result, r);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        if (status != PGRES_PIPELINE_ABORTED) result_failed(d, id, r);
        fail(d, RC_FAILED);
    } else if (!expected(&sql_statements[id], r)) {
        log_event(LOG_LEVEL_ERROR, "database", "%s: %d rows", sql_statements[id].name, PQntuples(r));
        fail(d, RC_FAILED);
    }
    if (!end_statement(d)) return d->failed;
    *result = r;
    return d->failed;
}

/* What a transaction begins with must find the right server: for the primary's connection not a standby, which would show an
 * old state; for a replica's one that has reached what db_require says. */
static rc check_server(db *d, arena *a, const PGresult *identified)
{
    PGresult *reached;
    if (d->manner == &primary && *db_column(identified, 0, 1) == 't') {
        log_event(LOG_LEVEL_WARN, "database", "connected to a standby; looking for the primary");
        d->lost = true;
        fail(d, RC_UNAVAILABLE);
    }
    if (d->taken == d->count || d->sent[d->taken] != SQL_REACHED || take_one(d, a, &reached) != RC_OK) return d->failed;
    d->behind = *db_column(reached, 0, 0) != 't';
    if (d->behind) fail(d, RC_UNAVAILABLE);
    return d->failed;
}

rc db_take(db *d, arena *a, PGresult **result)
{
    rc code = take_one(d, a, result);
    if (code == RC_OK && d->enclosed && d->taken == 1) code = take_one(d, a, result);
    return code == RC_OK && d->sent[d->taken - 1] == SQL_IDENTIFY ? check_server(d, a, *result) : code;
}

rc db_next_row(db *d, const PGresult **row)
{
    bool ok;
    PQclear(d->row);
    *row = d->row = NULL;
    if (!d->conn || d->taken >= d->count) {
        fail(d, RC_UNAVAILABLE);
        return d->failed;
    }
    if (!d->streaming) d->streaming = PQsetSingleRowMode(d->conn) == 1;
    d->deadline_us = clock_monotonic_us() + (d->conf->statement_timeout + DEADLINE_MARGIN_MS) * 1000;
    PGresult *r = next_result(d, &ok);
    if (!r) {
        fail_lost(d, "waiting");
        return d->failed;
    }
    if (PQresultStatus(r) == PGRES_SINGLE_TUPLE) {
        *row = d->row = r;
        return RC_OK;
    }
    sql_id id = d->sent[d->taken++];
    d->streaming = false;
    if (PQresultStatus(r) == PGRES_PIPELINE_ABORTED) fail(d, RC_FAILED);
    else if (PQresultStatus(r) != PGRES_TUPLES_OK) result_failed(d, id, r);
    PQclear(r);
    end_statement(d);
    return d->failed;
}

/* After a failure inside a transaction block the block must be ended, or the next request would run in it. */
static void roll_back(db *d)
{
    PGTransactionStatusType status = d->conn ? PQtransactionStatus(d->conn) : PQTRANS_IDLE;
    if (status == PQTRANS_IDLE) return;
    rc failed = d->failed;
    bool lost = d->lost;
    db_send(d, SQL_ROLLBACK, NULL);
    db_flush(d);
    db_finish(d);
    d->failed = failed;
    d->lost |= lost;
}

rc db_finish(db *d)
{
    bool ok = true, ended = false, pause = false; /* a NULL ends each statement; a second one says that no more will come */
    while (d->conn && d->synced && !ended) {
        PGresult *r = next_result(d, &ok);
        if (!ok) {
            fail_lost(d, "waiting");
            break;
        }
        if (!r) {
            if (pause || PQstatus(d->conn) != CONNECTION_OK) fail_lost(d, "waiting");
            pause = true;
            continue;
        }
        pause = false;
        ExecStatusType status = PQresultStatus(r);
        ended = status == PGRES_PIPELINE_SYNC;
        if (status == PGRES_FATAL_ERROR) result_failed(d, d->sent[d->taken < d->count ? d->taken : 0], r);
        if (status != PGRES_SINGLE_TUPLE && !ended && d->taken < d->count) d->taken++;
        PQclear(r);
    }
    d->synced = d->streaming = false;
    d->count = d->taken = 0;
    rc failed = d->failed;
    if (failed != RC_OK) roll_back(d);
    if (d->lost && d->conn) db_drop(d);
    d->failed = RC_OK;
    return failed;
}

rc db_run(db *d, arena *a, const db_step *steps, size_t count)
{
    PGresult *ignored;
    for (size_t i = 0; i < count; i++) db_send(d, steps[i].id, steps[i].params);
    db_flush(d);
    for (size_t i = 0; i < count; i++)
        if (db_take(d, a, steps[i].result ? steps[i].result : &ignored) != RC_OK) break;
    return db_finish(d);
}

rc db_query(db *d, arena *a, const char *user, sql_id id, const db_param *params, PGresult **result)
{
    db_param identity = db_text(user);
    return DB_RUN(d, a, {.id = SQL_IDENTIFY, .params = &identity}, {.id = id, .params = params, .result = result});
}

const char *db_column(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : PQgetvalue(r, row, column);
}

int64_t db_column_int(const PGresult *r, int row, int column, int64_t null)
{
    const char *text = db_column(r, row, column);
    return text ? strtoll(text, NULL, 10) : null;
}
