/* The reply: status line, headers, and one shape of error body. */
#ifndef BOOKY_REPLY_H
#define BOOKY_REPLY_H

#include "http/request.h"

/* Sends the whole reply according to r->code. If streaming has started, only aborts the connection unless r->code is
 * RC_OK. */
void reply_send(request *r);

/* Sends a part of a streamed reply, the headers before the first part. `r` is the request; for ctx.write. */
void reply_stream(void *r, const char *bytes, size_t len);

#endif
