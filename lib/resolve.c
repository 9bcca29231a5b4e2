#include "resolve.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* One operation on its way. */
typedef struct step {
    resolver *r;
    const operation *op;
    outcome *out;
    entity *e;
    merge_edit edit;
    int64_t sent_at; /* when the person made it; edit.at may be later, so that it wins */
    bool knows; /* the sender knows what else the entity holds */
    entity_status status_before;
    const char *key_before;
} step;

const db_param *resolve_read_params(arena *a, const char *user, const operation *ops, size_t count)
{
    enum { KINDS, IDS, KEY_KINDS, KEYS, ARRAYS };
    db_array x[ARRAYS];
    json_t *named = json_new_object(a);
    for (int i = 0; i < ARRAYS; i++) x[i] = db_array_new(a, DB_TEXT);
    for (size_t i = 0; i < count; i++) {
        const operation *op = &ops[i];
        if (op->failed != RC_OK) continue;
        const char *name = entity_label(a, op->kind, op->stored_id);
        if (!json_object_get(named, name)) {
            json_put(a, named, name, json_true());
            db_array_text(&x[KINDS], op->kind->name);
            db_array_text(&x[IDS], op->stored_id);
        }
        const char *key = op->kind->key ? json_string_value(json_object_get(op->data, op->kind->key)) : NULL;
        if (!key) continue;
        db_array_text(&x[KEY_KINDS], op->kind->name);
        db_array_text(&x[KEYS], key);
    }
    db_param *params = arena_alloc(a, (1 + ARRAYS) * sizeof *params);
    params[0] = db_text(user);
    for (int i = 0; i < ARRAYS; i++) params[1 + i] = db_array_param(&x[i]);
    return params;
}

static const char *text_of(resolver *r, const entity *e)
{
    if (e->status == ENTITY_ABSENT) return NULL;
    strbuf out = STRBUF(r->a);
    entity_write(e, r->stamp, &out);
    return out.data;
}

static const char *local_text(const step *s)
{
    if (s->op->type == OPERATION_DELETE) return NULL;
    strbuf out = STRBUF(s->r->a);
    json_write(&out, s->op->data);
    return out.data;
}

static int64_t server_time(const entity *e)
{
    int64_t edited = merge_edited(e->state), deleted = merge_deleted(e->state);
    return edited > deleted ? edited : deleted;
}

/* A small operation can make the server write a large entity, several times: each conflict holds both sides. What a request
 * may cost in this way is bounded, or a hundred kilobytes of it would become gigabytes. */
static void spend(resolver *r, size_t bytes)
{
    r->room = bytes < r->room ? r->room - bytes : 0;
}

/* Logs a conflict of this operation; the first one is the one its result shows. */
static void note(step *s, conflict_reason reason, const char *resolution, const entity *other, int64_t server_at,
                 const char *server_data)
{
    enum { ROW = 512 }; /* what a conflict takes besides both sides, about */
    const char *local_data = local_text(s);
    spend(s->r, ROW + (local_data ? strlen(local_data) : 0) + (server_data ? strlen(server_data) : 0));
    size_t index = conflict_add(&s->r->log, &(conflict){.kind = s->e->kind->name,
                                                         .entity_id = s->e->id,
                                                         .other_id = other ? other->id : NULL,
                                                         .reason = reason,
                                                         .open = resolution == NULL,
                                                         .resolution = resolution,
                                                         .operation_id = s->op->id,
                                                         .device = s->r->device,
                                                         .local_at = s->sent_at,
                                                         .server_at = server_at,
                                                         .local_data = local_data,
                                                         .server_data = server_data});
    if (s->out->has_conflict) return;
    s->out->has_conflict = true;
    s->out->conflict = index;
}

static bool is_last_writer(const step *s)
{
    const char *device = s->r->device, *last = s->e->device;
    return device == last || (device && last && strcmp(device, last) == 0);
}

static int64_t base_of(const step *s)
{
    return s->op->base != MERGE_NEVER ? s->op->base : s->r->last_sync;
}

/* A client skips a version it was told of. So it must be told the content too, unless it knows it: it wrote the version
 * before, or has pulled it. A client that does not say which device it is may be any. */
static bool sender_knows(const step *s)
{
    if (!s->e->known || s->e->touched) return true; /* new, or told with an earlier operation of this request */
    return (s->r->device && is_last_writer(s)) || base_of(s) >= s->e->updated_at;
}

