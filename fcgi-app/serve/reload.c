#include "serve/reload.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/members.h"
#include "serve/notify.h"
#include "serve/scale.h"

static void end_reload(pool *p, int outcome)
{
    board_count(&p->board->counters.reloads[outcome], 1);
    p->reload_deadline_us = 0;
    notify_send("READY=1");
}

void reload_begin(pool *p)
{
    char fault[8192], notice[64];
    p->reload_again = p->next.conf;
    if (p->next.conf || p->stopping) return;
    snprintf(notice, sizeof notice, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_monotonic_us());
    notify_send(notice);
    if (!pool_settings_load(&p->next, p->conf_path, fault, sizeof fault)) {
        log_event(LOG_LEVEL_ERROR, "reload", "refused, the old configuration remains in effect: %s", fault);
        end_reload(p, RELOAD_FAILED);
        return;
    }
    const conf *current = p->current.conf, *next = p->next.conf;
    if (strcmp(next->socket, current->socket) != 0 || strcmp(next->status_socket, current->status_socket) != 0)
        log_event(LOG_LEVEL_WARN, "reload", "server.socket and server.status_socket change only with a restart");
    p->reload_deadline_us = clock_monotonic_us() + next->start_timeout * 1000000;
}

void reload_abort(pool *p, const char *why)
{
    log_event(LOG_LEVEL_ERROR, "reload", "aborted, the old configuration remains in effect: %s", why);
    for (member *m = NULL; (m = pool_next_member(p, m));) {
        if (m->generation != p->generation + 1) continue;
        m->stopping = true;
        kill(m->pid, SIGKILL);
    }
    /* The number of the new generation is not used again, because its workers may not have ended yet. */
    for (member *m = NULL; (m = pool_next_member(p, m));)
        if (m->generation == p->generation) m->generation += 2;
    p->generation += 2;
    pool_settings_free(&p->next);
    end_reload(p, RELOAD_FAILED);
}

static void complete(pool *p)
{
    board_count(&p->board->counters.restarts[RESTART_RELOAD],
                (uint64_t)pool_count_workers(p, p->generation, ANY_STAGE));
    members_stop_generation(p, p->generation);
    pool_settings_free(&p->current);
    p->current = p->next;
    p->next = (pool_settings){0};
    p->generation++;
    log_set_level_name(p->current.conf->log_level);
    log_event(LOG_LEVEL_INFO, "reload", "done, %d workers", scale_size(p, p->current.conf));
    end_reload(p, RELOAD_DONE);
}

void reload_continue(pool *p)
{
    if (!p->next.conf && p->reload_again) reload_begin(p);
    if (!p->next.conf) return;
    /* Workers that reached pool.max_requests during the reload are replaced, too. */
    int fresh = p->generation + 1, missing = scale_size(p, p->next.conf) - pool_count_workers(p, fresh, ANY_STAGE);
    while (missing > 0 && members_start_worker(p, fresh)) missing--;
    if (missing <= 0 && pool_count_workers(p, fresh, STAGE_STARTING) == 0)
        complete(p);
    else if (clock_monotonic_us() > p->reload_deadline_us)
        reload_abort(p, "its workers were not ready within pool.start_timeout");
}
