#include "review.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "cursor.h"
#include "operation.h"
#include "resolve.h"

enum { STAMP, N, KIND, ENTITY_ID, OTHER_ID, REASON, STATUS, RESOLUTION, OPERATION_ID, DEVICE, LOCAL_AT, SERVER_AT,
       RESOLVED_AT, LOCAL_DATA, SERVER_DATA };

static void write_raw(strbuf *out, const char *name, const char *json)
{
    json_write_name(out, name);
    strbuf_puts(out, json ? json : "null");
}

static void write_instant(strbuf *out, const char *name, const PGresult *r, int row, int column)
{
    int64_t at = db_column_int(r, row, column, MERGE_NEVER);
    if (at == MERGE_NEVER) json_write_member(out, name, NULL);
    else json_write_instant(out, name, at);
}

/* `resolution`: of a conflict that was resolved since the row was read, or NULL. */
static void write_conflict(const PGresult *r, int row, const char *resolution, strbuf *out)
{
    strbuf_putc(out, '{');
    json_write_member(out, "id", arena_printf(out->a, "%s-%s", db_column(r, row, STAMP), db_column(r, row, N)));
    json_write_member(out, "entity", db_column(r, row, KIND));
    json_write_member(out, "entityId", db_column(r, row, ENTITY_ID));
    if (db_column(r, row, OTHER_ID)) json_write_member(out, "otherId", db_column(r, row, OTHER_ID));
    json_write_member(out, "reason", db_column(r, row, REASON));
    json_write_member(out, "status", resolution ? "resolved" : db_column(r, row, STATUS));
    json_write_member(out, "resolution", resolution ? resolution : db_column(r, row, RESOLUTION));
    json_write_member(out, "operationId", db_column(r, row, OPERATION_ID));
    json_write_member(out, "deviceId", db_column(r, row, DEVICE));
    write_raw(out, "localData", db_column(r, row, LOCAL_DATA));
    write_raw(out, "serverData", db_column(r, row, SERVER_DATA));
    write_instant(out, "localTimestamp", r, row, LOCAL_AT);
    write_instant(out, "serverTimestamp", r, row, SERVER_AT);
    write_instant(out, "createdAt", r, row, STAMP);
    strbuf_putc(out, '}');
}

static bool read_id(const char *text, int64_t *stamp, int *n)
{
    long long a;
    int b, used = 0;
    if (sscanf(text, "%lld-%d%n", &a, &b, &used) != 2 || text[used] || a < 0 || b < 0 || b == INT32_MAX) return false;
    *stamp = a;
    *n = b;
    return true;
}

rc review_list(call *c, const review_query *q, strbuf *reply)
{
    enum { LIMIT = 100, LIMIT_MOST = 1000 }; /* both sides of a conflict can be large, and a page is built in memory */
    int64_t limit = LIMIT, stamp = INT64_MAX;
    int n = INT32_MAX;
    PGresult *rows;
    rc code = limit_read(c, q->limit, &limit);
    if (code != RC_OK) return code;
    if (limit > LIMIT_MOST) limit = LIMIT_MOST;
    if (q->status && strcmp(q->status, "open") != 0 && strcmp(q->status, "resolved") != 0)
        return call_invalid(c, "status", "must be open or resolved");
    if (q->cursor) {
        const char *text = cursor_unwrap(c->a, q->cursor);
        if (!text || *text != 'c' || !read_id(text + 1, &stamp, &n))
            return call_invalid(c, "cursor", "not one of ours");
    }
    code = db_query(c->db, c->a, c->user, SQL_CONFLICTS_LIST,
                   DB_PARAMS(db_text(c->user), db_text(q->status), db_int(c->a, stamp), db_int(c->a, n), db_int(c->a, limit + 1)),
                   &rows);
    if (code != RC_OK) return code;
    int count = PQntuples(rows), shown = count > limit ? (int)limit : count;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "conflicts");
    strbuf_putc(reply, '[');
    for (int i = 0; i < shown; i++) {
        if (i > 0) strbuf_putc(reply, ',');
        write_conflict(rows, i, NULL, reply);
    }
    strbuf_putc(reply, ']');
    const char *last = q->cursor;
    if (shown > 0)
        last = cursor_wrap(c->a, arena_printf(c->a, "c%s-%s", db_column(rows, shown - 1, STAMP), db_column(rows, shown - 1, N)));
    json_write_member(reply, "cursor", last);
    json_write_bool(reply, "hasMore", count > shown);
    strbuf_putc(reply, '}');
    return RC_OK;
}

