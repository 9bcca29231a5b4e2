#include "sync/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/cursor.h"
#include "engine/operation.h"
#include "engine/usage.h"
#include "store/query.h"
#include "store/rows.h"
#include "sync/batch.h"
#include "sync/param.h"

enum { PAGE_MAX = 1000 };

/* Which members of a queued operation are written: those of the reply to POST /queue, those of GET /pending, or those
 * of the operation as the client sent it. */
typedef enum view { VIEW_SHORT, VIEW_WHOLE, VIEW_ASKED } view;

static void write_operation(const queue_row *row, view v, strbuf *out)
{
    strbuf_putc(out, '{');
    json_write_member(out, "id", row->id);
    json_write_member(out, "type", row->type);
    json_write_member(out, "entity", row->kind);
    json_write_member(out, "entityId", row->entity_id);
    if (v != VIEW_SHORT) json_write_raw(out, "data", row->data);
    json_write_instant(out, "timestamp", row->made_at);
    json_write_bool(out, "synced", row->synced);
    if (v == VIEW_ASKED) {
        if (row->policy) json_write_member(out, "conflictResolution", row->policy);
        if (row->base_at != MERGE_NEVER) json_write_instant(out, "baseVersion", row->base_at);
    }
    if (v == VIEW_WHOLE) {
        json_write_int(out, "attempts", row->attempts);
        json_write_member(out, "lastError", row->last_error);
    }
    strbuf_putc(out, '}');
}

/* The operation is the whole body, so the paths of its members begin with a dot. */
static rc refuse(sync_ctx *ctx, const operation *op)
{
    const char *where = op->where + (*op->where == '.');
    if (!*where) return ctx_fail(ctx, op->failed, "the body: %s", op->reason);
    ctx_detail(ctx, where, op->reason);
    return ctx_fail(ctx, op->failed, "%s: %s", where, op->reason);
}

static rc read_one(sync_ctx *ctx, const char *body, size_t len, operation *op, const json_slice **data)
{
    json_fault fault;
    json_slice *parts;
    size_t count;
    if (!operation_read(ctx->a, ctx->conf, body, len, "", op, &fault)) return ctx_bad_json(ctx, "", &fault);
    if (op->failed != RC_OK || !operation_settle(ctx->a, op, NULL)) return refuse(ctx, op);
    if (op->type == OPERATION_DELETE || !json_split(ctx->a, '{', body, len, SIZE_MAX, &parts, &count, &fault))
        return RC_OK;
    for (size_t i = 0; i < count; i++)
        if (strcmp(parts[i].key, "data") == 0) *data = &parts[i];
    return RC_OK;
}

/* Counts an operation that was added to the queue. One that was processed before does not wait there. */
static rc check_quota(sync_ctx *ctx, const operation *op, const char *data, bool synced)
{
    txn *t = &ctx->txn;
    const usage waits = {.bytes = (int64_t)(USAGE_QUEUED + (data ? strlen(data) : 0))};
    const usage size = synced ? (usage){.hidden = USAGE_QUEUED} : waits;
    if (t->counted)
        usage_add(&t->used, &size, -1); /* the row was there when the user was counted */
    else
        usage_add(&t->change, &size, 1);
    return op->type == OPERATION_DELETE ? RC_OK : ctx_check_quota(ctx, &size, "the operation is not queued");
}

