/* GET /changes: the changes since an instant or a cursor, oldest first, streamed from one snapshot in one round trip.
 */
#ifndef BOOKY_PULL_H
#define BOOKY_PULL_H

#include "sync/ctx.h"

/* The query's parameters as sent, decoded; NULL where absent. */
typedef struct pull_query {
    const char *since;
    const char *cursor; /* instead of `since` */
    const char *limit;
    const char *max_bytes;
    const char *entities;      /* comma-separated kinds */
    const char *count;         /* true: the reply tells how many changes follow */
    const char *delta;         /* true: an entity that the client holds may come as a patch */
    const char *initial;       /* true: from the beginning, without the deletions of before */
    const char *times;         /* true: with the times of each entity, for a later upload */
    const char *if_none_match; /* the header */
} pull_query;

/* Streams the reply through ctx->write, with ctx->etag set before the first byte. RC_NOT_MODIFIED: the client holds
 * this reply already. A failure after the first byte means that the reply is incomplete; it must not look complete. */
rc pull_run(sync_ctx *ctx, const pull_query *q);

#endif
