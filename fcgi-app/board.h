/*
 * What all processes of the pool share: one slot per process, and the counters. The master maps it before it forks, so the
 * counters survive every reload and every crash. All fields are atomics that one process writes (the slots) or all add to
 * (the counters); nobody waits for anybody.
 */
#ifndef BOOKY_BOARD_H
#define BOOKY_BOARD_H

#include <stdatomic.h>
#include <stdint.h>

enum {
    BOARD_SLOTS = 2200,   /* two generations of the largest pool, and some */
    BOARD_ENDPOINTS = 32, /* the routes, and one for requests that found none */
    BOARD_CODES = 20,
    BOARD_BUCKETS = 12,
    BOARD_ID = 68
};

enum { STAGE_IDLE = -1, STAGE_STARTING = -2 }; /* otherwise the index of the stage a request is in */

typedef struct board_slot {
    _Atomic int32_t pid;   /* 0: free */
    _Atomic int32_t stage;
    _Atomic int32_t endpoint; /* of the current or last request */
    _Atomic int64_t started_us;         /* the process */
    _Atomic int64_t request_started_us; /* the current or last request */
    _Atomic int64_t last_us;            /* how long the last request took */
    _Atomic uint64_t requests;
    char request_id[BOARD_ID]; /* of the current or last request; may be read half-written */
} board_slot;

typedef struct counters {
    _Atomic uint64_t requests[BOARD_ENDPOINTS][BOARD_CODES];
    _Atomic uint64_t buckets[BOARD_ENDPOINTS][BOARD_BUCKETS + 1]; /* not cumulative; the last is +Inf */
    _Atomic uint64_t duration_us[BOARD_ENDPOINTS];
    _Atomic uint64_t operations[4][4]; /* type × outcome */
    _Atomic uint64_t conflicts[4];
    _Atomic uint64_t pokes[2]; /* sent, dropped */
    _Atomic uint64_t restarts[4];
    _Atomic uint64_t reloads[2];
    _Atomic uint64_t reads[2];  /* large ones, by who answered */
    _Atomic uint64_t passed[2]; /* reads that the primary answered in place of the replica, by reason */
    _Atomic uint64_t replays, max_reached, slow, round_trips, connects, rate_limited;
} counters;

/* Indexes of the counters; the labels stand in metrics.c. */
enum { RESTART_CRASH, RESTART_TIMEOUT, RESTART_MAX_REQUESTS, RESTART_RELOAD };
enum { RELOAD_DONE, RELOAD_FAILED };
enum { READ_PRIMARY, READ_REPLICA };
enum { REPLICA_BEHIND, REPLICA_AWAY };

typedef struct board {
    int64_t started_ms, started_us;
    _Atomic int32_t workers_max;
    counters counters;
    board_slot slots[BOARD_SLOTS];
} board;

/* Maps a zeroed board that children inherit; NULL when there is no memory. */
board *board_new(void);

/* counter += n; relaxed, because nothing is ordered by a count. */
void board_count(_Atomic uint64_t *counter, uint64_t n);

#endif
