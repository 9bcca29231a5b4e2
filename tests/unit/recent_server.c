#include "recent_server.h"

#include <string.h>

#include "base/json.h"
#include "unit.h"

server *server_new(arena *a)
{
    server *s = arena_alloc(a, sizeof *s);
    *s = (server){.a = a, .clock = 1000, .conf = {.entity = 1 << 20, .tombstone_days = 180, .clock_skew = 300}};
    for (size_t i = 0; i < SERVER_ROWS; i++) {
        server_row *row = &s->rows[i];
        *row = (server_row){.kind = i < 2 ? &kind_book : &kind_rating, .id = i % 2 == 0 ? "x" : "y"};
    }
    return s;
}

/* As rows.c does it. */
static void load(const server *s, resolver *r, const server_row *row, bool sibling)
{
    if (row->updated == 0) return;
    entity *e = entity_get(&r->entities, row->kind, row->id);
    merge_row stored = {NULL, NULL, row->base, row->edited, row->deleted, row->kind->sets};
    e->known = true;
    e->created_at = row->created;
    e->updated_at = row->updated;
    e->superseded_at = row->superseded;
    e->sibling = sibling;
    e->key = row->key;
    if (!sibling) {
        stored.data = row->data;
        stored.marks = row->marks;
        e->size = strlen(row->data);
    }
    e->state = merge_load(s->a, &stored);
    entity_refresh(e);
    e->recent = (recent){.text = row->recent};
}

/* The named row, and of the ratings the others, if they compete. */
static void load_all(const server *s, resolver *r, size_t named)
{
    load(s, r, &s->rows[named], false);
    for (size_t i = 2; named >= 2 && i < SERVER_ROWS; i++) {
        const server_row *row = &s->rows[i];
        bool complete = row->updated > 0 && row->key && strstr(row->data, "\"stars\"");
        if (i != named && complete) load(s, r, row, true);
    }
}

static void save_place(const server *s, server_row *row, const entity *e)
{
    row->status = e->status;
    row->superseded = e->superseded_at;
    row->updated = s->clock;
}

static void save(const server *s, server_row *row, entity *e, bool old)
{
    strbuf data = STRBUF(s->a), marks = STRBUF(s->a), text = STRBUF(s->a);
    merge_write(e->state, &data);
    row->base = merge_write_marks(e->state, &marks);
    if (e->status == ENTITY_LIVE) recent_write(&e->recent, e->known ? e->updated_at : MERGE_NEVER, s->clock, &text);
    if (!old) row->recent = text.data;
    row->data = data.data;
    row->marks = marks.data;
    row->key = e->key;
    row->edited = merge_edited(e->state);
    row->deleted = merge_deleted(e->state);
    row->created = e->created_at;
    save_place(s, row, e);
}

static void save_all(server *s, resolver *r, bool old)
{
    for (size_t i = 0; i < SERVER_ROWS; i++) {
        server_row *row = &s->rows[i];
        if (!json_object_get(r->entities.index, entity_label(s->a, row->kind, row->id))) continue;
        entity *e = entity_get(&r->entities, row->kind, row->id);
        if (e->dirty && e->sibling)
            save_place(s, row, e);
        else if (e->dirty)
            save(s, row, e, old);
        else if (e->known && e->recent.whole && !e->sibling && !old)
            row->recent = RECENT_WHOLE;
    }
}

outcome_status server_write(server *s, size_t row, const operation *op, bool old)
{
    outcome out = {0};
    resolver r = resolver_new(s->a, &s->conf, ++s->clock, 0);
    load_all(s, &r, row);
    resolve_operation(&r, op, 0, "", &out);
    save_all(s, &r, old);
    return out.status;
}

void server_replace(server *s, size_t row, const json_t *data, int64_t at)
{
    const server_row *to = &s->rows[row];
    const operation op = {.type = OPERATION_CREATE,
                          .kind = to->kind,
                          .entity_id = to->id,
                          .stored_id = to->id,
                          .data = (json_t *)data,
                          .at = at,
                          .created_at = MERGE_NEVER};
    outcome out = {0};
    resolver r = resolver_new(s->a, &s->conf, ++s->clock, 0);
    load_all(s, &r, row);
    resolve_replace(&r, &op, 0, &out);
    save_all(s, &r, false);
}

