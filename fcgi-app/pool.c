#include "pool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "board.h"
#include "clock.h"
#include "listen.h"
#include "log.h"
#include "worker.h"

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 5000, YOUNG_MS = 1000 };

typedef struct member {
    pid_t pid; /* 0: not running */
    int64_t started_us;
    int64_t respawn_us; /* not before this */
    int64_t backoff_ms; /* doubled each time it dies young */
} member;

typedef struct pool {
    const conf *conf;
    const token_keys *keys;
    int listen_fd;
    board_slot *board;
    member *members;
    int count, running;
    bool stopping;
    int64_t kill_us; /* while stopping: when those that remain are killed */
} pool;

static void spawn(pool *p, int i)
{
    pid_t master = getpid(), pid = fork();
    if (pid < 0) {
        log_event(LOG_LEVEL_ERROR, "pool", "cannot fork: %s", strerror(errno));
        p->members[i].respawn_us = clock_monotonic_us() + BACKOFF_MAX_MS * 1000;
        return;
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* no orphans when the master is killed */
        if (getppid() != master) _exit(EXIT_FAILURE);
        memset(&p->board[i], 0, sizeof p->board[i]);
        atomic_store(&p->board[i].pid, getpid());
        exit(worker_run(p->conf, p->keys, p->listen_fd, &p->board[i]));
    }
    p->members[i].pid = pid;
    p->members[i].started_us = clock_monotonic_us();
    p->running++;
}

static void reap(pool *p)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        for (int i = 0; i < p->count; i++) {
            member *m = &p->members[i];
            if (m->pid != pid) continue;
            int64_t now = clock_monotonic_us();
            m->pid = 0;
            p->running--;
            atomic_store(&p->board[i].pid, 0);
            if (p->stopping) continue;
            bool young = now - m->started_us < YOUNG_MS * 1000;
            m->backoff_ms = !young ? BACKOFF_FIRST_MS : m->backoff_ms * 2;
            if (m->backoff_ms < BACKOFF_FIRST_MS) m->backoff_ms = BACKOFF_FIRST_MS;
            if (m->backoff_ms > BACKOFF_MAX_MS) m->backoff_ms = BACKOFF_MAX_MS;
            m->respawn_us = young ? now + m->backoff_ms * 1000 : now;
            log_begin(LOG_LEVEL_WARN, "worker");
            log_int("worker", i);
            log_int("worker_pid", pid);
            log_str("message", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exited");
            log_int("exit", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
            log_end();
        }
    }
}

static void signal_all(const pool *p, int signal)
{
    for (int i = 0; i < p->count; i++)
        if (p->members[i].pid > 0) kill(p->members[i].pid, signal);
}

static void stop(pool *p, int signal)
{
    bool at_once = p->stopping || signal == SIGINT;
    log_event(LOG_LEVEL_INFO, "pool", at_once ? "stopping at once" : "stopping, requests are finished first");
    listen_notify("STOPPING=1");
    p->stopping = true;
    p->kill_us = clock_monotonic_us() + (at_once ? 0 : p->conf->drain_timeout * 1000000);
    signal_all(p, SIGTERM);
}

/* How long the master may sleep: until the next respawn or kill is due. */
static struct timespec next_event(const pool *p)
{
    int64_t now = clock_monotonic_us(), until = now + 60000000;
    if (p->stopping && p->kill_us < until) until = p->kill_us;
    for (int i = 0; !p->stopping && i < p->count; i++)
        if (p->members[i].pid == 0 && p->members[i].respawn_us < until) until = p->members[i].respawn_us;
    int64_t wait = until > now ? until - now : 0;
    return (struct timespec){wait / 1000000, wait % 1000000 * 1000};
}

int pool_run(const conf *c, const token_keys *keys, int listen_fd)
{
    pool p = {.conf = c, .keys = keys, .listen_fd = listen_fd, .count = (int)c->workers};
    p.board = board_new(p.count);
    p.members = calloc((size_t)p.count, sizeof *p.members);
    if (!p.board || !p.members) return EXIT_FAILURE;
    sigset_t signals;
    sigemptyset(&signals);
    for (size_t i = 0; i < 5; i++) sigaddset(&signals, (const int[]){SIGCHLD, SIGTERM, SIGQUIT, SIGINT, SIGHUP}[i]);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    log_event(LOG_LEVEL_INFO, "pool", "%d workers on %s", p.count, c->socket);
    for (int i = 0; i < p.count; i++) spawn(&p, i);
    listen_notify("READY=1");
    while (!p.stopping || p.running > 0) {
        struct timespec wait = next_event(&p);
        int signal = sigtimedwait(&signals, NULL, &wait);
        if (signal == SIGTERM || signal == SIGQUIT || signal == SIGINT) stop(&p, signal);
        if (signal == SIGHUP) log_event(LOG_LEVEL_WARN, "pool", "SIGHUP does nothing yet; restart to read the configuration");
        reap(&p);
        int64_t now = clock_monotonic_us();
        if (p.stopping && p.running > 0 && now >= p.kill_us) signal_all(&p, SIGKILL);
        for (int i = 0; !p.stopping && i < p.count; i++)
            if (p.members[i].pid == 0 && p.members[i].respawn_us <= now) spawn(&p, i);
    }
    free(p.members);
    log_event(LOG_LEVEL_INFO, "pool", "stopped");
    return EXIT_SUCCESS;
}
