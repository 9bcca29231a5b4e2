#include "sync/import.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "engine/entity.h"
#include "store/rows.h"
#include "sync/changes.h"
#include "sync/full.h"

enum { EPOCHS_MAX = 99 }; /* of the document; the present one is remembered as well */

typedef struct import_work {
    sync_ctx *ctx;
    library l;
    arena *scratch;
    json_t *times; /* entity_label → place in time_slices */
    json_slice *time_slices;
    size_t time_count, time_capacity;
    db_array epochs, untils, installations;
    int epoch_count;
} import_work;

/* The member `name` of an object that was split; NULL when it is absent. */
static const json_slice *member(const json_slice *parts, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(parts[i].key, name) == 0) return &parts[i];
    return NULL;
}

/* The text of a string member, or NULL. */
static const char *text_of(arena *a, const json_slice *parts, size_t count, const char *name)
{
    json_fault fault;
    const json_slice *slice = member(parts, count, name);
    return slice ? json_string_value(json_read(a, slice->text, slice->len, 1, &fault)) : NULL;
}

/* Calls `read` for each element of the array. `single`: the value is one element, or null. */
static rc each(import_work *im, const json_slice *list, bool single,
               rc (*read)(import_work *im, const json_slice *list, const json_slice *element, size_t number))
{
    sync_ctx *ctx = im->ctx;
    json_slice *parts = (json_slice *)list;
    json_fault fault;
    size_t count = 1;
    rc code = RC_OK;
    bool is_null = list->len == 4 && memcmp(list->text, "null", 4) == 0;
    if (is_null) return RC_OK;
    if (!single && !json_split(ctx->a, '[', list->text, list->len, SIZE_MAX, &parts, &count, &fault))
        return ctx_bad_json(ctx, list->key, &fault);
    for (size_t i = 0; i < count && code == RC_OK; i++) {
        code = read(im, list, &parts[i], i);
        arena_reset(im->scratch);
    }
    return code;
}

static rc read_times(import_work *im, const json_slice *list, const json_slice *element, size_t number)
{
    json_slice *parts;
    json_fault fault;
    size_t count;
    (void)number;
    if (!json_split(im->scratch, '{', element->text, element->len, 100, &parts, &count, &fault))
        return ctx_bad_json(im->ctx, list->key, &fault);
    const char *type = text_of(im->scratch, parts, count, "type"), *id = text_of(im->scratch, parts, count, "id");
    const kind *k = type ? kind_find(type) : NULL;
    const json_slice *times = member(parts, count, "times");
    if (!k || !id || !times || *times->text != '{') return RC_OK; /* null: they were too large */
    im->time_slices =
        arena_grow_list(im->ctx->a, im->time_slices, im->time_count, &im->time_capacity, sizeof *im->time_slices);
    json_put(im->ctx->a, im->times, entity_label(im->scratch, k, id), json_integer((json_int_t)im->time_count));
    im->time_slices[im->time_count++] = (json_slice){NULL, times->text, times->len};
    return RC_OK;
}

static rc read_epoch(import_work *im, const json_slice *list, const json_slice *element, size_t number)
{
    json_fault fault;
    int64_t until;
    (void)number;
    const json_t *row = json_read(im->scratch, element->text, element->len, 4, &fault);
    const char *epoch = json_string_value(json_object_get(row, "epoch"));
    const char *installation = json_string_value(json_object_get(row, "installation"));
    if (!epoch || !installation || !json_instant(json_object_get(row, "until"), &until) ||
        strtoll(epoch, NULL, 10) <= 0)
        return ctx_invalid(im->ctx, list->key, "must be a list of epoch, until, installation, as in an export");
    if (im->epoch_count++ >= EPOCHS_MAX) return RC_OK;
    db_array_int8(&im->epochs, strtoll(epoch, NULL, 10), MERGE_NEVER);
    db_array_int8(&im->untils, until, MERGE_NEVER);
    db_array_int8(&im->installations, strtoll(installation, NULL, 10), MERGE_NEVER);
    return RC_OK;
}

static rc bad_item(import_work *im, const char *path, const json_fault *fault)
{
    const json_fault kept = {fault->kind, arena_strdup(im->ctx->a, fault->path),
                             arena_strdup(im->ctx->a, fault->message)};
    return ctx_bad_json(im->ctx, path, &kept);
}