/* Resolving */

typedef enum choice { KEEP_LOCAL, KEEP_SERVER, MERGE } choice;

typedef struct decision {
    call *c;
    choice choice;
    json_t *merged;      /* MERGE */
    int64_t base;        /* the version the person looked at, or MERGE_NEVER: that of the conflict */
    const char *device;
    int64_t epoch, stamp; /* of the clock in this transaction */
    const PGresult *row; /* the conflict */
    resolver r;
    entity *e, *other; /* `other`: NULL unless two entities are in each other's way */
} decision;

static rc read_decision(decision *d, const char *body, size_t len)
{
    static const char *const choices[] = {"keep_local", "keep_server", "merge"};
    call *c = d->c;
    json_fault fault;
    const json_t *from = json_read(c->a, body, len, (size_t)c->conf->depth + 1, &fault);
    if (!from) return call_bad_json(c, "", &fault);
    const json_t *value = json_object_get(from, "resolution"), *base = json_object_get(from, "baseVersion");
    const json_t *device = json_object_get(from, "deviceId");
    int found = -1;
    for (int i = 0; i < 3; i++)
        if (json_is_string(value) && strcmp(json_string_value(value), choices[i]) == 0) found = i;
    if (found < 0) return call_invalid(c, "resolution", "must be one of keep_local, keep_server, merge");
    d->choice = (choice)found;
    d->merged = json_object_get(from, "mergedData");
    if (d->choice == MERGE && !json_is_object(d->merged))
        return call_invalid(c, "mergedData", "must be an object when resolution is merge");
    if (base && !json_is_null(base) && !json_instant(base, &d->base))
        return call_invalid(c, "baseVersion", "not an RFC 3339 instant or integer milliseconds since 1970");
    return device && !json_is_null(device) ? device_read(c, device, &d->device) : RC_OK;
}

static void drop(json_t *data)
{
    json_object_del(data, "id");
    json_object_del(data, "createdAt");
    json_object_del(data, "updatedAt");
}

/* Applies an edit of the person's, now. */
static rc edit(decision *d, entity *e, operation_type type, json_t *data)
{
    call *c = d->c;
    outcome out = {0};
    if (!data) data = json_new_object(c->a);
    strbuf text = STRBUF(c->a);
    json_write(&text, data);
    const operation op = {.type = type, .kind = e->kind, .stored_id = e->id, .entity_id = e->id, .data = data,
                          .at = MERGE_NEVER, .created_at = MERGE_NEVER, .base = MERGE_NEVER, .policy = POLICY_LOCAL,
                          .size = text.len};
    resolve_operation(&d->r, &op, 0, "", &out);
    e->dirty = true;
    if (out.status != OUTCOME_FAILED) return RC_OK;
    return call_fail(c, out.failed, "the entity would be larger than limits.entity, which is %lld bytes",
                     (long long)c->conf->entity);
}

static rc edit_merged(decision *d)
{
    call *c = d->c;
    const kind *k = d->e->kind;
    const char *path = "";
    const json_t *id = json_object_get(d->merged, "id");
    if (id && !k->fixed_id && !(json_is_string(id) && strcmp(json_string_value(id), d->e->id) == 0))
        return call_invalid(c, "mergedData.id", "must be that of the entity");
    drop(d->merged);
    const char *message = kind_check(c->a, k, d->merged, false, &path);
    if (message) return call_invalid(c, arena_printf(c->a, "mergedData%s", path), "%s", message);
    return edit(d, d->e, OPERATION_UPDATE, d->merged);
}

