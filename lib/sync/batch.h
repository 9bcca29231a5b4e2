/* POST /operations and POST /pending/apply: a batch of operations in one transaction and two round trips. */
#ifndef BOOKY_BATCH_H
#define BOOKY_BATCH_H

#include "sync/ctx.h"

/* Runs the request `body` and appends the reply. On anything but RC_OK nothing was applied (unless the commit is in
 * doubt), and ctx says why. */
rc batch_run(sync_ctx *ctx, const char *body, size_t len, strbuf *reply);

/* The same for operations from the queue, given as texts. A failed operation is counted an attempt. `more`: the queue
 * holds others. */
rc batch_run_queued(sync_ctx *ctx, const json_slice *texts, size_t count, bool more, strbuf *reply);

#endif
