/* The body of a request: media type, size limit, gzip. */
#ifndef BOOKY_BODY_H
#define BOOKY_BODY_H

#include "http/request.h"

/* The most bytes that a body may have, as sent and decompressed, and the setting that says so. */
typedef struct body_limit {
    size_t bytes;
    const char *setting;
} body_limit;

/* Checks the media type, then reads and decompresses the body into r->body. RC_MEDIA_TYPE; RC_TOO_LARGE as soon as the
 * limit is exceeded; RC_VALIDATION when the body is incomplete or not valid gzip. */
rc body_read(request *r, const body_limit *limit);

/* Every body is a JSON object. Refuses, with RC_VALIDATION, what clients often send instead, and says what it is; the
 * rest is left to the parser. */
rc body_check_start(request *r);

#endif
