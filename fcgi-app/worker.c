#include "worker.h"

#include <errno.h>
#include <fcgiapp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "auth.h"
#include "clock.h"
#include "cursor.h"
#include "log.h"
#include "metrics.h"
#include "poke.h"
#include "replica.h"
#include "reply.h"
#include "request.h"
#include "route.h"

typedef struct worker {
    const conf *conf;
    const token_keys *keys;
    arena *arena;
    db *db, *replica; /* `replica`: NULL without one */
    board *board;
    board_slot *slot;
    uint64_t share; /* requests after which it is replaced; 0: never */
    uint64_t round_trips, connects; /* counted so far */
} worker;

static volatile sig_atomic_t stopping, cancelled;

static void on_stop(int signal)
{
    (void)signal;
    stopping = 1;
}

static void on_cancel(int signal)
{
    (void)signal;
    cancelled = 1;
}

/*
 * The way of a request, walked top to bottom by request_process: the first stage that fails fixes the answer; those marked
 * `always` run all the same. The index of the current stage stands on the board.
 */

static rc stage_identify(request *r)
{
    auth_identify(r);
    return RC_OK;
}

static rc stage_permit(request *r)
{
    rc code = auth_require(r);
    return code == RC_OK ? auth_limit(r) : code;
}

static rc stage_validate(request *r)
{
    return r->route->body != BODY_NONE ? request_read_body(r) : RC_OK;
}

static rc run_on(request *r, db *d)
{
    r->call = (call){.a = r->a, .conf = r->conf, .db = d, .user = r->user, .write = reply_stream, .to = r, .id = r->id};
    return r->route->run(r);
}

/* A large read on the replica. Returns false when the primary must answer it. */
static bool run_on_replica(request *r, rc *code)
{
    if (!r->route->reads_much || !r->replica) return false;
    bool asked = replica_prepare(r->a, r->db, r->replica, r->user);
    rc answer = asked ? run_on(r, r->replica) : RC_UNAVAILABLE;
    if (!asked && !db_lost(r->replica)) return false; /* the user has written nothing yet, or the primary is away, too */
    if (rc_info(answer)->status < 500 || r->started || *r->cancelled) {
        r->target = READ_REPLICA;
        *code = answer;
        return true;
    }
    r->passed = db_behind(r->replica) ? REPLICA_BEHIND : REPLICA_AWAY;
    return false;
}

/* A request that broke its connection before it began to commit is tried once more on a new one. */
static rc stage_run(request *r)
{
    rc code = db_ready(r->db);
    if (code == RC_OK && run_on_replica(r, &code)) return code;
    for (int attempt = 0; code == RC_OK; attempt++) {
        code = run_on(r, r->db);
        if (code != RC_UNAVAILABLE || !db_lost(r->db) || r->call.committing || r->started || cancelled || attempt > 0) break;
        code = db_ready(r->db);
    }
    return code;
}

/* Tells the user's other devices: after the commit, on a datagram, so that it costs no round trip and can fail no write. A commit
 * in doubt is told too: a poke for nothing does no harm. */
static rc stage_poke(request *r)
{
    const call *c = &r->call;
    bool in_doubt = r->code == RC_UNAVAILABLE && c->committing;
    if (!c->change.any || !*r->conf->pokes_socket || (r->code != RC_OK && !in_doubt)) return RC_OK;
    const char *cursor = cursor_at(r->a, c->change.epoch, c->change.stamp);
    bool sent = poke_send(r->conf->pokes_socket, poke_write(r->a, r->user, cursor, c->change.device));
    r->poked = sent ? POKED_SENT : POKED_DROPPED;
    return RC_OK;
}

static rc stage_reply(request *r)
{
    reply_send(r);
    return RC_OK;
}

static int status_of(const request *r)
{
    return r->code == RC_OK && r->status ? r->status : rc_info(r->code)->status;
}

static void log_request(const request *r, log_level level, const char *event)
{
    log_begin(level, event);
    log_str("requestId", r->id);
    log_str("method", r->method);
    log_str("endpoint", r->route ? r->route->name : "none");
    log_int("status", status_of(r));
    log_str("error", rc_info(r->code)->error);
    log_int("us", clock_monotonic_us() - r->started_us);
}

static rc stage_log(request *r)
{
    int64_t us = clock_monotonic_us() - r->started_us, statement_us;
    log_request(r, status_of(r) >= 500 ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "request");
    log_int("bytesIn", (int64_t)r->body_len);
    log_int("bytesOut", (int64_t)r->bytes_out);
    log_end();
    if (r->conf->slow_log == 0 || us < r->conf->slow_log * 1000) return RC_OK;
    const char *statement = db_slowest(r->target == READ_REPLICA ? r->replica : r->db, &statement_us);
    log_request(r, LOG_LEVEL_WARN, "slow");
    log_str("stage", r->slow_stage);
    log_int("stageUs", r->slow_stage_us);
    log_str("statement", statement);
    if (statement) log_int("statementUs", statement_us);
    log_end();
    return RC_OK;
}

