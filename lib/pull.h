/* GET /changes: what changed since an instant or a cursor, oldest first, streamed from one snapshot in one round trip. */
#ifndef BOOKY_PULL_H
#define BOOKY_PULL_H

#include "call.h"

/* The query's parameters as sent, decoded; NULL where absent. */
typedef struct pull_query {
    const char *since;
    const char *cursor; /* instead of `since` */
    const char *limit;
    const char *entities;      /* comma-separated kinds */
    const char *if_none_match; /* the header */
} pull_query;

/* Streams the reply through call->write, with call->etag set before the first byte. RC_NOT_MODIFIED: the client has it
 * already. Anything else but RC_OK after the first byte means that the reply is cut and must not be ended properly. */
rc pull_run(call *c, const pull_query *q);

#endif
