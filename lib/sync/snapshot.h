/* Snapshots: the states of a library that were kept before each replacement. */
#ifndef BOOKY_SNAPSHOT_H
#define BOOKY_SNAPSHOT_H

#include "sync/ctx.h"

/* GET /snapshots */
rc snapshot_list(sync_ctx *ctx, strbuf *reply);

/* POST /snapshots/{id}/restore: the kinds that the snapshot `id` holds become what they were. RC_NOT_FOUND when there
 * is no such snapshot. */
rc snapshot_restore(sync_ctx *ctx, const char *id, strbuf *reply);

#endif
