#include "pool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "board.h"
#include "clock.h"
#include "log.h"
#include "report.h"
#include "worker.h"

/*
 * One thread, one loop: wait for a signal or the next tick, then bring what is into line with what should be. A worker
 * belongs to a generation; a reload starts a new generation beside the old one and lets the old one go only when all of the
 * new one is ready, so that a bad configuration costs nothing. (php-fpm stops accepting first and loses what is in flight.)
 *
 * Rejected: workers that are executed anew (the configuration would have to be passed on or read by each of them; a new
 * binary comes in by SIGUSR2, which replaces the master itself and keeps the sockets).
 */
enum {
    TICK_MS = 200,
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 5000,
    CANCEL_GRACE_US = 5000000, /* after its request was cancelled a worker has this long to answer */
    STATUS_EVERY_US = 10000000,
    CRASHES = 1000 /* most that emergency_restart_threshold can be */
};

typedef struct member {
    pid_t pid; /* 0: none */
    int slot;  /* on the board; -1: the reporter */
    int generation;
    bool leaving;       /* told to stop */
    int64_t killed_us;  /* when it will be killed if it has not left, 0: not yet decided */
    int64_t request_us; /* start of the request that was cancelled */
    bool timed_out;
} member;

typedef struct pool {
    conf *conf;
    token_keys *keys;
    const listeners *listeners;
    const char *conf_path, *exe;
    char *const *argv;
    board *board;
    member members[BOARD_SLOTS + 1];
    int generation;
    int extra; /* workers more or less than configured (SIGTTIN, SIGTTOU) */
    int wanted; /* dynamic: workers there should be */
    bool at_most; /* dynamic: there should be more than there may be */
    bool stopping;
    conf *next_conf;     /* while a reload is under way */
    token_keys *next_keys;
    int64_t reload_until_us;
    bool reload_again; /* another SIGHUP came meanwhile: the files may have changed since they were read */
    int64_t spawn_after_us, backoff_ms;
    int64_t crashes_us[CRASHES];
    size_t crash_count;
    int64_t status_us;
    uint64_t status_requests, watched_requests;
} pool;

static const conf *conf_of(const pool *p, int generation)
{
    return p->next_conf && generation == p->generation + 1 ? p->next_conf : p->conf;
}

static board_slot *slot_of(const pool *p, const member *m)
{
    return m->slot >= 0 ? &p->board->slots[m->slot] : NULL;
}

static int32_t stage_of(const pool *p, const member *m)
{
    return atomic_load(&slot_of(p, m)->stage);
}

/* How many workers of a generation there are that are not leaving; with `stage`, those in it only. */
static int count_workers(const pool *p, int generation, const int32_t *stage)
{
    int count = 0;
    for (int i = 0; i <= BOARD_SLOTS; i++) {
        const member *m = &p->members[i];
        if (m->pid && m->slot >= 0 && !m->leaving && m->generation == generation && (!stage || stage_of(p, m) == *stage)) count++;
    }
    return count;
}

static int count_all(const pool *p)
{
    int count = 0;
    for (int i = 0; i <= BOARD_SLOTS; i++) count += p->members[i].pid != 0;
    return count;
}

/* Starting */

static int run_child(pool *p, int slot, int generation)
{
    const conf *c = conf_of(p, generation);
    const token_keys *keys = c == p->conf ? p->keys : p->next_keys;
    log_set_level_name(c->log_level);
    if (slot < 0) return report_run(c, p->listeners, p->board);
    return worker_run(c, keys, p->listeners->requests, p->board, &p->board->slots[slot], c != p->conf);
}

/* `slot` < 0: the reporter. */
static bool spawn(pool *p, int slot, int generation)
{
    member *m = NULL;
    for (int i = 0; !m && i <= BOARD_SLOTS; i++)
        if (p->members[i].pid == 0) m = &p->members[i];
    if (!m) return false;
    board_slot *s = slot >= 0 ? &p->board->slots[slot] : NULL;
    if (s) {
        memset(s, 0, sizeof *s);
        atomic_store(&s->stage, STAGE_STARTING);
        atomic_store(&s->endpoint, -1);
        atomic_store(&s->started_us, clock_monotonic_us());
    }
    pid_t master = getpid(), pid = fork();
    if (pid < 0) {
        log_event(LOG_LEVEL_ERROR, "pool", "cannot fork: %s", strerror(errno));
        p->spawn_after_us = clock_monotonic_us() + BACKOFF_MAX_MS * 1000;
        return false;
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* no orphans when the master is killed */
        if (getppid() != master) _exit(EXIT_FAILURE);
        exit(run_child(p, slot, generation));
    }
    if (s) atomic_store(&s->pid, pid);
    *m = (member){.pid = pid, .slot = slot, .generation = generation};
    return true;
}

