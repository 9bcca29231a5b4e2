/* GET /digest: a checksum of the library, which a client can compute too. */
#ifndef BOOKY_DIGEST_H
#define BOOKY_DIGEST_H

#include "sync/ctx.h"

/* Per kind, the number of live entities and SHA-256 over their sorted lines `id@updatedAt`, and the cursor at which
 * that holds. */
rc digest_run(sync_ctx *ctx, strbuf *reply);

#endif
