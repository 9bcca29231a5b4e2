#include "sync/held.h"

#include "engine/entity.h"
#include "store/query.h"
#include "store/rows.h"
#include "sync/changes.h"

enum { HELD_ITEMS = 500, HELD_BYTES = 4 * 1024 * 1024 };

/* Reads the items of `count` doubtful faults as operations. */
static operation *read_items(sync_ctx *ctx, arena *a, library_fault *const *faults, size_t count)
{
    json_fault fault;
    operation *ops = arena_alloc(a, count * sizeof *ops);
    for (size_t i = 0; i < count; i++) {
        const library_item *item = faults[i]->doubtful;
        operation_read_item(a, ctx->conf, item->kind, item->text, item->len, item->path, &ops[i], &fault);
    }
    return ops;
}

/* Settles as many of `count` doubtful faults as can be loaded at once, at least one; *done: how many. A fault that is
 * settled in favour of its item gets the code RC_OK. */
static rc settle(sync_ctx *ctx, arena *a, library_fault *const *faults, size_t count, size_t *done)
{
    PGresult *rows;
    operation *ops = read_items(ctx, a, faults, count);
    const db_step read = rows_entities_read(a, ctx->user, ops, count, HELD_BYTES, &rows);
    rc code = query_snapshot(ctx->db, a, ctx->user, &read, 1);
    if (code != RC_OK) return code;
    entity_set set = entity_set_new(a);
    rows_load_entities(&set, rows);
    for (*done = 0; *done < count; (*done)++) {
        library_fault *f = faults[*done];
        operation *op = &ops[*done];
        const entity *e = entity_get(&set, op->kind, op->stored_id);
        if (e->unloaded && *done > 0) return RC_OK;
        operation_settle(a, op, e->state);
        f->code = op->failed;
        if (op->failed == RC_OK) continue;
        f->where = arena_strdup(ctx->a, op->where);
        f->reason = arena_strdup(ctx->a, op->reason);
    }
    return RC_OK;
}

/* Drops the faults of items whose values are held, and completes the others. The loop ends when an error would list no
 * further fault. */
static rc drop_faults(sync_ctx *ctx, library *l)
{
    rc code = RC_OK;
    size_t count = 0, kept = 0, wrong = 0, done = 0;
    if (l->fault_count == 0) return RC_OK;
    library_fault **doubtful = arena_alloc(ctx->a, l->fault_count * sizeof *doubtful);
    for (size_t i = 0; i < l->fault_count; i++)
        if (l->faults[i].doubtful) doubtful[count++] = &l->faults[i];
    arena *a = arena_child(ctx->a);
    for (size_t i = 0; i < count && wrong <= CTX_DETAILS && code == RC_OK; i += done) {
        code = settle(ctx, a, doubtful + i, count - i < HELD_ITEMS ? count - i : HELD_ITEMS, &done);
        for (size_t j = 0; code == RC_OK && j < done; j++) wrong += doubtful[i + j]->code != RC_OK;
        arena_reset(a);
    }
    for (size_t i = 0; i < l->fault_count; i++)
        if (l->faults[i].code != RC_OK) l->faults[kept++] = l->faults[i];
    l->fault_count = kept;
    return code;
}

rc held_read_library(sync_ctx *ctx, const char *body, size_t len, library *out)
{
    rc code = library_read(ctx, body, len, out);
    if (code == RC_OK) code = drop_faults(ctx, out);
    if (code == RC_OK) code = library_refuse(ctx, out);
    return code == RC_OK && out->changes ? changes_read(ctx, out, out->changes) : code;
}
