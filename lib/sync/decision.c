#include "sync/decision.h"

#include <string.h>

#include "base/clock.h"
#include "engine/quota.h"
#include "engine/resolve.h"
#include "store/rows.h"
#include "sync/param.h"
#include "sync/poke.h"
#include "sync/review.h"

typedef enum choice { KEEP_LOCAL, KEEP_SERVER, MERGE } choice;

typedef struct decision {
    sync_ctx *ctx;
    choice choice;
    json_t *merged; /* MERGE */
    int64_t base;   /* the version that the person looked at; MERGE_NEVER: that of the conflict */
    const char *device;
    conflict_row row;
    resolver r;
    entity *e, *other; /* `other`: NULL unless the conflict is between two entities */
    bool was_absent;   /* the entity no longer existed before the decision */
} decision;

static rc read_decision(decision *d, const char *body, size_t len)
{
    static const char *const choices[] = {"keep_local", "keep_server", "merge"};
    sync_ctx *ctx = d->ctx;
    json_t *from;
    rc code = param_json(ctx, "", body, len, (size_t)ctx->conf->depth + 1, &from);
    if (code != RC_OK) return code;
    const json_t *value = json_object_get(from, "resolution"), *base = json_object_get(from, "baseVersion");
    const json_t *device = json_object_get(from, "deviceId");
    int found = -1;
    for (int i = 0; i < 3; i++)
        if (json_is_string(value) && strcmp(json_string_value(value), choices[i]) == 0) found = i;
    if (found < 0) return ctx_invalid(ctx, "resolution", "must be one of keep_local, keep_server, merge");
    d->choice = (choice)found;
    d->merged = json_object_get(from, "mergedData");
    if (d->choice == MERGE && !json_is_object(d->merged))
        return ctx_invalid(ctx, "mergedData", "must be an object when resolution is merge");
    if (base && !json_is_null(base) && !json_instant(base, &d->base))
        return ctx_invalid(ctx, "baseVersion", "not an RFC 3339 instant or integer milliseconds since 1970");
    return device && !json_is_null(device) ? param_device(ctx, device, &d->device) : RC_OK;
}

/* Removes the members that every entity has and that are not data. */
static void drop_identity(json_t *data)
{
    json_object_del(data, "id");
    json_object_del(data, "createdAt");
    json_object_del(data, "updatedAt");
}

/* Applies an edit of the person as of now. */
static rc edit(decision *d, entity *e, operation_type type, json_t *data)
{
    sync_ctx *ctx = d->ctx;
    outcome out = {0};
    if (!data) data = json_new_object(ctx->a);
    strbuf text = STRBUF(ctx->a);
    json_write(&text, data);
    const operation op = {.type = type,
                          .kind = e->kind,
                          .stored_id = e->id,
                          .entity_id = e->id,
                          .data = data,
                          .at = MERGE_NEVER,
                          .created_at = MERGE_NEVER,
                          .base = MERGE_NEVER,
                          .policy = POLICY_LOCAL,
                          .size = text.len};
    resolve_operation(&d->r, &op, 0, "", &out);
    e->dirty = true;
    if (out.status != OUTCOME_FAILED) return RC_OK;
    return ctx_fail(ctx, out.failed, "the entity would be larger than limits.entity, which is %lld bytes",
                    (long long)ctx->conf->entity);
}

static rc edit_merged(decision *d)
{
    sync_ctx *ctx = d->ctx;
    const kind *k = d->e->kind;
    const char *path = "";
    const json_t *id = json_object_get(d->merged, "id");
    if (id && !k->fixed_id && !(json_is_string(id) && strcmp(json_string_value(id), d->e->id) == 0))
        return ctx_invalid(ctx, "mergedData.id", "must be that of the entity");
    drop_identity(d->merged);
    const char *message = kind_check(ctx->a, k, d->merged, d->e->state, &path);
    if (message) return ctx_invalid(ctx, arena_printf(ctx->a, "mergedData%s", path), "%s", message);
    return edit(d, d->e, OPERATION_UPDATE, d->merged);
}

/* The entity was deleted and its tombstone is purged, and the decision does not bring it back. Only the decision is
 * stored: every device has pulled the deletion or pulls from the beginning. */
static bool stays_absent(const decision *d)
{
    if (d->e->status != ENTITY_ABSENT || d->choice == MERGE) return false;
    return d->choice == KEEP_SERVER || !d->row.local_data || strcmp(d->row.reason, "same_name") == 0;
}

