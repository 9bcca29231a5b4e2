/*
 * Applies one operation to its entity: detects a conflict, follows the policy, merges the edit, keeps the rules between
 * entities (one rating per book, two tags of one name), and logs the conflicts. Pure.
 */
#ifndef BOOKY_RESOLVE_H
#define BOOKY_RESOLVE_H

#include "engine/step.h"

/* Applies operation `number` of the request, which stands at `path` (for messages). */
void resolve_operation(resolver *r, const operation *op, size_t number, const char *path, outcome *out);

/* What a full sync's item did. */
typedef enum replaced { REPLACED_NOTHING, REPLACED_CREATED, REPLACED_UPDATED } replaced;

/* Replaces the whole entity by op->data, also where the stored edits are later: a full sync stores exactly its items.
 */
replaced resolve_replace(resolver *r, const operation *op, size_t number, outcome *out);

/* Joins the entity with a state that a device or another server holds: op->data with op->times. Logs no conflict about
 * the entity itself: each of the edits was answered once already. Only OUTCOME_FAILED and `joined` are of interest in
 * *out. */
void resolve_state(resolver *r, const operation *op, size_t number, const char *path, outcome *out);

/* A resolver for a transaction with that stamp. `first` is the number of its first conflict. */
resolver resolver_new(arena *a, const conf *c, int64_t stamp, size_t first);

#endif
