/* The counters behind the quota, and what the rows amount to. */
#ifndef BOOKY_TESTS_COUNTERS_H
#define BOOKY_TESTS_COUNTERS_H

#include "harness.h"

typedef struct counters {
    long long entities, bytes, hidden;
} counters;

/* Returns the counters of the peer's user, which must equal the sums over the rows. `after`: for the report. */
counters check_counters(peer *p, PGconn *c, const char *after);

/* The larger one. */
long long most(long long a, long long b);

#endif
