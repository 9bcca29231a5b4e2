/* Cursors: a position as text in base64url, so that nobody builds on what is inside. */
#ifndef BOOKY_CURSOR_H
#define BOOKY_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "call.h"

/* Wraps `text`; the result lives in the arena. */
const char *cursor_wrap(arena *a, const char *text);

/* Unwraps a cursor; NULL when it is not valid base64url of valid UTF-8. */
const char *cursor_unwrap(arena *a, const char *cursor);

/*
 * Where a pull stands. Rows are ordered by (stamp, kind, id), so a page can end inside a transaction's rows. `bound`: on a
 * first pull deleted entities are left out, but one that was live on an earlier page must not be: those deleted after the
 * first page's clock are shown.
 */
typedef struct position {
    int64_t epoch; /* of the clock row the cursor came from; 0: from no row, or from an instant */
    int64_t stamp;
    int64_t bound; /* MERGE_NEVER: to be found out */
    const char *kind, *id; /* "" : behind all of `stamp` */
} position;

const char *position_write(arena *a, const position *p);
bool position_read(arena *a, const char *cursor, position *p);

/* Where a pull ends that saw everything up to that clock. Epoch 0: the user has written nothing yet. */
const char *cursor_at(arena *a, int64_t epoch, int64_t stamp);

enum { LIMIT_MAX = 100000 };

/* Reads the query parameter `limit`; NULL leaves *limit alone. */
rc limit_read(call *c, const char *text, int64_t *limit);

#endif
