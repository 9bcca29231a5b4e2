/*
 * The leaves of an entity that were written lately, so that a pull can send a client that holds the entity only what is
 * new. Pure.
 *
 * A row keeps a list of (stamp, pointer): every leaf that an operation names gets the stamp of its request, also a leaf
 * that lost or was dropped by its policy, because the sender may show its own value. A list replaced whole has one
 * pointer, and so has a set (kind_is_set). Stamps up to `from` are not in the list: `from` is the stamp at which the
 * entity became visible, was replaced whole or a deletion of it was refused, and it is raised when the list is full and
 * its oldest stamps go. A client that holds the entity as of the stamp `base` gets the leaves with later stamps; it
 * gets the whole entity if `from` is later than `base`, or if a pointer leads to an object or to nothing.
 *
 * The text in the row: [30,10,20,"/title",30,"/notes","/format"]. The first number is the stamp of the row, the second
 * is `from`; then stamps, the oldest first, each followed by its pointers. A text of another stamp than the row's was
 * not written with it (by an earlier version of the server, or by a statement that does not know the list), so all of
 * the row counts as new at its stamp; a row that is new as a whole has none. "[]": the next version comes whole,
 * whatever its stamp.
 *
 * A leaf that is written again loses its earlier place, so the size depends on the number of leaves, not of edits.
 * Rejected: the times of the leaves (merge.h), which are those of the edits, not of the arrivals.
 */
#ifndef BOOKY_RECENT_H
#define BOOKY_RECENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "engine/kind.h"

/* Bytes of the text. Ten to thirty leaves; a larger list would slow down every write of the row. */
enum { RECENT_MAX = 512 };

/* The text for which the next version of the entity comes whole. */
#define RECENT_WHOLE "[]"

/* The list of one entity in a request. Zeroed: nothing is known yet. */
typedef struct recent {
    const char *text;    /* of the row, or NULL */
    bool whole;          /* the next version comes whole */
    const char **leaves; /* pointers of the leaves that this request named, each once */
    size_t count, capacity, bytes;
} recent;

/* Notes the leaves that `data` names. */
void recent_note(recent *r, arena *a, const kind *k, const json_t *data);

/* Appends the text of the next version, `stamp`; nothing if it comes whole. `version`: the stamp of the row that
 * `r->text` was read from, or MERGE_NEVER when there is no row. */
void recent_write(const recent *r, int64_t version, int64_t stamp, strbuf *out);

/* Appends, for a client that holds the entity as of `base`, an object with the leaves of `data` (the text of an object)
 * that were written since. `text` is that of the row, or NULL, and `version` its stamp. Returns false when the whole
 * entity must be sent; *out is then of no use. Everything is allocated in `a`. */
bool recent_patch(arena *a, const char *text, int64_t version, int64_t base, const char *data, strbuf *out);

#endif
