#include "auth.h"

#include <string.h>
#include <strings.h>

#include "clock.h"
#include "route.h"

void auth_identify(request *r)
{
    const char *header = request_header(r, "HTTP_AUTHORIZATION");
    token_identity who;
    if (!header || !*header) return;
    if (strncasecmp(header, "Bearer ", 7) != 0) {
        r->token_reason = "the Authorization header must be Bearer and a token";
        return;
    }
    const char *token = header + 7 + strspn(header + 7, " ");
    if (token_verify(r->keys, r->a, token, strlen(token), clock_now(), &who, &r->token_reason) != RC_OK) return;
    r->user = who.user;
    r->user_until = who.expires + r->conf->leeway;
}

rc auth_require(request *r)
{
    if (!r->route->needs_user || r->user) return RC_OK;
    return request_fail(r, RC_UNAUTHORIZED, "%s", r->token_reason ? r->token_reason : "a bearer token is required");
}

rc auth_limit(request *r)
{
    PGresult *window;
    long long limit = r->conf->rate_requests, seconds = r->conf->rate_window;
    if (limit == 0 || !r->user) return RC_OK;
    rc code = db_ready(r->db);
    if (code != RC_OK) return code;
    code = db_query(r->db, r->a, r->user, SQL_RATE, DB_PARAMS(db_text(r->user), db_int(r->a, seconds * 1000)), &window);
    if (code != RC_OK) return code;
    long long used = db_column_int(window, 0, 0, 0), left_ms = db_column_int(window, 0, 1, 0);
    long long remaining = used < limit ? limit - used : 0, reset = left_ms > 0 ? (left_ms + 999) / 1000 : 1;
    r->rate_headers = arena_printf(r->a,
                                   "RateLimit-Policy: \"default\";q=%lld;w=%lld\r\nRateLimit: \"default\";r=%lld;t=%lld\r\n",
                                   limit, seconds, remaining, reset);
    if (used <= limit) return RC_OK;
    r->retry_after = reset;
    return request_fail(r, RC_RATE_LIMITED, "more than %lld requests in %lld seconds", limit, seconds);
}
