/*
 * The state of the master: the table of its processes, the settings, and the progress of a reload. Each process belongs
 * to a generation; a reload replaces one generation by the next (reload.h).
 */
#ifndef BOOKY_POOL_STATE_H
#define BOOKY_POOL_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "serve/board.h"
#include "serve/listen.h"
#include "serve/pool_settings.h"

enum { POOL_CRASHES = 1000 /* upper bound of pool.emergency_restart_threshold */ };

/* A process of the pool: a worker or the reporter. */
typedef struct member {
    pid_t pid; /* 0: the row is free */
    int slot;  /* on the board; -1: the reporter. Of a process that this program took over: what it was doing then */
    int generation;
    bool stopping;                /* told to stop */
    int64_t kill_after_us;        /* it is killed if it has not ended by then; 0: not decided */
    int64_t cancelled_request_us; /* start of the request that was cancelled */
    bool timed_out;               /* killed because its request took too long */
    bool drained;                 /* killed because it had not ended by then */
} member;

typedef struct pool {
    pool_settings current;
    const listeners *listeners;
    const char *conf_path, *exe;
    char *const *argv;
    board *board;
    member members[BOARD_SLOTS + 1];
    int generation; /* the current one */
    bool stopping;

    /* Size (scale.c). */
    int extra;           /* added to pool.workers by SIGTTIN, taken off by SIGTTOU */
    int dynamic_workers; /* pool.mode = dynamic: number of workers that the load calls for */
    bool max_reached;    /* it calls for more than the maximum */

    /* Reload (reload.c). */
    pool_settings next; /* of generation + 1 while a reload is in progress; else empty */
    int64_t reload_deadline_us;
    bool reload_again; /* SIGHUP came during a reload: the files may have changed since they were read */

    /* Crashes (reap.c). */
    int64_t spawn_after_us, backoff_ms;
    int64_t crashes_us[POOL_CRASHES]; /* a ring */
    size_t crash_count;

    /* Reports to the service manager (pool.c). */
    int64_t status_us;
    uint64_t status_requests, watchdog_requests;
} pool;

/* Takes over `c` and `keys`. NULL: out of memory, or the program's own path is not known. */
pool *pool_new(conf *c, token_keys *keys, const listeners *l, const char *conf_path, char *const *argv);
void pool_free(pool *p);

/* Iterates over the processes: the one after `m` in the table, the first one for NULL; NULL after the last one. */
member *pool_next_member(pool *p, member *m);

/* The row of the worker on the board; NULL: the reporter. */
board_slot *pool_slot(const pool *p, const member *m);

/* What the worker is doing: index of a stage, STAGE_IDLE or STAGE_STARTING. */
int32_t pool_stage(const pool *p, const member *m);

/* Whether `m` is a worker of that generation that was not told to stop. */
bool pool_is_active_worker(const member *m, int generation);

/* Number of active workers of a generation: all, or those in `stage` (STAGE_IDLE, STAGE_STARTING). */
enum { ANY_STAGE = INT32_MIN };
int pool_count_workers(pool *p, int generation, int32_t stage);

/* The settings that the processes of a generation run with. */
const pool_settings *pool_settings_of(const pool *p, int generation);

#endif
