/* POST /operations, POST /pending/apply: a batch of operations in one transaction and two round trips, however many they are. */
#ifndef BOOKY_BATCH_H
#define BOOKY_BATCH_H

#include "call.h"

/* Runs the request `body` and appends the reply. On anything but RC_OK nothing was applied, and the call says why. */
rc batch_run(call *c, const char *body, size_t len, strbuf *reply);

/* The same for operations that waited in the queue, given as texts. One that fails is counted an attempt; `more`: others
 * still wait. */
rc batch_run_queued(call *c, const json_slice *texts, size_t count, bool more, strbuf *reply);

#endif