static const struct stage {
    const char *name;
    rc (*run)(request *r);
    bool always;
} stages[] = {
    {"read", request_read, false},     {"identify", stage_identify, false}, {"route", route_match, false},
    {"permit", stage_permit, false},   {"validate", stage_validate, false}, {"run", stage_run, false},
    {"poke", stage_poke, true},        {"reply", stage_reply, true},
    {"log", stage_log, true},
};

enum { RETRY_MS = 100 };

enum { STAGES = sizeof stages / sizeof *stages };

static void run_stage(request *r, const struct stage *stage)
{
    int64_t from = clock_monotonic_us();
    rc code = stage->run(r);
    int64_t us = clock_monotonic_us() - from;
    if (r->code == RC_OK) r->code = code;
    if (us <= r->slow_stage_us) return;
    r->slow_stage = stage->name;
    r->slow_stage_us = us;
}

/* Memory ran out. Gives back what the request took, so that there is some for the answer. */
static void forget(request *r)
{
    bool committing = r->call.committing;
    arena_reset(r->a);
    r->path = r->user = r->argument = r->allow = r->body = r->ticket = r->rate_headers = NULL;
    r->query_count = 0;
    r->call = (call){.committing = committing};
    r->reply = STRBUF(r->a);
    r->code = committing ? RC_UNAVAILABLE : RC_FAILED;
}

static void request_process(request *r, board_slot *slot)
{
    jmp_buf no_memory;
    volatile int at = 0; /* where to go on when memory ran out */
    if (setjmp(no_memory) != 0) {
        log_event(LOG_LEVEL_ERROR, "memory", "%s: out of memory in stage %s", r->id, stages[at].name);
        db_drop(r->db); /* it may be in the middle of a pipeline */
        if (r->replica) db_drop(r->replica);
        forget(r);
        at++;
    }
    arena_guard(r->a, &no_memory);
    for (; at < STAGES; at++) {
        atomic_store(&slot->stage, at);
        if (r->code == RC_OK || stages[at].always) run_stage(r, &stages[at]);
        if (!*slot->request_id) strncpy(slot->request_id, r->id, BOARD_ID - 1);
        if (r->route) atomic_store(&slot->endpoint, (int32_t)(r->route - routes));
    }
    arena_guard(r->a, NULL);
}

/* Adds what the request did to the counters. */
static void count(worker *w, const request *r)
{
    counters *c = &w->board->counters;
    int64_t us = clock_monotonic_us() - r->started_us;
    metrics_request(c, r->route ? (int)(r->route - routes) : -1, status_of(r), us);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) board_count(&c->operations[i][j], r->call.tally.operations[i][j]);
    for (int i = 0; i < 4; i++) {
        board_count(&c->conflicts[i], r->call.tally.conflicts[i]);
        board_count(&c->replays, r->call.tally.operations[i][3]);
    }
    if (r->poked) board_count(&c->pokes[r->poked - POKED_SENT], 1);
    uint64_t round_trips = db_round_trips(w->db), connects = db_connects(w->db);
    if (w->replica) round_trips += db_round_trips(w->replica), connects += db_connects(w->replica);
    board_count(&c->round_trips, round_trips - w->round_trips);
    board_count(&c->connects, connects - w->connects);
    w->round_trips = round_trips;
    w->connects = connects;
    if (r->route && r->route->reads_much && r->user) {
        board_count(&c->reads[r->target], r->code == RC_OK || r->code == RC_NOT_MODIFIED);
        if (r->passed >= 0) board_count(&c->passed[r->passed], 1);
    }
    board_count(&c->slow, w->conf->slow_log > 0 && us >= w->conf->slow_log * 1000);
    board_count(&c->rate_limited, r->code == RC_RATE_LIMITED);
    atomic_store(&w->slot->last_us, us);
    atomic_fetch_add(&w->slot->requests, 1);
}

/* libfcgi ends a connection by telling the other side and waiting up to two seconds until it has closed too, lest unread input
 * reset the reply. Where nothing is unread it can be closed at once, and the worker is free for the next request. */
static void close_at_once(FCGX_Request *fcgi, const request *r)
{
    int unread = -1;
    bool whole = r->route && (r->route->body == BODY_NONE || r->body);
    if (whole && ioctl(fcgi->ipcFd, FIONREAD, &unread) == 0 && unread == 0) FCGX_Detach(fcgi);
}

