#include "library.h"

#include <stdlib.h>
#include <string.h>

#include "engine/readings.h"
#include "history.h"

/* Loading */

enum { KEYS_MAX = 256 };

typedef struct key {
    const kind *kind;
    const char *value;
} key;

static bool is_named(const operation *ops, size_t count, const kind *k, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (ops[i].kind == k && strcmp(ops[i].stored_id, id) == 0) return true;
    return false;
}

static size_t add_key(key *keys, size_t count, const kind *k, const char *value)
{
    for (size_t i = 0; i < count; i++)
        if (keys[i].kind == k && strcmp(keys[i].value, value) == 0) return count;
    if (count == KEYS_MAX) abort();
    keys[count] = (key){k, value};
    return count + 1;
}

static bool has_member(const stored_row *row, const char *name)
{
    json_t *data = json_loads(row->data, 0, NULL);
    const json_t *value = json_object_get(data, name);
    bool has = value && !json_is_null(value);
    json_decref(data);
    return has;
}

/* COMPETES in sql_parts.h */
static bool competes(const stored_row *row)
{
    bool rating = row->kind->rule == KIND_ONE_PER_KEY, reading = row->kind->rule == KIND_READINGS;
    if (!row->key) return false;
    if (row->status == ENTITY_LIVE) return true;
    if ((!rating && !reading) || row->status != ENTITY_DELETED) return false;
    return row->superseded != MERGE_NEVER || has_member(row, rating ? "stars" : "status");
}

static int compare_siblings(const void *x, const void *y)
{
    const stored_row *a = *(const stored_row *const *)x, *b = *(const stored_row *const *)y;
    bool a_live = a->status == ENTITY_LIVE, b_live = b->status == ENTITY_LIVE;
    bool a_holds = a->superseded == MERGE_NEVER, b_holds = b->superseded == MERGE_NEVER;
    if (a->edited != b->edited) return a->edited > b->edited ? -1 : 1;
    if (a_live != b_live) return a_live ? -1 : 1;
    if (a_holds != b_holds) return a_holds ? -1 : 1;
    return strcmp(a->id, b->id);
}

/* The members of an object that decide whether a reading log stands; the names have `prefix`. */
static const char *facts_of(arena *a, const char *text, const char *prefix)
{
    json_t *all = text ? json_loads(text, 0, NULL) : NULL, *some = json_object();
    for (const char *const *name = reading_members; *name; name++) {
        const char *member = arena_printf(a, "%s%s", prefix, *name);
        json_object_set(some, member, json_object_get(all, member));
    }
    char *facts = json_object_size(some) > 0 ? json_dumps(some, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    const char *copy = facts ? arena_strdup(a, facts) : NULL;
    free(facts);
    json_decref(all);
    json_decref(some);
    return copy;
}

static void load_row(resolver *r, const stored_row *row, bool sibling)
{
    bool reading = row->kind->rule == KIND_READINGS;
    entity *e = entity_get(&r->entities, row->kind, row->id);
    merge_row m = {row->data, row->marks, row->base, row->edited, row->deleted, row->kind->sets};
    e->known = true;
    e->created_at = row->created;
    e->updated_at = row->updated;
    e->superseded_at = row->superseded;
    e->device = row->device;
    e->size = strlen(row->data);
    e->slack = row->marks ? strlen(row->marks) : 0;
    if (sibling) {
        e->sibling = true;
        e->key = row->key;
        e->text = reading && row->status != ENTITY_LIVE ? NULL : row->data;
        m.data = reading ? facts_of(r->a, row->data, "") : NULL;
        m.marks = reading ? facts_of(r->a, row->marks, "/") : NULL;
    }
    e->state = merge_load(r->a, &m);
    entity_refresh(e);
    e->was_live = e->status == ENTITY_LIVE;
}

/* WITH_SIBLINGS in sql_parts.h */
static void load_siblings(const library *l, resolver *r, const key *k, const operation *ops, size_t count)
{
    size_t found = 0, most = k->kind->rule == KIND_ONE_PER_KEY ? 1 : k->kind->rule == KIND_READINGS ? 200 : 25;
    const stored_row **siblings = arena_alloc(r->a, (l->count + 1) * sizeof *siblings);
    for (size_t i = 0; i < l->count; i++) {
        const stored_row *row = &l->rows[i];
        if (row->kind != k->kind || !row->key || strcmp(row->key, k->value) != 0) continue;
        if (competes(row) && !is_named(ops, count, row->kind, row->id)) siblings[found++] = row;
    }
    qsort(siblings, found, sizeof *siblings, compare_siblings);
    for (size_t i = 0; i < found && i < most; i++) load_row(r, siblings[i], true);
}

void library_load(const library *l, resolver *r, const operation *ops, size_t count)
{
    key keys[KEYS_MAX];
    size_t key_count = 0;
    for (size_t i = 0; i < count; i++) {
        const kind *k = ops[i].kind;
        const char *value = k->key ? json_string_value(json_object_get(ops[i].data, k->key)) : NULL;
        if (value) key_count = add_key(keys, key_count, k, value);
    }
    for (size_t i = 0; i < l->count; i++) {
        const stored_row *row = &l->rows[i];
        if (!is_named(ops, count, row->kind, row->id)) continue;
        load_row(r, row, false);
        if (row->key) key_count = add_key(keys, key_count, row->kind, row->key);
    }
    for (size_t i = 0; i < key_count; i++) load_siblings(l, r, &keys[i], ops, count);
}

/* Storing */

static const char *keep_text(library *l, const char *text)
{
    return text ? arena_strdup(l->a, text) : NULL;
}

static stored_row *row_of(library *l, const entity *e)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->rows[i].kind == e->kind && strcmp(l->rows[i].id, e->id) == 0) return &l->rows[i];
    if (l->count == LIBRARY_MAX) abort();
    l->rows = arena_grow_list(l->a, l->rows, l->count, &l->capacity, sizeof *l->rows);
    l->rows[l->count] = (stored_row){.kind = e->kind, .id = keep_text(l, e->id)};
    return &l->rows[l->count++];
}

