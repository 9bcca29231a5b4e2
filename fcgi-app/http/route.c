#include "http/route.h"

#include <string.h>

#include "http/api.h"

const route routes[] = {
    {"operations", "POST", "/operations", true, BODY_PLAIN, false, api_operations},
    {"status", "GET", "/status", true, BODY_NONE, false, api_status},
    {"changes", "GET", "/changes", true, BODY_NONE, true, api_changes},
    {"entity", "GET", "/entities/*/*", true, BODY_NONE, false, api_entity},
    {"full", "POST", "/full", true, BODY_FULL, false, api_full},
    {"queue", "POST", "/queue", true, BODY_PLAIN, false, api_queue},
    {"pending", "GET", "/pending", true, BODY_NONE, true, api_pending},
    {"pending_apply", "POST", "/pending/apply", true, BODY_NONE, false, api_pending_apply},
    {"mark_synced", "POST", "/mark-synced", true, BODY_PLAIN, false, api_mark_synced},
    {"clear", "DELETE", "/clear", true, BODY_NONE, false, api_clear},
    {"events", "GET", "/events", true, BODY_NONE, false, api_events},
    {"config", "GET", "/config", false, BODY_NONE, false, api_config},
    {"conflicts", "GET", "/conflicts", true, BODY_NONE, true, api_conflicts},
    {"conflict_resolve", "POST", "/conflicts/*/resolve", true, BODY_PLAIN, false, api_conflict_resolve},
    {"snapshots", "GET", "/snapshots", true, BODY_NONE, false, api_snapshots},
    {"snapshot_restore", "POST", "/snapshots/*/restore", true, BODY_NONE, false, api_snapshot_restore},
    {"digest", "GET", "/digest", true, BODY_NONE, true, api_digest},
    {"export", "GET", "/export", true, BODY_NONE, true, api_export},
    {"account", "DELETE", "/account", true, BODY_NONE, false, api_account},
    {"health", "GET", "+/health", false, BODY_NONE, false, api_health},
    {0},
};

/* The published API description names the first for its endpoints and uses the second in its diagnostic commands. */
static const char *const bases[] = {"/api/sync", "/sync", NULL};
static const char above[] = "/api";

/* Takes the next segment off *pattern (as "/snapshots"); its length is in *len. NULL: there is none left. */
static const char *next_segment(const char **pattern, size_t *len)
{
    if (**pattern != '/') return NULL;
    const char *segment = *pattern + 1;
    *len = strcspn(segment, "/");
    *pattern = segment + *len;
    return segment;
}

/* Whether the segments of the path from `*at` on begin with those of `pattern`; *at then stands behind them. A segment
 * that matches "*" is an argument. */
static bool matches_pattern(request *r, const char *pattern, size_t *at)
{
    const char *segment;
    size_t len, arguments = 0;
    while ((segment = next_segment(&pattern, &len))) {
        if (*at == r->segment_count) return false;
        const char *found = r->segments[(*at)++];
        if (len == 1 && *segment == '*' && *found)
            r->arguments[arguments++] = found;
        else if (strlen(found) != len || memcmp(found, segment, len) != 0)
            return false;
    }
    return true;
}

/* Only a path with arguments is compared by segments, so that an argument may contain a slash. */
static bool matches_below(request *r, const char *base, const char *path)
{
    size_t len = strlen(base), at = 0;
    if (strchr(path, '*'))
        return matches_pattern(r, base, &at) && matches_pattern(r, path, &at) && at == r->segment_count;
    return strncmp(r->path, base, len) == 0 && strcmp(r->path + len, path) == 0;
}

static bool matches_row(request *r, const route *row)
{
    bool is_above = *row->path == '+';
    const char *path = row->path + is_above;
    for (const char *const *base = bases; *base; base++)
        if (matches_below(r, *base, path)) return true;
    return is_above && matches_below(r, above, path);
}

/* HEAD is run as GET; nginx leaves out the body of the reply. */
static const char *routed_method(const char *method)
{
    return strcmp(method, "HEAD") == 0 ? "GET" : method;
}

/* The first segments of all paths. */
static const char *path_names(arena *a)
{
    strbuf out = STRBUF(a);
    const char *before = "";
    for (const route *row = routes; row->name; row++) {
        const char *path = row->path + (*row->path == '+');
        size_t len = 1 + strcspn(path + 1, "/");
        if (strncmp(path, before, len) != 0) strbuf_printf(&out, "%s%.*s", out.len > 0 ? ", " : "", (int)len, path);
        before = path;
    }
    return out.data;
}

rc route_match(request *r)
{
    for (const route *row = routes; r->path && row->name; row++) {
        if (!matches_row(r, row)) continue;
        if (strcmp(row->method, routed_method(r->method)) == 0) {
            r->route = row;
            return RC_OK;
        }
        const char *allowed = strcmp(row->method, "GET") == 0 ? "GET, HEAD" : row->method;
        r->allow = r->allow ? arena_printf(r->a, "%s, %s", r->allow, allowed) : allowed;
    }
    if (r->allow) return request_fail(r, RC_METHOD_NOT_ALLOWED, "this path answers %s only", r->allow);
    return request_fail(r, RC_NOT_FOUND, "there is no such path; below %s there are %s", *bases, path_names(r->a));
}
