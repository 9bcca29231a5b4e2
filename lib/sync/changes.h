/*
 * `changes` of POST /full, and the items of an import: states of entities, in the shape in which a pull or an export
 * gives them. Each is joined with the stored state (resolve_state): exactly, if its `times` come with it; else an
 * entity counts as edited at its updatedAt, and a deletion at its deletedAt. An item that cannot be stored fails alone.
 */
#ifndef BOOKY_CHANGES_H
#define BOOKY_CHANGES_H

#include "sync/library.h"

typedef struct changes_failed {
    strbuf rows; /* of a JSON array, without its brackets */
    size_t count;
} changes_failed;

/* Reads the member `changes` of a body, and adds its items to the library. */
rc changes_read(sync_ctx *ctx, library *l, const json_slice *member);

/* Reads one item of such a list, which stands at `path`, and adds it. `change` has its number, and `whole` and
 * `deleted` if that is not a member. Returns false when it is not JSON. */
bool changes_read_item(sync_ctx *ctx, library *l, arena *scratch, const json_slice *slice, const char *path,
                       library_change *change, json_fault *fault);

/* Makes room for failures; a library without it has no changes. */
void changes_begin(sync_ctx *ctx, library *l);

/* Adds one item, whose text (`data`) and `change` are filled in; `scratch` is for temporary texts. Returns false when
 * it is not JSON at all. */
bool changes_add(sync_ctx *ctx, library *l, arena *scratch, library_item *item, json_fault *fault);

/* Reads an item with item->change as an operation. A fault of the item is in out->failed. Returns false when it is not
 * JSON at all. */
bool changes_parse(arena *a, const conf *c, const library_item *item, operation *out, json_fault *fault);

/* Notes that an item fails alone. */
void changes_fail(const library *l, const library_item *item, rc code, const char *id, const char *message);

/* Appends the member `failed` of the reply. */
void changes_write_failed(const library *l, strbuf *reply);

#endif