static void store_entity(library *l, const resolver *r, const entity *e)
{
    stored_row *row = row_of(l, e);
    row->updated = r->stamp;
    row->status = e->status;
    row->superseded = e->superseded_at;
    row->device = keep_text(l, e->device);
    if (e->sibling) return;
    strbuf data = STRBUF(l->a), marks = STRBUF(l->a);
    merge_write(e->state, &data);
    row->base = merge_write_marks(e->state, &marks);
    row->data = data.data;
    row->marks = marks.data;
    row->created = e->created_at == MERGE_NEVER ? r->stamp : e->created_at;
    row->edited = merge_edited(e->state);
    row->deleted = merge_deleted(e->state);
    row->key = keep_text(l, e->key);
}

static void close_conflicts(library *l, const conflict_closing *c)
{
    for (size_t i = 0; i < l->conflict_count; i++) {
        stored_conflict *x = &l->conflicts[i];
        if (x->reason != c->reason || strcmp(x->kind, c->kind) != 0) continue;
        if (strcmp(x->id, c->entity_id) == 0 || (x->other && strcmp(x->other, c->entity_id) == 0)) x->open = false;
    }
}

void library_store(library *l, const resolver *r)
{
    for (size_t i = 0; i < r->entities.count; i++)
        if (r->entities.list[i]->dirty) store_entity(l, r, r->entities.list[i]);
    for (size_t i = 0; i < r->log.closing_count; i++) close_conflicts(l, &r->log.closings[i]);
    for (size_t i = 0; i < r->log.count; i++) {
        const conflict *c = &r->log.list[i];
        l->conflicts =
            arena_grow_list(l->a, l->conflicts, l->conflict_count, &l->conflict_capacity, sizeof *l->conflicts);
        l->conflicts[l->conflict_count++] = (stored_conflict){keep_text(l, c->kind), keep_text(l, c->entity_id),
                                                              keep_text(l, c->other_id), c->reason, c->open};
    }
}

/* What is stored */

static json_t *instant_or_null(int64_t at)
{
    return at == MERGE_NEVER ? json_null() : json_integer(at);
}

/* Adds a member whose name the function releases. */
static void add_named(json_t *to, json_t *name, json_t *value)
{
    json_object_set_new(to, json_string_value(name), value);
    json_decref(name);
}

static json_t *open_conflicts(const library *l)
{
    json_t *open = json_object();
    for (size_t i = 0; i < l->conflict_count; i++) {
        const stored_conflict *c = &l->conflicts[i];
        if (!c->open) continue;
        const char *first = c->id, *second = c->other;
        if (second && strcmp(second, first) < 0) first = c->other, second = c->id;
        json_t *name = second ? json_sprintf("%s %s + %s", c->kind, first, second) : entity_name(c->kind, c->id);
        const json_t *before = json_object_get(open, json_string_value(name));
        const char *reason = conflict_reason_name(c->reason);
        add_named(open, name,
                  before ? json_sprintf("%s and %s", json_string_value(before), reason) : json_string(reason));
    }
    return open;
}

json_t *library_outcome(const library *l)
{
    json_t *entities = json_object(), *pulled = json_object();
    for (size_t i = 0; i < l->count; i++) {
        const stored_row *row = &l->rows[i];
        json_t *data = json_loads(row->data, 0, NULL);
        int64_t superseded = row->superseded == MERGE_NEVER     ? 0
                             : row->kind->rule == KIND_READINGS ? row->superseded
                                                                : 1;
        if (row->status == ENTITY_LIVE) add_named(pulled, entity_name(row->kind->name, row->id), json_incref(data));
        add_named(entities, entity_name(row->kind->name, row->id),
                  json_pack("{s:s, s:o, s:o, s:o, s:I}", "status", entity_status_name(row->status), "data", data,
                            "edited", instant_or_null(row->edited), "deleted", instant_or_null(row->deleted),
                            "superseded", (json_int_t)superseded));
    }
    return json_pack("{s:o, s:o, s:o}", "entities", entities, "pulled", pulled, "open", open_conflicts(l));
}

json_t *library_times(const library *l)
{
    json_t *all = json_object();
    for (size_t i = 0; i < l->count; i++) {
        const stored_row *row = &l->rows[i];
        json_t *data = json_loads(row->data, 0, NULL), *marks = json_loads(row->marks ? row->marks : "{}", 0, NULL);
        json_t *base = instant_or_null(row->base);
        add_named(all, entity_name(row->kind->name, row->id), history_times(data, base, marks));
        json_decref(data);
        json_decref(marks);
        json_decref(base);
    }
    return all;
}
