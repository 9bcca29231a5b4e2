#include "engine/resolve.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/rivals.h"
#include "engine/times.h"

static int64_t server_time(const entity *e)
{
    int64_t edited = merge_edited(e->state), deleted = merge_deleted(e->state);
    return edited > deleted ? edited : deleted;
}

/* Two devices without a name are not the same device. */
static bool is_last_writer(const step *s)
{
    const char *device = s->r->device, *last = s->e->device;
    return s->e->ours || (device && last && strcmp(device, last) == 0);
}

static int64_t base_of(const step *s)
{
    return s->op->base != MERGE_NEVER ? s->op->base : s->r->last_sync;
}

/* Whether the sender has shown that it knows the version before the edit. Otherwise the result must tell the content as
 * well, because a client skips in its next pull the version that a result told. That the same device wrote that version
 * proves nothing: the answer may have been lost. Nor does a version or a time ahead of the server's: after a restore
 * every device has such. */
static bool sender_knows(const step *s)
{
    const entity *e = s->e;
    int64_t synced = s->r->last_sync;
    if (!e->known || e->touched) return true; /* new, or told by an earlier result of this request */
    if (e->dirty) return false;               /* an operation on another entity of its key has changed it */
    if (s->op->base != MERGE_NEVER) return s->op->base == e->updated_at;
    if (e->status == ENTITY_INCOMPLETE) return false; /* no pull has shown it */
    return synced >= e->updated_at && synced <= s->r->clock;
}

/* Finds the reason for a conflict (docs/api.md, Conflict a, b, c); false when there is none. */
static bool detect(const step *s, const merge_effect *effect, conflict_reason *reason)
{
    const entity *e = s->e;
    int64_t base = base_of(s);
    if (effect->late && e->status == ENTITY_DELETED && s->op->type == OPERATION_DELETE) return false;
    if (effect->late)
        *reason = s->op->type == OPERATION_DELETE ? CONFLICT_EDITED : CONFLICT_DELETED;
    else if (effect->lost > 0)
        *reason = CONFLICT_STALE;
    else if (base != MERGE_NEVER && e->known && base < e->updated_at && !is_last_writer(s) && effect->overwritten > 0)
        *reason = CONFLICT_BASE;
    else
        return false;
    return true;
}

static bool refuse(step *s, const char *message)
{
    s->out->status = OUTCOME_FAILED;
    s->out->failed = RC_TOO_LARGE;
    s->out->message = message;
    return false;
}

/* Checks that the entity does not grow beyond limits.entity: its text and its marks. A deletion adds nothing to them. A
 * new entity has no marks, and operation_read has checked its data. `path` is that of the operation. */
static bool check_size(step *s, bool in_conflict, const char *path)
{
    resolver *r = s->r;
    size_t size, cost, limit = (size_t)r->conf->entity;
    if (s->op->type == OPERATION_DELETE || s->e->status == ENTITY_ABSENT) return true;
    if (s->e->sealed)
        return refuse(s, arena_printf(r->a,
                                      "%s: the server keeps more than %d bytes about the times of this entity's "
                                      "members; delete the entity, or replace it by a full sync",
                                      path, MERGE_MARKS_MAX));
    merge_edit edit = s->edit;
    if (s->op->policy != POLICY_MERGE)
        edit.at = rivals_winning_time(s, in_conflict); /* a person may decide for it later */
    if (!r->scratch) r->scratch = arena_child(r->a);
    bool outgrows = entity_outgrows(s->e, r->scratch, &edit, s->op->size, limit, &size, &cost);
    step_spend(r, cost);
    if (!outgrows) return true;
    return refuse(
        s, arena_printf(r->a, "%s.data: the entity would have %zu bytes, limits.entity is %zu", path, size, limit));
}

/* Notes what this operation is about, whether it is applied or not: its sender may show it. */
static void note_leaves(const step *s, bool refused)
{
    recent *r = &s->e->recent;
    if (s->op->type != OPERATION_DELETE)
        recent_note(r, s->r->a, s->e->kind, s->op->data);
    else if (refused)
        r->whole = true; /* the sender may have dropped the entity */
}

