/* POST /operations: a batch of operations in one transaction and two round trips, however many they are. */
#ifndef BOOKY_BATCH_H
#define BOOKY_BATCH_H

#include "call.h"

/* Runs the request `body` and appends the reply. On anything but RC_OK nothing was applied, and the call says why. */
rc batch_run(call *c, const char *body, size_t len, strbuf *reply);

#endif
