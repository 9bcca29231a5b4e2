/*
 * The heart: the state of one entity, and what an edit does to it. Pure: no I/O, no clock, no HTTP.
 *
 * An entity is a tree of members. A leaf is a scalar, null or array reached through objects. For every path the state
 * keeps the time of the latest edit that wrote a leaf there; a path is visible when no path above it was written later
 * (or at the same time) and nothing visible lies below it. The visible tree is a function of those times alone, so it is
 * the same in whatever order edits arrive, however often they are repeated and however they are batched, as long as their
 * timestamps differ. What can never become visible again is forgotten, except its time where a later, deeper write
 * covers it (a "branch mark": a write of `a`, under a later write of `a.b`, still refuses an older `a.c`).
 *
 * An empty object is a leaf of its own kind: it says only "there is an object here" and takes nothing away from one that
 * is there. A deletion is later than every edit or it has no effect; edits older than it are kept beneath it.
 *
 * At equal timestamps what was loaded stays; what was written since (in the same request) gives way.
 */
#ifndef BOOKY_MERGE_H
#define BOOKY_MERGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"

#define MERGE_NEVER INT64_MIN

typedef struct merge_state merge_state;

/* What the database holds of a state; merge_write and merge_write_marks write it, merge_load reads it. Instants are
 * milliseconds; the texts are JSON. */
typedef struct merge_row {
    const char *data;    /* the visible tree, an object */
    const char *marks;   /* JSON pointer → time, for what differs from `base`; "<pointer>/~" is an empty object's own
                            time, "" that of a replacement of the whole tree. NULL: none differs */
    int64_t base;        /* the time of every leaf that `marks` does not name */
    int64_t edited;      /* the latest edit, or MERGE_NEVER */
    int64_t deleted;     /* the deletion when it is in force, else MERGE_NEVER */
} merge_row;

typedef enum merge_type {
    MERGE_PATCH,   /* write the leaves of `data`, leave the others */
    MERGE_REPLACE, /* write `data` in place of the whole tree */
    MERGE_DELETE
} merge_type;

typedef struct merge_edit {
    merge_type type;
    const json_t *data; /* an object; not looked at by MERGE_DELETE. Must live as long as the state */
    int64_t at;         /* when the person made the edit */
} merge_edit;

typedef struct merge_effect {
    size_t applied;  /* leaves that are now (or would be) as the edit says, by this edit */
    size_t lost;     /* leaves that carry a later or equal timestamp and another value */
    size_t differing; /* leaves whose value was not what the edit says */
    bool late;       /* deletes what was edited later, or edits what was deleted later: no visible effect */
    bool changed;    /* the state is (or would be) no longer what it was, visibly or not */
} merge_effect;

/* The state of an entity that was never heard of. */
merge_state *merge_new(arena *a);

/* The state that `row` describes; its texts must live as long as it. Values are parsed only where an edit meets them. */
merge_state *merge_load(arena *a, const merge_row *row);

/* Applies `edit`; with `dry_run` only tells what it would do. */
merge_effect merge_apply(merge_state *s, const merge_edit *edit, bool dry_run);

bool merge_is_deleted(const merge_state *s);

/* The latest edit, and the deletion in force; MERGE_NEVER when there is none. */
int64_t merge_edited(const merge_state *s);
int64_t merge_deleted(const merge_state *s);

/* An instant that beats everything in the state: one millisecond later than the latest edit or deletion. */
int64_t merge_next(const merge_state *s);

/* The value of the top-level leaf `name`, or NULL. */
const json_t *merge_get(const merge_state *s, const char *name);

/* Whether there is a top-level leaf `name` that is not null. */
bool merge_has(const merge_state *s, const char *name);

/* Whether the visible tree is `data`: the same members with the same values (json_same), in whatever order. */
bool merge_is(const merge_state *s, const json_t *data);

/* Appends the visible tree as a JSON object. */
void merge_write(const merge_state *s, strbuf *out);

/* Appends the marks as a JSON object, or nothing when there are none, and returns the base. */
int64_t merge_write_marks(const merge_state *s, strbuf *out);

#endif
