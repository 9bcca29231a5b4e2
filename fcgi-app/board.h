/* The scoreboard: one slot per worker in shared memory, written by the worker, read by the master. */
#ifndef BOOKY_BOARD_H
#define BOOKY_BOARD_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct board_slot {
    _Atomic int32_t pid;      /* 0: free */
    _Atomic int32_t stage;    /* index of the stage a request is in; -1: idle */
    _Atomic uint64_t requests;
    _Atomic uint64_t errors;  /* answered with 5xx */
    _Atomic uint64_t round_trips; /* to the database */
    _Atomic uint64_t connects;    /* to the database */
} board_slot;

/* Maps `slots` zeroed slots that children inherit; NULL when there is no memory. */
board_slot *board_new(int slots);

#endif
