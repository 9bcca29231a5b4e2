/* Replace the whole library, and restore it from a snapshot. */

#include <string.h>

#include "http/api.h"
#include "sync/full.h"
#include "sync/param.h"
#include "sync/snapshot.h"

/* The cursor in If-Match: quoted as RFC 9110 demands of an entity tag, or bare. */
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
    full_options options = {.if_match = if_match(r), .mode = request_query(r, "mode")};
    rc code = param_flag(&r->ctx, "dryRun", request_query(r, "dryRun"), &options.dry_run);
    if (code != RC_OK) return code;
    return full_run(&r->ctx, r->body, r->body_len, &options, &r->reply);
}

rc api_snapshots(request *r)
{
    return snapshot_list(&r->ctx, &r->reply);
}

rc api_snapshot_restore(request *r)
{
    return snapshot_restore(&r->ctx, r->arguments[0], &r->reply);
}
