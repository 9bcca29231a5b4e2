#include "sync/changes.h"

#include <string.h>

#include "engine/times.h"
#include "sync/param.h"

/* Reading one item */

typedef struct reader {
    arena *a;
    const conf *conf;
    const library_item *item;
    operation *op;
} reader;

static bool refuse(reader *r, rc code, const char *member, const char *message)
{
    operation *op = r->op;
    if (op->failed != RC_OK) return true;
    op->failed = code;
    op->where = arena_printf(r->a, "%s%s", r->item->path, member);
    op->reason = message;
    op->message = arena_printf(r->a, "%s: %s", op->where, message);
    return true;
}

/* Reads `times`, or makes them of `at`: when the whole content was edited, or when the entity was deleted. */
static bool read_times(reader *r, int64_t at, const char *missing)
{
    const library_change *change = r->item->change;
    times *t = arena_alloc(r->a, sizeof *t);
    times_fault fault;
    bool deleted = change->deleted;
    r->op->times = t;
    if (change->times.len == 0) {
        *t = (times){.base = deleted ? MERGE_NEVER : at,
                     .edited = deleted ? MERGE_NEVER : at,
                     .deleted = deleted ? at : MERGE_NEVER};
        return at != MERGE_NEVER || refuse(r, RC_VALIDATION, missing, "is required, because there are no `times`");
    }
    if (!times_read(r->a, r->conf, &change->times, t, &fault))
        return refuse(r, fault.code, arena_printf(r->a, ".times%s", fault.path), fault.message);
    if (deleted ? t->deleted == MERGE_NEVER && !t->superseded : t->base == MERGE_NEVER || t->deleted != MERGE_NEVER)
        return refuse(r, RC_VALIDATION, ".times",
                      deleted ? "are not those of a deletion" : "are those of a deletion, but `deleted` is not true");
    return true;
}

/* The id and the instants in the data of a deletion. */
static bool read_deletion(reader *r, const char **id, int64_t *at, int64_t *version, json_fault *fault)
{
    const library_item *item = r->item;
    enum { DATA_MAX = 16384 };
    if (item->len > DATA_MAX) return refuse(r, RC_TOO_LARGE, ".data", "is too large for a deletion");
    const json_t *data = json_read(r->a, item->text, item->len, (size_t)r->conf->depth, fault);
    if (!data && fault->kind == JSON_FAULT_SYNTAX) return false;
    if (!data) return refuse(r, RC_VALIDATION, arena_printf(r->a, ".data%s", fault->path), fault->message);
    const json_t *name = json_object_get(data, "id"), *deleted_at = json_object_get(data, "deletedAt");
    size_t length = json_is_string(name) ? json_characters(json_string_value(name), json_string_length(name)) : 0;
    if (!item->kind->fixed_id && (length < 1 || length > ENTITY_ID_MAX))
        return refuse(r, RC_VALIDATION, ".data.id",
                      arena_printf(r->a, "must be a string of 1 to %d characters", ENTITY_ID_MAX));
    *id = item->kind->fixed_id ? item->kind->fixed_id : json_string_value(name);
    const json_t *updated_at = json_object_get(data, "updatedAt");
    if (!updated_at || !json_instant(updated_at, version)) *version = MERGE_NEVER;
    if (deleted_at && !json_is_null(deleted_at) && !json_instant(deleted_at, at))
        return refuse(r, RC_VALIDATION, ".data.deletedAt",
                      "not an RFC 3339 instant or integer milliseconds since 1970");
    return true;
}

