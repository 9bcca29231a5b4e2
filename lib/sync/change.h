/* The one shape in which a client gets an entity: an element of `changes` of a pull, and `change` of GET /entities. */
#ifndef BOOKY_CHANGE_H
#define BOOKY_CHANGE_H

#include "store/rows.h"

/* Appends the entity with all its data; a deleted one with its times only. */
void change_write(const change_row *row, strbuf *out);

/* The same for a client that holds the entity as it was at the stamp `base`: as a patch with the leaves that were
 * written since, if the row knows them (engine/recent.h), else with all its data. Uses `scratch` and resets it.
 * MERGE_NEVER: the client holds nothing. */
void change_write_since(const change_row *row, int64_t base, arena *scratch, strbuf *out);

#endif
