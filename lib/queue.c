#include "queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "clock.h"
#include "cursor.h"
#include "operation.h"

enum { ID, TYPE, KIND, ENTITY_ID, DATA, MADE_AT, ATTEMPTS, LAST_ERROR, SYNCED_AT, HASH, POLICY, BASE_AT, TOTAL };

enum { PAGE_MAX = 1000 };

/* How much of a queued operation is shown: what the client is told at once, all it is told, or what it asked. */
typedef enum view { VIEW_SHORT, VIEW_WHOLE, VIEW_ASKED } view;

static void write_operation(const PGresult *r, int row, view v, strbuf *out)
{
    const char *data = db_column(r, row, DATA), *error = db_column(r, row, LAST_ERROR);
    strbuf_putc(out, '{');
    json_write_member(out, "id", db_column(r, row, ID));
    json_write_member(out, "type", db_column(r, row, TYPE));
    json_write_member(out, "entity", db_column(r, row, KIND));
    json_write_member(out, "entityId", db_column(r, row, ENTITY_ID));
    if (v != VIEW_SHORT) {
        json_write_name(out, "data");
        strbuf_puts(out, data ? data : "null");
    }
    json_write_instant(out, "timestamp", db_column_int(r, row, MADE_AT, 0));
    json_write_bool(out, "synced", db_column(r, row, SYNCED_AT) != NULL);
    if (v == VIEW_ASKED) {
        if (db_column(r, row, POLICY)) json_write_member(out, "conflictResolution", db_column(r, row, POLICY));
        if (db_column(r, row, BASE_AT)) json_write_instant(out, "baseVersion", db_column_int(r, row, BASE_AT, 0));
    }
    if (v == VIEW_WHOLE) {
        json_write_int(out, "attempts", db_column_int(r, row, ATTEMPTS, 0));
        json_write_member(out, "lastError", error);
    }
    strbuf_putc(out, '}');
}

/* The operation is the whole body, so that its members' paths begin with a dot. */
static rc refuse(call *c, const operation *op)
{
    const char *where = op->where + (*op->where == '.');
    if (!*where) return call_fail(c, op->failed, "the body: %s", op->reason);
    call_detail(c, where, op->reason);
    return call_fail(c, op->failed, "%s: %s", where, op->reason);
}

static rc read_one(call *c, const char *body, size_t len, operation *op, const json_slice **data)
{
    json_fault fault;
    json_slice *parts;
    size_t count;
    if (!operation_read(c->a, c->conf, body, len, "", op, &fault)) return call_bad_json(c, "", &fault);
    if (op->failed != RC_OK) return refuse(c, op);
    if (op->type == OPERATION_DELETE || !json_split(c->a, '{', body, len, SIZE_MAX, &parts, &count, &fault)) return RC_OK;
    for (size_t i = 0; i < count; i++)
        if (strcmp(parts[i].key, "data") == 0) *data = &parts[i];
    return RC_OK;
}

