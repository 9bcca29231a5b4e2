#include "store/db_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum {
    DEADLINE_MARGIN_MS = 5000,
    WAKE_MS = 1000
}; /* the first: how much longer than statement_timeout a worker waits */

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

/* Whether PostgreSQL takes a statement with these parameters. Otherwise the statement is not sent, nor are those behind
 * it, as if the server had refused it. */
static bool params_fit(db *d, const sql_statement *s, const db_param *params)
{
    size_t size = 0;
    for (int i = 0; i < s->params && size <= DB_PARAMS_MAX; i++) {
        size_t len = !params[i].value ? 0 : params[i].binary ? params[i].len : strlen(params[i].value);
        size = len > DB_PARAMS_MAX ? len : size + len;
    }
    if (size <= DB_PARAMS_MAX) return true;
    log_event(LOG_LEVEL_WARN, "database", "%s: not sent, the parameters have more than %d bytes", s->name,
              DB_PARAMS_MAX);
    fail(d, RC_TOO_LARGE);
    d->refused = d->oversize = true;
    return false;
}

void db_send(db *d, sql_id id, const db_param *params)
{
    const sql_statement *s = sql_find(id, d->distributed);
    const char *values[16];
    int lengths[16], formats[16];
    if (d->oversize) return;
    if (d->count == 0) {
        d->failed = RC_OK;
        d->refused = false;
    }
    if (!d->conn) {
        fail(d, RC_UNAVAILABLE);
        return;
    }
    if (d->count == DB_PIPELINE_MAX) abort();
    if (!params_fit(d, s, params)) return;
    for (int i = 0; i < s->params; i++) {
        values[i] = params[i].value;
        lengths[i] = params[i].binary ? (int)params[i].len : 0;
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
}

static bool interrupted(db *d)
{
    if (!d->interrupt || !*d->interrupt) return false;
    char fault[256];
    PGcancel *cancel = PQgetCancel(d->conn);
    if (cancel) PQcancel(cancel, fault, sizeof fault);
    PQfreeCancel(cancel);
    log_event(LOG_LEVEL_WARN, "database", "statement cancelled: the request took too long, or its client has gone");
    return true;
}

/* Waits until the socket is readable, or writable while output is pending. */
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
    /* poll wakes up once a second: a signal that arrives just before it would otherwise wait for the whole time. */
    struct pollfd p = {PQsocket(d->conn), (short)(POLLIN | (unsent ? POLLOUT : 0)), 0};
    int ready = poll(&p, 1, left_ms < WAKE_MS ? (int)left_ms : WAKE_MS);
    if (ready < 0 && errno != EINTR) return false;
    return !(p.revents & (POLLIN | POLLERR | POLLHUP)) || PQconsumeInput(d->conn) == 1;
}

/* Whether no result is ready yet. Without memory for a result libpq can drop it and wait for another one, which never
 * comes: *ok is then false. */
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

static int64_t statement_ms(const db *d)
{
    return d->conf->statement_timeout + DEADLINE_MARGIN_MS;
}

void db_flush(db *d)
{
    if (!d->conn) return;
    int64_t answer_ms = d->manner->answer_ms ? d->manner->answer_ms : statement_ms(d);
    d->sent_us = clock_monotonic_us();
    d->deadline_us = d->sent_us + answer_ms * 1000;
    d->round_trips++;
    if (PQpipelineSync(d->conn) != 1 || PQflush(d->conn) < 0) {
        fail_lost(d, "sending");
        return;
    }
    d->synced = true;
}

/* XX000, an internal error, is also what Citus reports when it loses a node in the middle of a statement. */
static rc rc_of_sqlstate(const char *state, bool distributed)
{
    static const char *const temporary[] = {"08", "25006", "25P03", "40", "53", "55P03", "57", "58030", NULL};
    if (distributed && state && strcmp(state, "XX000") == 0) return RC_UNAVAILABLE;
    for (const char *const *p = temporary; state && *p; p++)
        if (strncmp(state, *p, strlen(*p)) == 0) return RC_UNAVAILABLE;
    return RC_FAILED;
}

static rc result_failed(db *d, sql_id id, const PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    rc code = state ? rc_of_sqlstate(state, d->distributed) : RC_UNAVAILABLE;
    log_begin(code == RC_FAILED ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "database");
    log_str("statement", sql_statements[id].name);
    log_str("sqlstate", state);
    log_str("message", message ? message : PQerrorMessage(d->conn));
    log_end();
    fail(d, code);
    d->refused = state != NULL;
    if (state && strcmp(state, "55P03") == 0) d->locked = true;
    /* A standby after a failover, or a server that is going down: another connection may find the primary. 25P03: the
     * worker hung in a transaction, and the server has ended the session. */
    static const char *const lost[] = {"25006", "25P03", "57P"};
    for (size_t i = 0; state && i < sizeof lost / sizeof *lost; i++)
        if (strncmp(state, lost[i], strlen(lost[i])) == 0) d->lost = true;
    /* Without a state the fault is libpq's own: the connection broke, or memory ran out. Nobody knows what the server
     * did, and the results that follow may never come. */
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

rc db_take(db *d, arena *a, PGresult **result)
{
    bool ok;
    *result = NULL;
    if (!d->conn || d->taken >= d->count) {
        fail(d, RC_UNAVAILABLE);
        return d->failed;
    }
    sql_id id = d->sent[d->taken++];
    PGresult *r = next_result(d, &ok);
    if (d->taken == 1) db_slow_note(&d->slow, d->sent, d->count, clock_monotonic_us() - d->sent_us);
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
    d->deadline_us = clock_monotonic_us() + statement_ms(d) * 1000;
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
    if (PQresultStatus(r) == PGRES_PIPELINE_ABORTED)
        fail(d, RC_FAILED);
    else if (PQresultStatus(r) != PGRES_TUPLES_OK)
        result_failed(d, id, r);
    PQclear(r);
    end_statement(d);
    return d->failed;
}

/* Ends the transaction block of a failed round trip, or the next request would run in it. */
static void roll_back(db *d)
{
    PGTransactionStatusType status = d->conn ? PQtransactionStatus(d->conn) : PQTRANS_IDLE;
    if (status == PQTRANS_IDLE) return;
    rc failed = d->failed;
    bool lost = d->lost, refused = d->refused;
    db_send(d, SQL_ROLLBACK, NULL);
    db_flush(d);
    db_finish(d);
    d->failed = failed;
    d->refused = refused;
    d->lost |= lost;
}

rc db_finish(db *d)
{
    bool ok = true, ended = false, pause = false; /* a NULL ends a statement; a second one in a row ends everything */
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
    d->synced = d->streaming = d->oversize = false;
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

rc db_reject_server(db *d)
{
    d->lost = true;
    return db_reject_snapshot(d);
}

rc db_reject_snapshot(db *d)
{
    fail(d, RC_UNAVAILABLE);
    return d->failed;
}
