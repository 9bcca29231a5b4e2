/* An arena for each test. */
#ifndef BOOKY_TESTS_FIXTURE_H
#define BOOKY_TESTS_FIXTURE_H

#include "base/arena.h"

/* Of the running test. */
extern arena *a;

/* A checked fixture. */
void fixture_setup(void);
void fixture_teardown(void);

#endif