rc queue_add(call *c, const char *body, size_t len, bool *created, strbuf *reply)
{
    operation op;
    const json_slice *data = NULL;
    PGresult *ledger, *added, *stored;
    rc code = read_one(c, body, len, &op, &data);
    if (code != RC_OK) return code;
    db_array ids = db_array_new(c->a, DB_TEXT);
    db_array_text(&ids, op.id);
    db_param user = db_text(c->user), id = db_text(op.id);
    db_param at = op.at == MERGE_NEVER ? db_null() : db_int(c->a, op.at);
    db_param base = op.base == MERGE_NEVER ? db_null() : db_int(c->a, op.base);
    db_param hash = {(const char *)op.hash, sizeof op.hash, true};
    db_param text = data ? db_text(arena_strndup(c->a, data->text, data->len)) : db_null();
    code = DB_RUN(c->db, c->a, DB_BEGIN_WRITE(&user, NULL),
                  {.id = SQL_LEDGER_READ, .params = DB_PARAMS(user, db_array_param(&ids)), .result = &ledger},
                  {.id = SQL_QUEUE_ADD, .result = &added,
                   .params = DB_PARAMS(user, id, at, db_text(op.type_name), db_text(op.kind->name), db_text(op.entity_id), hash, text,
                                       db_text(policy_name(op.policy)), base)},
                  {.id = SQL_QUEUE_GET, .params = DB_PARAMS(user, id), .result = &stored});
    if (code != RC_OK) return code;
    bool reused = !operation_repeats(&op, db_column(stored, 0, HASH)) ||
                  (PQntuples(ledger) > 0 && !operation_repeats(&op, db_column(ledger, 0, 1)));
    *created = PQntuples(added) == 1 && !reused;
    c->committing = *created;
    code = *created ? DB_RUN(c->db, c->a, {.id = SQL_COMMIT}) : call_confirm(c); /* a repeat changes nothing */
    if (code != RC_OK) return code;
    if (reused) return call_fail(c, RC_CONFLICT, "id: this id was used for another operation");
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "operation");
    write_operation(stored, 0, VIEW_SHORT, reply);
    json_write_instant(reply, "serverTime", clock_now());
    strbuf_putc(reply, '}');
    return RC_OK;
}

/* Of rows that were asked for with limit + 1. */
static int shown_of(const PGresult *rows, int64_t limit)
{
    return PQntuples(rows) > limit ? (int)limit : PQntuples(rows);
}

static bool has_more(const PGresult *rows, int shown)
{
    return PQntuples(rows) > 0 && db_column_int(rows, 0, TOTAL, 0) > shown;
}

/* Those that wait behind the position (`at`, `id`), with fewer than `attempts`; one more than `limit`, to tell whether there are. */
static rc list(call *c, int64_t at, const char *id, int64_t attempts, int64_t limit, PGresult **rows)
{
    return db_query(c->db, c->a, c->user, SQL_QUEUE_LIST,
                   DB_PARAMS(db_text(c->user), db_int(c->a, at), db_text(id), db_int(c->a, attempts),
                             db_int(c->a, limit + 1), db_int(c->a, c->conf->body)),
                   rows);
}

rc queue_list(call *c, const char *limit_text, const char *cursor, strbuf *reply)
{
    int64_t limit = PAGE_MAX;
    long long at = CLOCK_MIN;
    const char *id = "";
    PGresult *rows;
    rc code = limit_read(c, limit_text, &limit);
    if (code != RC_OK) return code;
    if (limit > PAGE_MAX) limit = PAGE_MAX;
    if (cursor) {
        int n = 0;
        const char *text = cursor_unwrap(c->a, cursor);
        if (!text || sscanf(text, "q %lld%n", &at, &n) != 1 || text[n] != ' ')
            return call_invalid(c, "cursor", "not one of ours");
        id = text + n + 1;
    }
    code = list(c, at, id, INT32_MAX, limit, &rows);
    if (code != RC_OK) return code;
    int shown = shown_of(rows, limit);
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "operations");
    strbuf_putc(reply, '[');
    for (int i = 0; i < shown; i++) {
        if (i > 0) strbuf_putc(reply, ',');
        write_operation(rows, i, VIEW_WHOLE, reply);
    }
    strbuf_putc(reply, ']');
    const char *last = shown == 0 ? cursor
                                  : cursor_wrap(c->a, arena_printf(c->a, "q %s %s", db_column(rows, shown - 1, MADE_AT),
                                                                   db_column(rows, shown - 1, ID)));
    json_write_member(reply, "cursor", last);
    json_write_bool(reply, "hasMore", has_more(rows, shown));
    strbuf_putc(reply, '}');
    return RC_OK;
}