static void apply(step *s, bool in_conflict, conflict_reason reason)
{
    entity *e = s->e;
    int64_t server_at = server_time(e);
    const char *server_data = in_conflict ? step_text(s->r, e) : NULL;
    bool unknown = e->status == ENTITY_ABSENT, is_create = s->op->type == OPERATION_CREATE;
    if (s->op->policy == POLICY_LOCAL) s->edit.at = rivals_winning_time(s, in_conflict);
    merge_effect effect = merge_apply(e->state, &s->edit, false);
    if (is_create && s->op->created_at != MERGE_NEVER && (unknown || e->status == ENTITY_INCOMPLETE))
        e->created_at = s->op->created_at;
    entity_note_edit(e, &s->edit, s->number);
    if (effect.changed) e->written = NULL;
    if (effect.changed) merge_forget(e->state, s->r->stamp - s->r->conf->tombstone_days * CLOCK_DAY);
    if (effect.changed || effect.unlike || in_conflict)
        e->dirty = true; /* in the last two cases always: a new version tells the sender the truth */
    note_leaves(s, effect.late);
    if (effect.applied > 0) e->device = s->r->device, e->ours = true;
    if (s->op->type != OPERATION_DELETE) entity_grow(e, s->op->size);
    entity_refresh(e);
    if (in_conflict) {
        s->out->resolution = effect.late           ? "server"
                             : effect.lost == 0    ? "client"
                             : effect.applied == 0 ? "server"
                                                   : "merged";
        s->out->show_data = true;
        step_log(s, reason, s->out->resolution, NULL, server_at, server_data);
    }
    if (effect.unlike) s->out->show_data = true;
    bool is_edit = s->op->type != OPERATION_DELETE, was_deleted = s->status_before == ENTITY_DELETED;
    /* The entity has fields that the sender did not send and may have dropped on deletion. Return the whole entity. */
    if (is_edit && !unknown && (is_create || was_deleted || !s->knows) && !s->out->show_data) {
        strbuf now = STRBUF(s->r->a);
        merge_write(e->state, &now);
        s->out->show_data = strcmp(now.data, step_local_text(s)) != 0;
    }
    bool beyond_horizon = s->r->horizon > 0 && s->sent_at <= s->r->horizon;
    if (unknown && beyond_horizon && s->op->type != OPERATION_DELETE)
        step_log(s, CONFLICT_BEYOND_HORIZON, NULL, NULL, MERGE_NEVER, NULL);
}

/* The policy server or manual: nothing of the edit is applied. `other`: the entity of the same key that it meets, or
 * NULL. */
static void drop(step *s, conflict_reason reason, entity *other)
{
    entity *e = s->e, *server = other ? other : e;
    bool manual = s->op->policy == POLICY_MANUAL;
    s->out->resolution = manual ? NULL : "server";
    s->out->show_data = true;
    step_log(s, reason, s->out->resolution, other, server_time(server), step_text(s->r, server));
    if (manual) {
        s->out->status = OUTCOME_CONFLICT;
        e->recent.whole = true; /* the version stays; the next one must correct the sender */
        return;
    }
    note_leaves(s, true);
    /* The next pull must correct the sender. It needs a deletion of what the server never had. */
    if (e->status == ENTITY_ABSENT) merge_apply(e->state, &(merge_edit){MERGE_DELETE, NULL, s->edit.at}, false);
    e->dirty = true;
    entity_refresh(e);
}

static void settle(step *s)
{
    if (rivals_displace(s->e->kind)) rivals_settle(s);
    if (s->e->kind->rule == KIND_NAMES_CLASH) rivals_names(s);
    bool was = s->status_before == ENTITY_INCOMPLETE, is = s->e->status == ENTITY_INCOMPLETE;
    if (was && !is) conflict_close(&s->r->log, s->e->kind->name, s->e->id, CONFLICT_INCOMPLETE);
    if (is && !was) step_log(s, CONFLICT_INCOMPLETE, NULL, NULL, MERGE_NEVER, NULL);
}

static void resolve(resolver *r, const operation *op, size_t number, const char *path, outcome *out)
{
    entity *e = entity_get(&r->entities, op->kind, op->stored_id);
    step s = {.r = r, .op = op, .number = number, .out = out, .e = e, .status_before = e->status, .key_before = e->key};
    conflict_reason reason = CONFLICT_STALE;
    out->status = OUTCOME_SUCCESS;
    out->entity = e;
    out->show_data = strcmp(op->entity_id, op->stored_id) != 0; /* the sender learns the id */
    s.edit = (merge_edit){op->type == OPERATION_DELETE ? MERGE_DELETE : MERGE_PATCH, op->data, op->at};
    out->adjusted = op->at > r->accepts;
    if (op->at == MERGE_NEVER || out->adjusted) s.edit.at = r->stamp;
    s.sent_at = s.edit.at;
    merge_effect probe = merge_apply(e->state, &s.edit, true);
    bool in_conflict = detect(&s, &probe, &reason);
    if (!check_size(&s, in_conflict, path)) return;
    if (op->policy == POLICY_MANUAL || op->policy == POLICY_SERVER) {
        entity *other = !in_conflict && rivals_displace(e->kind) ? rivals_meet(&s) : NULL;
        if (other) reason = CONFLICT_ONE_PER_KEY;
        if (other || in_conflict) {
            drop(&s, reason, other);
            return;
        }
    }
    s.knows = sender_knows(&s);
    e->touched = number + 1;
    e->unmeasured = true;
    apply(&s, in_conflict, reason);
    settle(&s);
}

