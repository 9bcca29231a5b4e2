#include "engine/entity.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

entity_set entity_set_new(arena *a)
{
    return (entity_set){.a = a, .index = json_new_object(a), .group_index = json_new_object(a)};
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
    set->list = arena_grow_list(set->a, set->list, set->count, &set->capacity, sizeof *set->list);
    entity *e = arena_alloc(set->a, sizeof *e);
    *e = (entity){.set = set,
                  .kind = k,
                  .id = id,
                  .state = merge_new_with(set->a, k->sets),
                  .created_at = MERGE_NEVER,
                  .updated_at = MERGE_NEVER,
                  .superseded_at = MERGE_NEVER};
    json_put(set->a, set->index, name, json_integer((json_int_t)set->count));
    set->list[set->count++] = e;
    return e;
}

/* The most bytes that an edit of one byte adds to text and marks. */
enum { GROWTH = JSON_WRITE_GROWTH + MERGE_MARKS_PER_BYTE };

static size_t text_size(merge_state *s, arena *a, size_t *marks_size)
{
    strbuf data = STRBUF(a), marks = STRBUF(a);
    merge_write(s, &data);
    merge_write_marks(s, &marks);
    *marks_size = marks.len;
    return data.len;
}

bool entity_outgrows(entity *e, arena *scratch, const merge_edit *edit, size_t bytes, size_t limit, size_t *size,
                     size_t *cost)
{
    size_t marks, bound = limit < MERGE_MARKS_MAX ? limit : MERGE_MARKS_MAX;
    *cost = 0;
    if (edit->type == MERGE_DELETE || e->size + e->slack + bytes * GROWTH <= bound) return false;
    e->size = text_size(e->state, scratch, &e->slack);
    merge_state *copy = merge_copy(scratch, e->state);
    merge_apply(copy, edit, false);
    *size = text_size(copy, scratch, &marks) + marks;
    *cost = *size;
    arena_reset(scratch);
    if (marks > MERGE_MARKS_MAX && marks > e->slack) return true; /* they could not be loaded again */
    return *size > limit && *size > e->size + e->slack;
}

bool entity_outgrows_joined(entity *e, arena *scratch, merge_state *with, int64_t latest, int64_t now, size_t limit,
                            size_t *size)
{
    size_t marks;
    e->size = text_size(e->state, scratch, &e->slack);
    merge_state *copy = merge_copy(scratch, e->state);
    merge_join(copy, with, latest, now);
    *size = text_size(copy, scratch, &marks) + marks;
    arena_reset(scratch);
    return *size > limit && *size > e->size + e->slack;
}

void entity_grow(entity *e, size_t bytes)
{
    e->size += bytes;
    e->slack += bytes * (GROWTH - 1);
}

void entity_note_edit(entity *e, const merge_edit *edit, size_t number)
{
    if (edit->type != MERGE_DELETE && merge_is_latest(e->state, edit->at)) e->edited_by = number + 1;
}

static entity_group *find_group(entity_set *set, const kind *k, const char *key)
{
    const char *name = entity_label(set->a, k, key);
    const json_t *at = json_object_get(set->group_index, name);
    if (at) return set->groups[json_integer_value(at)];
    set->groups = arena_grow_list(set->a, set->groups, set->group_count, &set->group_capacity, sizeof *set->groups);
    json_put(set->a, set->group_index, name, json_integer((json_int_t)set->group_count));
    return set->groups[set->group_count++] = arena_alloc(set->a, sizeof(entity_group));
}

const entity_group *entity_group_of(entity_set *set, const kind *k, const char *key)
{
    return find_group(set, k, key);
}

static void leave_group(entity *e)
{
    entity_group *g = e->group;
    size_t i = 0;
    while (g->list[i] != e) i++;
    memmove(&g->list[i], &g->list[i + 1], (--g->count - i) * sizeof *g->list);
    e->group = NULL;
}

static void set_key(entity *e, const char *key)
{
    bool same = e->group && key && strcmp(e->key, key) == 0;
    e->key = key;
    if (same) return;
    if (e->group) leave_group(e);
    if (!key) return;
    entity_group *g = e->group = find_group(e->set, e->kind, key);
    g->list = arena_grow_list(e->set->a, g->list, g->count, &g->capacity, sizeof *g->list);
    g->list[g->count++] = e;
}

static bool is_complete(const entity *e)
{
    if (e->sibling) return true;
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
    entity_status before = e->status;
    bool heard = merge_edited(e->state) != MERGE_NEVER || merge_is_deleted(e->state);
    if (merge_is_deleted(e->state)) e->superseded_at = MERGE_NEVER; /* a deletion outranks it */
    bool deleted = merge_is_deleted(e->state) || e->superseded_at != MERGE_NEVER;
    e->status = !heard ? ENTITY_ABSENT : deleted ? ENTITY_DELETED : is_complete(e) ? ENTITY_LIVE : ENTITY_INCOMPLETE;
    if (e->sibling)
        set_key(e, e->key);
    else
        set_key(e, e->kind->key ? json_string_value(merge_get(e->state, e->kind->key)) : NULL);
    if (e->status == before) return;
    e->written = NULL;
    if (e->status == ENTITY_LIVE) e->recent.whole = true; /* it was not visible before */
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

static int64_t deleted_at(const entity *e)
{
    return merge_is_deleted(e->state) ? merge_deleted(e->state) : e->superseded_at;
}

static void write_data(const entity *e, strbuf *out)
{
    if (!e->sibling) {
        merge_write(e->state, out);
    } else if (e->text) {
        strbuf_puts(out, e->text);
    } else {
        strbuf_putc(out, '{');
        json_write_member(out, e->kind->key, e->key);
        strbuf_putc(out, '}');
    }
}

void entity_write(const entity *e, int64_t stamp, strbuf *out)
{
    int64_t updated_at = e->dirty || !e->known ? stamp : e->updated_at;
    if (e->status == ENTITY_DELETED) {
        entity_write_deleted(out, e->id, updated_at, deleted_at(e));
        return;
    }
    strbuf data = STRBUF(out->a);
    write_data(e, &data);
    entity_write_live(out, e->id, e->created_at == MERGE_NEVER ? stamp : e->created_at, updated_at, data.data);
}

const char *entity_text(entity *e, int64_t stamp, arena *a)
{
    if (e->status == ENTITY_ABSENT) return NULL;
    if (!e->written) {
        strbuf out = STRBUF(a);
        entity_write(e, stamp, &out);
        e->written = out.data;
    }
    return e->written;
}

size_t entity_dirty_count(const entity_set *set)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) count += set->list[i]->dirty;
    return count;
}

static const char *const status_names[] = {
    [ENTITY_ABSENT] = "", [ENTITY_LIVE] = "live", [ENTITY_DELETED] = "deleted", [ENTITY_INCOMPLETE] = "incomplete"};

const char *entity_status_name(entity_status status)
{
    return status_names[status];
}

entity_status entity_status_find(const char *name)
{
    for (entity_status s = ENTITY_LIVE; s <= ENTITY_INCOMPLETE; s++)
        if (strcmp(status_names[s], name) == 0) return s;
    return ENTITY_ABSENT;
}