static rc decide(decision *d)
{
    sync_ctx *ctx = d->ctx;
    json_fault fault;
    const char *local = d->row.local_data, *reason = d->row.reason;
    if (stays_absent(d)) return RC_OK;
    if (d->choice == MERGE) return edit_merged(d);
    bool names = strcmp(reason, "same_name") == 0;
    bool no_server_side = strcmp(reason, "incomplete") == 0 || strcmp(reason, "beyond_horizon") == 0;
    d->e->dirty = true; /* always a new version, so that a device whose edit is refused learns of it */
    d->e->recent.whole = true;
    if (d->choice == KEEP_SERVER && (names || no_server_side))
        return edit(d, d->e, OPERATION_DELETE, NULL); /* before the edit the server had another entity, or none */
    if (d->choice == KEEP_SERVER) return RC_OK;
    if (names) return d->other ? edit(d, d->other, OPERATION_DELETE, NULL) : RC_OK;
    if (!local) return edit(d, d->e, OPERATION_DELETE, NULL); /* the edit was a deletion */
    return edit(d, d->e, OPERATION_UPDATE, json_read(ctx->a, local, strlen(local), SIZE_MAX, &fault));
}

/* A decision that leaves the entity incomplete does not settle the conflict: no pull would show the entity, and nobody
 * would be asked again. */
static rc check_complete(const decision *d)
{
    strbuf missing = STRBUF(d->ctx->a);
    if (strcmp(d->row.reason, "incomplete") != 0 && !d->was_absent) return RC_OK;
    if (d->e->status != ENTITY_INCOMPLETE) return RC_OK;
    for (const field *f = d->e->kind->fields; f->name; f++)
        if (f->required && !merge_has(d->e->state, f->name))
            strbuf_printf(&missing, "%s%s", missing.len ? ", " : "", f->name);
    return ctx_invalid(d->ctx, d->choice == MERGE ? "mergedData" : "resolution",
                       "%s would still be missing; merge with it, or keep_server to drop the entity", missing.data);
}

/* Two entities of one key met, and the server never had the second one: the person looked at the first. */
static rc check_other_unchanged(const decision *d)
{
    bool changed = d->other->updated_at > d->row.stamp;
    if (d->base != MERGE_NEVER) changed = d->other->updated_at != d->base;
    if (!changed) return RC_OK;
    char now[CLOCK_TEXT];
    return ctx_fail(d->ctx, RC_CONFLICT,
                    "the other entity has moved on since; look at it and send its updatedAt, %s, as baseVersion",
                    clock_format(d->other->updated_at, now));
}

/* The decision is judged by its end: it may apply a large edit, and it settles the conflict. */
static rc check_quota(decision *d)
{
    usage change = quota_change(&d->r, true);
    const char *const sides[] = {d->row.local_data, d->row.server_data};
    change.bytes -= USAGE_CONFLICT;
    for (int i = 0; i < 2; i++)
        if (sides[i]) change.bytes -= (int64_t)strlen(sides[i]);
    return ctx_check_quota(d->ctx, &change, "the conflict stays open");
}

static rc check_unchanged(const decision *d)
{
    bool met = strcmp(d->row.reason, "one_per_book") == 0 && d->other && d->other->status != ENTITY_ABSENT;
    if (d->was_absent && met) return check_other_unchanged(d);
    int64_t since = d->row.stamp;
    bool changed = d->e->updated_at > since || (d->other && d->other->updated_at > since);
    if (d->base != MERGE_NEVER) changed = d->e->updated_at != d->base;
    if (!changed || (d->was_absent && d->base == MERGE_NEVER)) return RC_OK;
    if (d->was_absent) return ctx_fail(d->ctx, RC_CONFLICT, "the entity no longer exists; decide without baseVersion");
    char now[CLOCK_TEXT];
    return ctx_fail(d->ctx, RC_CONFLICT,
                    "the entity has moved on since; look at it and send its updatedAt, %s, as baseVersion",
                    clock_format(d->e->updated_at, now));
}

/* Whether this decision was taken before; two merges are the same decision only with the same data. */
static bool is_repeat(const decision *d, const char *resolution, const char *before)
{
    if (strcmp(before, resolution) != 0) return false;
    if (d->choice != MERGE) return true;
    drop_identity(d->merged);
    return merge_apply(d->e->state, &(merge_edit){MERGE_PATCH, d->merged, merge_next(d->e->state)}, true).differing ==
           0;
}

