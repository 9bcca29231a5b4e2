/* The tree of a merge state: nodes, and the times of their writes. For merge.c, merge_row.c and merge_marks.c. */
#ifndef BOOKY_MERGE_TREE_H
#define BOOKY_MERGE_TREE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/json.h"
#include "engine/merge_mark.h"
#include "engine/merge_set.h"

typedef struct merge_state merge_state;

typedef struct node {
    const char *key;
    bool shown;          /* a visible leaf */
    const json_t *value; /* its value; NULL: not parsed yet, it is in `text` */
    json_slice text;     /* its value as it was loaded; empty: it was written since */
    mark leaf;           /* the latest write of a leaf at this path; if none is visible, a branch mark */
    mark object;         /* the latest write of an empty object at this path */
    struct node **children;
    size_t count, capacity;
    size_t marks;  /* for merge_marks.c */
    json_t *index; /* key → position in children; NULL until needed */
    bool is_set;   /* its single elements can be edited (merge_set.h); it has no children */
    struct merge_set
        *set;         /* NULL until needed. If node_has_times, the visible list is here and not in value and text */
    json_slice times; /* its element times as they were loaded; empty once they are in `set` */
} node;

/* The state that merge.h declares. */
struct merge_state {
    arena *a;
    node root;
    mark edited, deleted; /* the latest edit and deletion */
    bool is_deleted;
    const char *const *sets; /* names of members at the top level, ended by NULL; or NULL */
    int64_t base;            /* of the row that was loaded or written last, or MARK_NEVER */
};

node *node_new(arena *a, const char *key);

/* The same for a member at the top level of `s`. */
node *node_new_member(const merge_state *s, const char *key);

/* Copies everything below `from` to `to`; the values and keys are shared. */
void node_copy(arena *a, node *to, const node *from);

/* The child with this key, or NULL. */
node *node_child(arena *a, node *n, const char *key);

/* Adds `child`, whose key must be new. */
void node_attach(arena *a, node *n, node *child);

/* Whether the node's list and element times are in its set, or in the times that were loaded. */
bool node_has_times(const node *n);

/* The set of a node with is_set, which is made on first use. The node stays as it is as long as set_has_times is false:
 * then the set only serves to compare. */
merge_set *node_set(arena *a, node *n);

/* The value of a visible leaf. */
const json_t *node_value(arena *a, node *n);

/* Whether the visible leaf `n` has this value. */
bool node_has_value(arena *a, node *n, const json_t *value);

/* Whether the members below `n` are those of the object `data`. */
bool node_has_members(arena *a, node *n, const json_t *data);

/* Whether anything at or below `n` is visible. */
bool node_visible(const node *n);

/* Whether `n` is a visible object, empty or not. */
bool node_is_object(const node *n);

/* Whether something below `n` survives a write of `n` at `at`. */
bool node_survives(const node *n, int64_t at);

/* Removes everything below `n` that does not survive a write of `n` at `at`. Later edits of elements survive. */
void node_prune(arena *a, node *n, int64_t at);

#endif
