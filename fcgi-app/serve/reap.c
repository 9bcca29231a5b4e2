#include "serve/reap.h"

#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/route.h"
#include "serve/reload.h"
#include "serve/upgrade.h"

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 5000 };

static void note_crash(pool *p, int64_t now_us)
{
    const conf *c = p->current.conf;
    size_t recent = 0;
    p->crashes_us[p->crash_count++ % POOL_CRASHES] = now_us;
    for (size_t i = 0; i < POOL_CRASHES && i < p->crash_count; i++)
        recent += now_us - p->crashes_us[i] < c->emergency_restart_interval * 1000000;
    if (c->emergency_restart_threshold > 0 && recent >= (size_t)c->emergency_restart_threshold && !p->stopping)
        upgrade_exec(p, "too many workers have crashed");
    p->backoff_ms = p->backoff_ms ? p->backoff_ms * 2 : BACKOFF_FIRST_MS;
    if (p->backoff_ms > BACKOFF_MAX_MS) p->backoff_ms = BACKOFF_MAX_MS;
    p->spawn_after_us = now_us + p->backoff_ms * 1000;
}

static void count_restart(pool *p, const member *m, bool crashed)
{
    _Atomic uint64_t *restarts = p->board->counters.restarts;
    if (m->timed_out)
        board_count(&restarts[RESTART_TIMEOUT], 1);
    else if (m->drained)
        board_count(&restarts[RESTART_DRAIN], 1);
    else if (crashed)
        board_count(&restarts[RESTART_CRASH], 1);
    else if (!m->stopping && pool_slot(p, m))
        board_count(&restarts[RESTART_MAX_REQUESTS], 1);
}

static const char *cause_of(const member *m, int status)
{
    if (m->timed_out) return "killed, its request took too long";
    if (m->drained) return "killed, it had not ended within pool.drain_timeout";
    return WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exited";
}

static void log_death(const member *m, const board_slot *slot, int status)
{
    const progress *current = slot ? &slot->progress : NULL;
    int32_t endpoint = current ? atomic_load(&current->endpoint) : -1;
    int64_t started_us = current ? progress_request_us(current) : 0;
    log_begin(LOG_LEVEL_ERROR, "worker");
    log_int("workerPid", m->pid);
    log_str("message", cause_of(m, status));
    log_int("requests", slot ? (int64_t)atomic_load(&slot->requests) : 0);
    if (current && *current->request_id) log_str("requestId", current->request_id);
    if (started_us && endpoint >= 0) log_str("endpoint", routes[endpoint].name);
    if (started_us) log_int("us", clock_monotonic_us() - started_us);
    log_end();
}

static void reap_member(pool *p, member *m, int status)
{
    board_slot *slot = pool_slot(p, m);
    bool crashed = !m->stopping && !m->timed_out && (WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    bool is_new = p->next.conf && m->generation == p->generation + 1;
    count_restart(p, m, crashed);
    if (crashed || m->timed_out || m->drained) log_death(m, slot, status);
    if (slot) atomic_store(&slot->pid, 0);
    m->pid = 0;
    /* A worker that has served requests is no sign that new workers cannot start. */
    if (slot && atomic_load(&slot->requests) > 0) p->backoff_ms = 0;
    if (crashed && is_new)
        reload_abort(p, "a new worker died");
    else if (crashed)
        note_crash(p, clock_monotonic_us());
}

void reap_members(pool *p)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (member *m = NULL; (m = pool_next_member(p, m));)
            if (m->pid == pid) reap_member(p, m, status);
}
