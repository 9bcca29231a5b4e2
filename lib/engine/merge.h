/*
 * The state of one entity, and what an edit does to it. Pure: no I/O, no clock, no HTTP.
 *
 * An entity is a tree of members. A leaf is a scalar, null or array that is reached through objects. For every path the
 * state keeps the time of the latest edit that wrote a leaf there. A path is visible when no path above it was written
 * later (or at the same time) and nothing visible is below it. The visible tree is a function of those times alone. So
 * it does not depend on the order in which edits arrive, on how often they are repeated or on how they are batched, as
 * long as their timestamps differ. A write that can never become visible again is forgotten. Its time is kept where a
 * later, deeper write covers it (a "branch mark": a write of `a`, under a later write of `a.b`, still refuses an older
 * `a.c`).
 *
 * An empty object is a special leaf: it only says "there is an object here" and removes nothing from an object that is
 * there. A deletion takes effect only if it is later than every edit; older edits are kept beneath it.
 *
 * A member that is a set (merge_set.h) is a leaf of which single elements can be added and removed: a patch may hold
 * {"$add":[…],"$remove":[…]} for it.
 *
 * At equal timestamps a value that was loaded stays, and a value that was written since (in the same request) gives
 * way.
 *
 * merge.c applies edits, merge_join.c joins two states, merge_tree.c is the tree, merge_set.c and merge_set_join.c are
 * the sets in it, merge_row.c, merge_marks.c and merge_set_row.c are their form in the database.
 */
#ifndef BOOKY_MERGE_H
#define BOOKY_MERGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "engine/merge_effect.h"

#define MERGE_NEVER INT64_MIN

/* The marks have at most this many bytes for each byte of the tree. A member needs at least 6 bytes in the tree. In the
 * marks it has at most two times of up to 15 digits, each with up to 12 bytes around it and a pointer of which up to 32
 * bytes are repeated; of a longer name each byte needs one or, escaped, two. */
enum { MERGE_MARKS_PER_BYTE = 20 };

/* Larger marks, which version 1 could write, are not loaded. A macro, because the text of a statement contains it. */
#define MERGE_MARKS_MAX 16777216

typedef struct merge_state merge_state;

/* A state as the database stores it; merge_write and merge_write_marks write it, merge_load reads it. Instants are
 * milliseconds; the texts are JSON. */
typedef struct merge_row {
    const char *data;  /* the visible tree, an object; NULL: an empty one */
    const char *marks; /* JSON pointer → time, where the time is not `base`; marks below one node share its pointer: see
                          merge_marks.h. Rows of version 1 have a flat object. NULL: no marks */
    int64_t base;      /* the time of every leaf that `marks` does not name */
    int64_t edited;    /* the latest edit, or MERGE_NEVER */
    int64_t deleted;   /* the deletion when it is in force, else MERGE_NEVER */
    const char *const *sets; /* as for merge_new_with */
} merge_row;

typedef enum merge_type {
    MERGE_PATCH,   /* write the leaves of `data`, keep the others */
    MERGE_REPLACE, /* write `data` in place of the whole tree */
    MERGE_DELETE
} merge_type;

typedef struct merge_edit {
    merge_type type;
    const json_t *data; /* an object; MERGE_DELETE ignores it. Must live as long as the state */
    int64_t at;         /* when the user made the edit */
} merge_edit;

/* The state of an entity that does not exist yet. */
merge_state *merge_new(arena *a);

/* The same, with the sets `sets`: names of members at the top level, ended by NULL; NULL: none. They must live as long
 * as the state. */
merge_state *merge_new_with(arena *a, const char *const *sets);

/* The state that `row` describes; its texts must live as long as the state. A value is parsed only when an edit is
 * compared with it. */
merge_state *merge_load(arena *a, const merge_row *row);

/* A state of its own, equal to `s`; it may refer to values of `s`. */
merge_state *merge_copy(arena *a, const merge_state *s);

/* Applies `edit`; with `dry_run` only reports what it would do. */
merge_effect merge_apply(merge_state *s, const merge_edit *edit, bool dry_run);

/* The same without the effect, which of a replacement costs as much as the edit. */
void merge_put(merge_state *s, const merge_edit *edit);

/* Joins `s` with another state of the entity, with the same sets: the result is that of the edits of both. Times after
 * `latest` count as `now`. Returns whether `s` has changed, visibly or not. `from` must live as long as `s`.
 * merge_join.c. */
bool merge_join(merge_state *s, merge_state *from, int64_t latest, int64_t now);

/* Forgets the times of set elements before `before`, which nobody is expected to edit earlier than that any more. What
 * is visible stays. */
void merge_forget(merge_state *s, int64_t before);

bool merge_is_deleted(const merge_state *s);

/* The latest edit, and the deletion in force; MERGE_NEVER when there is none. */
int64_t merge_edited(const merge_state *s);
int64_t merge_deleted(const merge_state *s);

/* An instant later than everything in the state: one millisecond after the latest edit or deletion. MERGE_NEVER when
 * there is none. */
int64_t merge_next(const merge_state *s);

/* The earliest time at which an edit wins over everything in the state: that of the latest edit or deletion if it was
 * applied since the state was loaded, one millisecond later if it was loaded. MERGE_NEVER when there is none. */
int64_t merge_winning(const merge_state *s);

/* Whether the latest edit was applied since the state was loaded, with this time. */
bool merge_is_latest(const merge_state *s, int64_t at);

/* The value of the top-level leaf `name`, or NULL. */
const json_t *merge_get(const merge_state *s, const char *name);

/* Whether there is a top-level leaf `name` that is not null. */
bool merge_has(const merge_state *s, const char *name);

/* The time of the latest write of a leaf at the top-level member `name`, visible or not; MERGE_NEVER when there is
 * none. *fresh: it was written since the state was loaded. */
int64_t merge_written(const merge_state *s, const char *name, bool *fresh);

/* Whether the top-level member `name` has the value `value`. */
bool merge_holds(const merge_state *s, const char *name, const json_t *value);

/* Whether the visible tree equals `data`: the same members with the same values (json_same), in any order. */
bool merge_is(const merge_state *s, const json_t *data);

/* Appends the visible tree as a JSON object. */
void merge_write(const merge_state *s, strbuf *out);

/* Appends the marks as a JSON object, or nothing when there are none, and returns the base. An edit of n bytes makes
 * the marks at most n * MERGE_MARKS_PER_BYTE larger than they were when they were written or loaded last. */
int64_t merge_write_marks(merge_state *s, strbuf *out);

#endif