/* The conflict that `effect` shows (api.md, Conflict a, b, c); false when there is none. */
static bool detect(const step *s, const merge_effect *effect, conflict_reason *reason)
{
    const entity *e = s->e;
    int64_t base = base_of(s);
    if (effect->late && e->status == ENTITY_DELETED && s->op->type == OPERATION_DELETE) return false;
    if (effect->late) *reason = s->op->type == OPERATION_DELETE ? CONFLICT_EDITED : CONFLICT_DELETED;
    else if (effect->lost > 0) *reason = CONFLICT_STALE;
    else if (base != MERGE_NEVER && e->known && base < e->updated_at && !is_last_writer(s) && effect->differing > 0)
        *reason = CONFLICT_BASE;
    else return false;
    return true;
}

/* Whether the entity would grow beyond its limit. Sizes are added up first; only a sum over the limit is looked at. */
static bool too_large(const step *s, size_t *size)
{
    size_t limit = (size_t)s->r->conf->entity;
    if (s->op->type == OPERATION_DELETE || s->e->size + s->op->size <= limit) return false;
    strbuf text = STRBUF(s->r->a);
    merge_write(s->e->state, &text);
    merge_row row = {.data = text.data,
                     .base = MERGE_NEVER,
                     .edited = MERGE_NEVER,
                     .deleted = MERGE_NEVER};
    merge_state *copy = merge_load(s->r->a, &row);
    merge_apply(copy, &(merge_edit){MERGE_PATCH, s->op->data, 0}, false);
    text = STRBUF(s->r->a);
    merge_write(copy, &text);
    *size = text.len;
    spend(s->r, text.len);
    return text.len > limit;
}

/* Which of two entities with one key stays: the later edit; at equal times what the server had, and within one request
 * the later operation. */
static bool outranks(const entity *x, const entity *y)
{
    int64_t x_at = merge_edited(x->state), y_at = merge_edited(y->state);
    if (x_at != y_at) return x_at > y_at;
    if (x->touched && y->touched) return x->touched > y->touched;
    bool x_holds = x->superseded_at == MERGE_NEVER, y_holds = y->superseded_at == MERGE_NEVER;
    if (x_holds != y_holds) return x_holds;
    if ((x->touched != 0) != (y->touched != 0)) return y->touched != 0;
    return strcmp(x->id, y->id) < 0;
}

static bool is_member(const entity *e, const kind *k, const char *key)
{
    return e->kind == k && e->key && strcmp(e->key, key) == 0;
}

/* Of all entities with `key`, deleted or not, the one with the latest edit holds the place; the others are deleted as of
 * that edit. Deleted ones count, or the outcome would depend on whether an old edit arrives before or after the deletion
 * of a newer one. */
static void settle_key(step *s, const char *key)
{
    entity_set *set = &s->r->entities;
    entity *holder = NULL;
    for (size_t i = 0; i < set->count; i++) {
        entity *e = set->list[i];
        if (is_member(e, s->e->kind, key) && entity_is_candidate(e) && (!holder || outranks(e, holder))) holder = e;
    }
    for (size_t i = 0; holder && i < set->count; i++) {
        entity *e = set->list[i];
        if (!is_member(e, s->e->kind, key) || merge_is_deleted(e->state)) continue;
        bool superseded = e != holder && entity_is_candidate(e);
        if (superseded == (e->superseded_at != MERGE_NEVER)) continue;
        const char *server_data = text_of(s->r, e);
        bool was_live = e->status == ENTITY_LIVE;
        e->superseded_at = superseded ? merge_edited(holder->state) : MERGE_NEVER;
        e->dirty = true;
        if (!superseded && e != s->e) e->device = NULL; /* it is back, and its last writer may have let go of it */
        entity_refresh(e);
        if (!superseded || !was_live || e == s->e) continue;
        note(s, CONFLICT_ONE_PER_KEY, "client", e, merge_edited(e->state), server_data);
        if (!s->out->resolution) s->out->resolution = "client";
    }
    if (!holder || holder == s->e || s->e->superseded_at == MERGE_NEVER || s->op->type == OPERATION_DELETE) return;
    note(s, CONFLICT_ONE_PER_KEY, "server", holder, merge_edited(holder->state), text_of(s->r, holder));
    s->out->resolution = "server";
    s->out->show_data = true;
    s->e->dirty = true;
}