void resolve_operation(resolver *r, const operation *op, size_t number, const char *path, outcome *out)
{
    resolve(r, op, number, path, out);
    if (out->show_data) step_spend(r, out->entity->size);
}

replaced resolve_replace(resolver *r, const operation *op, size_t number, outcome *out)
{
    entity *e = entity_get(&r->entities, op->kind, op->stored_id);
    step s = {.r = r, .op = op, .number = number, .out = out, .e = e, .status_before = e->status, .key_before = e->key};
    out->status = OUTCOME_SUCCESS;
    out->entity = e;
    if (e->status == ENTITY_LIVE && !e->touched && merge_is(e->state, op->data)) return REPLACED_NOTHING;
    s.edit = (merge_edit){MERGE_REPLACE, op->data, op->at};
    if (op->at == MERGE_NEVER || op->at > r->accepts) s.edit.at = r->stamp;
    s.sent_at = s.edit.at;
    s.edit.at = rivals_replacing_time(&s);
    merge_put(e->state, &s.edit);
    entity_note_edit(e, &s.edit, number);
    e->written = NULL;
    e->sealed = false; /* no earlier time is left */
    e->recent.whole = true;
    if (e->status == ENTITY_ABSENT) e->created_at = op->created_at;
    e->dirty = true;
    e->device = r->device;
    e->ours = true;
    e->touched = number + 1;
    e->unmeasured = true;
    entity_refresh(e);
    settle(&s);
    return s.status_before == ENTITY_ABSENT || s.status_before == ENTITY_DELETED ? REPLACED_CREATED : REPLACED_UPDATED;
}

/* Whether the joined entity would be larger than limits.entity, and larger than it is. */
static bool check_state_size(step *s, merge_state *with, int64_t latest, const char *path)
{
    resolver *r = s->r;
    size_t limit = (size_t)r->conf->entity, size, bytes = s->op->size + s->op->times->marks_size;
    if (s->e->sealed)
        return refuse(s, arena_printf(r->a, "%s: the server keeps too much about the times of this entity", path));
    if (s->e->size + s->e->slack + bytes * JSON_WRITE_GROWTH <= limit) return true;
    if (!r->scratch) r->scratch = arena_child(r->a);
    bool outgrows = entity_outgrows_joined(s->e, r->scratch, with, latest, r->stamp, limit, &size);
    if (!outgrows) return true;
    return refuse(s,
                  arena_printf(r->a, "%s: the entity would have %zu bytes, limits.entity is %zu", path, size, limit));
}

void resolve_state(resolver *r, const operation *op, size_t number, const char *path, outcome *out)
{
    const times *t = op->times;
    entity *e = entity_get(&r->entities, op->kind, op->stored_id);
    step s = {.r = r, .op = op, .out = out, .e = e, .status_before = e->status, .key_before = e->key};
    strbuf data = STRBUF(r->a);
    out->status = OUTCOME_SUCCESS;
    out->entity = e;
    if (t->superseded && t->edited == MERGE_NEVER) return; /* the entity that took its place says so itself */
    json_write(&data, op->data);
    merge_row row = {data.data, t->marks, t->base, t->edited, t->deleted, e->kind->sets};
    if (t->edited == MERGE_NEVER) row.data = NULL;
    merge_state *with = merge_load(r->a, &row);
    s.sent_at = t->edited != MERGE_NEVER ? t->edited : t->deleted;
    s.edit = (merge_edit){MERGE_PATCH, op->data, s.sent_at};
    s.knows = true;
    if (row.data && !check_state_size(&s, with, r->accepts, path)) return;
    bool unknown = e->status == ENTITY_ABSENT || e->status == ENTITY_INCOMPLETE;
    if (unknown && op->created_at != MERGE_NEVER) e->created_at = op->created_at;
    e->touched = number + 1;
    if (!merge_join(e->state, with, r->accepts, r->stamp)) return;
    out->joined = true;
    e->unmeasured = true;
    e->written = NULL;
    e->recent.whole = true; /* which leaves are new is not known */
    e->dirty = true;
    e->device = r->device;
    entity_grow(e, op->size + t->marks_size);
    entity_refresh(e);
    settle(&s);
}

resolver resolver_new(arena *a, const conf *c, int64_t stamp, size_t first)
{
    return (resolver){.a = a,
                      .conf = c,
                      .entities = entity_set_new(a),
                      .log = conflict_log_new(a, first),
                      .stamp = stamp,
                      .accepts = stamp,
                      .last_sync = MERGE_NEVER,
                      .budget = SIZE_MAX};
}
