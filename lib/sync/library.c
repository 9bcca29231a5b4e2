#include "sync/library.h"

#include <string.h>

#include "base/utf8.h"
#include "engine/entity.h"
#include "sync/param.h"

/* An item of the first KEPT_BYTES stays parsed after its check. Later items are parsed again when they are stored: a
 * library can be large, and a worker must stay small. */
enum { KEPT_BYTES = 512 * 1024 };

library library_new(sync_ctx *ctx)
{
    return (library){.index = json_new_object(ctx->a), .ignored = STRBUF(ctx->a)};
}

static void put_in_index(library *l, arena *a, size_t place)
{
    const library_item *item = &l->items[place];
    json_put(a, l->index, entity_label(a, item->kind, item->id), json_integer((json_int_t)place));
}

void library_add(library *l, arena *a, const library_item *item)
{
    l->items = arena_grow_list(a, l->items, l->count, &l->capacity, sizeof *l->items);
    l->items[l->count] = *item;
    put_in_index(l, a, l->count++);
}

void library_order(library *l, arena *a)
{
    library_item *ordered = arena_alloc(a, (l->count + 1) * sizeof *ordered);
    size_t count = 0;
    for (int unfinished = 0; unfinished < 2; unfinished++)
        for (size_t i = 0; i < l->count; i++)
            if (l->items[i].unfinished == unfinished) ordered[count++] = l->items[i];
    size_t moved = 0;
    while (moved < count && ordered[moved].id == l->items[moved].id) moved++;
    l->items = ordered;
    l->capacity = count;
    for (size_t i = moved; i < count; i++) put_in_index(l, a, i);
}

void library_names(const library *l, arena *a, size_t from, size_t end, db_param *names, db_param *ids)
{
    db_array x = db_array_new(a, DB_TEXT), y = db_array_new(a, DB_TEXT);
    for (size_t i = from; i < end; i++) {
        db_array_text(&x, l->items[i].kind->name);
        db_array_text(&y, l->items[i].id);
    }
    *names = db_array_param(&x);
    *ids = db_array_param(&y);
}

int64_t library_place(const library *l, arena *scratch, const kind *k, const char *id)
{
    const json_t *place = json_object_get(l->index, entity_label(scratch, k, id));
    return place ? json_integer_value(place) : -1;
}

const kind *library_kind(const char *name)
{
    for (const kind *const *k = kinds; *k; k++)
        if (strcmp((*k)->plural, name) == 0 || ((*k)->alias && strcmp((*k)->alias, name) == 0)) return *k;
    return NULL;
}

static bool is_null(const json_slice *slice)
{
    return slice->len == 4 && memcmp(slice->text, "null", 4) == 0;
}

/* Notes a fault. Of those that are certain only as many as an error lists. */
static void refuse_item(sync_ctx *ctx, library *l, const char *where, rc code, const char *reason,
                        const library_item *doubtful)
{
    if (!doubtful && l->fault_count >= CTX_DETAILS) {
        l->unlisted++;
        return;
    }
    l->faults = arena_grow_list(ctx->a, l->faults, l->fault_count, &l->fault_capacity, sizeof *l->faults);
    l->faults[l->fault_count++] =
        (library_fault){code, arena_strdup(ctx->a, where), arena_strdup(ctx->a, reason), doubtful};
}

rc library_refuse(sync_ctx *ctx, const library *l)
{
    if (l->fault_count == 0) return RC_OK;
    const library_fault *first = &l->faults[0];
    for (size_t i = 0; i < l->fault_count; i++) ctx_detail(ctx, l->faults[i].where, l->faults[i].reason);
    ctx->detail_count += l->unlisted;
    return ctx_fail(ctx, first->code, "%s: %s (%d items cannot be stored; nothing was changed)", first->where,
                    first->reason, ctx->detail_count);
}

static bool has_value(const json_t *data, const char *name)
{
    const json_t *value = json_object_get(data, name);
    return value && !json_is_null(value);
}

bool library_keep(library *l, size_t len)
{
    if (l->kept + len > KEPT_BYTES) return false;
    l->kept += len;
    return true;
}

/* Checks one item and adds it. Returns false when it is not JSON at all. */
static bool check_item(sync_ctx *ctx, library *l, arena *scratch, library_item *item, json_fault *fault)
{
    bool keep = l->kept + item->len <= KEPT_BYTES;
    arena *a = keep ? ctx->a : scratch;
    operation *op = arena_alloc(a, sizeof *op);
    if (!operation_read_item(a, ctx->conf, item->kind, item->text, item->len, item->path, op, fault)) return false;
    if (op->failed != RC_OK) {
        refuse_item(ctx, l, op->where, op->failed, op->reason, NULL);
        return true;
    }
    if (library_place(l, scratch, item->kind, op->stored_id) >= 0) {
        refuse_item(ctx, l, arena_printf(scratch, "%s.id", item->path), RC_VALIDATION, "occurs twice", NULL);
        return true;
    }
    if (op->doubtful) {
        operation doubtful = *op;
        operation_settle(a, &doubtful, NULL);
        library_item *copy = arena_alloc(ctx->a, sizeof *copy);
        *copy = *item;
        refuse_item(ctx, l, doubtful.where, doubtful.failed, doubtful.reason, copy);
    }
    if (op->at <= ctx_accepts(ctx) && op->at > l->latest) l->latest = op->at;
    l->kept += item->len;
    item->op = keep ? op : NULL;
    item->unfinished = item->kind->rule == KIND_READINGS && !has_value(op->data, "finishedAt");
    item->id = arena_strdup(ctx->a, op->stored_id);
    const char *key = item->kind->key ? json_string_value(json_object_get(op->data, item->kind->key)) : NULL;
    item->key = key ? arena_strdup(ctx->a, key) : NULL;
    library_add(l, ctx->a, item);
    return true;
}

