/* Cursors: a position as text in base64url, so that no client relies on its content. */
#ifndef BOOKY_CURSOR_H
#define BOOKY_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

/* Wraps `text`; the result lives in the arena. */
const char *cursor_wrap(arena *a, const char *text);

/* Unwraps a cursor; NULL when it is not valid base64url of valid UTF-8. */
const char *cursor_unwrap(arena *a, const char *cursor);

/* The database that wrote a cursor: booky.installation (migration 0007). Zeroes: a cursor of the first edition. */
typedef struct origin {
    int64_t installation; /* random */
    int64_t generation;   /* raised by each resync of all users */
} origin;

/*
 * The position of a pull. Rows are ordered by (stamp, kind, id), so a page can end between the rows of one
 * transaction. `bound`: a first pull leaves out entities that were deleted before it began. It must report those
 * deleted after the clock of its first page, because an earlier page may have shown them live.
 */
typedef struct position {
    int64_t
        epoch; /* of the clock that the cursor was read from; 0: there was no clock, or the position is an instant */
    int64_t stamp;
    int64_t bound; /* MERGE_NEVER: not yet known */
    int64_t base;  /* of deltas, in the pages of a pull: the stamp from which the client held everything when the
                      pull began; MERGE_NEVER: none */
    const char *kind, *id; /* "": after all rows of `stamp` */
    origin from;
} position;

/* The text is `1 EPOCH STAMP BOUND KIND ID`, and behind it the byte 0x1F and `INSTALLATION GENERATION`. The first
 * edition wrote no origin, so its cursors are read without one. It reads the origin as the end of the id: no matter at
 * the end of a pull, where it ignores the id; on a page, the next id in the order is the same. So hosts of both
 * versions may run during an upgrade, and a downgrade is possible. */
const char *position_write(arena *a, const position *p);
bool position_read(arena *a, const char *cursor, position *p);

/* The cursor of a pull that saw everything up to that clock. Epoch 0: the user has written nothing yet. */
const char *cursor_at(arena *a, origin from, int64_t epoch, int64_t stamp);

#endif