static void settle_one_per_key(step *s)
{
    entity *e = s->e;
    if (s->key_before && (!e->key || strcmp(s->key_before, e->key) != 0)) {
        e->superseded_at = MERGE_NEVER;
        entity_refresh(e);
        settle_key(s, s->key_before);
    }
    if (e->key) settle_key(s, e->key);
}

/* Two live entities of one name are both kept, and a person is asked; the question closes when one is renamed or goes. Of
 * many with one name some are asked about: a question for each pair would be their square. */
static void settle_names(step *s)
{
    enum { QUESTIONS = 25 };
    entity *e = s->e;
    entity_set *set = &s->r->entities;
    bool was = s->status_before == ENTITY_LIVE && s->key_before, is = e->status == ENTITY_LIVE && e->key;
    if (was && is && strcmp(s->key_before, e->key) == 0) return;
    if (was) conflict_close(&s->r->log, e->kind->name, e->id, CONFLICT_SAME_NAME);
    for (size_t i = 0, asked = 0; is && i < set->count && asked < QUESTIONS; i++) {
        entity *other = set->list[i];
        if (other == e || !is_member(other, e->kind, e->key) || other->status != ENTITY_LIVE) continue;
        note(s, CONFLICT_SAME_NAME, NULL, other, merge_edited(other->state), text_of(s->r, other));
        asked++;
    }
}

/* An edit that must win whatever its time gets one later than all that stands against it. */
static int64_t winning_time(const step *s, bool in_conflict)
{
    int64_t at = s->edit.at, next = merge_next(s->e->state);
    const json_t *sent = s->e->kind->key ? json_object_get(s->op->data, s->e->kind->key) : NULL;
    const char *key = json_is_string(sent) ? json_string_value(sent) : s->e->key;
    if (in_conflict && next > at) at = next;
    for (size_t i = 0; s->e->kind->rule == KIND_ONE_PER_KEY && key && i < s->r->entities.count; i++) {
        const entity *other = s->r->entities.list[i];
        if (other == s->e || !is_member(other, s->e->kind, key)) continue;
        if (merge_edited(other->state) >= at) at = merge_edited(other->state) + 1;
    }
    return at;
}

static void apply(step *s, bool in_conflict, conflict_reason reason)
{
    entity *e = s->e;
    int64_t server_at = server_time(e);
    const char *server_data = in_conflict ? text_of(s->r, e) : NULL;
    bool unknown = e->status == ENTITY_ABSENT, is_create = s->op->type == OPERATION_CREATE;
    if (s->op->policy == POLICY_LOCAL) s->edit.at = winning_time(s, in_conflict);
    merge_effect effect = merge_apply(e->state, &s->edit, false);
    if (is_create && s->op->created_at != MERGE_NEVER && (unknown || e->status == ENTITY_INCOMPLETE))
        e->created_at = s->op->created_at;
    if (effect.changed || in_conflict) e->dirty = true; /* also when only the sender must learn the truth */
    if (effect.applied > 0) e->device = s->r->device;
    e->size += s->op->size;
    entity_refresh(e);
    if (in_conflict) {
        s->out->resolution = effect.late          ? "server"
                             : effect.lost == 0    ? "client"
                             : effect.applied == 0 ? "server"
                                                   : "merged";
        s->out->show_data = true;
        note(s, reason, s->out->resolution, NULL, server_at, server_data);
    }
    bool is_edit = s->op->type != OPERATION_DELETE, was_deleted = s->status_before == ENTITY_DELETED;
    /* There is more than it brought; and whoever deleted it, or pulled that, does not hold the rest any more. */
    if (is_edit && !unknown && (is_create || was_deleted || !s->knows) && !s->out->show_data) {
        strbuf now = STRBUF(s->r->a);
        merge_write(e->state, &now);
        s->out->show_data = strcmp(now.data, local_text(s)) != 0;
    }
    bool older_than_memory = s->sent_at < s->r->stamp - s->r->conf->tombstone_days * CLOCK_DAY;
    if (unknown && older_than_memory && s->op->type != OPERATION_DELETE)
        note(s, CONFLICT_BEYOND_HORIZON, NULL, NULL, MERGE_NEVER, NULL);
}

