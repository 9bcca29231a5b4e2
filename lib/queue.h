/* The queue: operations that a client parks on the server, to be applied on request. */
#ifndef BOOKY_QUEUE_H
#define BOOKY_QUEUE_H

#include "call.h"

enum { QUEUE_ATTEMPTS = 5 }; /* after so many an operation waits for review (the published retry strategy) */

/* POST /queue: checks and stores one operation. *created is false when it was there already. */
rc queue_add(call *c, const char *body, size_t len, bool *created, strbuf *reply);

/* GET /pending: those that wait, oldest first; `limit` and `cursor` as sent or NULL. */
rc queue_list(call *c, const char *limit, const char *cursor, strbuf *reply);

/* POST /mark-synced */
rc queue_mark(call *c, const char *body, size_t len, strbuf *reply);

/* DELETE /clear */
rc queue_clear(call *c, strbuf *reply);

/* POST /pending/apply: runs what waits through the pipeline, in timestamp order, as one batch. */
rc queue_apply(call *c, strbuf *reply);

#endif
