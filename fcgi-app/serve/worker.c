#include "serve/worker.h"

#include <fcgiapp.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/request.h"
#include "http/route.h"
#include "http/stages.h"
#include "serve/accept.h"
#include "serve/metrics.h"

enum { RETRY_MS = 100 }; /* between attempts to connect to the database */

typedef struct worker {
    const conf *conf;
    const token_keys *keys;
    arena *arena;     /* of the current request */
    db *db, *replica; /* `replica`: NULL without one */
    board *board;
    board_slot *slot;
    int64_t warned_us;              /* of a clock that is ahead; 0: never */
    uint64_t requests_max;          /* requests after which it ends; 0: never */
    uint64_t round_trips, connects; /* those that are on the board */
} worker;

static void count_reads(counters *c, const request *r)
{
    if (!r->route || !r->route->is_large_read || !r->user) return;
    board_count(&c->reads[r->answered_by], r->code == RC_OK || r->code == RC_NOT_MODIFIED);
    if (r->replica_fault != REPLICA_OK) board_count(&c->replica_faults[r->replica_fault], 1);
}

static void count_db(worker *w)
{
    uint64_t round_trips = db_round_trips(w->db), connects = db_connects(w->db);
    if (w->replica) round_trips += db_round_trips(w->replica), connects += db_connects(w->replica);
    board_count(&w->board->counters.round_trips, round_trips - w->round_trips);
    board_count(&w->board->counters.connects, connects - w->connects);
    w->round_trips = round_trips;
    w->connects = connects;
}

/* A commit clock never goes back. If the clock of the host was ahead, the clocks of the users who wrote stay ahead
 * until somebody runs `booky-sync resync --restamp`. */
static void warn_if_ahead(worker *w, const request *r)
{
    enum { AHEAD_MS = 60 * 1000, AGAIN_US = 60 * 1000000 };
    int64_t ahead = r->ctx.txn.stamp - clock_now(), now_us = clock_monotonic_us();
    if (ahead <= AHEAD_MS || (w->warned_us && now_us - w->warned_us < AGAIN_US)) return;
    w->warned_us = now_us;
    log_begin(LOG_LEVEL_WARN, "clock");
    log_str("requestId", r->ctx.id);
    log_int("aheadSeconds", ahead / 1000);
    log_str("message",
            "the commit clock of a user is ahead of this host's clock: a device's clock is ahead, by at most "
            "sync.clock_skew, or the clock of the host was; see resync --restamp");
    log_end();
}

/* Adds the request and its effects to the counters. */
static void count_request(worker *w, const request *r)
{
    counters *c = &w->board->counters;
    int64_t us = clock_monotonic_us() - r->started_us;
    metrics_request(c, r->route ? (int)(r->route - routes) : -1, request_status(r), us);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) board_count(&c->operations[i][j], r->ctx.tally.operations[i][j]);
    for (int i = 0; i < 4; i++) {
        board_count(&c->conflicts[i], r->ctx.tally.conflicts[i]);
        board_count(&c->replays, r->ctx.tally.operations[i][3]);
    }
    if (r->poke_outcome != POKE_NONE) board_count(&c->pokes[r->poke_outcome - POKE_SENT], 1);
    count_db(w);
    count_reads(c, r);
    board_count(&c->slow, w->conf->slow_log > 0 && us >= w->conf->slow_log * 1000);
    board_count(&c->rate_limited, r->code == RC_RATE_LIMITED);
    board_count(&c->over_quota, r->ctx.tally.over_quota + (r->code == RC_QUOTA));
    atomic_store(&w->slot->last_us, us);
    atomic_fetch_add(&w->slot->requests, 1);
}

/* Before libfcgi closes a connection it waits up to two seconds for the other end to close: otherwise unread input
 * would reset the connection and the reply could be lost. If nothing is unread, it is closed at once here and the
 * worker is free for the next request. */
static void close_at_once(FCGX_Request *fcgi, const request *r)
{
    int unread = -1;
    bool whole = r->route && (r->route->body == BODY_NONE || r->body);
    if (whole && ioctl(fcgi->ipcFd, FIONREAD, &unread) == 0 && unread == 0) FCGX_Detach(fcgi);
}

/* Frees the memory of the request. The C library keeps freed memory for the next request; after a large one the worker
 * would stay that large. Returning it takes about 0.1 ms a MiB, so a usual request does without. */
static void release_memory(arena *a)
{
    enum { USUAL = 8 * 1024 * 1024 };
    bool large = arena_taken(a) > USUAL;
    arena_reset(a);
    if (large) malloc_trim(0);
}

static bool handle_request(FCGX_Request *fcgi, void *context)
{
    worker *w = context;
    request r = {.a = w->arena,
                 .conf = w->conf,
                 .keys = w->keys,
                 .db = w->db,
                 .replica = w->replica,
                 .fcgi = fcgi,
                 .cancelled = &accept_cancelled,
                 .started_us = clock_monotonic_us(),
                 .reply = STRBUF(w->arena),
                 .replica_fault = REPLICA_OK};
    accept_cancelled = 0;
    db_slow_reset(w->db);
    if (w->replica) db_slow_reset(w->replica);
    stages_run(&r, &w->slot->progress);
    count_request(w, &r);
    warn_if_ahead(w, &r);
    fcgi->keepConnection = 0; /* a connection that is kept would occupy this worker */
    close_at_once(fcgi, &r);
    FCGX_Finish_r(fcgi);
    release_memory(w->arena);
    return w->requests_max == 0 || atomic_load(&w->slot->requests) < w->requests_max;
}

int worker_run(const conf *c, const token_keys *keys, int listen_fd, board *b, board_slot *slot, bool wait_for_db)
{
    worker w = {.conf = c,
                .keys = keys,
                .arena = arena_new(),
                .db = db_new(c),
                .replica = db_new_replica(c),
                .board = b,
                .slot = slot};
    srand((unsigned)getpid());
    if (c->max_requests > 0) /* varies by a tenth, so that the workers are not all replaced at once */
        w.requests_max = (uint64_t)(c->max_requests - c->max_requests / 10 + rand() % (c->max_requests / 5 + 1));
    db_interrupt(w.db, &accept_cancelled);
    log_collect_above(LOG_LEVEL_WARN);
    if (w.replica) db_interrupt(w.replica, &accept_cancelled);
    while (db_ready(w.db) != RC_OK && wait_for_db && !accept_stopping()) poll(NULL, 0, RETRY_MS);
    /* Without `wait_for_db` the database may be unavailable now: requests report that. */
    atomic_store(&slot->progress.stage, STAGE_IDLE);
    accept_loop(listen_fd, &slot->progress, handle_request, &w);
    db_free(w.db);
    db_free(w.replica);
    arena_free(w.arena);
    return EXIT_SUCCESS;
}