static void write_reply(const decision *d, const char *resolution, strbuf *reply)
{
    bool absent = d->e->status == ENTITY_ABSENT; /* then the version is that of the decision */
    int64_t before = absent ? d->row.resolved_at : d->e->updated_at;
    int64_t updated_at = resolution ? d->ctx->txn.stamp : before;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "conflict");
    review_write(&d->row, resolution, reply);
    json_write_instant(reply, "updatedAt", updated_at);
    if (d->e->status == ENTITY_DELETED) json_write_bool(reply, "deleted", true);
    json_write_name(reply, "data");
    if (absent)
        strbuf_puts(reply, "null");
    else
        entity_write(d->e, d->ctx->txn.stamp, reply);
    json_write_instant(reply, "serverTime", clock_now());
    strbuf_putc(reply, '}');
}

static rc store(decision *d, const char *resolution)
{
    sync_ctx *ctx = d->ctx;
    rows_send_entities(&d->r.entities, &ctx->txn);
    rows_send_conflicts(&d->r.log, &ctx->txn);
    txn_send(&ctx->txn, SQL_CONFLICT_RESOLVE,
             DB_PARAMS(db_text(ctx->user), db_int(ctx->a, d->row.stamp), db_int(ctx->a, d->row.number),
                       db_text(resolution), db_int(ctx->a, ctx->txn.stamp)));
    txn_announce(&ctx->txn, poke_device(d->device));
    return txn_commit(&ctx->txn);
}

/* Round trip 1: the conflict, its entities, and those that share a key with them or with the merged data. */
static rc load(decision *d, const char *id)
{
    sync_ctx *ctx = d->ctx;
    PGresult *conflict, *entities;
    int64_t stamp;
    int number;
    if (!review_read_id(id, &stamp, &number)) return ctx_fail(ctx, RC_NOT_FOUND, "there is no such conflict");
    db_array keys = db_array_new(ctx->a, DB_TEXT);
    if (d->merged) db_array_text(&keys, json_string_value(json_object_get(d->merged, "bookId")));
    if (d->merged) db_array_text(&keys, json_string_value(json_object_get(d->merged, "name")));
    db_param user = db_text(ctx->user), at = db_int(ctx->a, stamp);
    rc code = CTX_BEGIN(
        ctx,
        {.id = SQL_CONFLICTS_LIST,
         .params = DB_PARAMS(user, db_null(), at, db_int(ctx->a, number + 1), db_int(ctx->a, 1), db_int(ctx->a, 1)),
         .result = &conflict},
        {.id = SQL_CONFLICT_ENTITIES,
         .params = DB_PARAMS(user, at, db_int(ctx->a, number), db_array_param(&keys)),
         .result = &entities});
    if (code != RC_OK) return code;
    if (PQntuples(conflict) == 1) d->row = rows_conflict(conflict, 0); /* the first one up to that id */
    if (PQntuples(conflict) != 1 || d->row.stamp != stamp || d->row.number != number)
        return ctx_fail(ctx, RC_NOT_FOUND, "there is no such conflict");
    d->r = resolver_new(ctx->a, ctx->conf, ctx->txn.stamp, 0);
    d->r.device = d->device;
    d->r.horizon = ctx->txn.horizon;
    rows_load_entities(&d->r.entities, entities);
    const kind *k = kind_find(d->row.kind);
    d->e = entity_get(&d->r.entities, k, d->row.entity_id);
    d->was_absent = d->e->status == ENTITY_ABSENT;
    if (d->row.other_id) d->other = entity_get(&d->r.entities, k, d->row.other_id);
    return RC_OK;
}

rc decision_run(sync_ctx *ctx, const char *id, const char *body, size_t len, strbuf *reply)
{
    static const char *const resolutions[] = {[KEEP_LOCAL] = "client", [KEEP_SERVER] = "server", [MERGE] = "merged"};
    decision d = {.ctx = ctx, .base = MERGE_NEVER};
    rc code = read_decision(&d, body, len);
    if (code == RC_OK) code = load(&d, id);
    if (code != RC_OK) return txn_rollback(&ctx->txn, code);
    const char *resolution = resolutions[d.choice], *before = d.row.resolution;
    if (before && is_repeat(&d, resolution, before)) {
        code = txn_rollback_durable(&ctx->txn);
        if (code == RC_OK) write_reply(&d, NULL, reply);
        return code;
    }
    if (before) code = ctx_fail(ctx, RC_CONFLICT, "the conflict is resolved already, in favour of %s", before);
    if (code == RC_OK) code = check_unchanged(&d);
    if (code == RC_OK) code = decide(&d);
    if (code == RC_OK) code = check_complete(&d);
    if (code == RC_OK) code = check_quota(&d);
    if (code != RC_OK) return txn_rollback(&ctx->txn, code);
    code = store(&d, resolution);
    if (code == RC_OK) write_reply(&d, resolution, reply);
    return code;
}