client *client_new(arena *a, bool delta)
{
    client *c = arena_alloc(a, sizeof *c);
    *c = (client){.delta = delta, .base = MERGE_NEVER, .row = SERVER_ROWS};
    return c;
}

json_t *patched(arena *a, const json_t *data, const json_t *patch)
{
    const char *name;
    json_t *value, *out = json_new_object(a);
    if (json_is_object(data)) json_object_update(out, (json_t *)data);
    json_object_foreach((json_t *)patch, name, value)
    {
        json_t *now = json_is_object(value) ? patched(a, json_object_get(out, name), value) : value;
        json_put(a, out, name, json_incref(now));
    }
    return out;
}

static json_t *parsed(arena *a, const char *text)
{
    json_t *value = json_parse(a, text, strlen(text), NULL);
    ASSERT_IN_LOOP(value != NULL, "not JSON: %s", text);
    return value;
}

static void take(client *c, const server *s, size_t i)
{
    const server_row *row = &s->rows[i];
    strbuf patch = STRBUF(s->a);
    if (row->status == ENTITY_DELETED)
        c->held[i] = NULL;
    else if (c->delta && c->base != MERGE_NEVER &&
             recent_patch(s->a, row->recent, row->updated, c->base, row->data, &patch))
        c->held[i] = patched(s->a, c->held[i], parsed(s->a, patch.data));
    else
        c->held[i] = parsed(s->a, row->data);
}

/* The first visible row behind the position; SERVER_ROWS: none. */
static size_t next_row(const client *c, const server *s)
{
    size_t best = SERVER_ROWS;
    for (size_t i = 0; i < SERVER_ROWS; i++) {
        const server_row *row = &s->rows[i];
        bool behind = row->updated > c->stamp || (row->updated == c->stamp && i > c->row);
        if (row->updated == 0 || row->status == ENTITY_INCOMPLETE || !behind) continue;
        if (best == SERVER_ROWS || row->updated < s->rows[best].updated) best = i;
    }
    return best;
}

bool client_pull(client *c, const server *s, size_t limit)
{
    for (size_t i; (i = next_row(c, s)) < SERVER_ROWS; limit--) {
        if (limit == 0) return true;
        take(c, s, i);
        c->stamp = s->rows[i].updated;
        c->row = i;
    }
    c->stamp = c->base = s->clock;
    c->row = SERVER_ROWS;
    return false;
}

static bool contains(const json_t *list, const json_t *value)
{
    size_t i;
    json_t *other;
    json_array_foreach(list, i, other) if (json_same(other, value)) return true;
    return false;
}

/* The list `held` after a change, which names no element twice. */
static json_t *changed(const json_t *held, const json_t *change)
{
    const json_t *add = json_object_get(change, "$add"), *remove = json_object_get(change, "$remove");
    size_t i;
    json_t *value, *list = json_array();
    if (json_is_null(held) && json_array_size(add) == 0) return json_decref(list), json_null();
    json_array_foreach(held, i, value) if (!contains(add, value) && !contains(remove, value))
        json_array_append(list, value);
    json_array_extend(list, (json_t *)add);
    return list;
}

/* The members of an operation as leaves: a change of a set is the list that it makes of the copy's. */
static json_t *leaves_of(const operation *op, arena *a, const json_t *held)
{
    json_t *leaves = json_new_object(a);
    json_object_update(leaves, op->data);
    for (const char *const *name = op->kind->sets; name && *name; name++) {
        const json_t *value = json_object_get(op->data, *name);
        if (json_is_object(value)) json_put(a, leaves, *name, changed(json_object_get(held, *name), value));
    }
    return leaves;
}

void client_believe(client *c, arena *a, size_t row, const operation *op)
{
    json_t **held = &c->held[row];
    *held = op->type == OPERATION_DELETE ? NULL : patched(a, *held, leaves_of(op, a, *held));
}
