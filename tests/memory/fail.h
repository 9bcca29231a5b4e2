/*
 * An allocator that fails on demand. It replaces malloc, calloc and realloc in the whole process, libraries included,
 * and calls the real ones: those of the sanitizers, if there are any, so that they see leaks and invalid accesses.
 */
#ifndef BOOKY_TESTS_FAIL_H
#define BOOKY_TESTS_FAIL_H

#include <stdbool.h>

/* From now on the `nth` allocation fails (1: the next one); with `rest`, all later ones fail, too. */
void fail_arm(long nth, bool rest);

/* No failures from now on. Returns the number of failures since fail_arm. */
long fail_disarm(void);

#endif
