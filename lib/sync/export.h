/* GET /export: everything of the user as one JSON document, which POST /full accepts back. */
#ifndef BOOKY_EXPORT_H
#define BOOKY_EXPORT_H

#include "sync/ctx.h"

/* Streams the document through ctx->write, from one snapshot. On anything but RC_OK the document is incomplete.
 * `snapshots`: with the contents of all snapshots, each of which may be a copy of the library. */
rc export_run(sync_ctx *ctx, bool snapshots);

#endif
