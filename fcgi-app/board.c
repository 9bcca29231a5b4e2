#include "board.h"

#include <stddef.h>
#include <sys/mman.h>

#include "clock.h"

board *board_new(void)
{
    void *map = mmap(NULL, sizeof(board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) return NULL;
    board *b = map;
    b->started_ms = clock_now();
    b->started_us = clock_monotonic_us();
    return b;
}

void board_count(_Atomic uint64_t *counter, uint64_t n)
{
    if (n > 0) atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}