rc queue_add(sync_ctx *ctx, const char *body, size_t len, bool *created, strbuf *reply)
{
    operation op;
    const json_slice *data = NULL;
    PGresult *ledger, *added, *stored;
    rc code = read_one(ctx, body, len, &op, &data);
    if (code != RC_OK) return code;
    db_array ids = db_array_new(ctx->a, DB_TEXT);
    db_array_text(&ids, op.id);
    db_param user = db_text(ctx->user);
    const char *text = data ? arena_strndup(ctx->a, data->text, data->len) : NULL;
    const db_param *known = DB_PARAMS(user, db_array_param(&ids), db_int(ctx->a, 0)); /* without the result */
    code = CTX_BEGIN(ctx, {.id = SQL_LEDGER_READ, .params = known, .result = &ledger},
                     {.id = SQL_QUEUE_ADD, .params = rows_queue_add(ctx->a, ctx->user, &op, text), .result = &added},
                     {.id = SQL_QUEUE_GET, .params = DB_PARAMS(user, db_text(op.id)), .result = &stored});
    if (code != RC_OK) return code;
    const queue_row row = rows_queue(stored, 0);
    bool reused = !operation_repeats(&op, row.hash) ||
                  (PQntuples(ledger) > 0 && !operation_repeats(&op, rows_ledger(ledger, 0).hash));
    *created = PQntuples(added) == 1 && !reused;
    if (*created) code = check_quota(ctx, &op, text, row.synced);
    if (code != RC_OK) return txn_rollback(&ctx->txn, code);
    code = *created ? txn_commit(&ctx->txn) : txn_rollback_durable(&ctx->txn); /* a repeat changes nothing */
    if (code != RC_OK) return code;
    if (reused) return ctx_fail(ctx, RC_CONFLICT, "id: this id was used for another operation");
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "operation");
    write_operation(&row, VIEW_SHORT, reply);
    json_write_instant(reply, "serverTime", clock_now());
    strbuf_putc(reply, '}');
    return RC_OK;
}

/* How many of the rows are shown; the statement asked for limit + 1. */
static int shown_of(const PGresult *rows, int64_t limit)
{
    return PQntuples(rows) > limit ? (int)limit : PQntuples(rows);
}

static bool has_more(const PGresult *rows, int shown)
{
    return PQntuples(rows) > 0 && db_column_int(rows, 0, COL_QUEUE_TOTAL, 0) > shown;
}

/* The operations that wait behind the position (`at`, `id`), with fewer than `attempts`: one more than `limit`, to tell
 * whether there are more. */
static rc list(sync_ctx *ctx, int64_t at, const char *id, int64_t attempts, int64_t limit, PGresult **rows)
{
    return query_one(ctx->db, ctx->a, ctx->user, SQL_QUEUE_LIST,
                     DB_PARAMS(db_text(ctx->user), db_int(ctx->a, at), db_text(id), db_int(ctx->a, attempts),
                               db_int(ctx->a, limit + 1), db_int(ctx->a, ctx->conf->body)),
                     rows);
}

/* The position after a row: its timestamp and id. */
static const char *write_cursor(arena *a, const PGresult *rows, int row)
{
    const queue_row last = rows_queue(rows, row);
    return cursor_wrap(a, arena_printf(a, "q %lld %s", (long long)last.made_at, last.id));
}

rc queue_list(sync_ctx *ctx, const char *limit_text, const char *cursor, strbuf *reply)
{
    int64_t limit = PAGE_MAX;
    long long at = CLOCK_MIN;
    const char *id = "";
    PGresult *rows;
    rc code = param_limit(ctx, limit_text, &limit);
    if (code != RC_OK) return code;
    if (limit > PAGE_MAX) limit = PAGE_MAX;
    if (cursor) {
        int n = 0;
        const char *text = cursor_unwrap(ctx->a, cursor);
        if (!text || sscanf(text, "q %lld%n", &at, &n) != 1 || text[n] != ' ')
            return ctx_invalid(ctx, "cursor", "not one of ours");
        id = text + n + 1;
    }
    code = list(ctx, at, id, INT32_MAX, limit, &rows);
    if (code != RC_OK) return code;
    int shown = shown_of(rows, limit);
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "operations");
    strbuf_putc(reply, '[');
    for (int i = 0; i < shown; i++) {
        if (i > 0) strbuf_putc(reply, ',');
        const queue_row row = rows_queue(rows, i);
        write_operation(&row, VIEW_WHOLE, reply);
    }
    strbuf_putc(reply, ']');
    json_write_member(reply, "cursor", shown > 0 ? write_cursor(ctx->a, rows, shown - 1) : cursor);
    json_write_bool(reply, "hasMore", has_more(rows, shown));
    strbuf_putc(reply, '}');
    return RC_OK;
}

