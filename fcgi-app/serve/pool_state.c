#include "serve/pool_state.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

pool *pool_new(conf *c, token_keys *keys, const listeners *l, const char *conf_path, char *const *argv)
{
    char exe[4096];
    pool *p = calloc(1, sizeof *p);
    board *b = board_new();
    /* The path, not the inode: an upgrade replaces the file. */
    ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (!p || !b || len < 0) return NULL;
    exe[len] = '\0';
    *p = (pool){.current = {c, keys},
                .listeners = l,
                .conf_path = conf_path,
                .argv = argv,
                .board = b,
                .exe = strdup(exe),
                .status_us = clock_monotonic_us()};
    return p->exe ? p : NULL;
}

void pool_free(pool *p)
{
    pool_settings_free(&p->next);
    pool_settings_free(&p->current);
    free((char *)p->exe);
    free(p);
}

member *pool_next_member(pool *p, member *m)
{
    for (m = m ? m + 1 : p->members; m <= &p->members[BOARD_SLOTS]; m++)
        if (m->pid) return m;
    return NULL;
}

board_slot *pool_slot(const pool *p, const member *m)
{
    return m->slot >= 0 ? &p->board->slots[m->slot] : NULL;
}

int32_t pool_stage(const pool *p, const member *m)
{
    return atomic_load(&pool_slot(p, m)->progress.stage);
}

bool pool_is_active_worker(const member *m, int generation)
{
    return m->slot >= 0 && !m->stopping && m->generation == generation;
}

int pool_count_workers(pool *p, int generation, int32_t stage)
{
    int count = 0;
    for (member *m = NULL; (m = pool_next_member(p, m));)
        count += pool_is_active_worker(m, generation) && (stage == ANY_STAGE || pool_stage(p, m) == stage);
    return count;
}

const pool_settings *pool_settings_of(const pool *p, int generation)
{
    return p->next.conf && generation == p->generation + 1 ? &p->next : &p->current;
}