/* A deletion. What lies beneath it is only known with its times. */
static bool parse_deleted(reader *r, json_fault *fault)
{
    operation *op = r->op;
    const library_change *change = r->item->change;
    const char *id = "";
    int64_t at = MERGE_NEVER, version = MERGE_NEVER;
    *op = (operation){.kind = r->item->kind, .kind_name = r->item->kind->name};
    if (!read_deletion(r, &id, &at, &version, fault)) return false;
    if (op->failed != RC_OK) return true;
    if (change->beneath.len > 0 && change->times.len > 0) {
        const char *path = arena_printf(r->a, "%s.beneath", r->item->path);
        if (!operation_read_state(r->a, r->conf, r->item->kind, id, &change->beneath, false, path, op, fault))
            return false;
        if (op->failed != RC_OK) return true;
    } else {
        *op = (operation){.kind = r->item->kind,
                          .kind_name = r->item->kind->name,
                          .entity_id = id,
                          .stored_id = id,
                          .data = json_new_object(r->a),
                          .created_at = MERGE_NEVER,
                          .base = MERGE_NEVER};
    }
    op->type = OPERATION_DELETE;
    op->at = at;
    op->version = version;
    if (!read_times(r, at, ".data.deletedAt") || op->failed != RC_OK) return true;
    times *t = (times *)op->times;
    if (change->beneath.len == 0) t->base = t->edited = MERGE_NEVER;
    return true;
}

bool changes_parse(arena *a, const conf *c, const library_item *item, operation *out, json_fault *fault)
{
    reader r = {a, c, item, out};
    const library_change *change = item->change;
    if (change->deleted) return parse_deleted(&r, fault);
    const json_slice data = {NULL, item->text, item->len};
    const char *path = arena_printf(a, "%s.data", item->path);
    if (!operation_read_state(a, c, item->kind, NULL, &data, change->whole, path, out, fault)) return false;
    out->version = out->at;
    return out->failed != RC_OK || read_times(&r, out->at, ".data.updatedAt");
}

/* Items that fail */

void changes_fail(const library *l, const library_item *item, rc code, const char *id, const char *message)
{
    strbuf *rows = &l->failed->rows;
    strbuf_puts(rows, l->failed->count++ > 0 ? ",{" : "{");
    json_write_int(rows, "index", (long long)item->change->number);
    if (item->kind) json_write_member(rows, "type", item->kind->name);
    if (id) json_write_member(rows, "id", id);
    json_write_member(rows, "error", rc_info(code)->error);
    json_write_member(rows, "message", message);
    strbuf_putc(rows, '}');
}

void changes_write_failed(const library *l, strbuf *reply)
{
    json_write_name(reply, "failed");
    strbuf_putc(reply, '[');
    if (l->failed->rows.len > 0) strbuf_add(reply, l->failed->rows.data, l->failed->rows.len);
    strbuf_putc(reply, ']');
}

/* Reading the list */

/* The stamp of the request is not before the instant, unless that is too far ahead. */
static void raise_clock(sync_ctx *ctx, library *l, int64_t at)
{
    if (at <= ctx_accepts(ctx) && at > l->latest) l->latest = at;
}

bool changes_add(sync_ctx *ctx, library *l, arena *scratch, library_item *item, json_fault *fault)
{
    bool keep = library_keep(l, item->len + item->change->times.len + item->change->beneath.len);
    arena *a = keep ? ctx->a : scratch;
    operation *op = arena_alloc(a, sizeof *op);
    if (!changes_parse(a, ctx->conf, item, op, fault)) return false;
    if (op->failed != RC_OK) {
        changes_fail(l, item, op->failed, op->stored_id, op->message);
    } else if (library_place(l, scratch, item->kind, op->stored_id) >= 0) {
        changes_fail(l, item, RC_VALIDATION, op->stored_id,
                     arena_printf(scratch, "%s.data.id: occurs twice", item->path));
    } else {
        item->op = keep ? op : NULL;
        item->id = arena_strdup(ctx->a, op->stored_id);
        raise_clock(ctx, l, op->times->edited);
        raise_clock(ctx, l, op->times->deleted);
        /* A device that holds this version must take what the others send back for a later one. */
        if (op->version != MERGE_NEVER) raise_clock(ctx, l, op->version + 1);
        library_add(l, ctx->a, item);
    }
    return true;
}

