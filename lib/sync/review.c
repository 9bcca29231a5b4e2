#include "sync/review.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "engine/cursor.h"
#include "store/query.h"
#include "sync/param.h"

static const char *id_of(arena *a, const conflict_row *row)
{
    return arena_printf(a, "%lld-%d", (long long)row->stamp, row->number);
}

void review_write(const conflict_row *row, const char *resolution, strbuf *out)
{
    strbuf_putc(out, '{');
    json_write_member(out, "id", id_of(out->a, row));
    json_write_member(out, "entity", row->kind);
    json_write_member(out, "entityId", row->entity_id);
    if (row->other_id) json_write_member(out, "otherId", row->other_id);
    json_write_member(out, "reason", row->reason);
    json_write_member(out, "status", resolution ? "resolved" : row->status);
    json_write_member(out, "resolution", resolution ? resolution : row->resolution);
    json_write_member(out, "operationId", row->operation_id);
    json_write_member(out, "deviceId", row->device);
    json_write_raw(out, "localData", row->local_data);
    json_write_raw(out, "serverData", row->server_data);
    json_write_instant_unless(out, "localTimestamp", row->local_at, MERGE_NEVER);
    json_write_instant_unless(out, "serverTimestamp", row->server_at, MERGE_NEVER);
    json_write_instant(out, "createdAt", row->stamp);
    strbuf_putc(out, '}');
}

bool review_read_id(const char *text, int64_t *stamp, int *number)
{
    long long a;
    int b, used = 0;
    if (sscanf(text, "%lld-%d%n", &a, &b, &used) != 2 || text[used] || a < 0 || b < 0 || b == INT32_MAX) return false;
    *stamp = a;
    *number = b;
    return true;
}

static rc read_cursor(sync_ctx *ctx, const char *cursor, int64_t *stamp, int *number)
{
    const char *text = cursor ? cursor_unwrap(ctx->a, cursor) : NULL;
    if (!cursor || (text && *text == 'c' && review_read_id(text + 1, stamp, number))) return RC_OK;
    return ctx_invalid(ctx, "cursor", "not one of ours");
}

rc review_list(sync_ctx *ctx, const review_query *q, strbuf *reply)
{
    enum { LIMIT = 100, LIMIT_MOST = 1000 }; /* a page is built in memory; limits.body bounds its bytes */
    int64_t limit = LIMIT, stamp = INT64_MAX;
    int number = INT32_MAX;
    PGresult *rows;
    rc code = param_limit(ctx, q->limit, &limit);
    if (code != RC_OK) return code;
    if (limit > LIMIT_MOST) limit = LIMIT_MOST;
    if (q->status && strcmp(q->status, "open") != 0 && strcmp(q->status, "resolved") != 0)
        return ctx_invalid(ctx, "status", "must be open or resolved");
    if ((code = read_cursor(ctx, q->cursor, &stamp, &number)) != RC_OK) return code;
    code = query_one(ctx->db, ctx->a, ctx->user, SQL_CONFLICTS_LIST,
                     DB_PARAMS(db_text(ctx->user), db_text(q->status), db_int(ctx->a, stamp), db_int(ctx->a, number),
                               db_int(ctx->a, limit + 1), db_int(ctx->a, ctx->conf->body)),
                     &rows);
    if (code != RC_OK) return code;
    const char *cursor = q->cursor;
    int count = PQntuples(rows), shown = count > limit ? (int)limit : count;
    bool more = count > 0 && db_column_int(rows, 0, COL_CONFLICT_TOTAL, 0) > shown;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "conflicts");
    strbuf_putc(reply, '[');
    for (int i = 0; i < shown; i++) {
        const conflict_row row = rows_conflict(rows, i);
        if (i > 0) strbuf_putc(reply, ',');
        review_write(&row, NULL, reply);
        if (i == shown - 1) cursor = cursor_wrap(ctx->a, arena_printf(ctx->a, "c%s", id_of(ctx->a, &row)));
    }
    strbuf_putc(reply, ']');
    json_write_member(reply, "cursor", cursor);
    json_write_bool(reply, "hasMore", more);
    strbuf_putc(reply, '}');
    return RC_OK;
}
