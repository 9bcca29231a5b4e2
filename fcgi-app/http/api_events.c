/*
 * Subscribe to change notifications. The worker only checks the request and grants a ticket: nginx takes it from the
 * reply (X-Accel-Redirect) and asks the push process for the stream, so that no worker is held. Rejected: auth_request
 * in nginx, which turns most refusals into a 500; here every refusal is an ordinary error reply.
 */
#include "http/api.h"
#include "sync/events.h"

rc api_events(request *r)
{
    const char *last = request_header(r, "HTTP_LAST_EVENT_ID");
    if (!last || !*last) last = request_query(r, "lastEventId");
    return events_ticket(&r->ctx, request_query(r, "deviceId"), last, r->token_valid_until, &r->ticket);
}
