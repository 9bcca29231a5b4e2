/*
 * The heart of the server: a table of stages, walked from top to bottom by stages_run. The first stage that fails
 * determines the reply; the stages marked `always` run nevertheless.
 */
#include "http/stages.h"

#include <fcgiapp.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/cursor.h"
#include "http/auth.h"
#include "http/body.h"
#include "http/rate.h"
#include "http/reply.h"
#include "http/route.h"
#include "store/replica.h"
#include "sync/poke.h"

/* A request that waited in the queue for longer than nginx waits for its reply has no reader any more: nginx has closed
 * both directions of the connection. (On TCP the kernel does not tell yet.) */
static rc stage_read(request *r)
{
    rc code = request_read(r);
    struct pollfd p = {r->fcgi->ipcFd, 0, 0};
    if (poll(&p, 1, 0) != 1 || !(p.revents & POLLHUP)) return code;
    r->client_gone = true;
    return request_fail(r, RC_UNAVAILABLE, "the client has gone");
}

static rc stage_identify(request *r)
{
    auth_identify(r);
    return RC_OK;
}

static rc stage_permit(request *r)
{
    rc code = auth_require(r);
    return code == RC_OK ? rate_check(r) : code;
}

static rc stage_validate(request *r)
{
    const body_limit plain = {(size_t)r->conf->body, "limits.body"};
    const body_limit full = {(size_t)r->conf->full_body, "limits.full_body"};
    if (r->route->body == BODY_NONE) return RC_OK;
    rc code = body_read(r, r->route->body == BODY_FULL ? &full : &plain);
    return code == RC_OK ? body_check_start(r) : code;
}

static rc run_on(request *r, db *d)
{
    r->ctx =
        (sync_ctx){.a = r->a, .conf = r->conf, .db = d, .user = r->user, .write = reply_stream, .to = r, .id = r->id};
    return r->route->run(r);
}

/* Runs a large read on the replica. Returns false when the primary must answer it. */
static bool run_on_replica(request *r, rc *code)
{
    if (!r->route->is_large_read || !r->replica) return false;
    bool prepared = replica_prepare(r->a, r->db, r->replica, r->user);
    /* The user has not written anything yet, or the primary is unavailable, too. */
    if (!prepared && !db_lost(r->replica)) return false;
    rc outcome = prepared ? run_on(r, r->replica) : RC_UNAVAILABLE;
    if (rc_info(outcome)->status < 500 || r->reply_started || *r->cancelled) {
        r->answered_by = READ_REPLICA;
        *code = outcome;
        return true;
    }
    r->replica_fault = replica_is_behind(r->replica) ? REPLICA_BEHIND : REPLICA_AWAY;
    return false;
}

/* If the connection is lost and no commit is in doubt, the request runs once more on a new connection. An endpoint
 * without a user connects itself if it needs the database. */
static rc stage_run(request *r)
{
    rc code = r->route->needs_user ? db_ready(r->db) : RC_OK;
    if (code == RC_OK && run_on_replica(r, &code)) return code;
    for (int attempt = 0; code == RC_OK; attempt++) {
        code = run_on(r, r->db);
        if (code != RC_UNAVAILABLE || !db_lost(r->db) || r->ctx.txn.in_doubt || r->reply_started || *r->cancelled ||
            attempt > 0)
            break;
        code = db_ready(r->db);
    }
    return code;
}

/* Notifies the user's other devices, after the commit and as a datagram: that costs no round trip and cannot fail the
 * write. Also sent when the commit is in doubt: an unnecessary poke does no harm. */
static rc stage_poke(request *r)
{
    const txn_announcement *news = &r->ctx.txn.announcement;
    bool in_doubt = r->code == RC_UNAVAILABLE && r->ctx.txn.in_doubt;
    if (!news->any || !*r->conf->pokes_socket || (r->code != RC_OK && !in_doubt)) return RC_OK;
    const char *cursor = cursor_at(r->a, news->from, news->epoch, news->stamp);
    bool sent = poke_send(r->conf->pokes_socket, poke_write(r->a, r->user, cursor, news->device));
    r->poke_outcome = sent ? POKE_SENT : POKE_DROPPED;
    return RC_OK;
}

