#include "sync/full.h"

#include "base/clock.h"
#include "engine/cursor.h"
#include "store/rows.h"
#include "sync/changes.h"
#include "sync/full_work.h"
#include "sync/held.h"
#include "sync/poke.h"
#include "sync/tally.h"

/*
 * A library can be large and a worker must stay small. So every item is checked first (library.c): one invalid item
 * refuses the whole request before anything is written. Then the items are stored in chunks. Each chunk is read from
 * and written to the database in two round trips, with memory of its own. Where the stored entities of its items are
 * large, the chunk ends earlier, at the cost of a third one.
 *
 * The round trips of the first chunk also begin, plan and delete. Those of the last chunk commit. A library of up to
 * CHUNK_ITEMS entities therefore costs two round trips.
 */

static void make_params(full_work *f)
{
    const library *in = f->in;
    db_array names = db_array_new(f->ctx->a, DB_TEXT);
    for (size_t i = 0; !in->merge && i < in->kind_count; i++) db_array_text(&names, in->kinds[i]->name);
    f->kinds = f->snapshot_kinds = db_array_param(&names); /* with `merge` no kind, so nothing is deleted */
    library_names(in, f->ctx->a, 0, in->count, &f->item_kinds, &f->item_ids);
}

/* Sends the writes of a chunk. `destructive`: the chunk changes live entities. */
static void send_chunk(full_work *f, resolver *r, bool first, bool destructive)
{
    txn *t = &f->ctx->txn;
    db_param user = db_text(t->user), stamp = db_int(r->a, t->stamp);
    if (!f->in->merge && !f->snapshot_taken && (destructive || f->live > 0)) {
        txn_send(t, SQL_SNAPSHOT_TAKE, DB_PARAMS(user, stamp, f->snapshot_kinds));
        f->snapshot_taken = t->grown = true;
    }
    if (first && (f->deleted > 0 || f->displaced))
        txn_send(t, SQL_FULL_DELETE, DB_PARAMS(user, f->kinds, f->item_kinds, f->item_ids, stamp));
    rows_send_entities(&r->entities, t);
    rows_send_conflicts(&r->log, t);
}

/* The lists are judged by their end, each item of `changes` by itself. So the end may exceed the quota only by what
 * these may add: a deletion, which is always accepted, can let another entity come back. */
static rc check_quota(full_work *f)
{
    const usage *end = &f->ctx->txn.change, *listed = f->joins ? &f->listed : end;
    usage after = f->ctx->txn.used;
    usage_add(&after, end, 1);
    if (!usage_exceeds(&f->ctx->txn.used, &after, f->ctx->conf)) return RC_OK;
    return ctx_check_quota(f->ctx, listed, "nothing was changed");
}

/* Commits if anything was written; a request that changes nothing moves no clock. */
static rc finish(full_work *f)
{
    txn *t = &f->ctx->txn;
    bool any = f->created + f->updated + f->deleted + (long long)f->conflicts > 0 || f->displaced || f->joined;
    rc code = check_quota(f);
    if (code != RC_OK) return code;
    f->committed = !f->options->dry_run && any;
    if (!f->committed) return txn_rollback(t, RC_OK);
    /* At the end, because a restore reads its snapshot in chunks. */
    if (f->snapshot_taken)
        txn_send(t, SQL_SNAPSHOTS_TRIM, DB_PARAMS(db_text(t->user), db_int(t->a, f->ctx->conf->snapshots)));
    txn_announce(t, poke_device(f->in->device));
    code = txn_commit(t);
    if (code == RC_OK) tally_parts(f->ctx, f->tally);
    return code;
}

/* Runs the chunk that begins at `*from`, and moves `*from` to its end. */
static rc run_chunk(full_work *f, arena *a, size_t *from)
{
    full_chunk c = {.a = a, .from = *from};
    bool destructive = false;
    rc code = full_load_chunk(f, &c);
    if (code == RC_OK) code = full_apply_chunk(f, &c, &destructive);
    if (code != RC_OK) return code;
    if (f->options->dry_run) {
        const usage change = quota_change(&c.r, true);
        usage_add(&f->ctx->txn.change, &change, 1);
    } else {
        send_chunk(f, &c.r, c.from == 0, destructive);
    }
    *from = c.end;
    return c.end == f->in->count ? finish(f) : txn_flush(&f->ctx->txn);
}

static rc run(full_work *f)
{
    sync_ctx *ctx = f->ctx;
    rc code = RC_OK;
    size_t from = 0;
    make_params(f);
    f->counted = arena_alloc(ctx->a, f->in->count * sizeof *f->counted);
    arena *a = arena_child(ctx->a);
    if (f->options->snapshot) code = full_begin_restore(f, a);
    do {
        if (code == RC_OK) code = run_chunk(f, a, &from);
        arena_reset(a);
    } while (code == RC_OK && from < f->in->count);
    return code == RC_OK ? code : txn_rollback(&ctx->txn, code);
}

static void write_kept(const full_work *f, strbuf *reply)
{
    bool any = false;
    for (size_t i = 0; i < f->kept_count; i++) {
        const full_kept *kept = &f->kept[i];
        if (kept->count <= 0) continue;
        if (!any) {
            json_write_name(reply, "kept");
            strbuf_putc(reply, '{');
        }
        any = true;
        json_write_int(reply, kept->kind->plural, kept->count);
    }
    if (any) strbuf_putc(reply, '}');
}

static void write_reply(const full_work *f, strbuf *reply)
{
    const txn *t = &f->ctx->txn;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_instant(reply, "syncedAt", ctx_synced_at(f->ctx, f->committed));
    json_write_instant(reply, "serverTime", clock_now());
    if (f->options->dry_run) json_write_bool(reply, "dryRun", true);
    json_write_int(reply, "created", f->created);
    json_write_int(reply, "updated", f->updated);
    json_write_int(reply, "deleted", f->deleted + f->removed);
    json_write_int(reply, "unchanged", f->unchanged);
    json_write_int(reply, "conflicts", (long long)f->conflicts);
    write_kept(f, reply);
    if (f->in->ignored_count > 0) json_write_raw(reply, "ignored", arena_printf(reply->a, "[%s]", f->in->ignored.data));
    if (f->in->failed) changes_write_failed(f->in, reply);
    if (f->snapshot_taken) json_write_member(reply, "snapshot", arena_printf(reply->a, "%lld", (long long)t->stamp));
    strbuf_putc(reply, '}');
}

rc full_store(sync_ctx *ctx, const library *l, const full_options *options, strbuf *reply)
{
    full_work f = {.ctx = ctx, .in = l, .options = options};
    ctx->txn.not_before = l->latest;
    rc code = run(&f);
    if (code == RC_OK) write_reply(&f, reply);
    return code;
}

rc full_run(sync_ctx *ctx, const char *body, size_t len, const full_options *options, strbuf *reply)
{
    library l = library_new(ctx);
    position p;
    if (options->if_match && !position_read(ctx->a, options->if_match, &p))
        return ctx_invalid(ctx, "If-Match", "not a cursor of ours");
    rc code = options->mode ? library_set_mode(ctx, &l, options->mode) : RC_OK;
    if (code == RC_OK) code = held_read_library(ctx, body, len, &l);
    return code == RC_OK ? full_store(ctx, &l, options, reply) : code;
}