static bool spawn_worker(pool *p, int generation)
{
    bool used[BOARD_SLOTS] = {false};
    for (int i = 0; i <= BOARD_SLOTS; i++)
        if (p->members[i].pid && p->members[i].slot >= 0) used[p->members[i].slot] = true;
    for (int slot = 0; slot < BOARD_SLOTS; slot++)
        if (!used[slot]) return spawn(p, slot, generation);
    return false;
}

/* Ending */

static void leave(member *m, int64_t grace_us)
{
    if (m->leaving) return;
    m->leaving = true;
    m->killed_us = clock_monotonic_us() + grace_us;
    kill(m->pid, SIGTERM);
}

static void leave_generation(pool *p, int generation)
{
    for (int i = 0; i <= BOARD_SLOTS; i++) {
        member *m = &p->members[i];
        if (m->pid && m->generation == generation) leave(m, p->conf->drain_timeout * 1000000);
    }
}

static void stop(pool *p, int signal)
{
    bool at_once = signal == SIGINT || p->stopping;
    log_event(LOG_LEVEL_INFO, "pool", at_once ? "stopping at once" : "stopping, requests are finished first");
    listen_notify("STOPPING=1");
    p->stopping = true;
    for (int i = 0; i <= BOARD_SLOTS; i++) {
        member *m = &p->members[i];
        if (!m->pid) continue;
        leave(m, p->conf->drain_timeout * 1000000);
        if (at_once) m->killed_us = 0, kill(m->pid, SIGKILL);
    }
}

/* Reads configuration and keys anew. Returns false with a line in `fault`. */
static bool load(const pool *p, conf **out, token_keys **keys, char *fault, size_t fault_size)
{
    conf *c = calloc(1, sizeof *c);
    if (!c) abort();
    if (conf_load(c, p->conf_path, fault, fault_size) && (*keys = token_keys_load(c, fault, fault_size))) {
        *out = c;
        return true;
    }
    conf_free(c);
    free(c);
    return false;
}

/* What could not start must not replace what runs. */
static bool can_start(const pool *p, char *fault, size_t fault_size)
{
    conf *c;
    token_keys *keys;
    if (access(p->exe, X_OK) != 0) {
        snprintf(fault, fault_size, "%s: %s", p->exe, strerror(errno));
        return false;
    }
    if (!load(p, &c, &keys, fault, fault_size)) return false;
    conf_free(c);
    free(c);
    token_keys_free(keys);
    return true;
}

/* Becomes the program at its path anew, with the same arguments and sockets. Workers that still have a request finish it. */
static void exec_self(pool *p, const char *why)
{
    char fault[8192];
    if (!can_start(p, fault, sizeof fault)) {
        log_event(LOG_LEVEL_ERROR, "pool", "not started anew (%s): %s", why, fault);
        return;
    }
    log_event(LOG_LEVEL_WARN, "pool", "starting anew: %s", why);
    for (int i = 0; i <= BOARD_SLOTS; i++)
        if (p->members[i].pid) kill(p->members[i].pid, SIGTERM);
    listen_pass(p->listeners);
    execv(p->exe, p->argv);
    log_event(LOG_LEVEL_ERROR, "pool", "cannot execute %s: %s", p->exe, strerror(errno));
    exit(EXIT_FAILURE); /* the service manager starts us again */
}

/* Deaths */

