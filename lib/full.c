#include "full.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "cursor.h"
#include "kind.h"
#include "operation.h"
#include "resolve.h"

/*
 * A library can be large and a worker must stay small. So the body is gone over twice: first every item is parsed and
 * checked, so that one invalid item refuses the whole request before anything is written; then items are taken in chunks,
 * each chunk being read from and written to the database in two round trips with memory of its own. Of a body beyond
 * KEPT_BYTES the items are forgotten after the check and parsed again in their chunk; what stays is its text and the list of
 * ids, which deletes what is not in it.
 *
 * The first chunk's round trips also begin, plan, delete and (when it is the only one) commit, so that a library of up to
 * CHUNK_ITEMS entities costs two.
 */
enum { CHUNK_ITEMS = 1000, CHUNK_BYTES = 4 * 1024 * 1024, KEPT_BYTES = 512 * 1024, KINDS_MAX = 8 };

typedef struct item {
    const kind *kind;
    const char *id;
    const char *text; /* NULL: of the snapshot */
    size_t len;
    const char *path;
    operation *op; /* as it was checked; NULL: to be read again */
} item;

typedef struct full {
    call *c;
    const kind *kinds[KINDS_MAX]; /* those that are present */
    size_t kind_count;
    item *items;
    size_t count, room, kept; /* `kept`: bytes of the items that were not forgotten */
    json_t *ids; /* entity_label → place in `items` */
    bool merge, dry_run;
    const char *device, *if_match;
    int64_t snapshot; /* to restore; 0: items come from the body */
    int64_t epoch, stamp;
    size_t conflicts;
    bool snapshot_taken;
    rc refused; /* because of an item; the first one's message stands in the call */
    long long created, updated, unchanged, deleted;
    bool displaced; /* some that are not in the list only lost their place to another one; now they are deleted for good */
    db_param kinds_param, item_kinds, item_ids;
} full;

/* Reading the body */

static const kind *kind_of_member(const char *name)
{
    for (const kind *const *k = kinds; *k; k++)
        if (strcmp((*k)->plural, name) == 0 || ((*k)->alias && strcmp((*k)->alias, name) == 0)) return *k;
    return NULL;
}

static bool is_null(const json_slice *slice)
{
    return slice->len == 4 && memcmp(slice->text, "null", 4) == 0;
}

static void add_item(full *f, const item *one)
{
    if (f->count == f->room) {
        size_t room = f->room ? f->room * 2 : 64;
        f->items = arena_grow(f->c->a, f->items, f->room * sizeof *f->items, room * sizeof *f->items);
        f->room = room;
    }
    f->items[f->count++] = *one;
}

static void refuse_item(full *f, const char *where, rc code, const char *reason)
{
    call_detail(f->c, where, reason);
    if (f->refused == RC_OK) f->refused = call_fail(f->c, code, "%s: %s", where, reason);
}

/* Checks one item and notes its id. Returns false when it is not JSON at all. */
static bool check_item(full *f, arena *scratch, item *one, json_fault *fault)
{
    call *c = f->c;
    bool keep = f->kept + one->len <= KEPT_BYTES;
    arena *a = keep ? c->a : scratch;
    operation *op = arena_alloc(a, sizeof *op);
    if (!operation_read_item(a, c->conf, one->kind, one->text, one->len, one->path, op, fault)) return false;
    if (op->failed != RC_OK) {
        refuse_item(f, op->where, op->failed, op->reason);
        return true;
    }
    f->kept += one->len;
    one->op = keep ? op : NULL;
    one->id = arena_strdup(c->a, op->stored_id);
    const char *name = entity_label(scratch, one->kind, one->id);
    if (json_object_get(f->ids, name))
        refuse_item(f, arena_printf(scratch, "%s.id", one->path), RC_VALIDATION, "occurs twice");
    json_put(c->a, f->ids, name, json_integer((json_int_t)f->count));
    return true;
}

