#include <string.h>

#include "engine/quota.h"
#include "engine/rivals.h"
#include "sync/changes.h"
#include "sync/full_work.h"
#include "sync/tally.h"

static bool is_there(const entity *e)
{
    return e->status == ENTITY_LIVE || e->status == ENTITY_INCOMPLETE;
}

static void note_shown(full_chunk *c)
{
    c->shown = arena_alloc(c->a, (c->end - c->from) * sizeof *c->shown);
    for (size_t i = 0; i < c->end - c->from; i++)
        c->shown[i] = is_there(entity_get(&c->r.entities, c->ops[i].kind, c->ops[i].stored_id));
}

/* Adds `sign` for each entity that is kept and shown. A listed rating may supersede a kept one, or let one come back,
 * so this is called before and after the items are applied. */
static void count_kept(full_work *f, const full_chunk *c, int sign)
{
    for (size_t i = 0; f->kept_count > 0 && i < c->r.entities.count; i++) {
        const entity *e = c->r.entities.list[i];
        full_kept *kept = full_kept_of(f, e->kind);
        if (kept && is_there(e) && library_place(f->in, c->a, e->kind, e->id) < 0) kept->count += sign;
    }
}

/* SQL_FULL_DELETE removes the entities that are not listed. Mark them deleted in memory too, so that they neither
 * supersede a listed entity nor get promoted when a listed one leaves its key. */
static void forget_unlisted(full_work *f, resolver *r, arena *a)
{
    int64_t stamp = f->ctx->txn.stamp;
    for (size_t i = 0; !f->in->merge && i < r->entities.count; i++) {
        entity *e = r->entities.list[i];
        if (e->status == ENTITY_ABSENT || merge_is_deleted(e->state) || full_kept_of(f, e->kind)) continue;
        if (library_place(f->in, a, e->kind, e->id) >= 0) continue;
        int64_t next = merge_next(e->state);
        merge_apply(e->state, &(merge_edit){MERGE_DELETE, NULL, next > stamp ? next : stamp}, false);
        entity_refresh(e);
    }
}

/* Which of the loaded entities a snapshot would keep, by their place in the set: those that are live, and were before
 * this transaction. */
static bool *live_ones(const entity_set *set, arena *a, int64_t stamp)
{
    bool *live = arena_alloc(a, set->count * sizeof *live);
    for (size_t i = 0; i < set->count; i++)
        live[i] = set->list[i]->status == ENTITY_LIVE && set->list[i]->updated_at < stamp;
    return live;
}

/* Whether one of the first `count` entities was live and was changed: replaced, or superseded by another one. */
static bool any_changed(const entity_set *set, const bool *live, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (live[i] && set->list[i]->dirty) return true;
    return false;
}

/* Whether an item brings nothing new: no time of an edit, and no value that differs. */
static bool brings_nothing(const entity *e, const operation *op)
{
    const merge_edit edit = {MERGE_PATCH, op->data, merge_next(e->state)};
    return e->status == ENTITY_LIVE && op->at == MERGE_NEVER && merge_apply(e->state, &edit, true).differing == 0;
}

/* Whether an item is stored already and is superseded by an item behind it in the list, so that both stay as they are.
 * Of logs any item of the list may have displaced it, unless that was in this request or a snapshot is restored. */
static bool stays_superseded(const full_work *f, resolver *r, const operation *op, size_t number)
{
    const entity *e = entity_get(&r->entities, op->kind, op->stored_id), *holder = rivals_holder(r, e);
    if (!holder || e->touched || op->at > merge_edited(e->state) || !merge_is(e->state, op->data)) return false;
    int64_t place = library_place(f->in, r->a, holder->kind, holder->id);
    if (e->kind->rule == KIND_READINGS && (place < 0 || e->was_live || r->restores)) return false;
    if (e->kind->rule != KIND_READINGS && place <= (int64_t)number) return false;
    const char *key = f->in->items[place].key; /* NULL of a snapshot, which holds one entity of a key */
    return key && strcmp(key, e->key) == 0;    /* otherwise the other one leaves */
}

/* Whether an item without members would empty an entity that has some: `"settings":{}`. */
static bool would_empty(const entity *e, const operation *op)
{
    return op->kind->fixed_id && json_object_size(op->data) == 0 && is_there(e) && !merge_is(e->state, op->data);
}

static void replace_item(full_work *f, resolver *r, const operation *op, size_t number, bool shown)
{
    outcome out = {0};
    if (f->in->cautious && would_empty(entity_get(&r->entities, op->kind, op->stored_id), op)) {
        f->kept[f->kept_count++] = (full_kept){op->kind, 1};
        return;
    }
    if (stays_superseded(f, r, op, number)) {
        f->counted[number] = COUNTED_HIDDEN;
        f->unchanged++;
        return;
    }
    replaced what = resolve_replace(r, op, number, &out);
    if (what == REPLACED_CREATED && shown) what = REPLACED_UPDATED;
    if (what == REPLACED_CREATED) f->counted[number] = COUNTED_CREATED;
    f->created += what == REPLACED_CREATED;
    f->updated += what == REPLACED_UPDATED;
    f->unchanged += what == REPLACED_NOTHING;
}

