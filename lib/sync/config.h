/* GET /config: what a client may rely on. */
#ifndef BOOKY_CONFIG_H
#define BOOKY_CONFIG_H

#include "sync/ctx.h"

/* Appends limits, retention and the advice for clients. Needs neither user nor database. */
rc config_run(sync_ctx *ctx, strbuf *reply);

#endif
