/* The published endpoints: from a request to the capability and back. */

#include <string.h>

#include "batch.h"
#include "full.h"
#include "operation.h"
#include "poke.h"
#include "pull.h"
#include "queue.h"
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

/* Only lets the client in: nginx then asks the push process for the stream, with the ticket that stands here (X-Accel-Redirect),
 * and no worker is held. So every refusal is an ordinary reply of ours, where auth_request would make most of them a 500. */
rc api_events(request *r)
{
    const char *cursor, *device = request_query(r, "deviceId"), *last = request_query(r, "lastEventId");
    if (device && (!*device || strlen(device) > 4 * DEVICE_ID_MAX))
        return call_invalid(&r->call, "deviceId", "must have 1 to %d characters", DEVICE_ID_MAX);
    rc code = status_cursor(&r->call, &cursor);
    if (code != RC_OK) return code;
    const char *sent = request_header(r, "HTTP_LAST_EVENT_ID");
    if (sent && *sent) last = sent;
    r->ticket = ticket_write(r->a, poke_write(r->a, r->user, cursor, poke_device(device)), r->user_until, last);
    return RC_OK;
}

/* A cursor in If-Match: quoted as an entity tag should be, or as it is. */
static const char *if_match(const request *r)
{
    const char *text = request_header(r, "HTTP_IF_MATCH");
    if (!text) return NULL;
    if (strncmp(text, "W/", 2) == 0) text += 2;
    size_t len = strlen(text);
    return len >= 2 && *text == '"' && text[len - 1] == '"' ? arena_strndup(r->a, text + 1, len - 2) : text;
}

rc api_full(request *r)
{
    const char *dry_run = request_query(r, "dryRun");
    if (dry_run && strcmp(dry_run, "true") != 0 && strcmp(dry_run, "false") != 0)
        return call_invalid(&r->call, "dryRun", "must be true or false");
    const full_options options = {.dry_run = dry_run && strcmp(dry_run, "true") == 0, .if_match = if_match(r)};
    return full_run(&r->call, r->body, r->body_len, &options, &r->reply);
}

rc api_queue(request *r)
{
    bool created = false;
    rc code = queue_add(&r->call, r->body, r->body_len, &created, &r->reply);
    if (created) r->status = 201;
    return code;
}

rc api_pending(request *r)
{
    return queue_list(&r->call, request_query(r, "limit"), request_query(r, "cursor"), &r->reply);
}

rc api_pending_apply(request *r)
{
    return queue_apply(&r->call, &r->reply);
}

rc api_mark_synced(request *r)
{
    return queue_mark(&r->call, r->body, r->body_len, &r->reply);
}

rc api_clear(request *r)
{
    return queue_clear(&r->call, &r->reply);
}
