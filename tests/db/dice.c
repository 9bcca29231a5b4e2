#include "dice.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* splitmix64 */

dice dice_new(const char *test)
{
    const char *given = getenv("BOOKY_SEED");
    uint64_t seed;
    if (given)
        seed = strtoull(given, NULL, 10);
    else if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        abort();
    else
        seed %= 1000000000;
    printf("%s: BOOKY_SEED=%llu\n", test, (unsigned long long)seed);
    fflush(stdout);
    return (dice){seed};
}

uint64_t dice_throw(dice *d)
{
    uint64_t z = (d->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

size_t dice_below(dice *d, size_t n)
{
    return (size_t)(dice_throw(d) % n);
}

bool dice_chance(dice *d, unsigned percent)
{
    return dice_below(d, 100) < percent;
}
