/* Send edits, pull changes, compare both sides. */

#include "http/api.h"
#include "sync/batch.h"
#include "sync/digest.h"
#include "sync/one.h"
#include "sync/pull.h"
#include "sync/status.h"

rc api_operations(request *r)
{
    return batch_run(&r->ctx, r->body, r->body_len, &r->reply);
}

rc api_changes(request *r)
{
    const pull_query q = {.since = request_query(r, "since"),
                          .cursor = request_query(r, "cursor"),
                          .limit = request_query(r, "limit"),
                          .max_bytes = request_query(r, "maxBytes"),
                          .entities = request_query_list(r, "entities"),
                          .count = request_query(r, "count"),
                          .delta = request_query(r, "delta"),
                          .initial = request_query(r, "initial"),
                          .times = request_query(r, "times"),
                          .if_none_match = request_header(r, "HTTP_IF_NONE_MATCH")};
    return pull_run(&r->ctx, &q);
}

rc api_entity(request *r)
{
    return entity_run(&r->ctx, r->arguments[0], r->arguments[1], &r->reply);
}

rc api_status(request *r)
{
    return status_run(&r->ctx, &r->reply);
}

rc api_digest(request *r)
{
    return digest_run(&r->ctx, &r->reply);
}