static rc read_kind(full *f, const kind *k, const json_slice *member)
{
    call *c = f->c;
    json_slice *parts = (json_slice *)member;
    size_t count = 1, limit = (size_t)c->conf->full_items;
    json_fault fault;
    if (is_null(member)) return RC_OK;
    for (size_t i = 0; i < f->kind_count; i++)
        if (f->kinds[i] == k) return call_invalid(c, member->key, "stands for %s, which is there too", k->plural);
    if (!k->fixed_id && !json_split(c->a, '[', member->text, member->len, limit, &parts, &count, &fault)) {
        if (fault.kind != JSON_FAULT_COUNT) return call_bad_json(c, member->key, &fault);
        return call_fail(c, RC_TOO_LARGE, "%s: more than limits.full_items, which is %zu", member->key, limit);
    }
    f->kinds[f->kind_count++] = k;
    arena *scratch = arena_child(c->a);
    for (size_t i = 0; i < count; i++) {
        item one = {.kind = k, .text = parts[i].text, .len = parts[i].len};
        one.path = k->fixed_id ? member->key : arena_printf(c->a, "%s[%zu]", member->key, i);
        if (!check_item(f, scratch, &one, &fault)) {
            fault.path = arena_strdup(c->a, fault.path);
            fault.message = arena_strdup(c->a, fault.message);
            return call_bad_json(c, one.path, &fault);
        }
        add_item(f, &one);
        arena_reset(scratch);
    }
    return RC_OK;
}

static rc read_member(full *f, const json_slice *member)
{
    call *c = f->c;
    json_fault fault;
    const kind *k = kind_of_member(member->key);
    if (k) return read_kind(f, k, member);
    bool mode = strcmp(member->key, "mode") == 0, device = strcmp(member->key, "deviceId") == 0;
    if ((!mode && !device) || is_null(member)) return RC_OK; /* `force`, and what an export holds besides */
    const json_t *value = json_read(c->a, member->text, member->len, 1, &fault);
    if (!value) return call_bad_json(c, member->key, &fault);
    if (device) return device_read(c, value, &f->device);
    const char *text = json_string_value(value);
    f->merge = text && strcmp(text, "merge") == 0;
    return f->merge || (text && strcmp(text, "replace") == 0) ? RC_OK
                                                              : call_invalid(c, "mode", "must be replace or merge");
}

static rc read_body(full *f, const char *body, size_t len)
{
    enum { MEMBERS_MAX = 1000 };
    json_slice *parts;
    size_t count;
    json_fault fault;
    call *c = f->c;
    if (!json_split(c->a, '{', body, len, MEMBERS_MAX, &parts, &count, &fault)) return call_bad_json(c, "", &fault);
    for (size_t i = 0; i < count; i++) {
        rc code = read_member(f, &parts[i]);
        if (code != RC_OK) return code;
    }
    if (f->refused == RC_OK) return RC_OK;
    return call_fail(c, f->refused, "%s (%d items cannot be stored; nothing was changed)", c->message, c->detail_count);
}

/* Running */

static void make_params(full *f)
{
    arena *a = f->c->a;
    db_array names = db_array_new(a, DB_TEXT), item_kinds = db_array_new(a, DB_TEXT), ids = db_array_new(a, DB_TEXT);
    for (size_t i = 0; !f->merge && i < f->kind_count; i++) db_array_text(&names, f->kinds[i]->name);
    for (size_t i = 0; i < f->count; i++) {
        db_array_text(&item_kinds, f->items[i].kind->name);
        db_array_text(&ids, f->items[i].id);
    }
    f->kinds_param = db_array_param(&names); /* with `merge` none, so that nothing is deleted */
    f->item_kinds = db_array_param(&item_kinds);
    f->item_ids = db_array_param(&ids);
}

static size_t chunk_end(const full *f, size_t from)
{
    size_t bytes = 0, end = from;
    while (end < f->count && end - from < CHUNK_ITEMS && bytes < CHUNK_BYTES) bytes += f->items[end++].len;
    return end;
}

