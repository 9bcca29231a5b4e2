/* Who sends a request, according to its bearer token. */
#ifndef BOOKY_AUTH_H
#define BOOKY_AUTH_H

#include "http/request.h"

/* Verifies the bearer token. Sets r->user and r->token_valid_until, or r->token_reason if the token is refused. Never
 * fails: only the route says whether a user is needed. */
void auth_identify(request *r);

/* RC_UNAUTHORIZED when the route needs a user and there is none. */
rc auth_require(request *r);

#endif
