/* Operations that a client parks on the server, to be applied on request. */

#include "http/api.h"
#include "sync/queue.h"

rc api_queue(request *r)
{
    bool created = false;
    rc code = queue_add(&r->ctx, r->body, r->body_len, &created, &r->reply);
    if (created) r->status = 201;
    return code;
}

rc api_pending(request *r)
{
    return queue_list(&r->ctx, request_query(r, "limit"), request_query(r, "cursor"), &r->reply);
}

rc api_pending_apply(request *r)
{
    return queue_apply(&r->ctx, &r->reply);
}

rc api_mark_synced(request *r)
{
    return queue_mark(&r->ctx, r->body, r->body_len, &r->reply);
}

rc api_clear(request *r)
{
    return queue_clear(&r->ctx, &r->reply);
}
