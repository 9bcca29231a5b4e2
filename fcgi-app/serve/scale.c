#include "serve/scale.h"

#include <string.h>

#include "serve/members.h"

enum { WORKERS_MAX = 1024 };

int scale_size(const pool *p, const conf *c)
{
    int max = (int)c->workers + p->extra;
    if (max < 1) max = 1;
    if (max > WORKERS_MAX) max = WORKERS_MAX;
    if (strcmp(c->mode, "dynamic") != 0) return max;
    int size = p->dynamic_workers < (int)c->min_spare ? (int)c->min_spare : p->dynamic_workers;
    return size < max ? size : max;
}

static void stop_one_idle(pool *p)
{
    for (member *m = NULL; (m = pool_next_member(p, m));) {
        if (!pool_is_active_worker(m, p->generation) || pool_stage(p, m) != STAGE_IDLE) continue;
        members_stop(p, m);
        p->dynamic_workers--;
        return;
    }
}

void scale_follow_load(pool *p)
{
    const conf *c = p->current.conf;
    if (strcmp(c->mode, "dynamic") != 0) return;
    int idle = pool_count_workers(p, p->generation, STAGE_IDLE);
    int starting = pool_count_workers(p, p->generation, STAGE_STARTING);
    int total = pool_count_workers(p, p->generation, ANY_STAGE);
    p->dynamic_workers = total;
    if (idle + starting < c->min_spare) {
        p->dynamic_workers = total + (int)c->min_spare - idle - starting;
        bool exceeds = p->dynamic_workers > c->workers + p->extra;
        if (exceeds && !p->max_reached) board_count(&p->board->counters.max_reached, 1);
        p->max_reached = exceeds;
        return;
    }
    p->max_reached = false;
    if (idle > c->max_spare) stop_one_idle(p); /* one per tick, so that a short lull does not empty the pool */
}

static bool has_reporter(pool *p)
{
    for (member *m = NULL; (m = pool_next_member(p, m));)
        if (m->slot < 0 && !m->stopping) return true;
    return false;
}

void scale_apply(pool *p, int64_t now_us)
{
    if (p->listeners->status >= 0 && !has_reporter(p)) members_start_reporter(p, p->generation);
    int missing = scale_size(p, p->current.conf) - pool_count_workers(p, p->generation, ANY_STAGE);
    for (; missing > 0 && now_us >= p->spawn_after_us; missing--) members_start_worker(p, p->generation);
    for (member *m = NULL; missing < 0 && (m = pool_next_member(p, m));) { /* after SIGTTOU */
        if (!pool_is_active_worker(m, p->generation)) continue;
        members_stop(p, m);
        missing++;
    }
    atomic_store(&p->board->workers_max, (int32_t)p->current.conf->workers + p->extra);
}
