#include "route.h"

#include <string.h>

const route routes[] = {
    {"operations", "POST", "/operations", true, BODY_PLAIN, false, api_operations},
    {"status", "GET", "/status", true, BODY_NONE, false, api_status},
    {"changes", "GET", "/changes", true, BODY_NONE, true, api_changes},
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
    {"health", "GET", "=/api/health", false, BODY_NONE, false, api_health},
    {0},
};

/* The published document uses the first for its endpoints and the second in its diagnostic commands. */
static const char *const bases[] = {"/api/sync", "/sync", NULL};

/* Whether `path` is `pattern`; *argument becomes the segment that stands for its "*", if it has one. */
static bool fits(arena *a, const char *pattern, const char *path, const char **argument)
{
    size_t before = strcspn(pattern, "*");
    if (!pattern[before]) return strcmp(pattern, path) == 0;
    if (strncmp(pattern, path, before) != 0) return false;
    size_t len = strcspn(path + before, "/");
    if (len == 0 || strcmp(pattern + before + 1, path + before + len) != 0) return false;
    *argument = arena_strndup(a, path + before, len);
    return true;
}

static bool matches(request *r, const route *row)
{
    if (*row->path == '=') return strcmp(row->path + 1, r->path) == 0;
    for (const char *const *base = bases; *base; base++) {
        size_t len = strlen(*base);
        if (strncmp(r->path, *base, len) == 0 && fits(r->a, row->path, r->path + len, &r->argument)) return true;
    }
    return false;
}

/* HEAD is a GET whose body nginx leaves out. */
static const char *method_name(const char *sent)
{
    return strcmp(sent, "HEAD") == 0 ? "GET" : sent;
}

rc route_match(request *r)
{
    for (const route *row = routes; r->path && row->name; row++) {
        if (!matches(r, row)) continue;
        if (strcmp(row->method, method_name(r->method)) == 0) {
            r->route = row;
            return RC_OK;
        }
        const char *method = strcmp(row->method, "GET") == 0 ? "GET, HEAD" : row->method;
        r->allow = r->allow ? arena_printf(r->a, "%s, %s", r->allow, method) : method;
    }
    if (r->allow) return request_fail(r, RC_METHOD_NOT_ALLOWED, "this path answers %s only", r->allow);
    return request_fail(r, RC_NOT_FOUND, "there is no such path");
}
