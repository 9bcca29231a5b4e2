/* Who is calling. */
#ifndef BOOKY_AUTH_H
#define BOOKY_AUTH_H

#include "request.h"

/* Sets r->user from the bearer token, or r->token_reason when one was sent and refused. Does not fail: whether somebody
 * must be known, the route says. */
void auth_identify(request *r);

/* RC_OK when the route may be run by whoever this is; RC_UNAUTHORIZED otherwise. */
rc auth_require(request *r);

/* Counts the request against rate.requests, if that is set: RC_RATE_LIMITED when the user's window is used up. Sets the
 * RateLimit fields of the reply. */
rc auth_limit(request *r);

#endif