static rc stage_reply(request *r)
{
    reply_send(r);
    return RC_OK;
}

static void log_request(const request *r, log_level level, const char *event)
{
    log_begin(level, event);
    log_str("requestId", r->id);
    log_str("method", r->method);
    log_str("endpoint", r->route ? r->route->name : "none");
    log_int("status", request_status(r));
    log_str("error", rc_info(r->code)->error);
    log_int("us", clock_monotonic_us() - r->started_us);
}

static void log_slow(const request *r)
{
    int64_t statement_us;
    const char *statement = db_slowest(r->answered_by == READ_REPLICA ? r->replica : r->db, &statement_us);
    log_request(r, LOG_LEVEL_WARN, "slow");
    log_str("stage", r->slowest_stage);
    log_int("stageUs", r->slowest_stage_us);
    log_str("statement", statement);
    if (statement) log_int("statementUs", statement_us);
    log_end();
}

static rc stage_log(request *r)
{
    int64_t us = clock_monotonic_us() - r->started_us;
    log_request(r, request_status(r) >= 500 ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "request");
    log_int("bytesIn", (int64_t)r->body_len);
    log_int("bytesOut", (int64_t)r->bytes_out);
    log_end();
    if (r->conf->slow_log > 0 && us >= r->conf->slow_log * 1000) log_slow(r);
    return RC_OK;
}

typedef struct stage {
    const char *name;
    rc (*run)(request *r);
    bool always;
} stage;

// clang-format off
static const stage stages[] = {
    {"read",     stage_read,     false},
    {"identify", stage_identify, false},
    {"route",    route_match,    false},
    {"permit",   stage_permit,   false},
    {"validate", stage_validate, false},
    {"run",      stage_run,      false},
    {"poke",     stage_poke,     true},
    {"reply",    stage_reply,    true},
    {"log",      stage_log,      true},
};
// clang-format on

enum { STAGES = sizeof stages / sizeof *stages };

static void run_stage(request *r, const stage *s)
{
    int64_t start_us = clock_monotonic_us();
    rc code = s->run(r);
    int64_t us = clock_monotonic_us() - start_us;
    if (r->code == RC_OK) r->code = code;
    if (us <= r->slowest_stage_us) return;
    r->slowest_stage = s->name;
    r->slowest_stage_us = us;
}

/* Memory ran out: frees everything that the request allocated, so that there is memory for the reply. */
static void discard_work(request *r)
{
    bool in_doubt = r->ctx.txn.in_doubt;
    arena_reset(r->a);
    r->path = r->user = r->arguments[0] = r->arguments[1] = r->allow = r->body = r->ticket = r->rate_headers = NULL;
    r->query_count = r->segment_count = 0;
    r->ctx = (sync_ctx){.txn.in_doubt = in_doubt};
    r->reply = STRBUF(r->a);
    r->code = in_doubt ? RC_UNAVAILABLE : RC_FAILED;
}

void stages_run(request *r, progress *p)
{
    jmp_buf no_memory;
    volatile int i = 0; /* volatile: its value is needed after longjmp */
    if (setjmp(no_memory) != 0) {
        log_event(LOG_LEVEL_ERROR, "memory", "%s: out of memory in stage %s", r->id, stages[i].name);
        db_drop(r->db); /* it may be in the middle of a pipeline */
        if (r->replica) db_drop(r->replica);
        discard_work(r);
        i++;
    }
    arena_guard(r->a, &no_memory);
    for (; i < STAGES; i++) {
        atomic_store(&p->stage, i);
        if (r->code == RC_OK || stages[i].always) run_stage(r, &stages[i]);
        if (!*p->request_id) strncpy(p->request_id, r->id, PROGRESS_ID_SIZE - 1);
        if (r->route) atomic_store(&p->endpoint, (int32_t)(r->route - routes));
    }
    arena_guard(r->a, NULL);
}
