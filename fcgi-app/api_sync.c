/* The published endpoints: from a request to the capability and back. */

#include <string.h>

#include "batch.h"
#include "full.h"
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
