/* The review list: conflicts that a person looks at, and decides. */
#ifndef BOOKY_REVIEW_H
#define BOOKY_REVIEW_H

#include "call.h"

typedef struct review_query {
    const char *status; /* "open", "resolved" or NULL for both */
    const char *limit, *cursor; /* as sent, or NULL */
} review_query;

/* GET /conflicts: newest first. */
rc review_list(call *c, const review_query *q, strbuf *reply);

/* POST /conflicts/{id}/resolve: writes a new version as `body` decides. Idempotent; RC_CONFLICT when the entity has moved on
 * or the conflict was resolved otherwise. */
rc review_resolve(call *c, const char *id, const char *body, size_t len, strbuf *reply);

#endif
