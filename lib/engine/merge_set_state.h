/* The parts of a set. For merge_set.c and merge_set_row.c. */
#ifndef BOOKY_MERGE_SET_STATE_H
#define BOOKY_MERGE_SET_STATE_H

#include <jansson.h>

#include "base/arena.h"
#include "engine/merge_mark.h"

typedef struct merge_set merge_set;

/* One value, which may be an element. */
typedef struct set_item {
    const char *text; /* as the latest edit wrote it */
    const char *key;  /* json_write_key */
    int64_t at;       /* its latest edit after the whole write, or MARK_NEVER */
    uint32_t len, key_len, hash;
    uint32_t number; /* of that edit: of equal times, the later edit has the larger number */
    uint32_t copies; /* in `list`, none of them older than an edit */
    uint32_t named;  /* the number of the last operation that named it */
    bool fresh;      /* see mark */
    bool added;      /* by that edit; otherwise removed */
} set_item;

/* An element of the whole write. */
typedef struct set_entry {
    const char *text;
    uint32_t len, item;
    uint32_t number; /* it is gone if its item had an edit with a larger number */
} set_entry;

/* An item in the order of the times. */
typedef struct set_place {
    int64_t at;
    uint32_t number, item;
} set_place;

struct merge_set {
    arena *a;
    set_item *items;
    size_t count, capacity;
    uint32_t *slots;   /* a hash table: 1 + the place of an item, or 0 */
    size_t slot_count; /* a power of two, or 0 */
    set_entry *list;
    size_t listed, list_capacity;
    bool null;      /* the whole write was null */
    mark latest;    /* change after the whole write */
    size_t alive;   /* entries that are not gone */
    size_t added;   /* items that an edit added */
    size_t edits;   /* items with an edit */
    int64_t oldest; /* no edit is older */
    uint32_t numbers, operations;
    strbuf key;     /* for lookups */
    arena *scratch; /* see set_scratch */
};

/* The place of the item for `value`, made when there is none. */
uint32_t set_item_of(merge_set *s, const json_t *value);
uint32_t set_item_of_text(merge_set *s, const char *text, size_t len); /* of JSON text */

/* Appends an entry to the list, whose text is `text`. */
void set_append(merge_set *s, uint32_t item, const char *text, size_t len);

/* Sets the latest edit of an item, without its text. */
void set_edit(merge_set *s, set_item *item, mark at, bool added);

/* The latest edit of an item as a mark. */
static inline mark set_mark(const set_item *item)
{
    return (mark){item->at, item->fresh};
}

/* An arena for what is needed for a moment, and its release: for a copy or a small set, that of the set. */
arena *set_scratch(merge_set *s);
void set_scratch_end(merge_set *s);

/* Makes room for `count` more items. */
void set_reserve(merge_set *s, size_t count);

/* The items that the latest edits added (or removed), in the order of their times; *count: how many. Only those before
 * `before`. */
set_place *set_order(const merge_set *s, arena *a, bool added, int64_t before, size_t *count);

#endif