static void settle(step *s)
{
    if (s->e->kind->rule == KIND_ONE_PER_KEY) settle_one_per_key(s);
    if (s->e->kind->rule == KIND_NAMES_CLASH) settle_names(s);
    bool was = s->status_before == ENTITY_INCOMPLETE, is = s->e->status == ENTITY_INCOMPLETE;
    if (was && !is) conflict_close(&s->r->log, s->e->kind->name, s->e->id, CONFLICT_INCOMPLETE);
    if (is && !was) note(s, CONFLICT_INCOMPLETE, NULL, NULL, MERGE_NEVER, NULL);
}

static void resolve(resolver *r, const operation *op, size_t number, const char *path, outcome *out)
{
    entity *e = entity_get(&r->entities, op->kind, op->stored_id);
    step s = {.r = r, .op = op, .out = out, .e = e, .status_before = e->status, .key_before = e->key};
    conflict_reason reason = CONFLICT_STALE;
    size_t size = 0;
    out->status = OUTCOME_SUCCESS;
    out->entity = e;
    s.edit = (merge_edit){op->type == OPERATION_DELETE ? MERGE_DELETE : MERGE_PATCH, op->data, op->at};
    if (op->at == MERGE_NEVER) s.edit.at = r->stamp;
    out->adjusted = s.edit.at > r->stamp + r->conf->clock_skew * 1000;
    if (out->adjusted) s.edit.at = r->stamp;
    s.sent_at = s.edit.at;
    if (too_large(&s, &size)) {
        out->status = OUTCOME_FAILED;
        out->failed = RC_TOO_LARGE;
        out->message = arena_printf(r->a, "%s.data: the entity would have %zu bytes, limits.entity is %lld", path, size,
                                    (long long)r->conf->entity);
        return;
    }
    merge_effect probe = merge_apply(e->state, &s.edit, true);
    bool in_conflict = detect(&s, &probe, &reason);
    if (in_conflict && (op->policy == POLICY_MANUAL || op->policy == POLICY_SERVER)) {
        bool manual = op->policy == POLICY_MANUAL;
        note(&s, reason, manual ? NULL : "server", NULL, server_time(e), text_of(r, e));
        out->resolution = manual ? NULL : "server";
        out->show_data = true;
        if (manual) out->status = OUTCOME_CONFLICT;
        else e->dirty = true; /* its sender believes otherwise until it pulls this */
        return;
    }
    s.knows = sender_knows(&s);
    e->touched = number + 1;
    apply(&s, in_conflict, reason);
    settle(&s);
}

void resolve_operation(resolver *r, const operation *op, size_t number, const char *path, outcome *out)
{
    resolve(r, op, number, path, out);
    if (out->show_data) spend(r, out->entity->size);
}

replaced resolve_replace(resolver *r, const operation *op, size_t number, outcome *out)
{
    entity *e = entity_get(&r->entities, op->kind, op->stored_id);
    step s = {.r = r, .op = op, .out = out, .e = e, .status_before = e->status, .key_before = e->key};
    out->status = OUTCOME_SUCCESS;
    out->entity = e;
    if (e->status == ENTITY_LIVE && !e->touched && merge_is(e->state, op->data)) return REPLACED_NOTHING;
    s.edit = (merge_edit){MERGE_REPLACE, op->data, op->at};
    if (op->at == MERGE_NEVER || op->at > r->stamp + r->conf->clock_skew * 1000) s.edit.at = r->stamp;
    s.sent_at = s.edit.at;
    s.edit.at = winning_time(&s, true);
    merge_apply(e->state, &s.edit, false);
    if (e->status == ENTITY_ABSENT) e->created_at = op->created_at;
    e->dirty = true;
    e->device = r->device;
    e->touched = number + 1;
    entity_refresh(e);
    settle(&s);
    return s.status_before == ENTITY_ABSENT || s.status_before == ENTITY_DELETED ? REPLACED_CREATED : REPLACED_UPDATED;
}

const entity *resolve_holder(const resolver *r, const entity *e)
{
    for (size_t i = 0; e->superseded_at != MERGE_NEVER && e->key && i < r->entities.count; i++) {
        const entity *other = r->entities.list[i];
        if (other != e && is_member(other, e->kind, e->key) && other->status == ENTITY_LIVE) return other;
    }
    return NULL;
}

resolver resolver_new(arena *a, const conf *c, int64_t stamp, size_t first)
{
    return (resolver){.a = a,
                      .conf = c,
                      .entities = entity_set_new(a),
                      .log = conflict_log_new(a, first),
                      .stamp = stamp,
                      .last_sync = MERGE_NEVER,
                      .room = SIZE_MAX};
}
