/* POST /conflicts/{id}/resolve: a person decides a conflict. */
#ifndef BOOKY_DECISION_H
#define BOOKY_DECISION_H

#include "sync/ctx.h"

/* Writes a new version of the entity as `body` decides. Idempotent. RC_CONFLICT when the entity has changed since or
 * the conflict was resolved otherwise; RC_NOT_FOUND when there is no conflict `id`. */
rc decision_run(sync_ctx *ctx, const char *id, const char *body, size_t len, strbuf *reply);

#endif
