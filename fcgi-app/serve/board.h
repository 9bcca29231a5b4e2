/*
 * The scoreboard, in memory that all processes of the pool share: one slot per worker, and the counters. The master
 * maps it before it forks, so the counters survive every reload and every crash. All fields are atomics without locks:
 * only its own process writes to a slot while it runs, and counters are only added to.
 */
#ifndef BOOKY_BOARD_H
#define BOOKY_BOARD_H

#include <stdatomic.h>
#include <stdint.h>

#include "http/progress.h"

enum {
    BOARD_SLOTS = 2200,   /* two generations of the largest pool (1,024 workers), and some that are still ending */
    BOARD_ENDPOINTS = 32, /* at least the number of routes and one, which counts requests without a route */
    BOARD_CODES = 20,     /* at least the number of HTTP statuses in metrics.c */
    BOARD_BUCKETS = 12
};

/* Values of progress.stage while no request is being processed. */
enum { STAGE_IDLE = -1, STAGE_STARTING = -2 };

typedef struct board_slot {
    _Atomic int32_t pid; /* 0: free */
    progress progress;
    _Atomic int64_t started_us; /* the process */
    _Atomic int64_t last_us;    /* duration of the last request */
    _Atomic uint64_t requests;  /* served by this process */
} board_slot;

typedef struct counters {
    _Atomic uint64_t requests[BOARD_ENDPOINTS][BOARD_CODES];
    _Atomic uint64_t buckets[BOARD_ENDPOINTS][BOARD_BUCKETS + 1]; /* not cumulative; the last is +Inf */
    _Atomic uint64_t duration_us[BOARD_ENDPOINTS];
    _Atomic uint64_t operations[4][4]; /* type × outcome */
    _Atomic uint64_t conflicts[4];
    _Atomic uint64_t pokes[2]; /* sent, dropped */
    _Atomic uint64_t restarts[5];
    _Atomic uint64_t reloads[2];
    _Atomic uint64_t reads[2];          /* large reads, by read_server (http/request.h) */
    _Atomic uint64_t replica_faults[2]; /* large reads that the replica could not answer, by replica_fault */
    _Atomic uint64_t replays, max_reached, slow, round_trips, connects, rate_limited, over_quota;
} counters;

/* Indexes of counters; their labels are in metrics.c. */
enum { RESTART_CRASH, RESTART_TIMEOUT, RESTART_MAX_REQUESTS, RESTART_RELOAD, RESTART_DRAIN };
enum { RELOAD_DONE, RELOAD_FAILED };

typedef struct board {
    int64_t started_ms, started_us; /* the master: wall clock, monotonic clock */
    _Atomic int32_t workers_max;
    counters counters;
    board_slot slots[BOARD_SLOTS];
} board;

/* Maps a zeroed board that child processes inherit; NULL: out of memory. */
board *board_new(void);

/* Adds `n` to a counter; relaxed, because no other memory access depends on a counter. */
void board_count(_Atomic uint64_t *counter, uint64_t n);

/* Requests answered by all workers so far. */
uint64_t board_requests(const board *b);

#endif