static bool handle(FCGX_Request *fcgi, void *context)
{
    worker *w = context;
    request r = {.a = w->arena, .conf = w->conf, .keys = w->keys, .db = w->db, .replica = w->replica, .fcgi = fcgi,
                 .passed = -1, .cancelled = &cancelled};
    r.reply.a = w->arena;
    r.started_us = clock_monotonic_us();
    cancelled = 0;
    db_watch_reset(w->db);
    if (w->replica) db_watch_reset(w->replica);
    request_process(&r, w->slot);
    count(w, &r);
    fcgi->keepConnection = 0; /* a kept connection would pin this worker to it */
    close_at_once(fcgi, &r);
    FCGX_Finish_r(fcgi);
    arena_reset(w->arena);
    return w->share == 0 || atomic_load(&w->slot->requests) < w->share;
}

/* Handlers of our own, before FCGX_Init would install its: without SA_RESTART a signal in mid-body would cut the body, so the
 * signals stay blocked except while the process waits for the next connection. SIGUSR1 alone may interrupt: it ends a
 * request that took too long, wherever it waits. */
static void prepare_signals(sigset_t *while_waiting)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    for (size_t i = 0; i < 6; i++)
        sigaddset(&blocked, (const int[]){SIGTERM, SIGQUIT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU}[i]);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_stop}, NULL);
    sigaction(SIGQUIT, &(struct sigaction){.sa_handler = on_stop}, NULL);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_cancel}, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_DFL);
    *while_waiting = blocked;
    sigdelset(while_waiting, SIGTERM);
    sigdelset(while_waiting, SIGQUIT);
}

/* epoll_pwait lets a signal in only while it waits, and under full load it never does. */
static bool told_to_stop(void)
{
    sigset_t pending;
    if (stopping || sigpending(&pending) != 0) return stopping;
    return sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGQUIT) == 1;
}

/* libfcgi reads the head of a request while it accepts, and waits for the rest of it: the time of the request begins before. */
static int accept_request(FCGX_Request *fcgi, board_slot *slot)
{
    if (slot) {
        memset(slot->request_id, 0, BOARD_ID);
        atomic_store(&slot->request_started_us, clock_monotonic_us());
        atomic_store(&slot->stage, 0);
    }
    return FCGX_Accept_r(fcgi);
}

void worker_loop(int listen_fd, board_slot *slot, bool (*handle_one)(FCGX_Request *fcgi, void *context), void *context)
{
    sigset_t while_waiting;
    FCGX_Request fcgi;
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE}; /* a connection wakes one of the workers, not all */
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    prepare_signals(&while_waiting);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listen_fd, &event) != 0) return;
    if (FCGX_Init() != 0 || FCGX_InitRequest(&fcgi, listen_fd, 0) != 0) return;
    while (!told_to_stop()) {
        int ready = epoll_pwait(epoll, &event, 1, log_due(), &while_waiting);
        if (ready == 0) log_flush();
        if (ready <= 0 || stopping) continue;
        int accepted = accept_request(&fcgi, slot);
        bool none = accepted == -EAGAIN || accepted == -EWOULDBLOCK || accepted == -EINTR; /* another one was faster */
        bool more = none || (accepted == 0 && handle_one(&fcgi, context));
        if (slot) atomic_store(&slot->stage, STAGE_IDLE);
        if (!more) break;
    }
    FCGX_Free(&fcgi, 1);
    close(epoll);
    log_flush();
}

int worker_run(const conf *c, const token_keys *keys, int listen_fd, board *b, board_slot *slot, bool patient)
{
    worker w = {.conf = c, .keys = keys, .arena = arena_new(), .db = db_new(c), .replica = db_new_replica(c),
                .board = b, .slot = slot};
    srand((unsigned)getpid());
    if (c->max_requests > 0) /* give or take a tenth, so that they are not all replaced at once */
        w.share = (uint64_t)(c->max_requests - c->max_requests / 10 + rand() % (c->max_requests / 5 + 1));
    db_interrupt(w.db, &cancelled);
    log_collect_above(LOG_LEVEL_WARN);
    if (w.replica) db_interrupt(w.replica, &cancelled);
    while (db_ready(w.db) != RC_OK && patient && !told_to_stop()) poll(NULL, 0, RETRY_MS);
    /* If the database is away now, requests will say so. */
    atomic_store(&slot->stage, STAGE_IDLE);
    worker_loop(listen_fd, slot, handle, &w);
    db_free(w.db);
    db_free(w.replica);
    arena_free(w.arena);
    return EXIT_SUCCESS;
}
