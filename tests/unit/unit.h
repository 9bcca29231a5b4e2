/* What the unit tests share. */
#ifndef BOOKY_TESTS_UNIT_H
#define BOOKY_TESTS_UNIT_H

#include <check.h>
#include <stdint.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* For loops with many passes: ck_assert_msg reports each pass to the parent process, which is slow. */
#define ASSERT_IN_LOOP(condition, ...) ((condition) ? (void)0 : ck_abort_msg(__VA_ARGS__))

/* Fails if the processor time that `measure` returns grows much faster than its argument: 8 times `small` may take 24
 * times as long, a quadratic cost takes 64 times as long. A busy machine gets three attempts. */
void unit_check_growth(double (*measure)(int), int small);

/* Random numbers. The first call takes the seed from BOOKY_SEED, otherwise from the clock, and prints it with the name
 * of the suite. */
uint64_t unit_random(const char *suite);

#endif
