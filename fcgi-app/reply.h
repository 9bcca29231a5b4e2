/* The answer: status line, headers, and one shape of error body. */
#ifndef BOOKY_REPLY_H
#define BOOKY_REPLY_H

#include "request.h"

/* Sends the whole answer of a request that has not started to stream, according to r->code; ends (or cuts off, when it
 * failed half-way) one that has. */
void reply_send(request *r);

/* Sends a part of a streamed reply, the headers before the first. For call.write. */
void reply_stream(void *r, const char *bytes, size_t len);

#endif
