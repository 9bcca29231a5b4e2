/*
 * A set: a list member of which single elements are added and removed (docs/api.md, "Lists that merge"). For merge.c
 * and merge_row.c.
 *
 * The state of a set is the latest whole write of the list, and for each element that was edited after that its latest
 * edit: the time, and whether it added or removed the element. The visible list is that of the whole write without the
 * elements that have an edit, and then the added elements in the order of their times. So it depends on the times
 * alone, like the rest of merge.h. A member without such edits is an ordinary leaf; its node has no set.
 *
 * Rejected: to keep an element that is added again in its place. The list would then depend on the order of arrival,
 * unless every element of every whole write had a time of its own.
 *
 * Elements are found in a hash table by a text that is equal for equal JSON values. The cost of an edit is the number
 * of its own elements; a whole write and a replacement also visit every element that has an edit.
 */
#ifndef BOOKY_MERGE_SET_H
#define BOOKY_MERGE_SET_H

#include <jansson.h>

#include "base/arena.h"
#include "engine/merge_effect.h"
#include "engine/merge_mark.h"

typedef struct merge_set merge_set;

/* Whether `value` has the form of a change: an object with the lists `$add`, `$remove` or both, and nothing else. */
bool set_is_change(const json_t *value);

/* A set whose list is `value`; NULL: there is none. The list of a value that is no list is empty. */
merge_set *set_new(arena *a, const json_t *value);

/* The set of a row: the text of its list, and what set_write_times wrote (empty: no times). Both must live as long as
 * the set. */
merge_set *set_load(arena *a, const char *list, size_t len, const char *times, size_t times_len);

merge_set *set_copy(arena *a, const merge_set *s);

/* Whether there is an edit of an element, or an empty one, after the whole write. */
bool set_has_times(const merge_set *s);

/* Whether the visible list (or null) equals `value`. */
bool set_is(merge_set *s, const json_t *value);

/* Applies the change `change` at `at`, or only counts its effect. `late`: the whole write is later, so nothing of it
 * can be applied. */
void set_change(merge_set *s, const json_t *change, int64_t at, bool late, bool dry_run, merge_effect *effect);

/* Counts the effect of a whole write of `value` at `at` that is later than the last one. */
void set_meet(merge_set *s, const json_t *value, int64_t at, merge_effect *effect);

/* Writes `value` as a whole at `at`; NULL: there is no list any more (a replacement of the entity without it). */
void set_put(merge_set *s, const json_t *value, int64_t at);

typedef struct set_joining {
    bool whole;          /* takes over the whole write */
    mark after;          /* the whole write of the result: earlier edits do not count */
    int64_t latest, now; /* see mark_lowered */
} set_joining;

/* Joins `s` with another state of the set: the result is that of the edits of both. Returns whether `s` has changed,
 * visibly or not. `from` must live as long as `s`. merge_set_join.c. */
bool set_join(merge_set *s, const merge_set *from, const set_joining *how);

/* Forgets the times before `before`: elements that were added then become part of the whole write. */
void set_forget(merge_set *s, int64_t before);

/* Whether times that set_write_times wrote may have one before `before`. */
bool set_is_older(const char *times, size_t len, int64_t before);

/* The time of the latest change after the whole write. */
int64_t set_latest(const merge_set *s);

/* Appends the visible list, or null. */
void set_write(merge_set *s, strbuf *out);

/*
 * Appends the times as a JSON object:
 *
 *     {"":10,"at":40,"null":true,"add":[[20,2],[30,1]],"remove":[[25,"x","y"]]}
 *
 * "" is the time of the whole write (absent: only changes are known), "null": it was null. "add": the last elements of
 * the visible list by time: two that were added at 20, then one at 30. "remove": the removed elements by time. "at":
 * the latest change, if it is later than these. Version 1 ignores all of these members except "".
 */
void set_write_times(merge_set *s, int64_t whole, strbuf *out);

#endif