/* The members of an item; the others are ignored. Returns a complaint, or NULL. */
static const char *read_members(arena *a, const json_slice *parts, size_t count, library_item *item,
                                library_change *change)
{
    json_fault fault;
    for (size_t i = 0; i < count; i++) {
        const json_slice *part = &parts[i];
        bool is_null = part->len == 4 && memcmp(part->text, "null", 4) == 0;
        if (strcmp(part->key, "data") == 0) {
            item->text = part->text;
            item->len = part->len;
        } else if (strcmp(part->key, "times") == 0 && !is_null) {
            change->times = *part;
        } else if (strcmp(part->key, "beneath") == 0 && !is_null) {
            change->beneath = *part;
        } else if (strcmp(part->key, "deleted") == 0 && !is_null) {
            change->deleted = part->len == 4 && memcmp(part->text, "true", 4) == 0;
            if (!change->deleted && (part->len != 5 || memcmp(part->text, "false", 5) != 0))
                return ".deleted: must be true or false";
        } else if (strcmp(part->key, "type") == 0) {
            enum { NAME_MAX_SIZE = 64 };
            const json_t *name = part->len <= NAME_MAX_SIZE ? json_read(a, part->text, part->len, 1, &fault) : NULL;
            item->kind = json_is_string(name) ? kind_find(json_string_value(name)) : NULL;
        }
    }
    if (!item->kind) return ".type: must be the name of a kind of entity, as in a pull";
    return item->text ? NULL : ".data: is required";
}

bool changes_read_item(sync_ctx *ctx, library *l, arena *scratch, const json_slice *slice, const char *path,
                       library_change *change, json_fault *fault)
{
    enum { MEMBERS_MAX = 100, SPELLING = 8 }; /* most bytes that are sent for a byte that is kept */
    json_slice *parts;
    size_t count, most = (size_t)ctx->conf->entity * SPELLING;
    library_item item = {.path = path, .change = change};
    const char *complaint;
    if (slice->len > most) {
        complaint = arena_printf(scratch, "%s: %zu bytes, limits.entity is %lld", item.path, slice->len,
                                 (long long)ctx->conf->entity);
        changes_fail(l, &item, RC_TOO_LARGE, NULL, complaint);
        return true;
    }
    if (!json_split(scratch, '{', slice->text, slice->len, MEMBERS_MAX, &parts, &count, fault)) {
        if (fault->kind == JSON_FAULT_SYNTAX) return false;
        changes_fail(l, &item, RC_VALIDATION, NULL,
                     arena_printf(scratch, "%s%s: %s", item.path, fault->path, fault->message));
        return true;
    }
    complaint = read_members(scratch, parts, count, &item, change);
    if (!complaint) return changes_add(ctx, l, scratch, &item, fault);
    changes_fail(l, &item, RC_VALIDATION, NULL, arena_printf(scratch, "%s%s", item.path, complaint));
    return true;
}

void changes_begin(sync_ctx *ctx, library *l)
{
    l->failed = arena_alloc(ctx->a, sizeof *l->failed);
    *l->failed = (changes_failed){STRBUF(ctx->a), 0};
}

rc changes_read(sync_ctx *ctx, library *l, const json_slice *member)
{
    json_slice *parts;
    json_fault fault;
    size_t count, limit = (size_t)ctx->conf->full_items;
    if (member->len == 4 && memcmp(member->text, "null", 4) == 0) return RC_OK;
    changes_begin(ctx, l);
    if (!json_split(ctx->a, '[', member->text, member->len, limit, &parts, &count, &fault)) {
        if (fault.kind != JSON_FAULT_COUNT) return ctx_bad_json(ctx, "changes", &fault);
        return ctx_fail(ctx, RC_TOO_LARGE, "changes: more than limits.full_items, which is %zu", limit);
    }
    arena *scratch = arena_child(ctx->a);
    for (size_t i = 0; i < count; i++) {
        library_change *change = arena_alloc(ctx->a, sizeof *change);
        const char *path = arena_printf(ctx->a, "changes[%zu]", i);
        *change = (library_change){.number = i, .whole = true};
        if (!changes_read_item(ctx, l, scratch, &parts[i], path, change, &fault)) {
            fault.path = arena_strdup(ctx->a, fault.path);
            fault.message = arena_strdup(ctx->a, fault.message);
            return ctx_bad_json(ctx, path, &fault);
        }
        arena_reset(scratch);
        if (l->failed->rows.len > (size_t)ctx->conf->full_body)
            return ctx_fail(ctx, RC_TOO_LARGE, "changes: the failures of the first %zu are over limits.full_body",
                            i + 1);
    }
    return RC_OK;
}
