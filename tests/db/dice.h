/* Random numbers for tests: the same seed gives the same throws. */
#ifndef BOOKY_TESTS_DICE_H
#define BOOKY_TESTS_DICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dice {
    uint64_t state;
} dice;

/* From BOOKY_SEED, else random; prints it, so that a failure can be repeated. */
dice dice_new(const char *test);
uint64_t dice_throw(dice *d);
size_t dice_below(dice *d, size_t n); /* 0 … n - 1 */
bool dice_chance(dice *d, unsigned percent);
#define DICE_PICK(d, list) ((list)[dice_below((d), sizeof(list) / sizeof *(list))])

#endif
