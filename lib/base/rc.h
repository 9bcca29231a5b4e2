/* Result codes. Every layer above libpq and errno reports success or failure with one of them. */
#ifndef BOOKY_RC_H
#define BOOKY_RC_H

#include <stdbool.h>

typedef enum rc {
    RC_OK,
    RC_NOT_MODIFIED,
    RC_VALIDATION,
    RC_UNAUTHORIZED,
    RC_NOT_FOUND,
    RC_METHOD_NOT_ALLOWED,
    RC_CONFLICT,
    RC_RESYNC,
    RC_TOO_LARGE,
    RC_QUOTA,
    RC_MEDIA_TYPE,
    RC_RATE_LIMITED,
    RC_FAILED,      /* a fault of the server; nothing was applied */
    RC_UNAVAILABLE, /* the database is not available, or the outcome of a commit is unknown; retry */
    RC_COUNT
} rc;

/* One row of the error table: the HTTP status, the `error` member of the body, and whether a retry can help. */
typedef struct rc_row {
    int status;
    const char *error;
    bool retryable;
} rc_row;

/* Returns the row of `code`; never NULL. */
const rc_row *rc_info(rc code);

#endif
