#include "base/log.h"
#include "engine/cursor.h"
#include "store/rows.h"
#include "sync/changes.h"
#include "sync/full_work.h"

enum { CHUNK_ITEMS = 1000, CHUNK_BYTES = 4 * 1024 * 1024, STORED_BYTES = 4 * CHUNK_BYTES };

static size_t chunk_end(const library *in, size_t from)
{
    size_t bytes = 0, end = from;
    while (end < in->count && end - from < CHUNK_ITEMS && bytes < CHUNK_BYTES) bytes += in->items[end++].len;
    return end;
}

/* The items from..end of a snapshot. */
static rc read_snapshot(full_work *f, arena *a, size_t from, size_t end, operation *ops)
{
    txn *t = &f->ctx->txn;
    PGresult *page;
    db_param names, ids;
    library_names(f->in, a, from, end, &names, &ids);
    const db_param *params = DB_PARAMS(db_text(t->user), db_int(a, f->options->snapshot), names, ids);
    rc code = txn_read(t, &(db_step){SQL_SNAPSHOT_PAGE, params, &page}, 1);
    if (code != RC_OK) return code;
    if ((size_t)PQntuples(page) != end - from) {
        log_event(LOG_LEVEL_ERROR, "database", "a snapshot has fewer entities than it lists");
        return RC_FAILED;
    }
    for (size_t i = from; i < end; i++)
        ops[i - from] = rows_kept_operation(a, page, (int)(i - from), f->in->items[i].kind);
    return RC_OK;
}

/* The items from..end as operations. */
static rc read_chunk(full_work *f, arena *a, size_t from, size_t end, operation **ops)
{
    json_fault fault;
    *ops = arena_alloc(a, (end - from) * sizeof **ops);
    if (f->options->snapshot) return end > from ? read_snapshot(f, a, from, end, *ops) : RC_OK;
    for (size_t i = from; i < end; i++) {
        const library_item *item = &f->in->items[i];
        operation *op = &(*ops)[i - from];
        if (item->op)
            *op = *item->op;
        else if (item->change)
            changes_parse(a, f->ctx->conf, item, op, &fault);
        else
            operation_read_item(a, f->ctx->conf, item->kind, item->text, item->len, item->path, op, &fault);
    }
    return RC_OK;
}

static bool lists_any(const library *in, const kind *k)
{
    for (size_t i = 0; i < in->count; i++)
        if (in->items[i].kind == k) return true;
    return false;
}

/* Whether the `unlisted` ones of the `held` entities of a kind are kept. The original app posts all its lists on "Sync
 * now", also on a new device that has nothing yet; with an empty list, or a short one, that would erase the library. So
 * a request that does not say `replace` empties no kind; and it deletes the greater part of a kind only if a cursor
 * (If-Match) shows that the client has seen it. */
static bool is_kept(const full_work *f, const kind *k, long long held, long long unlisted)
{
    enum { FEW = 10 };
    if (!f->in->cautious) return false;
    if (!lists_any(f->in, k)) return true;
    return !f->options->if_match && unlisted > FEW && 2 * unlisted > held;
}

full_kept *full_kept_of(full_work *f, const kind *k)
{
    for (size_t i = 0; i < f->kept_count; i++)
        if (f->kept[i].kind == k) return &f->kept[i];
    return NULL;
}

/* Leaves the kinds that are kept out of the deletion, and those of them that are not changed at all out of the
 * snapshot. */
static void narrow_kinds(full_work *f)
{
    arena *a = f->ctx->a;
    db_array deleted = db_array_new(a, DB_TEXT), snapshot = db_array_new(a, DB_TEXT);
    for (size_t i = 0; i < f->in->kind_count; i++) {
        const kind *k = f->in->kinds[i];
        bool kept = full_kept_of(f, k) != NULL;
        if (!kept) db_array_text(&deleted, k->name);
        if (!kept || lists_any(f->in, k)) db_array_text(&snapshot, k->name);
    }
    f->kinds = db_array_param(&deleted);
    f->snapshot_kinds = db_array_param(&snapshot);
}