/* The items from..end as operations. Those of a snapshot are fetched; they come in the order of the list. */
static rc read_chunk(full *f, arena *a, size_t from, size_t end, operation **ops)
{
    call *c = f->c;
    json_fault fault;
    PGresult *page = NULL;
    *ops = arena_alloc(a, (end - from) * sizeof **ops);
    if (f->snapshot && end > from) {
        const item *before = from > 0 ? &f->items[from - 1] : NULL;
        rc code = DB_RUN(c->db, a, {.id = SQL_SNAPSHOT_PAGE, .result = &page,
                         .params = DB_PARAMS(db_text(c->user), db_int(a, f->snapshot), db_text(before ? before->kind->name : ""),
                                             db_text(before ? before->id : ""), db_int(a, (int64_t)(end - from)))});
        if (code != RC_OK) return code;
        if ((size_t)PQntuples(page) != end - from) return RC_FAILED;
    }
    for (size_t i = from; i < end; i++) {
        const item *one = &f->items[i];
        operation *op = &(*ops)[i - from];
        int row = (int)(i - from);
        const char *text = page ? db_column(page, row, 4) : one->text;
        size_t len = page ? strlen(text) : one->len;
        if (page) { /* stored without its id */
            op->data = json_read(a, text, len, SIZE_MAX, &fault);
            *op = (operation){.type = OPERATION_CREATE, .kind = one->kind, .data = op->data, .size = len};
            op->entity_id = op->stored_id = one->id;
            op->created_at = db_column_int(page, row, 2, MERGE_NEVER);
            op->at = db_column_int(page, row, 3, MERGE_NEVER);
        } else if (one->op) {
            *op = *one->op;
        } else {
            operation_read_item(a, c->conf, one->kind, text, len, one->path, op, &fault);
        }
    }
    return RC_OK;
}

static rc check_begun(full *f, const PGresult *clock, const PGresult *plan)
{
    position p;
    f->stamp = db_column_int(clock, 0, 0, 0);
    f->epoch = db_column_int(clock, 0, 2, 0);
    f->deleted = db_column_int(plan, 0, 0, 0);
    f->displaced = db_column_int(plan, 0, 1, 0) > 0;
    if (!f->if_match) return RC_OK;
    int64_t previous = db_column_int(clock, 0, 4, 0);
    position_read(f->c->a, f->if_match, &p);
    bool whole = *p.kind == '\0'; /* else more pages were behind that cursor */
    if (whole && p.stamp == previous && (p.epoch == f->epoch || previous == 0)) return RC_OK;
    return call_fail(f->c, RC_CONFLICT, "If-Match: the server has moved on since that cursor; pull first");
}

/* Begins, locks the clock and counts what is to be deleted; with `read`, also reads a chunk's entities. */
static rc begin(full *f, arena *a, const db_param *read, PGresult **entities)
{
    PGresult *clock, *plan;
    db_param user = db_text(f->c->user);
    const db_step steps[] = {
        DB_BEGIN_WRITE(&user, &clock),
        {.id = SQL_FULL_PLAN, .params = DB_PARAMS(user, f->kinds_param, f->item_kinds, f->item_ids), .result = &plan},
        {.id = SQL_ENTITIES_READ, .params = read, .result = entities},
    };
    rc code = db_run(f->c->db, a, steps, read ? 5 : 4);
    return code == RC_OK ? check_begun(f, clock, plan) : code;
}

static rc load_chunk(full *f, arena *a, const operation *ops, size_t count, bool begun, PGresult **entities)
{
    call *c = f->c;
    const db_param *read = resolve_read_params(a, c->user, ops, count);
    if (!begun) return begin(f, a, read, entities);
    return DB_RUN(c->db, a, {.id = SQL_ENTITIES_READ, .params = read, .result = entities});
}

/* What is not in the list is deleted by one statement; here it only must not stand in the way of what is, nor, where
 * another entity had taken its place, come back when that one leaves it. */
static void forget_deleted(full *f, resolver *r, arena *a)
{
    for (size_t i = 0; !f->merge && i < r->entities.count; i++) {
        entity *e = r->entities.list[i];
        if (e->status == ENTITY_ABSENT || merge_is_deleted(e->state)) continue;
        if (json_object_get(f->ids, entity_label(a, e->kind, e->id))) continue;
        int64_t next = merge_next(e->state);
        merge_apply(e->state, &(merge_edit){MERGE_DELETE, NULL, next > f->stamp ? next : f->stamp}, false);
        entity_refresh(e);
    }
}

/* Which of the entities that were loaded are live, by their place in the set. */
static bool *live_ones(const entity_set *set, arena *a)
{
    bool *live = arena_alloc(a, set->count * sizeof *live);
    for (size_t i = 0; i < set->count; i++) live[i] = set->list[i]->status == ENTITY_LIVE;
    return live;
}

/* Whether the first `count` entities are no longer what they were where they were live: replaced, or displaced by another
 * one (one rating per book). */
static bool any_changed(const entity_set *set, const bool *live, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (live[i] && set->list[i]->dirty) return true;
    return false;
}

