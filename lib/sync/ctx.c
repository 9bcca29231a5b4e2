#include "sync/ctx.h"

#include "base/clock.h"

int64_t ctx_accepts(sync_ctx *ctx)
{
    if (ctx->accepts == 0) ctx->accepts = clock_now() + ctx->conf->clock_skew * 1000;
    return ctx->accepts;
}

int64_t ctx_synced_at(const sync_ctx *ctx, bool wrote)
{
    const txn *t = &ctx->txn;
    if (wrote) return t->stamp;
    if (t->previous > 0) return t->previous;
    /* A user without a write. The next one may have an earlier stamp than the one that was rolled back. */
    int64_t now = clock_now();
    return (t->stamp < now ? t->stamp : now) - 1;
}

rc ctx_fail(sync_ctx *ctx, rc code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ctx->message = arena_vprintf(ctx->a, fmt, ap);
    va_end(ap);
    return code;
}

void ctx_detail(sync_ctx *ctx, const char *path, const char *message)
{
    if (ctx->detail_count++ >= CTX_DETAILS) return;
    ctx->details.a = ctx->a;
    strbuf_puts(&ctx->details, ctx->details.len > 0 ? ",{" : "{");
    json_write_member(&ctx->details, "path", path);
    json_write_member(&ctx->details, "message", message);
    strbuf_putc(&ctx->details, '}');
}

rc ctx_invalid(sync_ctx *ctx, const char *path, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *message = arena_vprintf(ctx->a, fmt, ap);
    va_end(ap);
    ctx_detail(ctx, path, message);
    return ctx_fail(ctx, RC_VALIDATION, "%s: %s", path, message);
}

rc ctx_bad_json(sync_ctx *ctx, const char *path, const json_fault *fault)
{
    const char *where = arena_printf(ctx->a, "%s%s", path, fault->path);
    if (*where == '.') where++;
    if (*where == '\0') return ctx_fail(ctx, RC_VALIDATION, "the body: %s", fault->message);
    return ctx_invalid(ctx, where, "%s", fault->message);
}

rc ctx_check_quota(sync_ctx *ctx, const usage *change, const char *what)
{
    usage after = ctx->txn.used;
    usage_add(&after, change, 1);
    if (!usage_exceeds(&ctx->txn.used, &after, ctx->conf)) return RC_OK;
    return ctx_fail(ctx, RC_QUOTA, "%s: %s", what, usage_excess(ctx->a, &ctx->txn.used, &after, ctx->conf));
}
