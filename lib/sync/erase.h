/* DELETE /account: erasure. */
#ifndef BOOKY_ERASE_H
#define BOOKY_ERASE_H

#include "sync/ctx.h"

/* Erases everything of the user and appends a receipt. */
rc erase_run(sync_ctx *ctx, strbuf *reply);

#endif