static bool is_there(const entity *e)
{
    return e->status == ENTITY_LIVE || e->status == ENTITY_INCOMPLETE;
}

/* Whether an item brings nothing: no time of an edit, and no value that differs. */
static bool brings_nothing(const entity *e, const operation *op)
{
    const merge_edit edit = {MERGE_PATCH, op->data, merge_next(e->state)};
    return e->status == ENTITY_LIVE && op->at == MERGE_NEVER && merge_apply(e->state, &edit, true).differing == 0;
}

/* Whether an item is what is stored and has lost its place (one rating per book) to one behind it in the list, so that both stay
 * as they are. */
static bool stands_back(const full *f, resolver *r, const operation *op, size_t number)
{
    const entity *e = entity_get(&r->entities, op->kind, op->stored_id), *holder = resolve_holder(r, e);
    if (!holder || e->touched || op->at > merge_edited(e->state) || !merge_is(e->state, op->data)) return false;
    const json_t *place = json_object_get(f->ids, entity_label(r->a, holder->kind, holder->id));
    return place && (size_t)json_integer_value(place) > number;
}

static rc apply_item(full *f, resolver *r, const operation *op, size_t number)
{
    outcome out = {0};
    if (!f->merge && stands_back(f, r, op, number)) {
        f->unchanged++;
        return RC_OK;
    }
    if (!f->merge) {
        replaced what = resolve_replace(r, op, number, &out);
        f->created += what == REPLACED_CREATED;
        f->updated += what == REPLACED_UPDATED;
        f->unchanged += what == REPLACED_NOTHING;
        return RC_OK;
    }
    entity *e = entity_get(&r->entities, op->kind, op->stored_id);
    bool was_there = is_there(e), nothing = brings_nothing(e, op);
    if (!nothing) resolve_operation(r, op, number, f->items[number].path, &out);
    if (out.status == OUTCOME_FAILED) return call_fail(f->c, out.failed, "%s", arena_strdup(f->c->a, out.message));
    if (nothing || !e->dirty || (!was_there && !is_there(e))) f->unchanged++; /* the last: it stays deleted */
    else if (was_there) f->updated++;
    else f->created++;
    return RC_OK;
}

static rc store_chunk(full *f, resolver *r, arena *a, bool first, bool destructive, bool last)
{
    call *c = f->c;
    PGresult *ignored;
    int statements = 0;
    db_param user = db_text(c->user), stamp = db_int(a, f->stamp);
    bool write = !f->dry_run, delete = write && first && (f->deleted > 0 || f->displaced);
    if (write && !f->merge && !f->snapshot_taken && (destructive || f->deleted > 0)) {
        db_send(c->db, SQL_SNAPSHOT_TAKE, DB_PARAMS(user, stamp, f->kinds_param));
        f->snapshot_taken = true;
        statements++;
    }
    if (delete) {
        db_send(c->db, SQL_FULL_DELETE, DB_PARAMS(user, f->kinds_param, f->item_kinds, f->item_ids, stamp));
        statements++;
    }
    if (write && entity_dirty_count(&r->entities) > 0) {
        entity_send(&r->entities, c->db, c->user, f->stamp);
        statements++;
    }
    f->conflicts += r->log.count;
    if (write) conflict_tally(&r->log, c);
    if (write) statements += conflict_send(&r->log, c->db, c->user, f->stamp);
    if (last) {
        bool any = f->created + f->updated + f->deleted + (long long)f->conflicts > 0 || f->displaced;
        bool commit = write && any;
        db_send(c->db, commit ? SQL_COMMIT : SQL_ROLLBACK, NULL);
        c->committing = commit;
        if (commit) call_changes(c, f->epoch, f->stamp, f->device);
        if (!commit) f->stamp--; /* as in batch.c */
        statements++;
    }
    if (statements == 0) return RC_OK;
    db_flush(c->db);
    for (; statements > 0; statements--)
        if (db_take(c->db, a, &ignored) != RC_OK) break;
    return db_finish(c->db);
}

