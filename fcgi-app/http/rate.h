/* The rate limit per user, exact across all workers and hosts because the database counts. nginx has a cheaper one. */
#ifndef BOOKY_RATE_H
#define BOOKY_RATE_H

#include "http/request.h"

/* Counts the request against rate.requests, unless that is 0 or the endpoint needs no user, and sets the RateLimit
 * fields of the reply. RC_RATE_LIMITED: the user has used up the current window. */
rc rate_check(request *r);

#endif
