#include "route.h"

#include <string.h>

const route routes[] = {
    {"operations", "POST", "/operations", true, true, api_operations},
    {"changes", "GET", "/changes", true, false, api_changes},
    {"status", "GET", "/status", true, false, api_status},
    {"health", "GET", "=/api/health", false, false, api_health},
    {0},
};

/* The published document uses the first for its endpoints and the second in its diagnostic commands. */
static const char *const bases[] = {"/api/sync", "/sync", NULL};

static bool matches(const route *row, const char *path)
{
    if (*row->path == '=') return strcmp(row->path + 1, path) == 0;
    for (const char *const *base = bases; *base; base++) {
        size_t len = strlen(*base);
        if (strncmp(path, *base, len) == 0 && strcmp(path + len, row->path) == 0) return true;
    }
    return false;
}

rc route_match(request *r)
{
    for (const route *row = routes; r->path && row->name; row++) {
        if (!matches(row, r->path)) continue;
        if (strcmp(row->method, r->method) == 0) {
            r->route = row;
            return RC_OK;
        }
        r->allow = r->allow ? arena_printf(r->a, "%s, %s", r->allow, row->method) : row->method;
    }
    if (r->allow) return request_fail(r, RC_METHOD_NOT_ALLOWED, "this path answers %s only", r->allow);
    return request_fail(r, RC_NOT_FOUND, "there is no such path");
}
