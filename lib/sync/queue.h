/* The queue: operations that a client parks on the server, to be applied on request. */
#ifndef BOOKY_QUEUE_H
#define BOOKY_QUEUE_H

#include "sync/ctx.h"

enum { QUEUE_ATTEMPTS = 5 }; /* after so many attempts an operation waits for review (the published retry strategy) */

/* POST /queue: checks and stores one operation. *created is false when it was there already. */
rc queue_add(sync_ctx *ctx, const char *body, size_t len, bool *created, strbuf *reply);

/* GET /pending: the waiting operations, oldest first. `limit` and `cursor`: as sent, or NULL. */
rc queue_list(sync_ctx *ctx, const char *limit, const char *cursor, strbuf *reply);

/* POST /mark-synced */
rc queue_mark(sync_ctx *ctx, const char *body, size_t len, strbuf *reply);

/* DELETE /clear */
rc queue_clear(sync_ctx *ctx, strbuf *reply);

/* POST /pending/apply: applies the waiting operations in timestamp order, as one batch. */
rc queue_apply(sync_ctx *ctx, strbuf *reply);

#endif
