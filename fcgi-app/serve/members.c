#include "serve/members.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/report.h"
#include "serve/worker.h"

enum {
    REPORTER = -1,            /* in place of a slot */
    FORK_RETRY_US = 5000000,  /* after fork failed */
    CANCEL_GRACE_US = 5000000 /* a worker has this long to answer after its request was cancelled */
};

static int run_child(pool *p, int slot, int generation)
{
    const pool_settings *s = pool_settings_of(p, generation);
    log_set_level_name(s->conf->log_level);
    if (slot == REPORTER) return report_run(s->conf, p->listeners, p->board);
    return worker_run(s->conf, s->keys, p->listeners->requests, p->board, &p->board->slots[slot], s == &p->next);
}

static bool start(pool *p, int slot, int generation)
{
    member *m = p->members;
    while (m <= &p->members[BOARD_SLOTS] && m->pid) m++;
    if (m > &p->members[BOARD_SLOTS]) return false;
    board_slot *s = slot == REPORTER ? NULL : &p->board->slots[slot];
    if (s) {
        memset(s, 0, sizeof *s);
        atomic_store(&s->progress.stage, STAGE_STARTING);
        atomic_store(&s->progress.endpoint, -1);
        atomic_store(&s->started_us, clock_monotonic_us());
    }
    pid_t master = getpid(), pid = fork();
    if (pid < 0) {
        log_event(LOG_LEVEL_ERROR, "pool", "cannot fork: %s", strerror(errno));
        p->spawn_after_us = clock_monotonic_us() + FORK_RETRY_US;
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

bool members_start_worker(pool *p, int generation)
{
    bool used[BOARD_SLOTS] = {false};
    for (member *m = NULL; (m = pool_next_member(p, m));)
        if (m->slot != REPORTER) used[m->slot] = true;
    for (int slot = 0; slot < BOARD_SLOTS; slot++)
        if (!used[slot]) return start(p, slot, generation);
    return false;
}

bool members_start_reporter(pool *p, int generation)
{
    return start(p, REPORTER, generation);
}

void members_stop(pool *p, member *m)
{
    if (m->stopping) return;
    m->stopping = true;
    m->kill_after_us = clock_monotonic_us() + p->current.conf->drain_timeout * 1000000;
    kill(m->pid, SIGTERM);
}

void members_stop_generation(pool *p, int generation)
{
    for (member *m = NULL; (m = pool_next_member(p, m));)
        if (m->generation == generation) members_stop(p, m);
}

static void check_request(pool *p, member *m, int64_t now_us)
{
    int64_t timeout_us = p->current.conf->request_timeout * 1000000;
    int64_t started_us = progress_request_us(&pool_slot(p, m)->progress);
    if (started_us == 0 || now_us - started_us < timeout_us) return;
    if (m->cancelled_request_us != started_us) {
        m->cancelled_request_us = started_us;
        log_event(LOG_LEVEL_WARN, "worker", "%d: its request took longer than pool.request_timeout, cancelled",
                  (int)m->pid);
        kill(m->pid, SIGUSR1);
    } else if (now_us - started_us > timeout_us + CANCEL_GRACE_US) {
        m->timed_out = true;
        kill(m->pid, SIGKILL);
    }
}

void members_check_timeouts(pool *p, int64_t now_us)
{
    for (member *m = NULL; (m = pool_next_member(p, m));) {
        if (m->stopping && m->kill_after_us && now_us > m->kill_after_us) {
            m->drained = true;
            kill(m->pid, SIGKILL);
        }
        if (m->slot != REPORTER && p->current.conf->request_timeout > 0) check_request(p, m, now_us);
    }
}
