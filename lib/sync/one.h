/* GET /entities/{entity}/{entityId}: one entity, as a pull shows it. */
#ifndef BOOKY_ONE_H
#define BOOKY_ONE_H

#include "sync/ctx.h"

/* RC_NOT_FOUND: the server never heard of the entity, or no longer remembers its deletion. */
rc entity_run(sync_ctx *ctx, const char *kind_name, const char *id, strbuf *reply);

#endif
