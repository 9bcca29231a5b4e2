#include "sync/status.h"

#include "base/clock.h"
#include "base/json.h"
#include "store/query.h"

/* NULL: none, or not known. */
static void write_number(strbuf *reply, const char *name, bool known, int64_t value)
{
    if (known)
        json_write_int(reply, name, value);
    else
        json_write_raw(reply, name, "null");
}

/* Not counted yet: the user has written nothing since an upgrade from a version without quotas. */
static void write_usage(const sync_ctx *ctx, const PGresult *r, strbuf *reply)
{
    const conf *c = ctx->conf;
    bool counted = !db_column(r, 0, COL_STATUS_CLOCK) || db_column(r, 0, COL_STATUS_BYTES);
    json_write_name(reply, "usage");
    strbuf_putc(reply, '{');
    write_number(reply, "entities", counted, db_column_int(r, 0, COL_STATUS_ENTITIES, 0));
    write_number(reply, "bytes", counted, db_column_int(r, 0, COL_STATUS_BYTES, 0));
    write_number(reply, "hidden", counted, db_column_int(r, 0, COL_STATUS_HIDDEN, 0));
    json_write_name(reply, "quota");
    strbuf_putc(reply, '{');
    write_number(reply, "entities", c->quota_entities > 0, c->quota_entities);
    write_number(reply, "bytes", c->quota_bytes > 0, c->quota_bytes);
    write_number(reply, "hidden", c->quota_hidden > 0, c->quota_hidden);
    strbuf_puts(reply, "}}");
}

rc status_run(sync_ctx *ctx, strbuf *reply)
{
    PGresult *r;
    rc code = query_one(ctx->db, ctx->a, ctx->user, SQL_STATUS, DB_PARAMS(db_text(ctx->user)), &r);
    if (code != RC_OK) return code;
    char text[CLOCK_TEXT];
    int64_t clock = db_column_int(r, 0, COL_STATUS_CLOCK, INT64_MIN);
    const char *last = clock == INT64_MIN ? NULL : clock_format(clock, text);
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_member(reply, "status", db_column_int(r, 0, COL_STATUS_REVIEW, 0) > 0 ? "error" : "ready");
    json_write_member(reply, "lastSync", last);
    json_write_member(reply, "lastSyncTime", last); /* the name that clients in the field read */
    json_write_int(reply, "pendingOperations", db_column_int(r, 0, COL_STATUS_WAITING, 0));
    json_write_int(reply, "conflicts", db_column_int(r, 0, COL_STATUS_OPEN, 0));
    write_usage(ctx, r, reply);
    strbuf_putc(reply, '}');
    return RC_OK;
}

rc status_health(sync_ctx *ctx, strbuf *reply)
{
    rc code = DB_RUN(ctx->db, ctx->a, {.id = SQL_PING});
    if (code != RC_OK) return ctx_fail(ctx, code, "the database does not answer");
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_member(reply, "status", "ok");
    json_write_member(reply, "database", "ok");
    json_write_instant(reply, "serverTime", clock_now());
    strbuf_putc(reply, '}');
    return RC_OK;
}