static rc read_ids(call *c, const char *body, size_t len, db_array *ids)
{
    json_fault fault;
    size_t index;
    json_t *item;
    const json_t *from = json_read(c->a, body, len, (size_t)c->conf->depth, &fault);
    if (!from) return call_bad_json(c, "", &fault);
    const json_t *list = json_object_get(from, "operationIds");
    if (!json_is_array(list)) return call_invalid(c, "operationIds", "must be an array");
    if (json_array_size(list) > (size_t)c->conf->operations)
        return call_fail(c, RC_TOO_LARGE, "operationIds: %zu of them, limits.operations is %lld", json_array_size(list),
                         (long long)c->conf->operations);
    json_array_foreach (list, index, item) {
        if (!json_is_string(item)) return call_invalid(c, arena_printf(c->a, "operationIds[%zu]", index), "must be a string");
        db_array_text(ids, json_string_value(item));
    }
    return RC_OK;
}

rc queue_mark(call *c, const char *body, size_t len, strbuf *reply)
{
    PGresult *rows;
    long long marked = 0, fresh = 0;
    db_array ids = db_array_new(c->a, DB_TEXT);
    db_param user = db_text(c->user);
    strbuf unknown = STRBUF(c->a);
    rc code = read_ids(c, body, len, &ids);
    if (code != RC_OK) return code;
    code = DB_RUN(c->db, c->a, DB_BEGIN_WRITE(&user, NULL),
                  {.id = SQL_QUEUE_MARK, .params = DB_PARAMS(user, db_array_param(&ids)), .result = &rows});
    if (code != RC_OK) return code;
    strbuf_putc(&unknown, '[');
    for (int i = 0; i < PQntuples(rows); i++) {
        bool known = *db_column(rows, i, 1) == 't';
        marked += known;
        fresh += *db_column(rows, i, 2) == 't';
        if (known) continue;
        if (unknown.len > 1) strbuf_putc(&unknown, ',');
        json_write_string(&unknown, db_column(rows, i, 0), strlen(db_column(rows, i, 0)));
    }
    strbuf_putc(&unknown, ']');
    c->committing = fresh > 0;
    code = fresh > 0 ? DB_RUN(c->db, c->a, {.id = SQL_COMMIT}) : call_confirm(c);
    if (code != RC_OK) return code;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_member(reply, "message", arena_printf(c->a, "Marked %lld operations as synced", marked));
    json_write_int(reply, "marked", marked);
    json_write_name(reply, "unknown");
    strbuf_puts(reply, unknown.data);
    json_write_instant(reply, "serverTime", clock_now());
    strbuf_putc(reply, '}');
    return RC_OK;
}

rc queue_clear(call *c, strbuf *reply)
{
    PGresult *r;
    db_param user = db_text(c->user);
    rc code = DB_RUN(c->db, c->a, DB_BEGIN_WRITE(&user, NULL),
                     {.id = SQL_QUEUE_CLEAR, .params = &user, .result = &r});
    if (code != RC_OK) return code;
    int64_t cleared = db_column_int(r, 0, 0, 0);
    c->committing = cleared > 0;
    code = cleared > 0 ? DB_RUN(c->db, c->a, {.id = SQL_COMMIT}) : call_confirm(c);
    if (code != RC_OK) return code;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_member(reply, "message", "Cleared synced operations");
    json_write_int(reply, "cleared", cleared);
    json_write_instant(reply, "serverTime", clock_now());
    strbuf_putc(reply, '}');
    return RC_OK;
}

rc queue_apply(call *c, strbuf *reply)
{
    PGresult *rows;
    int limit = (int)c->conf->operations;
    rc code = list(c, CLOCK_MIN, "", QUEUE_ATTEMPTS, limit, &rows);
    if (code != RC_OK) return code;
    int count = shown_of(rows, limit);
    json_slice *texts = arena_alloc(c->a, (size_t)count * sizeof *texts);
    for (int i = 0; i < count; i++) {
        strbuf text = STRBUF(c->a);
        write_operation(rows, i, VIEW_ASKED, &text);
        texts[i] = (json_slice){.text = text.data, .len = text.len};
    }
    return batch_run_queued(c, texts, (size_t)count, has_more(rows, count), reply);
}
