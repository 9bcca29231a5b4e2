/* What the server holds already is always accepted back, also if an earlier version accepted values that this one would
 * refuse. */
#ifndef BOOKY_HELD_H
#define BOOKY_HELD_H

#include "sync/library.h"

/* Reads the body of a full sync (library_read) and refuses it if an item cannot be stored (library_refuse). An item
 * whose doubtful values are those of the stored entity can be stored. The entities are read only if there are such
 * items. Then adds the items of `changes`, which fail alone. */
rc held_read_library(sync_ctx *ctx, const char *body, size_t len, library *out);

#endif
