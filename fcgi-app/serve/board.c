#include "serve/board.h"

#include <stddef.h>
#include <sys/mman.h>

#include "base/clock.h"

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

uint64_t board_requests(const board *b)
{
    uint64_t sum = 0;
    for (int i = 0; i < BOARD_ENDPOINTS; i++)
        for (int j = 0; j <= BOARD_BUCKETS; j++) sum += atomic_load(&b->counters.buckets[i][j]);
    return sum;
}
