/* Result codes: the one vocabulary in which every layer above libpq and errno reports success or failure. */
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
    RC_MEDIA_TYPE,
    RC_RATE_LIMITED,
    RC_FAILED,      /* the server's fault; nothing was applied */
    RC_UNAVAILABLE, /* the database is away or the outcome of a commit is in doubt; retry */
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
