#include "serve/pool.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/handover.h"
#include "serve/members.h"
#include "serve/notify.h"
#include "serve/pool_state.h"
#include "serve/reap.h"
#include "serve/reload.h"
#include "serve/scale.h"
#include "serve/upgrade.h"

/*
 * One thread, one loop: wait for a signal or the next tick, then bring the processes into line with the settings. Each
 * part of that has a file: members (start and stop processes), scale (how many), reload, reap (ended processes),
 * upgrade.
 *
 * Rejected: workers that are executed instead of forked. The configuration would have to be passed to each of them, or
 * each would read it. A new program comes in by SIGUSR2, which replaces the master itself and keeps the sockets.
 */
enum { TICK_MS = 200, STATUS_EVERY_US = 10000000 };

static void stop(pool *p, int signal)
{
    bool at_once = signal == SIGINT || p->stopping;
    log_event(LOG_LEVEL_INFO, "pool", at_once ? "stopping at once" : "stopping, requests are finished first");
    notify_send("STOPPING=1");
    p->stopping = true;
    for (member *m = NULL; (m = pool_next_member(p, m));) {
        members_stop(p, m);
        if (at_once) m->kill_after_us = 0, kill(m->pid, SIGKILL);
    }
}

/* Feeds the watchdog only while a worker is idle or requests are being answered: the service manager restarts a pool
 * that hangs. */
static void report_to_manager(pool *p, int64_t now_us)
{
    uint64_t requests = board_requests(p->board);
    int idle = pool_count_workers(p, p->generation, STAGE_IDLE);
    int total = pool_count_workers(p, p->generation, ANY_STAGE);
    if (idle > 0 || requests != p->watchdog_requests) notify_send("WATCHDOG=1");
    p->watchdog_requests = requests;
    if (now_us - p->status_us < STATUS_EVERY_US) return;
    char text[128];
    snprintf(text, sizeof text, "STATUS=%d workers, %d busy, %.0f req/s", total, total - idle,
             (double)(requests - p->status_requests) * 1e6 / (double)(now_us - p->status_us));
    notify_send(text);
    p->status_us = now_us;
    p->status_requests = requests;
}

static void tick(pool *p)
{
    int64_t now_us = clock_monotonic_us();
    members_check_timeouts(p, now_us);
    if (p->stopping) return;
    reload_continue(p);
    scale_follow_load(p);
    scale_apply(p, now_us);
    report_to_manager(p, now_us);
}

static void on_signal(pool *p, int signal)
{
    if (signal == SIGTERM || signal == SIGQUIT || signal == SIGINT)
        stop(p, signal);
    else if (signal == SIGHUP)
        reload_begin(p);
    else if (signal == SIGUSR2 && !p->stopping)
        upgrade_exec(p, "SIGUSR2");
    else if (signal == SIGTTIN)
        p->extra++;
    else if (signal == SIGTTOU && p->current.conf->workers + p->extra > 1)
        p->extra--;
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
    handover_take(p);
    tick(p);
    log_event(LOG_LEVEL_INFO, "pool", "%d workers on %s", pool_count_workers(p, 0, ANY_STAGE), c->socket);
    notify_send("READY=1");
    while (!p->stopping || pool_next_member(p, NULL)) {
        const struct timespec wait = {0, TICK_MS * 1000000};
        int signal = sigtimedwait(&signals, NULL, &wait);
        if (signal > 0) on_signal(p, signal);
        reap_members(p);
        tick(p);
    }
    log_event(LOG_LEVEL_INFO, "pool", "stopped");
    pool_free(p);
    return EXIT_SUCCESS;
}
