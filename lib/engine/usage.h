/*
 * What a user stores, and the quota. Two sums: what the user sees and can remove (`entities`, `bytes`), which the quota
 * bounds by refusing edits; and what is kept beneath (`hidden`), which it bounds by dropping the oldest. Pure.
 *
 * Open conflicts and operations that wait in the queue count as bytes that the user sees: nothing may drop them, so
 * they need a bound that refuses. Incomplete entities do for the same reason.
 */
#ifndef BOOKY_USAGE_H
#define BOOKY_USAGE_H

#include "base/arena.h"
#include "base/conf.h"

/* Bytes that a row counts beside its content. Macros, because the texts of statements contain them. */
#define USAGE_TOMBSTONE 128
#define USAGE_CONFLICT 512
#define USAGE_LEDGER 128
#define USAGE_QUEUED 256
#define USAGE_KEPT 64

typedef struct usage {
    int64_t entities, bytes; /* bounded by quota.entities and quota.bytes */
    int64_t hidden;          /* bounded by quota.hidden */
} usage;

/* Adds n times `b` to *a. */
void usage_add(usage *a, const usage *b, int n);

/* Whether `after` exceeds the quota and is more than `before`. */
bool usage_exceeds(const usage *before, const usage *after, const conf *c);

/* A phrase that says which bound `after` exceeds, for people. */
const char *usage_excess(arena *a, const usage *before, const usage *after, const conf *c);

#endif
