#include "engine/undo.h"

#include <string.h>

#include "base/json.h"
#include "engine/merge.h"

static void keep(undo *u, entity *e)
{
    u->changed[u->count] = e;
    u->before[u->count++] = *e;
}

static void keep_group(undo *u, const entity_group *g)
{
    for (size_t i = 0; g && i < g->count; i++)
        if (g->list[i] != u->e) keep(u, g->list[i]);
}

undo undo_save(resolver *r, arena *a, const operation *op)
{
    entity *e = entity_get(&r->entities, op->kind, op->stored_id);
    const char *key = op->kind->key ? json_string_value(json_object_get(op->data, op->kind->key)) : NULL;
    const entity_group *from = e->group, *to = key ? entity_group_of(&r->entities, op->kind, key) : NULL;
    size_t most = 1 + (from ? from->count : 0) + (to ? to->count : 0);
    undo u = {.r = r, .e = e, .log_count = r->log.count, .closing_count = r->log.closing_count};
    u.changed = arena_alloc(a, most * sizeof *u.changed);
    u.before = arena_alloc(a, most * sizeof *u.before);
    u.log = arena_alloc(a, (u.log_count + 1) * sizeof *u.log);
    keep(&u, e);
    u.before->state = merge_copy(a, e->state);
    keep_group(&u, from);
    if (to != from) keep_group(&u, to);
    if (u.log_count > 0) memcpy(u.log, r->log.list, u.log_count * sizeof *u.log);
    step_spend(r, e->size);
    return u;
}

void undo_run(const undo *u)
{
    entity *e = u->e;
    u->before->state = e->state = merge_copy(u->r->a, u->before->state);
    entity_refresh(e); /* back into the group of its key */
    for (size_t i = 0; i < u->count; i++) {
        entity_group *g = u->changed[i]->group;
        const char *key = u->changed[i]->key;
        *u->changed[i] = u->before[i];
        u->changed[i]->group = g;
        u->changed[i]->key = key;
    }
    if (u->log_count > 0) memcpy(u->r->log.list, u->log, u->log_count * sizeof *u->log);
    u->r->log.count = u->log_count;
    u->r->log.closing_count = u->closing_count;
}
