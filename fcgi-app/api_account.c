/* The endpoints beyond the published ones: review, recovery, and everything of a user at once. */

#include "account.h"
#include "full.h"
#include "review.h"
#include "route.h"
#include "status.h"

rc api_config(request *r)
{
    return account_config(&r->call, &r->reply);
}

rc api_conflicts(request *r)
{
    const review_query q = {.status = request_query(r, "status"),
                            .limit = request_query(r, "limit"),
                            .cursor = request_query(r, "cursor")};
    return review_list(&r->call, &q, &r->reply);
}

rc api_conflict_resolve(request *r)
{
    return review_resolve(&r->call, r->argument, r->body, r->body_len, &r->reply);
}

rc api_snapshots(request *r)
{
    return account_snapshots(&r->call, &r->reply);
}

rc api_snapshot_restore(request *r)
{
    return full_restore(&r->call, r->argument, &r->reply);
}

rc api_digest(request *r)
{
    return account_digest(&r->call, &r->reply);
}

rc api_export(request *r)
{
    return account_export(&r->call);
}

rc api_account(request *r)
{
    return account_erase(&r->call, &r->reply);
}

rc api_health(request *r)
{
    return status_health(&r->call, &r->reply);
}
