#include "worker.h"

#include <errno.h>
#include <fcgiapp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include "auth.h"
#include "clock.h"
#include "log.h"
#include "reply.h"
#include "request.h"
#include "route.h"

/*
 * The way of a request, walked top to bottom by request_process: the first stage that fails fixes the answer; those
 * marked `always` run all the same. The index of the current stage stands on the scoreboard.
 */

static rc stage_identify(request *r)
{
    auth_identify(r);
    return RC_OK;
}

static rc stage_validate(request *r)
{
    rc code = auth_require(r);
    return code == RC_OK && r->route->body != BODY_NONE ? request_read_body(r) : code;
}

/* A request that broke its connection before it began to commit is tried once more on a new one. */
static rc stage_run(request *r)
{
    rc code = db_ready(r->db);
    for (int attempt = 0; code == RC_OK; attempt++) {
        r->call = (call){.a = r->a, .conf = r->conf, .db = r->db, .user = r->user, .write = reply_stream, .to = r};
        code = r->route->run(r);
        if (code != RC_UNAVAILABLE || !db_lost(r->db) || r->call.committing || r->started || attempt > 0) break;
        code = db_ready(r->db);
    }
    return code;
}

static rc stage_reply(request *r)
{
    reply_send(r);
    return RC_OK;
}

static rc stage_log(request *r)
{
    const rc_row *row = rc_info(r->code);
    log_begin(row->status >= 500 ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "request");
    log_str("requestId", r->id);
    log_str("method", r->method);
    log_str("endpoint", r->route ? r->route->name : "none");
    log_int("status", r->code == RC_OK && r->status ? r->status : row->status);
    log_str("error", row->error);
    log_int("us", clock_monotonic_us() - r->started_us);
    log_int("bytesIn", (int64_t)r->body_len);
    log_int("bytesOut", (int64_t)r->bytes_out);
    log_end();
    return RC_OK;
}

static const struct stage {
    const char *name;
    rc (*run)(request *r);
    bool always;
} stages[] = {
    {"read", request_read, false},   {"identify", stage_identify, false}, {"route", route_match, false},
    {"validate", stage_validate, false}, {"run", stage_run, false},       {"reply", stage_reply, true},
    {"log", stage_log, true},
};

enum { STAGES = sizeof stages / sizeof *stages };

static void request_process(request *r, board_slot *slot)
{
    jmp_buf no_memory;
    volatile int first = 0; /* where to go on when memory ran out */
    if (setjmp(no_memory) != 0) {
        log_event(LOG_LEVEL_ERROR, "memory", "%s: out of memory in stage %s", r->id ? r->id : "-", stages[first].name);
        db_drop(r->db); /* it may be in the middle of a pipeline */
        r->call.message = NULL;
        r->call.details = (strbuf){0};
        r->code = r->call.committing ? RC_UNAVAILABLE : RC_FAILED;
        first++;
    }
    arena_guard(r->a, &no_memory);
    for (; first < STAGES; first++) {
        atomic_store(&slot->stage, first);
        if (r->code != RC_OK && !stages[first].always) continue;
        rc code = stages[first].run(r);
        if (r->code == RC_OK) r->code = code;
    }
    arena_guard(r->a, NULL);
    if (rc_info(r->code)->status >= 500) atomic_fetch_add(&slot->errors, 1);
    atomic_fetch_add(&slot->requests, 1);
    atomic_store(&slot->round_trips, db_round_trips(r->db));
    atomic_store(&slot->connects, db_connects(r->db));
    atomic_store(&slot->stage, -1);
}

static volatile sig_atomic_t stopping;

static void on_stop(int signal)
{
    (void)signal;
    stopping = 1;
}

/* Handlers of our own, before FCGX_Init would install its: without SA_RESTART a signal in mid-body would cut the body, so
 * the signals stay blocked except while the worker waits for the next connection. */
static void prepare_signals(sigset_t *while_waiting)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGQUIT);
    sigaddset(&blocked, SIGHUP);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_stop}, NULL);
    sigaction(SIGQUIT, &(struct sigaction){.sa_handler = on_stop}, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_DFL);
    sigemptyset(while_waiting);
    sigaddset(while_waiting, SIGHUP);
    sigaddset(while_waiting, SIGUSR1);
}

int worker_run(const conf *c, const token_keys *keys, int listen_fd, board_slot *slot)
{
    sigset_t while_waiting;
    FCGX_Request fcgi;
    prepare_signals(&while_waiting);
    if (FCGX_Init() != 0 || FCGX_InitRequest(&fcgi, listen_fd, 0) != 0) return EXIT_FAILURE;
    arena *a = arena_new();
    db *d = db_new(c);
    db_ready(d); /* if the database is away now, requests will say so */
    atomic_store(&slot->connects, db_connects(d));
    atomic_store(&slot->stage, -1);
    while (!stopping) {
        struct pollfd p = {.fd = listen_fd, .events = POLLIN};
        if (ppoll(&p, 1, NULL, &while_waiting) < 0 || stopping) continue;
        int accepted = FCGX_Accept_r(&fcgi);
        if (accepted == -EAGAIN || accepted == -EWOULDBLOCK) continue; /* another worker was faster */
        if (accepted < 0) break;
        request r = {.a = a, .conf = c, .keys = keys, .db = d, .fcgi = &fcgi, .started_us = clock_monotonic_us()};
        r.reply.a = a;
        request_process(&r, slot);
        fcgi.keepConnection = 0; /* a kept connection would pin this worker to it */
        FCGX_Finish_r(&fcgi);
        arena_reset(a);
    }
    FCGX_Free(&fcgi, 1);
    db_free(d);
    arena_free(a);
    return EXIT_SUCCESS;
}
