/* Bodies of random requests about a few entities, so that they meet. `number` grows with the requests; the times of
 * edits grow with it. */
#ifndef BOOKY_TESTS_RANDOM_REQUESTS_H
#define BOOKY_TESTS_RANDOM_REQUESTS_H

#include "harness.h"

enum { RANDOM_CHANGES = 8 };

/* One operation. */
const char *random_operation(peer *p, dice *d, int number);

/* The body of a full sync with lists. */
const char *random_library(peer *p, dice *d);

/* The body of a full sync with `changes`, and each of them. */
const char *random_changes(peer *p, dice *d, const char *items[RANDOM_CHANGES], int number);

/* An export, for import_run. */
const char *random_export(peer *p, dice *d, int number);

#endif