static rc run(full *f)
{
    call *c = f->c;
    rc code = RC_OK;
    make_params(f);
    arena *a = arena_child(c->a);
    if (f->snapshot) code = begin(f, a, NULL, NULL); /* its pages are read within the transaction */
    for (size_t from = 0, end; code == RC_OK; from = end) {
        operation *ops;
        PGresult *entities;
        bool first = from == 0;
        end = chunk_end(f, from);
        if ((code = read_chunk(f, a, from, end, &ops)) != RC_OK) break;
        if ((code = load_chunk(f, a, ops, end - from, !first || f->snapshot, &entities)) != RC_OK) break;
        resolver r = resolver_new(a, c->conf, f->stamp, f->conflicts);
        r.device = f->device;
        entity_load(&r.entities, entities);
        size_t loaded = r.entities.count;
        const bool *live = live_ones(&r.entities, a);
        forget_deleted(f, &r, a);
        for (size_t i = from; i < end && code == RC_OK; i++) code = apply_item(f, &r, &ops[i - from], i);
        bool destructive = any_changed(&r.entities, live, loaded);
        if (code == RC_OK) code = store_chunk(f, &r, a, first, destructive, end == f->count);
        arena_reset(a);
        if (end == f->count) break;
    }
    if (code == RC_OK || c->committing) return code;
    rc rolled_back = DB_RUN(c->db, c->a, {.id = SQL_ROLLBACK});
    return code == RC_UNAVAILABLE || rolled_back == RC_OK ? code : rolled_back;
}

static void write_reply(const full *f, strbuf *reply)
{
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_instant(reply, "syncedAt", f->stamp);
    json_write_instant(reply, "serverTime", clock_now());
    if (f->dry_run) json_write_bool(reply, "dryRun", true);
    json_write_int(reply, "created", f->created);
    json_write_int(reply, "updated", f->updated);
    json_write_int(reply, "deleted", f->deleted);
    json_write_int(reply, "unchanged", f->unchanged);
    json_write_int(reply, "conflicts", (long long)f->conflicts);
    if (f->snapshot_taken) json_write_member(reply, "snapshot", arena_printf(reply->a, "%lld", (long long)f->stamp));
    strbuf_putc(reply, '}');
}

rc full_run(call *c, const char *body, size_t len, const full_options *options, strbuf *reply)
{
    full f = {.c = c, .ids = json_new_object(c->a)};
    position p;
    f.dry_run = options->dry_run;
    f.if_match = options->if_match;
    if (f.if_match && !position_read(c->a, f.if_match, &p)) return call_invalid(c, "If-Match", "not a cursor of ours");
    rc code = read_body(&f, body, len);
    if (code == RC_OK) code = run(&f);
    if (code == RC_OK) write_reply(&f, reply);
    return code;
}

rc full_restore(call *c, const char *id, strbuf *reply)
{
    full f = {.c = c, .ids = json_new_object(c->a)};
    PGresult *list, *ids;
    db_param user = db_text(c->user);
    char *end;
    f.snapshot = strtoll(id, &end, 10);
    rc code = DB_RUN(c->db, c->a, {.id = SQL_BEGIN_READ}, {.id = SQL_IDENTIFY, .params = &user},
                     {.id = SQL_SNAPSHOTS_LIST, .params = &user, .result = &list},
                     {.id = SQL_SNAPSHOT_IDS, .params = DB_PARAMS(user, db_int(c->a, f.snapshot)), .result = &ids},
                     {.id = SQL_COMMIT});
    if (code != RC_OK) return code;
    int row = 0;
    while (row < PQntuples(list) && db_column_int(list, row, 0, 0) != f.snapshot) row++;
    if (*end || !*id || row == PQntuples(list)) return call_fail(c, RC_NOT_FOUND, "there is no such snapshot");
    const char *names = db_column(list, row, 1);
    for (const kind *const *k = kinds; *k; k++) {
        const char *at = strstr(names, (*k)->name);
        size_t len = strlen((*k)->name);
        if (at && (at == names || at[-1] == ',') && (at[len] == ',' || at[len] == '\0')) f.kinds[f.kind_count++] = *k;
    }
    for (int i = 0; i < PQntuples(ids); i++) {
        item one = {.kind = kind_find(db_column(ids, i, 0)), .id = db_column(ids, i, 1), .path = "snapshot"};
        if (!one.kind) return RC_FAILED;
        json_put(c->a, f.ids, entity_label(c->a, one.kind, one.id), json_integer((json_int_t)f.count));
        add_item(&f, &one);
    }
    code = run(&f);
    if (code == RC_OK) write_reply(&f, reply);
    return code;
}
