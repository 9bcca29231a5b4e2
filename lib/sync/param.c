#include "sync/param.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kind.h"
#include "engine/operation.h"

rc param_json(sync_ctx *ctx, const char *path, const char *text, size_t len, size_t depth, json_t **out)
{
    json_fault fault;
    const char *what = *path ? path : "the body";
    if (json_count_values(text, len) > OPERATION_VALUES_MAX)
        return ctx_fail(ctx, RC_TOO_LARGE, "%s: more than %d JSON values", what, OPERATION_VALUES_MAX);
    *out = json_read(ctx->a, text, len, depth, &fault);
    return *out ? RC_OK : ctx_bad_json(ctx, path, &fault);
}

rc param_number(sync_ctx *ctx, const char *name, const char *text, int64_t max, int64_t *out)
{
    char *end;
    if (!text) return RC_OK;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (!*text || *end || errno || number < 1 || number > max)
        return ctx_invalid(ctx, name, "must be a whole number from 1 to %lld", (long long)max);
    *out = number;
    return RC_OK;
}

rc param_limit(sync_ctx *ctx, const char *text, int64_t *limit)
{
    return param_number(ctx, "limit", text, LIMIT_MAX, limit);
}

rc param_flag(sync_ctx *ctx, const char *name, const char *text, bool *flag)
{
    if (!text) return RC_OK;
    *flag = strcmp(text, "true") == 0;
    return *flag || strcmp(text, "false") == 0 ? RC_OK : ctx_invalid(ctx, name, "must be true or false");
}

rc param_unknown_kind(sync_ctx *ctx, const char *name, const char *found, size_t len)
{
    enum { SHOWN = 32 };
    size_t plain = strspn(found, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    bool shown = len > 0 && len <= SHOWN && plain >= len; /* a message repeats no odd text */
    return ctx_invalid(ctx, name, "%s; the kinds are %s",
                       shown ? arena_printf(ctx->a, "unknown kind \"%.*s\"", (int)len, found) : "not a kind",
                       kind_names(ctx->a));
}

rc param_device(sync_ctx *ctx, const json_t *value, const char **device)
{
    size_t length = json_is_string(value) ? json_characters(json_string_value(value), json_string_length(value)) : 0;
    if (length < 1 || length > DEVICE_ID_MAX)
        return ctx_invalid(ctx, "deviceId", "must be a string of 1 to %d characters", DEVICE_ID_MAX);
    *device = json_string_value(value);
    return RC_OK;
}
