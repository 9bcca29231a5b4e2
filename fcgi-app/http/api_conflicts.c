/* Conflicts that wait for a person's decision. */

#include "http/api.h"
#include "sync/decision.h"
#include "sync/review.h"

rc api_conflicts(request *r)
{
    const review_query q = {
        .status = request_query(r, "status"), .limit = request_query(r, "limit"), .cursor = request_query(r, "cursor")};
    return review_list(&r->ctx, &q, &r->reply);
}

rc api_conflict_resolve(request *r)
{
    return decision_run(&r->ctx, r->arguments[0], r->body, r->body_len, &r->reply);
}
