#include "entity.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

static const char *const status_names[] = {
    [ENTITY_ABSENT] = "", [ENTITY_LIVE] = "live", [ENTITY_DELETED] = "deleted", [ENTITY_INCOMPLETE] = "incomplete"};

entity_set entity_set_new(arena *a)
{
    return (entity_set){.a = a, .index = json_new_object(a)};
}

const char *entity_label(arena *a, const kind *k, const char *id)
{
    strbuf name = STRBUF(a);
    strbuf_puts(&name, k->name);
    strbuf_putc(&name, ' ');
    strbuf_puts(&name, id);
    return name.data;
}

entity *entity_get(entity_set *set, const kind *k, const char *id)
{
    const char *name = entity_label(set->a, k, id);
    const json_t *at = json_object_get(set->index, name);
    if (at) return set->list[json_integer_value(at)];
    if (set->count == set->room) {
        size_t room = set->room ? set->room * 2 : 16;
        set->list = arena_grow(set->a, set->list, set->room * sizeof *set->list, room * sizeof *set->list);
        set->room = room;
    }
    entity *e = arena_alloc(set->a, sizeof *e);
    *e = (entity){.kind = k,
                  .id = id,
                  .state = merge_new(set->a),
                  .created_at = MERGE_NEVER,
                  .updated_at = MERGE_NEVER,
                  .superseded_at = MERGE_NEVER};
    json_put(set->a, set->index, name, json_integer((json_int_t)set->count));
    set->list[set->count++] = e;
    return e;
}

enum { KIND, ID, STATUS, CREATED, UPDATED, EDITED, DELETED, SUPERSEDED, BASE, KEY, DEVICE, MARKS, DATA };

void entity_load(entity_set *set, const PGresult *rows)
{
    for (int i = 0; i < PQntuples(rows); i++) {
        const kind *k = kind_find(db_column(rows, i, KIND));
        if (!k) continue; /* of a newer version; it cannot have been asked for */
        entity *e = entity_get(set, k, db_column(rows, i, ID));
        if (e->known) continue; /* named, and of the same key too */
        e->known = true;
        e->created_at = db_column_int(rows, i, CREATED, MERGE_NEVER);
        e->updated_at = db_column_int(rows, i, UPDATED, MERGE_NEVER);
        e->superseded_at = db_column_int(rows, i, SUPERSEDED, MERGE_NEVER);
        e->device = db_column(rows, i, DEVICE);
        e->size = (size_t)PQgetlength(rows, i, DATA);
        merge_row row = {.data = db_column(rows, i, DATA),
                         .marks = db_column(rows, i, MARKS),
                         .base = db_column_int(rows, i, BASE, MERGE_NEVER),
                         .edited = db_column_int(rows, i, EDITED, MERGE_NEVER),
                         .deleted = db_column_int(rows, i, DELETED, MERGE_NEVER)};
        e->state = merge_load(set->a, &row);
        entity_refresh(e);
    }
}

static bool is_complete(const entity *e)
{
    for (const field *f = e->kind->fields; f->name; f++)
        if (f->required && !merge_has(e->state, f->name)) return false;
    return true;
}

bool entity_is_candidate(const entity *e)
{
    return merge_edited(e->state) != MERGE_NEVER && is_complete(e);
}

void entity_refresh(entity *e)
{
    bool heard = merge_edited(e->state) != MERGE_NEVER || merge_is_deleted(e->state);
    if (merge_is_deleted(e->state)) e->superseded_at = MERGE_NEVER; /* the deletion says it all */
    bool deleted = merge_is_deleted(e->state) || e->superseded_at != MERGE_NEVER;
    e->status = !heard           ? ENTITY_ABSENT
                : deleted        ? ENTITY_DELETED
                : is_complete(e) ? ENTITY_LIVE
                                 : ENTITY_INCOMPLETE;
    e->key = e->kind->key ? json_string_value(merge_get(e->state, e->kind->key)) : NULL;
}

void entity_write_live(strbuf *out, const char *id, int64_t created_at, int64_t updated_at, const char *data)
{
    strbuf_putc(out, '{');
    json_write_member(out, "id", id);
    json_write_instant(out, "createdAt", created_at);
    json_write_instant(out, "updatedAt", updated_at);
    if (strcmp(data, "{}") != 0) strbuf_putc(out, ',');
    strbuf_puts(out, data + 1);
}

void entity_write_deleted(strbuf *out, const char *id, int64_t updated_at, int64_t deleted_at)
{
    strbuf_putc(out, '{');
    json_write_member(out, "id", id);
    json_write_instant(out, "updatedAt", updated_at);
    json_write_instant(out, "deletedAt", deleted_at);
    strbuf_putc(out, '}');
}

static int64_t deletion(const entity *e)
{
    return merge_is_deleted(e->state) ? merge_deleted(e->state) : e->superseded_at;
}

void entity_write(const entity *e, int64_t stamp, strbuf *out)
{
    int64_t updated_at = e->dirty || !e->known ? stamp : e->updated_at;
    if (e->status == ENTITY_DELETED) {
        entity_write_deleted(out, e->id, updated_at, deletion(e));
        return;
    }
    strbuf data = STRBUF(out->a);
    merge_write(e->state, &data);
    entity_write_live(out, e->id, e->created_at == MERGE_NEVER ? stamp : e->created_at, updated_at, data.data);
}

size_t entity_dirty_count(const entity_set *set)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) count += set->list[i]->dirty;
    return count;
}

void entity_send(entity_set *set, db *d, const char *user, int64_t stamp)
{
    static const db_type types[] = {DB_TEXT, DB_TEXT, DB_TEXT, DB_INT8, DB_INT8, DB_INT8,
                                    DB_INT8, DB_INT8, DB_TEXT, DB_TEXT, DB_JSON, DB_JSON};
    enum { COLUMNS = sizeof types / sizeof *types };
    db_array x[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) x[i] = db_array_new(set->a, types[i]);
    for (size_t i = 0; i < set->count; i++) {
        entity *e = set->list[i];
        if (!e->dirty) continue;
        strbuf data = STRBUF(set->a), marks = STRBUF(set->a);
        merge_write(e->state, &data);
        int64_t base = merge_write_marks(e->state, &marks);
        db_array_text(&x[0], e->kind->name);
        db_array_text(&x[1], e->id);
        db_array_text(&x[2], status_names[e->status]);
        db_array_int8(&x[3], e->created_at == MERGE_NEVER ? stamp : e->created_at, MERGE_NEVER);
        db_array_int8(&x[4], merge_edited(e->state), MERGE_NEVER);
        db_array_int8(&x[5], merge_deleted(e->state), MERGE_NEVER);
        db_array_int8(&x[6], e->superseded_at, MERGE_NEVER);
        db_array_int8(&x[7], base, MERGE_NEVER);
        db_array_text(&x[8], e->key);
        db_array_text(&x[9], e->device);
        db_array_add(&x[10], marks.data, marks.len);
        db_array_add(&x[11], data.data, data.len);
    }
    db_param params[2 + COLUMNS] = {db_text(user), db_int(set->a, stamp)};
    for (int i = 0; i < COLUMNS; i++) params[2 + i] = db_array_param(&x[i]);
    db_send(d, SQL_ENTITIES_WRITE, params);
}