static rc read_ids(sync_ctx *ctx, const char *body, size_t len, db_array *ids)
{
    size_t index;
    json_t *item, *from;
    rc code = param_json(ctx, "", body, len, (size_t)ctx->conf->depth, &from);
    if (code != RC_OK) return code;
    const json_t *list = json_object_get(from, "operationIds");
    if (!json_is_array(list))
        return ctx_invalid(ctx, "operationIds", list ? "must be an array" : "is required: an array of ids");
    if (json_array_size(list) > (size_t)ctx->conf->operations)
        return ctx_fail(ctx, RC_TOO_LARGE, "operationIds: %zu of them, limits.operations is %lld",
                        json_array_size(list), (long long)ctx->conf->operations);
    json_array_foreach(list, index, item)
    {
        if (!json_is_string(item))
            return ctx_invalid(ctx, arena_printf(ctx->a, "operationIds[%zu]", index), "must be a string");
        db_array_text(ids, json_string_value(item));
    }
    return RC_OK;
}

rc queue_mark(sync_ctx *ctx, const char *body, size_t len, strbuf *reply)
{
    PGresult *rows;
    long long marked = 0, changed = 0;
    db_array ids = db_array_new(ctx->a, DB_TEXT);
    strbuf unknown = STRBUF(ctx->a);
    rc code = read_ids(ctx, body, len, &ids);
    if (code != RC_OK) return code;
    const db_param *params = DB_PARAMS(db_text(ctx->user), db_array_param(&ids));
    code = CTX_BEGIN(ctx, {.id = SQL_QUEUE_MARK, .params = params, .result = &rows});
    if (code != RC_OK) return code;
    strbuf_putc(&unknown, '[');
    for (int i = 0; i < PQntuples(rows); i++) {
        const char *id = db_column(rows, i, COL_MARKED_ID);
        bool known = db_column_bool(rows, i, COL_MARKED_KNOWN);
        marked += known;
        changed += db_column_bool(rows, i, COL_MARKED_NOW);
        if (known) continue;
        if (unknown.len > 1) strbuf_putc(&unknown, ',');
        json_write_string(&unknown, id, strlen(id));
    }
    strbuf_putc(&unknown, ']');
    code = changed > 0 ? txn_commit(&ctx->txn) : txn_rollback_durable(&ctx->txn);
    if (code != RC_OK) return code;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_member(reply, "message", arena_printf(ctx->a, "Marked %lld operations as synced", marked));
    json_write_int(reply, "marked", marked);
    json_write_raw(reply, "unknown", unknown.data);
    json_write_instant(reply, "serverTime", clock_now());
    strbuf_putc(reply, '}');
    return RC_OK;
}

rc queue_clear(sync_ctx *ctx, strbuf *reply)
{
    PGresult *r;
    rc code = CTX_BEGIN(ctx, {.id = SQL_QUEUE_CLEAR, .params = DB_PARAMS(db_text(ctx->user)), .result = &r});
    if (code != RC_OK) return code;
    int64_t cleared = db_column_int(r, 0, COL_CLEARED_COUNT, 0);
    code = cleared > 0 ? txn_commit(&ctx->txn) : txn_rollback_durable(&ctx->txn);
    if (code != RC_OK) return code;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_member(reply, "message", "Cleared synced operations");
    json_write_int(reply, "cleared", cleared);
    json_write_instant(reply, "serverTime", clock_now());
    strbuf_putc(reply, '}');
    return RC_OK;
}

rc queue_apply(sync_ctx *ctx, strbuf *reply)
{
    PGresult *rows;
    int limit = (int)ctx->conf->operations;
    rc code = list(ctx, CLOCK_MIN, "", QUEUE_ATTEMPTS, limit, &rows);
    if (code != RC_OK) return code;
    int count = shown_of(rows, limit);
    json_slice *texts = arena_alloc(ctx->a, (size_t)count * sizeof *texts);
    for (int i = 0; i < count; i++) {
        strbuf text = STRBUF(ctx->a);
        const queue_row row = rows_queue(rows, i);
        write_operation(&row, VIEW_ASKED, &text);
        texts[i] = (json_slice){.text = text.data, .len = text.len};
    }
    return batch_run_queued(ctx, texts, (size_t)count, has_more(rows, count), reply);
}
