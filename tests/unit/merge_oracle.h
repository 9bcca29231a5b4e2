/*
 * The outcome of a list of edits by the definition in merge.h: two loops over all writes, and no state. It is slow and
 * simple, so that the two implementations do not have their faults in common. The members oracle_sets are sets.
 */
#ifndef BOOKY_TESTS_MERGE_ORACLE_H
#define BOOKY_TESTS_MERGE_ORACLE_H

#include "base/arena.h"
#include "engine/merge.h"

enum { EDITS = 8, STEPS = 2 * EDITS };

typedef struct step {
    const merge_edit *edit;
    bool store; /* the request ends after this edit */
} step;

typedef struct steps {
    size_t count;
    step list[STEPS];
} steps;

/* The state after `s` in the form of canonical(). */
const char *oracle(arena *a, const steps *s);

/* A state as a text that can be compared. */
const char *canonical(arena *a, const json_t *tree, int64_t edited, int64_t deleted);

/* The marks `text` (NULL: none) in the form of version 1: a flat object of whole pointers. */
const char *flat_marks(arena *a, const char *text);

extern const char *const oracle_sets[];
bool is_oracle_set(const char *name);

/* What a client shows that applies the change `change` to the list `list` (NULL: there is none): a new value. */
json_t *oracle_change(const json_t *list, const json_t *change);

bool is_empty_object(const json_t *value);

#endif