static void note_crash(pool *p, int64_t now)
{
    const conf *c = p->conf;
    size_t recent = 0;
    p->crashes_us[p->crash_count++ % CRASHES] = now;
    for (size_t i = 0; i < CRASHES && i < p->crash_count; i++)
        recent += now - p->crashes_us[i] < c->emergency_restart_interval * 1000000;
    if (c->emergency_restart_threshold > 0 && recent >= (size_t)c->emergency_restart_threshold && !p->stopping)
        exec_self(p, "too many workers have crashed");
    p->backoff_ms = p->backoff_ms ? p->backoff_ms * 2 : BACKOFF_FIRST_MS;
    if (p->backoff_ms > BACKOFF_MAX_MS) p->backoff_ms = BACKOFF_MAX_MS;
    p->spawn_after_us = now + p->backoff_ms * 1000;
}

static void abort_reload(pool *p, const char *why);

static void bury(pool *p, member *m, int status)
{
    counters *c = &p->board->counters;
    int64_t now = clock_monotonic_us();
    board_slot *slot = slot_of(p, m);
    bool crashed = !m->leaving && !m->timed_out && (WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    uint64_t served = slot ? atomic_load(&slot->requests) : 0;
    if (slot) atomic_store(&slot->pid, 0);
    bool was_new = p->next_conf && m->generation == p->generation + 1;
    pid_t pid = m->pid;
    m->pid = 0;
    if (m->timed_out) board_count(&c->restarts[RESTART_TIMEOUT], 1);
    else if (crashed) board_count(&c->restarts[RESTART_CRASH], 1);
    else if (!m->leaving && slot) board_count(&c->restarts[RESTART_MAX_REQUESTS], 1);
    if (served > 0) p->backoff_ms = 0; /* it has worked; what killed it is another matter */
    if (!crashed && !m->timed_out) return;
    log_begin(LOG_LEVEL_ERROR, "worker");
    log_int("workerPid", pid);
    log_str("message", m->timed_out ? "killed, its request took too long" : WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exited");
    log_int("requests", (int64_t)served);
    if (slot && *slot->request_id) log_str("requestId", slot->request_id);
    log_end();
    if (crashed && was_new) abort_reload(p, "a new worker died");
    else if (crashed) note_crash(p, now);
}

static void reap(pool *p)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (int i = 0; i <= BOARD_SLOTS; i++)
            if (p->members[i].pid == pid) bury(p, &p->members[i], status);
}

/* Reloading */

static void end_reload(pool *p, int outcome)
{
    board_count(&p->board->counters.reloads[outcome], 1);
    p->reload_until_us = 0;
    listen_notify("READY=1");
}

static void abort_reload(pool *p, const char *why)
{
    log_event(LOG_LEVEL_ERROR, "reload", "given up, the old configuration stays: %s", why);
    for (int i = 0; i <= BOARD_SLOTS; i++) {
        member *m = &p->members[i];
        if (m->pid && m->generation == p->generation + 1) {
            m->leaving = true;
            kill(m->pid, SIGKILL);
        }
    }
    for (int i = 0; i <= BOARD_SLOTS; i++) /* the number is not used again: its last members may still be dying */
        if (p->members[i].pid && p->members[i].generation == p->generation) p->members[i].generation += 2;
    p->generation += 2;
    conf_free(p->next_conf);
    free(p->next_conf);
    token_keys_free(p->next_keys);
    p->next_conf = NULL;
    p->next_keys = NULL;
    end_reload(p, RELOAD_FAILED);
}

static int target(const pool *p, const conf *c)
{
    int most = (int)c->workers + p->extra, dynamic = strcmp(c->mode, "dynamic") == 0;
    if (most < 1) most = 1;
    if (most > 1024) most = 1024;
    if (!dynamic) return most;
    int wanted = p->wanted < (int)c->min_spare ? (int)c->min_spare : p->wanted;
    return wanted < most ? wanted : most;
}

static void begin_reload(pool *p)
{
    char fault[8192], notice[64];
    p->reload_again = p->next_conf;
    if (p->next_conf || p->stopping) return;
    snprintf(notice, sizeof notice, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_monotonic_us());
    listen_notify(notice);
    conf *c;
    token_keys *keys;
    if (!load(p, &c, &keys, fault, sizeof fault)) {
        log_event(LOG_LEVEL_ERROR, "reload", "refused, the old configuration stays: %s", fault);
        end_reload(p, RELOAD_FAILED);
        return;
    }
    if (strcmp(c->socket, p->conf->socket) != 0 || strcmp(c->status_socket, p->conf->status_socket) != 0)
        log_event(LOG_LEVEL_WARN, "reload", "server.socket and server.status_socket are read at a restart only");
    p->next_conf = c;
    p->next_keys = keys;
    p->reload_until_us = clock_monotonic_us() + c->start_timeout * 1000000;
}

/* Fills the new generation up (its first members may already have served their share) and, when all of it are ready, lets
 * the old one go. */
static void go_on_reloading(pool *p)
{
    static const int32_t starting = STAGE_STARTING;
    if (!p->next_conf && p->reload_again) begin_reload(p);
    if (!p->next_conf) return;
    int fresh = p->generation + 1, missing = target(p, p->next_conf) - count_workers(p, fresh, NULL);
    for (; missing > 0 && spawn_worker(p, fresh); missing--) {}
    if (missing > 0 || count_workers(p, fresh, &starting) > 0) {
        if (clock_monotonic_us() > p->reload_until_us) abort_reload(p, "its workers were not ready within pool.start_timeout");
        return;
    }
    board_count(&p->board->counters.restarts[RESTART_RELOAD], (uint64_t)count_workers(p, p->generation, NULL));
    leave_generation(p, p->generation);
    conf_free(p->conf);
    free(p->conf);
    token_keys_free(p->keys);
    p->conf = p->next_conf;
    p->keys = p->next_keys;
    p->next_conf = NULL;
    p->next_keys = NULL;
    p->generation = fresh;
    log_set_level_name(p->conf->log_level);
    log_event(LOG_LEVEL_INFO, "reload", "done, %d workers", target(p, p->conf));
    end_reload(p, RELOAD_DONE);
}

/* The tick */

static void check_timeouts(pool *p, int64_t now)
{
    for (int i = 0; i <= BOARD_SLOTS; i++) {
        member *m = &p->members[i];
        if (!m->pid) continue;
        if (m->leaving && m->killed_us && now > m->killed_us) kill(m->pid, SIGKILL);
        if (m->slot < 0 || p->conf->request_timeout == 0) continue;
        int64_t since = atomic_load(&slot_of(p, m)->request_started_us), limit = p->conf->request_timeout * 1000000;
        if (stage_of(p, m) < 0 || now - since < limit) continue;
        if (m->request_us != since) {
            m->request_us = since;
            log_event(LOG_LEVEL_WARN, "worker", "%d: its request took longer than pool.request_timeout, cancelled", (int)m->pid);
            kill(m->pid, SIGUSR1);
        } else if (now - since > limit + CANCEL_GRACE_US) {
            m->timed_out = true;
            kill(m->pid, SIGKILL);
        }
    }
}

/* Keeps between min_spare and max_spare workers idle (php-fpm's dynamic). */
static void follow_load(pool *p)
{
    static const int32_t idle_stage = STAGE_IDLE, starting_stage = STAGE_STARTING;
    const conf *c = p->conf;
    if (strcmp(c->mode, "dynamic") != 0) return;
    int idle = count_workers(p, p->generation, &idle_stage), starting = count_workers(p, p->generation, &starting_stage);
    int total = count_workers(p, p->generation, NULL);
    p->wanted = total;
    if (idle + starting < c->min_spare) {
        p->wanted = total + (int)c->min_spare - idle - starting;
        bool most = p->wanted > c->workers + p->extra;
        if (most && !p->at_most) board_count(&p->board->counters.max_reached, 1);
        p->at_most = most;
        return;
    }
    p->at_most = false;
    if (idle > c->max_spare) {
        for (int i = 0; i <= BOARD_SLOTS; i++) { /* one a tick, so that a lull does not empty the pool */
            member *m = &p->members[i];
            if (!m->pid || m->leaving || m->slot < 0 || m->generation != p->generation || stage_of(p, m) != STAGE_IDLE) continue;
            leave(m, c->drain_timeout * 1000000);
            p->wanted--;
            break;
        }
    }
}

static void keep_up(pool *p, int64_t now)
{
    bool reporter = p->listeners->status < 0;
    for (int i = 0; i <= BOARD_SLOTS; i++)
        reporter |= p->members[i].pid && p->members[i].slot < 0 && !p->members[i].leaving;
    if (!reporter) spawn(p, -1, p->generation);
    int missing = target(p, p->conf) - count_workers(p, p->generation, NULL);
    for (; missing > 0 && now >= p->spawn_after_us; missing--) spawn_worker(p, p->generation);
    for (int i = 0; missing < 0 && i <= BOARD_SLOTS; i++) { /* SIGTTOU */
        member *m = &p->members[i];
        if (!m->pid || m->leaving || m->slot < 0 || m->generation != p->generation) continue;
        leave(m, p->conf->drain_timeout * 1000000);
        missing++;
    }
    atomic_store(&p->board->workers_max, (int32_t)p->conf->workers + p->extra);
}

static uint64_t total_requests(const pool *p)
{
    uint64_t sum = 0;
    for (int i = 0; i < BOARD_ENDPOINTS; i++)
        for (int j = 0; j <= BOARD_BUCKETS; j++) sum += atomic_load(&p->board->counters.buckets[i][j]);
    return sum;
}

/* The watchdog hears of us only while some worker is idle or requests get done: a stuck pool is restarted. */
static void notify_manager(pool *p, int64_t now)
{
    static const int32_t idle_stage = STAGE_IDLE;
    uint64_t requests = total_requests(p);
    int idle = count_workers(p, p->generation, &idle_stage), total = count_workers(p, p->generation, NULL);
    if (idle > 0 || requests != p->watched_requests) listen_notify("WATCHDOG=1");
    p->watched_requests = requests;
    if (now - p->status_us < STATUS_EVERY_US) return;
    char text[128];
    snprintf(text, sizeof text, "STATUS=%d workers, %d busy, %.0f req/s", total, total - idle,
             (double)(requests - p->status_requests) * 1e6 / (double)(now - p->status_us));
    listen_notify(text);
    p->status_us = now;
    p->status_requests = requests;
}

static void tick(pool *p)
{
    int64_t now = clock_monotonic_us();
    check_timeouts(p, now);
    if (p->stopping) return;
    go_on_reloading(p);
    follow_load(p);
    keep_up(p, now);
    notify_manager(p, now);
}

static void on_signal(pool *p, int signal)
{
    if (signal == SIGTERM || signal == SIGQUIT || signal == SIGINT) stop(p, signal);
    else if (signal == SIGHUP) begin_reload(p);
    else if (signal == SIGUSR2 && !p->stopping) exec_self(p, "SIGUSR2");
    else if (signal == SIGTTIN) p->extra++;
    else if (signal == SIGTTOU && p->conf->workers + p->extra > 1) p->extra--;
}

static pool *pool_new(conf *c, token_keys *keys, const listeners *l, const char *conf_path, char *const *argv)
{
    char exe[4096];
    pool *p = calloc(1, sizeof *p);
    board *b = board_new();
    ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1); /* the path, not the inode: an upgrade replaces the file */
    if (!p || !b || len < 0) return NULL;
    exe[len] = '\0';
    *p = (pool){.conf = c, .keys = keys, .listeners = l, .conf_path = conf_path, .argv = argv, .board = b, .exe = strdup(exe)};
    p->status_us = clock_monotonic_us();
    return p->exe ? p : NULL;
}

int pool_run(conf *c, token_keys *keys, const listeners *l, const char *conf_path, char *const *argv)
{
    static const int list[] = {SIGCHLD, SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU};
    sigset_t signals;
    pool *p = pool_new(c, keys, l, conf_path, argv);
    if (!p) return EXIT_FAILURE;
    sigemptyset(&signals);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) sigaddset(&signals, list[i]);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    tick(p);
    log_event(LOG_LEVEL_INFO, "pool", "%d workers on %s", count_workers(p, 0, NULL), c->socket);
    listen_notify("READY=1");
    while (!p->stopping || count_all(p) > 0) {
        const struct timespec wait = {0, TICK_MS * 1000000};
        int signal = sigtimedwait(&signals, NULL, &wait);
        if (signal > 0) on_signal(p, signal);
        reap(p);
        tick(p);
    }
    log_event(LOG_LEVEL_INFO, "pool", "stopped");
    if (p->next_conf) conf_free(p->next_conf);
    free(p->next_conf);
    token_keys_free(p->next_keys);
    conf_free(p->conf);
    free(p->conf);
    token_keys_free(p->keys);
    free((char *)p->exe);
    free(p);
    return EXIT_SUCCESS;
}
