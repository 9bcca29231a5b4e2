/* GET /status and the health check. */
#ifndef BOOKY_STATUS_H
#define BOOKY_STATUS_H

#include "sync/ctx.h"

/* The user's last accepted write, waiting operations and open conflicts. */
rc status_run(sync_ctx *ctx, strbuf *reply);

/* Whether the database answers. */
rc status_health(sync_ctx *ctx, strbuf *reply);

#endif
