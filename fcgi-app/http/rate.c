#include "http/rate.h"

#include "http/route.h"
#include "store/query.h"

rc rate_check(request *r)
{
    PGresult *window;
    long long limit = r->conf->rate_requests, seconds = r->conf->rate_window;
    if (limit == 0 || !r->route->needs_user) return RC_OK;
    rc code = db_ready(r->db);
    if (code != RC_OK) return code;
    code =
        query_one(r->db, r->a, r->user, SQL_RATE, DB_PARAMS(db_text(r->user), db_int(r->a, seconds * 1000)), &window);
    if (code != RC_OK) return code;
    long long used = db_column_int(window, 0, COL_RATE_USED, 0);
    long long left_ms = db_column_int(window, 0, COL_RATE_LEFT_MS, 0);
    long long remaining = used < limit ? limit - used : 0, reset = left_ms > 0 ? (left_ms + 999) / 1000 : 1;
    r->rate_headers =
        arena_printf(r->a, "RateLimit-Policy: \"default\";q=%lld;w=%lld\r\nRateLimit: \"default\";r=%lld;t=%lld\r\n",
                     limit, seconds, remaining, reset);
    if (used <= limit) return RC_OK;
    r->retry_after = reset;
    return request_fail(r, RC_RATE_LIMITED, "more than %lld requests in %lld seconds", limit, seconds);
}
