#include "sync/envelope.h"

#include <string.h>

#include "sync/param.h"

rc envelope_parse(sync_ctx *ctx, const json_slice *texts, size_t count, envelope *out)
{
    enum { VALUES_MAX = 5 * OPERATION_VALUES_MAX };
    json_fault fault;
    size_t values = 0;
    out->count = count;
    out->ops = arena_alloc(ctx->a, count * sizeof *out->ops);
    out->paths = arena_alloc(ctx->a, count * sizeof *out->paths);
    for (size_t i = 0; i < count; i++) {
        out->paths[i] = arena_printf(ctx->a, "operations[%zu]", i);
        if (!operation_read(ctx->a, ctx->conf, texts[i].text, texts[i].len, out->paths[i], &out->ops[i], &fault))
            return ctx_bad_json(ctx, out->paths[i], &fault);
        int64_t at = out->ops[i].at;
        if (at <= ctx_accepts(ctx) && at > out->latest) out->latest = at;
        values += out->ops[i].values;
        if (values > VALUES_MAX)
            return ctx_fail(ctx, RC_TOO_LARGE, "operations: the first %zu have more than %d JSON values", i + 1,
                            VALUES_MAX);
    }
    return RC_OK;
}

static rc read_operations(sync_ctx *ctx, const json_slice *slice, envelope *out)
{
    json_slice *texts;
    size_t count, limit = (size_t)ctx->conf->operations;
    json_fault fault;
    if (!json_split(ctx->a, '[', slice->text, slice->len, limit, &texts, &count, &fault)) {
        if (fault.kind == JSON_FAULT_COUNT)
            return ctx_fail(ctx, RC_TOO_LARGE, "operations: more than limits.operations, which is %zu", limit);
        return ctx_bad_json(ctx, "operations", &fault);
    }
    return envelope_parse(ctx, texts, count, out);
}

static rc read_member(sync_ctx *ctx, const json_slice *slice, envelope *out)
{
    json_t *value;
    rc code = param_json(ctx, slice->key, slice->text, slice->len, (size_t)ctx->conf->depth, &value);
    if (code != RC_OK || json_is_null(value)) return code;
    if (strcmp(slice->key, "lastSync") == 0 && !json_instant(value, &out->last_sync))
        return ctx_invalid(ctx, "lastSync", "not an RFC 3339 instant or integer milliseconds since 1970");
    if (strcmp(slice->key, "atomic") == 0) {
        if (!json_is_boolean(value)) return ctx_invalid(ctx, "atomic", "must be true or false");
        out->atomic = json_is_true(value);
    }
    return strcmp(slice->key, "deviceId") == 0 ? param_device(ctx, value, &out->device) : RC_OK;
}

rc envelope_read(sync_ctx *ctx, const char *body, size_t len, envelope *out)
{
    enum { MEMBERS_MAX = 1000 };
    json_slice *members;
    size_t count;
    json_fault fault;
    bool seen = false, alone = false;
    if (!json_split(ctx->a, '{', body, len, MEMBERS_MAX, &members, &count, &fault))
        return ctx_bad_json(ctx, "", &fault);
    for (size_t i = 0; i < count; i++) {
        bool operations = strcmp(members[i].key, "operations") == 0;
        rc code = operations ? read_operations(ctx, &members[i], out) : read_member(ctx, &members[i], out);
        if (code != RC_OK) return code;
        seen |= operations;
        alone |= strcmp(members[i].key, "entity") == 0;
    }
    if (seen) return RC_OK;
    return ctx_invalid(ctx, "operations", "is required%s",
                       alone ? "; a single operation stands in a list, too: {\"operations\":[{...}]}" : "");
}
