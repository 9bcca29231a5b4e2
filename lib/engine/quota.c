#include "engine/quota.h"

#include <string.h>

#include "engine/resolve.h"
#include "engine/undo.h"

usage quota_of_entity(entity_status status, const char *id, size_t data, size_t beneath)
{
    if (status == ENTITY_ABSENT) return (usage){0};
    if (status == ENTITY_DELETED) return (usage){.hidden = (int64_t)(USAGE_TOMBSTONE + strlen(id) + data + beneath)};
    return (usage){.entities = 1, .bytes = (int64_t)data, .hidden = (int64_t)beneath};
}

usage quota_of_stored(const entity *e)
{
    return quota_of_entity(e->stored.status, e->id, e->stored.data, e->stored.marks + e->stored.recent);
}

/* The bytes of the entity's data now, or not fewer. */
static size_t measure(resolver *r, entity *e, bool exact)
{
    if (!e->unmeasured) return e->measured;
    if (!exact) return e->size + e->slack;
    if (!r->scratch) r->scratch = arena_child(r->a);
    strbuf data = STRBUF(r->scratch);
    merge_write(e->state, &data);
    e->measured = data.len;
    e->unmeasured = false;
    arena_reset(r->scratch);
    return e->measured;
}

usage quota_change(resolver *r, bool exact)
{
    usage sum = {0};
    for (size_t i = 0; i < r->entities.count; i++) {
        entity *e = r->entities.list[i];
        if (!e->dirty) continue;
        usage now = quota_of_entity(e->status, e->id, measure(r, e, exact), 0), was = quota_of_stored(e);
        usage_add(&sum, &now, 1);
        usage_add(&sum, &was, -1);
    }
    sum.bytes += (int64_t)conflict_open_bytes(&r->log);
    return sum;
}

static usage change_so_far(const quota *q, resolver *r, bool exact)
{
    usage change = quota_change(r, exact);
    change.bytes -= q->freed;
    return change;
}

static usage usage_after(const quota *q, const usage *change)
{
    usage after = q->used;
    usage_add(&after, change, 1);
    return after;
}

bool quota_exceeded(const quota *q, resolver *r, usage *change)
{
    if (r->conf->quota_bytes == 0 && r->conf->quota_entities == 0) return false;
    for (int exact = 0; exact < 2; exact++) {
        *change = change_so_far(q, r, exact);
        const usage after = usage_after(q, change);
        if (!usage_exceeds(&q->used, &after, r->conf)) return false;
    }
    return true;
}

void quota_resolve(quota *q, resolver *r, const operation *op, size_t number, const char *path, int64_t freed,
                   outcome *out)
{
    const usage so_far = change_so_far(q, r, true), before = usage_after(q, &so_far);
    if (!q->scratch) q->scratch = arena_child(r->a);
    arena_reset(q->scratch);
    const undo u = undo_save(r, q->scratch, op);
    if (op->times)
        resolve_state(r, op, number, path, out);
    else
        resolve_operation(r, op, number, path, out);
    if (out->status == OUTCOME_FAILED) return;
    q->freed += freed;
    const usage change = change_so_far(q, r, true), after = usage_after(q, &change);
    bool is_deletion = op->type == OPERATION_DELETE && out->status == OUTCOME_SUCCESS;
    /* A state that another entity superseded, or that was deleted before a later edit here, may become visible. */
    if (op->times) is_deletion = is_deletion && out->entity->status == ENTITY_DELETED;
    if (is_deletion || !usage_exceeds(&before, &after, r->conf)) return;
    q->freed -= freed;
    undo_run(&u);
    *out = (outcome){.status = OUTCOME_FAILED,
                     .failed = RC_QUOTA,
                     .message = arena_printf(r->a, "%s: %s", path, usage_excess(r->a, &before, &after, r->conf))};
}