static rc read_kind(sync_ctx *ctx, library *l, const kind *k, const json_slice *member)
{
    json_slice *parts = (json_slice *)member;
    size_t count = 1, limit = (size_t)ctx->conf->full_items;
    json_fault fault;
    if (is_null(member)) return RC_OK;
    for (size_t i = 0; i < l->kind_count; i++)
        if (l->kinds[i] == k) return ctx_invalid(ctx, member->key, "stands for %s, which is there too", k->plural);
    if (!k->fixed_id && !json_split(ctx->a, '[', member->text, member->len, limit, &parts, &count, &fault)) {
        if (fault.kind != JSON_FAULT_COUNT) return ctx_bad_json(ctx, member->key, &fault);
        return ctx_fail(ctx, RC_TOO_LARGE, "%s: more than limits.full_items, which is %zu", member->key, limit);
    }
    l->kinds[l->kind_count++] = k;
    arena *scratch = arena_child(ctx->a);
    for (size_t i = 0; i < count; i++) {
        library_item item = {.kind = k, .text = parts[i].text, .len = parts[i].len};
        item.path = k->fixed_id ? member->key : arena_printf(ctx->a, "%s[%zu]", member->key, i);
        if (!check_item(ctx, l, scratch, &item, &fault)) {
            fault.path = arena_strdup(ctx->a, fault.path);
            fault.message = arena_strdup(ctx->a, fault.message);
            return ctx_bad_json(ctx, item.path, &fault);
        }
        arena_reset(scratch);
    }
    return RC_OK;
}

rc library_set_mode(sync_ctx *ctx, library *l, const char *mode)
{
    bool merge = mode && strcmp(mode, "merge") == 0;
    if (!merge && (!mode || strcmp(mode, "replace") != 0)) return ctx_invalid(ctx, "mode", "must be replace or merge");
    if (l->says_mode && l->merge != merge)
        return ctx_invalid(ctx, "mode", "is %s in the body, but not in the query", mode);
    l->merge = merge;
    l->says_mode = true;
    return RC_OK;
}

/* The bytes of the first `most` characters of valid UTF-8. */
static size_t cut_text(const char *text, size_t most)
{
    size_t len = strlen(text), end = 0;
    for (size_t i = 0; i < most && end < len; i++) end += utf8_length(text + end, len - end);
    return end;
}

/* A member that names no kind: `force`, which the published document shows, a misspelled kind, most members of an
 * export. All but the first are listed in the reply. */
static rc ignore(sync_ctx *ctx, library *l, const json_slice *member)
{
    enum { NAMES = 100, NAME_CHARACTERS = 80 };
    json_fault fault;
    if (!json_check(ctx->a, member->text, member->len, &fault)) return ctx_bad_json(ctx, member->key, &fault);
    if (strcmp(member->key, "force") == 0 || l->ignored_count++ >= NAMES) return RC_OK;
    if (l->ignored.len > 0) strbuf_putc(&l->ignored, ',');
    json_write_string(&l->ignored, member->key, cut_text(member->key, NAME_CHARACTERS));
    return RC_OK;
}

static rc read_member(sync_ctx *ctx, library *l, const json_slice *member)
{
    const kind *k = library_kind(member->key);
    if (k) return read_kind(ctx, l, k, member);
    if (strcmp(member->key, "changes") == 0) {
        if (!is_null(member)) l->changes = member;
        return RC_OK;
    }
    bool mode = strcmp(member->key, "mode") == 0, device = strcmp(member->key, "deviceId") == 0;
    if (!mode && !device) return ignore(ctx, l, member);
    if (is_null(member)) return RC_OK;
    json_t *value;
    rc code = param_json(ctx, member->key, member->text, member->len, 1, &value);
    if (code != RC_OK) return code;
    return device ? param_device(ctx, value, &l->device) : library_set_mode(ctx, l, json_string_value(value));
}

rc library_read(sync_ctx *ctx, const char *body, size_t len, library *out)
{
    enum { MEMBERS_MAX = 1000 };
    json_slice *parts;
    size_t count;
    json_fault fault;
    if (!json_split(ctx->a, '{', body, len, MEMBERS_MAX, &parts, &count, &fault)) return ctx_bad_json(ctx, "", &fault);
    for (size_t i = 0; i < count; i++) {
        rc code = read_member(ctx, out, &parts[i]);
        if (code != RC_OK) return code;
    }
    if (!out->says_mode) out->merge = strcmp(ctx->conf->full_mode, "merge") == 0;
    out->cautious = !out->says_mode && !out->merge;
    if (out->changes && !out->merge)
        return ctx_invalid(ctx, "changes", "needs \"mode\":\"merge\"; replace takes lists only");
    if (!out->merge) library_order(out, ctx->a);
    return RC_OK;
}