static rc decide(decision *d)
{
    call *c = d->c;
    json_fault fault;
    const char *local = db_column(d->row, 0, LOCAL_DATA), *reason = db_column(d->row, 0, REASON);
    if (d->choice == MERGE) return edit_merged(d);
    bool names = strcmp(reason, "same_name") == 0;
    bool no_server_side = strcmp(reason, "incomplete") == 0 || strcmp(reason, "beyond_horizon") == 0;
    d->e->dirty = true; /* a new version in any case, so that a device whose edit is refused learns of it */
    if (d->choice == KEEP_SERVER && (names || no_server_side))
        return edit(d, d->e, OPERATION_DELETE, NULL); /* what the server had before the edit was another one, or none */
    if (d->choice == KEEP_SERVER) return RC_OK;
    if (names) return d->other ? edit(d, d->other, OPERATION_DELETE, NULL) : RC_OK;
    if (!local) return edit(d, d->e, OPERATION_DELETE, NULL); /* the edit was a deletion */
    return edit(d, d->e, OPERATION_UPDATE, json_read(c->a, local, strlen(local), SIZE_MAX, &fault));
}

/* An incomplete entity is not settled by a decision that leaves it incomplete: no pull would show it, and nobody ask again. */
static rc check_complete(const decision *d)
{
    strbuf missing = STRBUF(d->c->a);
    if (strcmp(db_column(d->row, 0, REASON), "incomplete") != 0 || d->e->status != ENTITY_INCOMPLETE) return RC_OK;
    for (const field *f = d->e->kind->fields; f->name; f++)
        if (f->required && !merge_has(d->e->state, f->name)) strbuf_printf(&missing, "%s%s", missing.len ? ", " : "", f->name);
    return call_invalid(d->c, d->choice == MERGE ? "mergedData" : "resolution",
                        "%s would still be missing; merge with it, or keep_server to drop the entity", missing.data);
}

static rc check_moved(const decision *d, const PGresult *row)
{
    int64_t since = db_column_int(row, 0, STAMP, 0);
    bool moved = d->e->updated_at > since || (d->other && d->other->updated_at > since);
    if (d->base != MERGE_NEVER) moved = d->e->updated_at != d->base;
    if (!moved) return RC_OK;
    char now[CLOCK_TEXT];
    return call_fail(d->c, RC_CONFLICT, "the entity has moved on since; look at it and send its updatedAt, %s, as baseVersion",
                     clock_format(d->e->updated_at, now));
}

/* Whether the decision that was taken is this one; two merges can be of different data. */
static bool is_repeat(const decision *d, const char *resolution, const char *before)
{
    if (strcmp(before, resolution) != 0) return false;
    if (d->choice != MERGE) return true;
    drop(d->merged);
    return merge_apply(d->e->state, &(merge_edit){MERGE_PATCH, d->merged, merge_next(d->e->state)}, true).differing == 0;
}

static void write_reply(const decision *d, const char *resolution, strbuf *reply)
{
    int64_t updated_at = d->e->dirty ? d->stamp : d->e->updated_at;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "conflict");
    write_conflict(d->row, 0, resolution, reply);
    json_write_instant(reply, "updatedAt", updated_at);
    if (d->e->status == ENTITY_DELETED) json_write_bool(reply, "deleted", true);
    json_write_name(reply, "data");
    if (d->e->status == ENTITY_ABSENT) strbuf_puts(reply, "null");
    else entity_write(d->e, d->stamp, reply);
    json_write_instant(reply, "serverTime", clock_now());
    strbuf_putc(reply, '}');
}

