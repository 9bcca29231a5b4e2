/* Random edits for test_merge_property.c: small trees over few names, so that they collide. */
#ifndef BOOKY_TESTS_MERGE_RANDOM_H
#define BOOKY_TESTS_MERGE_RANDOM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "engine/merge.h"

void random_seed(uint64_t seed);
uint64_t rnd(void);
bool chance(unsigned percent);

/* Lets `owner` release the value. */
json_t *keep(arena *owner, json_t *value);

/* An edit made at `at`; the members oracle_sets are sets. Its data belongs to `owner`. */
merge_edit random_edit(arena *owner, int64_t at);

#endif