/* An entity of a list of its kind. Its times stand apart. */
static rc read_entity(import_work *im, const json_slice *list, const json_slice *element, size_t number)
{
    arena *a = im->ctx->a;
    json_slice *parts;
    json_fault fault;
    size_t count;
    const kind *k = library_kind(list->key);
    const char *path = arena_printf(a, "%s[%zu]", list->key, number);
    if (!json_split(im->scratch, '{', element->text, element->len, SIZE_MAX, &parts, &count, &fault))
        return bad_item(im, path, &fault);
    const char *id = k->fixed_id ? k->fixed_id : text_of(im->scratch, parts, count, "id");
    const json_t *at = id ? json_object_get(im->times, entity_label(im->scratch, k, id)) : NULL;
    library_change *change = arena_alloc(a, sizeof *change);
    *change = (library_change){.number = number};
    if (at) change->times = im->time_slices[json_integer_value(at)];
    library_item item = {.kind = k, .text = element->text, .len = element->len, .path = path, .change = change};
    return changes_add(im->ctx, &im->l, im->scratch, &item, &fault) ? RC_OK : bad_item(im, path, &fault);
}

/* An entity of the lists `deleted` and `incomplete`. */
static rc read_hidden(import_work *im, const json_slice *list, const json_slice *element, size_t number)
{
    json_fault fault;
    const char *path = arena_printf(im->ctx->a, "%s[%zu]", list->key, number);
    library_change *change = arena_alloc(im->ctx->a, sizeof *change);
    *change = (library_change){.number = number, .deleted = strcmp(list->key, "deleted") == 0};
    return changes_read_item(im->ctx, &im->l, im->scratch, element, path, change, &fault) ? RC_OK
                                                                                          : bad_item(im, path, &fault);
}

static rc read_document(import_work *im, const char *text, size_t len)
{
    enum { MEMBERS_MAX = 1000 };
    json_slice *parts;
    json_fault fault;
    size_t count;
    rc code = RC_OK;
    if (!json_split(im->ctx->a, '{', text, len, MEMBERS_MAX, &parts, &count, &fault))
        return ctx_bad_json(im->ctx, "", &fault);
    const json_slice *times = member(parts, count, "times"); /* first, for the entities */
    if (times) code = each(im, times, false, read_times);
    for (size_t i = 0; i < count && code == RC_OK; i++) {
        const char *name = parts[i].key;
        const kind *k = library_kind(name);
        if (k)
            code = each(im, &parts[i], k->fixed_id != NULL, read_entity);
        else if (strcmp(name, "deleted") == 0 || strcmp(name, "incomplete") == 0)
            code = each(im, &parts[i], false, read_hidden);
        else if (strcmp(name, "epochs") == 0)
            code = each(im, &parts[i], false, read_epoch);
    }
    return code;
}

/* After the entities, in a transaction of its own: a device that comes in between is told `other_server` without an
 * `until`, and sends more than it had to. */
static rc store_epochs(import_work *im)
{
    sync_ctx *ctx = im->ctx;
    txn *t = &ctx->txn;
    PGresult *known;
    uint64_t epoch;
    do
        if (getrandom(&epoch, sizeof epoch, 0) != (ssize_t)sizeof epoch) return RC_FAILED;
    while ((epoch &= INT64_MAX) == 0);
    rc code = CTX_BEGIN(ctx, {.id = SQL_EPOCHS_READ, .params = DB_PARAMS(db_text(ctx->user)), .result = &known});
    if (code != RC_OK) return code;
    txn_send(t, SQL_EPOCHS_IMPORT,
             DB_PARAMS(db_text(ctx->user), db_array_param(&im->epochs), db_array_param(&im->untils),
                       db_array_param(&im->installations), db_int(ctx->a, (int64_t)epoch),
                       db_int_or_null(ctx->a, t->previous, 0)));
    t->epoch = (int64_t)epoch;
    txn_announce(t, 0);
    return txn_commit(t);
}

rc import_run(sync_ctx *ctx, const char *text, size_t len, strbuf *reply, size_t *failed)
{
    arena *a = ctx->a;
    const full_options options = {0};
    import_work im = {.ctx = ctx,
                      .l = library_new(ctx),
                      .scratch = arena_child(a),
                      .times = json_new_object(a),
                      .epochs = db_array_new(a, DB_INT8),
                      .untils = db_array_new(a, DB_INT8),
                      .installations = db_array_new(a, DB_INT8)};
    im.l.merge = true;
    changes_begin(ctx, &im.l);
    rc code = read_document(&im, text, len);
    if (code == RC_OK) code = full_store(ctx, &im.l, &options, reply);
    if (code == RC_OK) code = store_epochs(&im);
    *failed = im.l.failed->count;
    return code;
}