static void read_plan(full_work *f, const PGresult *plan)
{
    for (int i = 0; i < PQntuples(plan); i++) {
        const kind *k = kind_find(db_column(plan, i, COL_PLAN_KIND));
        long long unlisted = db_column_int(plan, i, COL_PLAN_UNLISTED, 0);
        if (is_kept(f, k, db_column_int(plan, i, COL_PLAN_HELD, 0), unlisted)) {
            f->kept[f->kept_count++] = (full_kept){k, unlisted};
            continue;
        }
        const usage planned = rows_planned(plan, i);
        usage_add(&f->ctx->txn.change, &planned, 1);
        f->deleted += unlisted;
        f->displaced |= db_column_int(plan, i, COL_PLAN_DISPLACED, 0) > 0;
        f->live += db_column_int(plan, i, COL_PLAN_LIVE, 0);
    }
    for (size_t i = 0; i < f->in->kind_count; i++) { /* those without an entity, which are not in the plan */
        const kind *k = f->in->kinds[i];
        if (is_kept(f, k, 0, 0) && !full_kept_of(f, k)) f->kept[f->kept_count++] = (full_kept){k, 0};
    }
    if (f->kept_count > 0) narrow_kinds(f);
}

static rc check_begun(full_work *f, const PGresult *plan)
{
    const txn *t = &f->ctx->txn;
    position p;
    read_plan(f, plan);
    if (!f->options->if_match) return RC_OK;
    position_read(f->ctx->a, f->options->if_match, &p);
    bool whole = *p.kind == '\0'; /* the cursor is the end of a pull, not of a page */
    if (whole && p.stamp == t->previous && (p.epoch == t->epoch || t->previous == 0)) return RC_OK;
    return ctx_fail(f->ctx, RC_CONFLICT, "If-Match: the server has moved on since that cursor; pull first");
}

/* Begins and counts what is to be deleted; runs `step`, too. */
static rc begin(full_work *f, arena *a, const db_step *step)
{
    sync_ctx *ctx = f->ctx;
    PGresult *plan;
    const db_step steps[] = {
        {SQL_FULL_PLAN, DB_PARAMS(db_text(ctx->user), f->kinds, f->item_kinds, f->item_ids), &plan}, *step};
    rc code = txn_begin(&ctx->txn, ctx->db, a, ctx->user, steps, 2);
    return code == RC_OK ? check_begun(f, plan) : code;
}

/* An erasure or a purge may have deleted the snapshot while the transaction waited for the user's clock; from now on
 * nothing can. */
rc full_begin_restore(full_work *f, arena *a)
{
    PGresult *list;
    const db_param user = db_text(f->ctx->user);
    rc code = begin(f, a, &(db_step){SQL_SNAPSHOTS_LIST, &user, &list});
    if (code != RC_OK || rows_find_snapshot(list, f->options->snapshot) >= 0) return code;
    return ctx_fail(f->ctx, RC_NOT_FOUND, "there is no such snapshot");
}

static rc read_entities(full_work *f, arena *a, const operation *ops, size_t count, PGresult **entities)
{
    txn *t = &f->ctx->txn;
    const db_step read = rows_entities_read(a, f->ctx->user, ops, count, STORED_BYTES, entities);
    return t->open ? txn_read(t, &read, 1) : begin(f, a, &read);
}

/* Loads the stored entities of `count` items, or of as many of the first as are loaded at once, at least of one. */
static rc load_entities(full_work *f, arena *a, const operation *ops, size_t *count, resolver *r)
{
    for (;;) {
        PGresult *entities;
        size_t fit = 0;
        rc code = read_entities(f, a, ops, *count, &entities);
        if (code != RC_OK) return code;
        *r = resolver_new(a, f->ctx->conf, f->ctx->txn.stamp, f->conflicts);
        r->accepts = ctx_accepts(f->ctx);
        r->restores = f->options->snapshot != 0;
        r->horizon = f->ctx->txn.horizon;
        bool whole = rows_load_entities(&r->entities, entities);
        while (fit < *count && !entity_get(&r->entities, ops[fit].kind, ops[fit].stored_id)->unloaded) fit++;
        if (!whole && fit > *count / 2) fit = *count / 2;
        if (fit == *count || *count == 1) return RC_OK;
        *count = fit > 0 ? fit : 1;
    }
}

rc full_load_chunk(full_work *f, full_chunk *c)
{
    size_t count = chunk_end(f->in, c->from) - c->from;
    rc code = read_chunk(f, c->a, c->from, c->from + count, &c->ops);
    if (code == RC_OK) code = load_entities(f, c->a, c->ops, &count, &c->r);
    c->end = c->from + count;
    c->r.device = f->in->device;
    return code;
}