static rc merge_item(full_work *f, resolver *r, const operation *op, size_t number, bool was_there)
{
    outcome out = {0};
    entity *e = entity_get(&r->entities, op->kind, op->stored_id);
    bool nothing = brings_nothing(e, op);
    if (!nothing) resolve_operation(r, op, number, f->in->items[number].path, &out);
    if (out.status == OUTCOME_FAILED) return ctx_fail(f->ctx, out.failed, "%s", arena_strdup(f->ctx->a, out.message));
    if (!was_there) f->counted[number] = is_there(e) ? COUNTED_CREATED : COUNTED_HIDDEN;
    if (nothing || !e->dirty || (!was_there && !is_there(e))) /* the last: it stays deleted */
        f->unchanged++;
    else if (was_there)
        f->updated++;
    else
        f->created++;
    return RC_OK;
}

/* Joins the state of an item. Without a quota, nothing is measured. */
static void join_state(full_work *f, full_chunk *c, const operation *op, size_t number, outcome *out)
{
    const conf *settings = f->ctx->conf;
    const char *path = f->in->items[number].path;
    if (settings->quota_bytes == 0 && settings->quota_entities == 0) {
        resolve_state(&c->r, op, number, path, out);
        return;
    }
    if (!c->quota.scratch) { /* the first one of the chunk */
        c->quota = (quota){.used = f->ctx->txn.used, .scratch = arena_child(c->a)};
        usage_add(&c->quota.used, &f->ctx->txn.change, 1);
    }
    if (!f->joins) {
        const usage change = quota_change(&c->r, true);
        f->listed = f->ctx->txn.change;
        usage_add(&f->listed, &change, 1);
        f->joins = true;
    }
    quota_resolve(&c->quota, &c->r, op, number, path, 0, out);
}

/* An item of `changes`. */
static void join_item(full_work *f, full_chunk *c, const operation *op, size_t number)
{
    outcome out = {0};
    resolver *r = &c->r;
    const library_item *item = &f->in->items[number];
    entity *e = entity_get(&r->entities, op->kind, op->stored_id);
    bool was_there = is_there(e);
    operation settled = *op;
    if (!operation_settle(r->a, &settled, e->state)) {
        changes_fail(f->in, item, settled.failed, op->stored_id, settled.message);
        return;
    }
    join_state(f, c, op, number, &out);
    bool changed = out.joined, now_there = is_there(e);
    if (out.status == OUTCOME_FAILED) {
        changes_fail(f->in, item, out.failed, op->stored_id, out.message);
        return;
    }
    if (!was_there) f->counted[number] = now_there ? COUNTED_CREATED : COUNTED_HIDDEN;
    f->updated += changed && was_there && now_there;
    f->created += !was_there && now_there;
    f->removed += was_there && !now_there;
    f->unchanged += !changed || (!was_there && !now_there);
    if (changed) f->joined = true;
}

/* Small items can make many conflicts, each with both sides: their size is bounded. */
static rc apply_item(full_work *f, full_chunk *c, size_t number)
{
    rc code = RC_OK;
    resolver *r = &c->r;
    const operation *op = &c->ops[number - c->from];
    bool shown = c->shown[number - c->from];
    size_t before = r->log.count, most = (size_t)f->ctx->conf->full_body;
    if (op->times)
        join_item(f, c, op, number);
    else if (f->in->merge)
        code = merge_item(f, r, op, number, shown);
    else
        replace_item(f, r, op, number, shown);
    f->conflict_bytes += conflict_bytes(&r->log, before);
    if (code != RC_OK || f->conflict_bytes <= most) return code;
    return ctx_fail(f->ctx, RC_TOO_LARGE,
                    "the conflicts of the first %zu items are over limits.full_body, which is %zu; nothing was changed",
                    number + 1, most);
}

/* A later item may supersede one that was counted as created (one rating per book), or let it come back. Counts what a
 * pull will show: an item that is hidden before and after the request is unchanged. */
static void recount(full_work *f, const resolver *r, arena *a)
{
    for (size_t i = 0; i < r->entities.count; i++) {
        const entity *e = r->entities.list[i];
        int64_t place = library_place(f->in, a, e->kind, e->id);
        full_counted before = place < 0 ? COUNTED_OTHERWISE : f->counted[place];
        full_counted now = is_there(e) ? COUNTED_CREATED : COUNTED_HIDDEN;
        if (before == COUNTED_OTHERWISE || before == now) continue;
        f->counted[place] = now;
        f->created += now == COUNTED_CREATED ? 1 : -1;
        f->unchanged += now == COUNTED_CREATED ? -1 : 1;
    }
}

rc full_apply_chunk(full_work *f, full_chunk *c, bool *destructive)
{
    rc code = RC_OK;
    size_t loaded = c->r.entities.count;
    const bool *live = live_ones(&c->r.entities, c->a, f->ctx->txn.stamp);
    forget_unlisted(f, &c->r, c->a);
    count_kept(f, c, -1);
    note_shown(c);
    for (size_t i = c->from; i < c->end && code == RC_OK; i++) code = apply_item(f, c, i);
    if (code != RC_OK) return code;
    count_kept(f, c, 1);
    recount(f, &c->r, c->a);
    f->conflicts += c->r.log.count;
    tally_add_part(f->tally, &c->r.log);
    *destructive = any_changed(&c->r.entities, live, loaded);
    return RC_OK;
}
