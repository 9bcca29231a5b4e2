/* The published endpoints: from a request to the capability and back. */

#include "batch.h"
#include "pull.h"
#include "route.h"
#include "status.h"

rc api_operations(request *r)
{
    return batch_run(&r->call, r->body, r->body_len, &r->reply);
}

rc api_changes(request *r)
{
    const pull_query q = {.since = request_query(r, "since"),
                          .cursor = request_query(r, "cursor"),
                          .limit = request_query(r, "limit"),
                          .entities = request_query(r, "entities"),
                          .if_none_match = request_header(r, "HTTP_IF_NONE_MATCH")};
    return pull_run(&r->call, &q);
}

rc api_status(request *r)
{
    return status_run(&r->call, &r->reply);
}

rc api_health(request *r)
{
    return status_health(&r->call, &r->reply);
}
