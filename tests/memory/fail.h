/*
 * An allocator that fails on demand. It stands in front of malloc, calloc and realloc of the whole process, libraries
 * included, and passes on to the real one (the sanitizers' where there are some, which then see leaks and misuse).
 */
#ifndef BOOKY_TESTS_FAIL_H
#define BOOKY_TESTS_FAIL_H

#include <stdbool.h>

/* From now on the `nth` allocation fails (1: the next one), and with `rest` all that follow. */
void fail_arm(long nth, bool rest);

/* No failures from now on. Returns how many there were since fail_arm. */
long fail_disarm(void);

#endif
