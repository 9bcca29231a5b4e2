/*
 * The quota of a request that was decided but not written. Pure.
 *
 * It is judged at the end of the request first. Only if the end exceeds it, everything is decided anew, and each
 * operation is judged by itself: one that exceeds the quota is taken back and fails. So a request far from the quota
 * measures nothing.
 */
#ifndef BOOKY_QUOTA_H
#define BOOKY_QUOTA_H

#include "engine/step.h"
#include "engine/usage.h"

/* What an entity counts that has `data` bytes of data, and `beneath` bytes of times and of lately written leaves. */
usage quota_of_entity(entity_status status, const char *id, size_t data, size_t beneath);

/* What it counted when it was loaded. */
usage quota_of_stored(const entity *e);

/* By how much the request changes `entities` and `bytes`: its entities, and the open conflicts that it logs. `exact`
 * writes each entity that was changed since the last call; otherwise the bytes are an upper bound. */
usage quota_change(resolver *r, bool exact);

/* What a request starts from, and what it has freed besides entities: operations that leave the queue. */
typedef struct quota {
    usage used;
    int64_t freed;
    arena *scratch; /* what one operation may change; NULL until needed */
} quota;

/* Whether the end of the request exceeds the quota. *change: what it changes. Exact sizes are needed only if
 * an upper bound exceeds it. */
bool quota_exceeded(const quota *q, resolver *r, usage *change);

/* resolve_operation, or resolve_state of a state; then judges the operation. One that exceeds the quota is taken back
 * and has failed with RC_QUOTA, except a deletion that was carried out. `freed`: bytes that it frees by leaving the
 * queue. */
void quota_resolve(quota *q, resolver *r, const operation *op, size_t number, const char *path, int64_t freed,
                   outcome *out);

#endif
