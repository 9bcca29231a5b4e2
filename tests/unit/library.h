/* The library of one user in memory, with what lib/store does for a request: it loads the rows that the request needs,
 * and writes those that it has changed. */
#ifndef BOOKY_TESTS_LIBRARY_H
#define BOOKY_TESTS_LIBRARY_H

#include <jansson.h>
#include <stdbool.h>

#include "engine/resolve.h"

typedef struct stored_row {
    const kind *kind;
    const char *id, *key, *device, *marks, *data;
    entity_status status;
    int64_t created, updated, edited, deleted, superseded, base;
} stored_row;

typedef struct stored_conflict {
    const char *kind, *id, *other;
    conflict_reason reason;
    bool open;
} stored_conflict;

enum { LIBRARY_MAX = 64 }; /* rows */

typedef struct library {
    arena *a; /* of the rows */
    stored_row *rows;
    size_t count, capacity;
    stored_conflict *conflicts;
    size_t conflict_count, conflict_capacity;
} library;

/* Loads into an empty resolver what SQL_ENTITIES_READ returns for the operations. The library must outlive it. */
void library_load(const library *l, resolver *r, const operation *ops, size_t count);

/* Writes the changed entities and the conflicts of a request, as rows_send_entities and rows_send_conflicts do. */
void library_store(library *l, const resolver *r);

/* What is stored, in the form of history_outcome; the times of the leaves, by entity. The caller owns them. */
json_t *library_outcome(const library *l);
json_t *library_times(const library *l);

#endif
