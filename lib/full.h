/* POST /full: the library as the client has it takes the place of what the server has; and back, from a snapshot. */
#ifndef BOOKY_FULL_H
#define BOOKY_FULL_H

#include "call.h"

typedef struct full_options {
    bool dry_run;         /* only count what would be done */
    const char *if_match; /* a cursor: refuse when the server has moved on since; NULL: do not ask */
} full_options;

/* Runs the request `body` in one transaction and appends the reply. On anything but RC_OK nothing was applied. */
rc full_run(call *c, const char *body, size_t len, const full_options *options, strbuf *reply);

/* POST /snapshots/{id}/restore: the kinds that the snapshot `id` holds become what they were. */
rc full_restore(call *c, const char *id, strbuf *reply);

#endif