static rc store(decision *d, const char *resolution)
{
    call *c = d->c;
    PGresult *ignored;
    int statements = 3;
    db_param user = db_text(c->user);
    entity_send(&d->r.entities, c->db, c->user, d->stamp);
    statements += conflict_send(&d->r.log, c->db, c->user, d->stamp);
    db_send(c->db, SQL_CONFLICT_RESOLVE,
            DB_PARAMS(user, db_text(db_column(d->row, 0, STAMP)), db_text(db_column(d->row, 0, N)), db_text(resolution),
                      db_int(c->a, d->stamp)));
    db_send(c->db, SQL_COMMIT, NULL);
    c->committing = true;
    call_changes(c, d->epoch, d->stamp, d->device);
    db_flush(c->db);
    while (statements-- > 0)
        if (db_take(c->db, c->a, &ignored) != RC_OK) break;
    return db_finish(c->db);
}

static rc roll_back(const call *c, rc code)
{
    rc rolled_back = DB_RUN(c->db, c->a, {.id = SQL_ROLLBACK});
    return rolled_back == RC_OK ? code : rolled_back;
}

rc review_resolve(call *c, const char *id, const char *body, size_t len, strbuf *reply)
{
    static const char *const resolutions[] = {[KEEP_LOCAL] = "client", [KEEP_SERVER] = "server", [MERGE] = "merged"};
    decision d = {.c = c, .base = MERGE_NEVER};
    PGresult *clock, *row, *entities;
    int64_t stamp;
    int n;
    rc code = read_decision(&d, body, len);
    if (code != RC_OK) return code;
    if (!read_id(id, &stamp, &n)) return call_fail(c, RC_NOT_FOUND, "there is no such conflict");
    db_array keys = db_array_new(c->a, DB_TEXT);
    if (d.merged) db_array_text(&keys, json_string_value(json_object_get(d.merged, "bookId")));
    if (d.merged) db_array_text(&keys, json_string_value(json_object_get(d.merged, "name")));
    db_param user = db_text(c->user), at = db_int(c->a, stamp);
    code = DB_RUN(c->db, c->a, DB_BEGIN_WRITE(&user, &clock),
                  {.id = SQL_CONFLICTS_LIST, .result = &row,
                   .params = DB_PARAMS(user, db_null(), at, db_int(c->a, n + 1), db_int(c->a, 1))},
                  {.id = SQL_CONFLICT_ENTITIES, .result = &entities,
                   .params = DB_PARAMS(user, at, db_int(c->a, n), db_array_param(&keys))});
    if (code != RC_OK) return code;
    bool found = PQntuples(row) == 1 && db_column_int(row, 0, STAMP, 0) == stamp && db_column_int(row, 0, N, 0) == n;
    if (!found) return roll_back(c, call_fail(c, RC_NOT_FOUND, "there is no such conflict"));
    d.row = row;
    d.stamp = db_column_int(clock, 0, 0, 0);
    d.epoch = db_column_int(clock, 0, 2, 0);
    d.r = resolver_new(c->a, c->conf, d.stamp, 0);
    d.r.device = d.device;
    entity_load(&d.r.entities, entities);
    const kind *k = kind_find(db_column(row, 0, KIND));
    d.e = entity_get(&d.r.entities, k, db_column(row, 0, ENTITY_ID));
    if (db_column(row, 0, OTHER_ID)) d.other = entity_get(&d.r.entities, k, db_column(row, 0, OTHER_ID));
    const char *resolution = resolutions[d.choice], *before = db_column(row, 0, RESOLUTION);
    if (before && is_repeat(&d, resolution, before)) {
        code = call_confirm(c);
        if (code == RC_OK) write_reply(&d, NULL, reply);
        return code;
    }
    if (before) code = call_fail(c, RC_CONFLICT, "the conflict is resolved already, in favour of %s", before);
    if (code == RC_OK) code = check_moved(&d, row);
    if (code == RC_OK) code = decide(&d);
    if (code == RC_OK) code = check_complete(&d);
    if (code != RC_OK) return roll_back(c, code);
    code = store(&d, resolution);
    if (code == RC_OK) write_reply(&d, resolution, reply);
    return code;
}
