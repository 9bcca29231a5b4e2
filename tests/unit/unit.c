#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

void unit_check_growth(double (*measure)(int), int small)
{
    double seconds = 0, more = 0;
    for (int attempt = 0; attempt < 3; attempt++) {
        seconds = measure(small);
        more = measure(8 * small);
        if (more < 24 * seconds) return;
    }
    ck_abort_msg("%d take %g s, %d take %g s", small, seconds, 8 * small, more);
}

uint64_t unit_random(const char *suite)
{
    static uint64_t state;
    if (state == 0) {
        const char *seed = getenv("BOOKY_SEED");
        state = seed ? strtoull(seed, NULL, 10) : (uint64_t)clock_monotonic_us();
        printf("%s: BOOKY_SEED=%llu\n", suite, (unsigned long long)state);
        state |= 1;
    }
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}
