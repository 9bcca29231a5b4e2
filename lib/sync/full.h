/* POST /full: the client's library replaces the server's, or is merged into it. */
#ifndef BOOKY_FULL_H
#define BOOKY_FULL_H

#include "sync/full_work.h"

/* Runs the request `body` in one transaction and appends the reply. On anything but RC_OK nothing was applied, unless
 * the commit is in doubt. */
rc full_run(sync_ctx *ctx, const char *body, size_t len, const full_options *options, strbuf *reply);

/* The same for a library that was read already. */
rc full_store(sync_ctx *ctx, const library *l, const full_options *options, strbuf *reply);

#endif
