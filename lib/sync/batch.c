#include "sync/batch.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "engine/quota.h"
#include "engine/resolve.h"
#include "engine/undo.h"
#include "store/rows.h"
#include "sync/envelope.h"
#include "sync/ledger.h"
#include "sync/poke.h"
#include "sync/result.h"
#include "sync/tally.h"

/*
 * Round trip 1: begin, lock the user's clock, read the ledger and the named entities. Then the engine decides
 * everything without I/O. Round trip 2: write entities, ledger and conflicts with one statement each, commit.
 *
 * When there is nothing to write (only repeats and refusals), the transaction is rolled back, so that a repeat changes
 * nothing, not even a stamp.
 */
typedef struct batch {
    sync_ctx *ctx;
    envelope in;
    outcome *outcomes; /* of in.ops, one each, as are the results */
    strbuf *results;
    size_t *costs; /* bytes that each took of the budget */
    size_t count;  /* operations */
    size_t fits;   /* when the request is too large: so many operations are not */
    bool queued;   /* the operations come from the queue */
    resolver r;
    json_t *first; /* operation id → number of its first copy in this request */
    ledger ledger;
    const PGresult *entity_rows;
    quota quota;
    bool one_by_one; /* the quota is judged after each operation */
    size_t recorded; /* operations that the ledger will remember */
} batch;

/* Round trip 1 */

static db_array distinct_ids(const batch *b)
{
    arena *a = b->ctx->a;
    json_t *seen = json_new_object(a);
    db_array ids = db_array_new(a, DB_TEXT);
    for (size_t i = 0; i < b->count; i++) {
        const operation *op = &b->in.ops[i];
        if (op->failed != RC_OK || json_object_get(seen, op->id)) continue;
        json_put(a, seen, op->id, json_true());
        db_array_text(&ids, op->id);
    }
    return ids;
}

static rc load(batch *b)
{
    sync_ctx *ctx = b->ctx;
    PGresult *known, *entities;
    db_array ids = distinct_ids(b);
    rc code =
        CTX_BEGIN(ctx,
                  {.id = SQL_LEDGER_READ,
                   .params = DB_PARAMS(db_text(ctx->user), db_array_param(&ids), db_int(ctx->a, ctx->conf->full_body)),
                   .result = &known},
                  rows_entities_read(ctx->a, ctx->user, b->in.ops, b->count, ctx->conf->full_body, &entities));
    if (code != RC_OK) return code;
    b->entity_rows = entities;
    return ledger_open(&b->ledger, ctx, known);
}

/* Brings everything to the state before the first operation. */
static rc reset(batch *b)
{
    sync_ctx *ctx = b->ctx;
    b->r = resolver_new(ctx->a, ctx->conf, ctx->txn.stamp, 0);
    b->r.clock = ctx->txn.previous;
    b->r.horizon = ctx->txn.horizon;
    b->r.accepts = ctx_accepts(ctx);
    b->r.device = b->in.device;
    b->r.last_sync = b->in.last_sync;
    b->r.budget = (size_t)ctx->conf->full_body;
    b->first = json_new_object(ctx->a);
    b->recorded = 0;
    b->quota = (quota){.used = ctx->txn.used};
    memset(b->outcomes, 0, b->count * sizeof *b->outcomes);
    if (rows_load_entities(&b->r.entities, b->entity_rows) || b->count == 1) return RC_OK;
    b->fits = b->count / 2;
    return ctx_fail(ctx, RC_TOO_LARGE,
                    "operations: the books have too many reading logs for one request; send at most %zu at once",
                    b->fits);
}

/* Deciding */

static void fail_reused(batch *b, size_t i)
{
    b->outcomes[i] =
        (outcome){.status = OUTCOME_FAILED,
                  .failed = RC_VALIDATION,
                  .error = "OPERATION_ID_REUSED",
                  .message = arena_printf(b->ctx->a, "%s.id: this id was used for another operation", b->in.paths[i])};
}

static void spend(batch *b, size_t bytes)
{
    b->r.budget = bytes < b->r.budget ? b->r.budget - bytes : 0;
}

/* An operation that was processed in an earlier request. */
static void decide_repeat(batch *b, size_t i, const ledger_row *row)
{
    const operation *op = &b->in.ops[i];
    entity *e = entity_get(&b->r.entities, op->kind, op->stored_id);
    b->outcomes[i] = (outcome){.status = OUTCOME_REPEAT, .entity = e};
    spend(b, result_repeat_size(row) + e->size);
}

/* A further copy of operation `first` of this request. */
static void decide_copy(batch *b, size_t i, size_t first)
{
    b->outcomes[i] = (outcome){.status = OUTCOME_REPEAT, .repeat_of = first};
    spend(b, b->costs[first]);
    if (!operation_repeats(&b->in.ops[i], operation_hash_hex(b->ctx->a, &b->in.ops[first]))) fail_reused(b, i);
}

/* `waits`: in the queue, which it leaves. */
static void decide_new(batch *b, size_t i, bool waits)
{
    operation *op = &b->in.ops[i];
    outcome *out = &b->outcomes[i];
    size_t budget = b->r.budget;
    const int64_t freed = waits ? (int64_t)(USAGE_QUEUED + op->size) : 0;
    operation settled = *op;
    if (!operation_settle(b->ctx->a, &settled, entity_get(&b->r.entities, op->kind, op->stored_id)->state)) {
        op->where = settled.where; /* not op->failed: it may be decided anew */
        op->reason = settled.reason;
        *out = (outcome){.status = OUTCOME_FAILED, .failed = settled.failed, .message = settled.message};
        return;
    }
    if (b->one_by_one) {
        quota_resolve(&b->quota, &b->r, op, i, b->in.paths[i], freed, out);
    } else {
        resolve_operation(&b->r, op, i, b->in.paths[i], out);
        if (out->status != OUTCOME_FAILED) b->quota.freed += freed;
    }
    b->costs[i] = budget - b->r.budget;
    if (out->status == OUTCOME_FAILED) return; /* not remembered: a corrected operation may come under the same id */
    json_put(b->ctx->a, b->first, op->id, json_integer((json_int_t)i));
    b->recorded++;
}

/* Returns false when the entity or the result does not fit into this request. */
static bool decide(batch *b, size_t i)
{
    const operation *op = &b->in.ops[i];
    ledger_row row = {0};
    if (b->r.budget == 0) return false;
    if (op->failed != RC_OK) {
        b->outcomes[i] = (outcome){.status = OUTCOME_FAILED, .failed = op->failed, .message = op->message};
        return true;
    }
    if (entity_get(&b->r.entities, op->kind, op->stored_id)->unloaded) return false;
    const json_t *first = json_object_get(b->first, op->id);
    bool known = ledger_find(&b->ledger, op, &row);
    if (known && !operation_repeats(op, row.hash))
        fail_reused(b, i);
    else if (row.processed && !row.fits)
        return false;
    else if (row.processed)
        decide_repeat(b, i, &row);
    else if (first)
        decide_copy(b, i, (size_t)json_integer_value(first));
    else
        decide_new(b, i, known);
    return true;
}

/* With `atomic`, one operation that cannot be applied, or that a person must decide about, refuses them all. */
static rc check_atomic(batch *b)
{
    rc code = RC_OK;
    for (size_t i = 0; i < b->count; i++) {
        const outcome *o = &b->outcomes[i];
        if (o->status == OUTCOME_FAILED) {
            const operation *op = &b->in.ops[i];
            ctx_detail(b->ctx, op->where ? op->where : b->in.paths[i], op->where ? op->reason : o->message);
            code = RC_VALIDATION;
        } else if (o->status == OUTCOME_CONFLICT) {
            ctx_detail(b->ctx, b->in.paths[i], RESULT_NEEDS_DECISION);
            if (code == RC_OK) code = RC_CONFLICT;
        }
    }
    if (code == RC_OK) return RC_OK;
    return ctx_fail(b->ctx, code, "atomic: %d of %zu operations cannot be applied, so none was", b->ctx->detail_count,
                    b->count);
}

/* What a request loads and shows is bounded: a small operation can name a large entity, and show it and both sides of a
 * conflict. A larger request is refused as a whole: to call one of its operations failed would mean that it can never
 * be applied. */
static rc refuse_too_large(batch *b, size_t fits)
{
    b->fits = fits;
    return ctx_fail(b->ctx, RC_TOO_LARGE,
                    "operations: entities, conflicts and results of the first %zu are over limits.full_body, "
                    "which is %lld; send fewer at once",
                    fits, (long long)b->ctx->conf->full_body);
}

static rc decide_each(batch *b)
{
    rc code = reset(b);
    if (code != RC_OK) return code;
    for (size_t i = 0; i < b->count; i++)
        if (!decide(b, i)) return refuse_too_large(b, i);
    return RC_OK;
}

static rc decide_all(batch *b)
{
    usage change;
    rc code = decide_each(b);
    if (code == RC_OK && b->in.atomic) code = check_atomic(b);
    if (code != RC_OK || !quota_exceeded(&b->quota, &b->r, &change)) return code;
    if (b->in.atomic) return ctx_check_quota(b->ctx, &change, "atomic: none of the operations was applied");
    b->one_by_one = true;
    return decide_each(b);
}

/* Results describe the end of the request, so their sizes are known only now. */
static rc write_results(batch *b)
{
    size_t bytes = 0;
    for (size_t i = 0; i < b->count; i++) {
        const outcome *o = &b->outcomes[i];
        strbuf *text = &b->results[i];
        ledger_row row;
        *text = STRBUF(b->ctx->a);
        if (o->status != OUTCOME_REPEAT)
            result_write(&b->r, &b->in.ops[i], o, RESULT_REPLY, text);
        else if (o->entity && ledger_find(&b->ledger, &b->in.ops[i], &row))
            result_write_repeat(&row, o->entity, b->r.stamp, text);
        else
            result_write_copy(&b->results[o->repeat_of], text);
        bytes += text->len;
        if (i > 0 && bytes > (size_t)b->ctx->conf->full_body) return refuse_too_large(b, i);
    }
    return RC_OK;
}

/* Round trip 2 */

/* Counts an attempt of each queued operation that failed. */
static void send_failures(batch *b)
{
    sync_ctx *ctx = b->ctx;
    db_array ids = db_array_new(ctx->a, DB_TEXT), errors = db_array_new(ctx->a, DB_TEXT);
    for (size_t i = 0; i < b->count; i++) {
        if (b->outcomes[i].status != OUTCOME_FAILED) continue;
        db_array_text(&ids, b->in.ops[i].id);
        db_array_text(&errors, b->outcomes[i].message);
    }
    txn_send(&ctx->txn, SQL_QUEUE_FAILED, DB_PARAMS(db_text(ctx->user), db_array_param(&ids), db_array_param(&errors)));
}

static void send_ledger(batch *b)
{
    sync_ctx *ctx = b->ctx;
    ledger_row row;
    db_array synced = db_array_new(ctx->a, DB_TEXT), ids = db_array_new(ctx->a, DB_TEXT);
    db_array hashes = db_array_new(ctx->a, DB_BYTEA), results = db_array_new(ctx->a, DB_JSON);
    for (size_t i = 0; i < b->count; i++) {
        const operation *op = &b->in.ops[i];
        if (b->outcomes[i].status == OUTCOME_FAILED) continue;
        if (ledger_find(&b->ledger, op, &row) && !row.processed)
            db_array_text(&synced, op->id); /* it waits in the queue */
        if (b->outcomes[i].status == OUTCOME_REPEAT) continue;
        db_array_text(&ids, op->id);
        db_array_add(&hashes, (const char *)op->hash, sizeof op->hash);
        strbuf result = STRBUF(ctx->a), plain = STRBUF(ctx->a);
        result_write_plain(op, b->r.stamp, &plain);
        if (strcmp(b->results[i].data, plain.data) != 0)
            result_write(&b->r, op, &b->outcomes[i], RESULT_LEDGER, &result);
        db_array_add(&results, result.data, result.len);
        ctx->txn.change.hidden += (int64_t)(USAGE_LEDGER + strlen(op->id) + result.len);
    }
    db_param user = db_text(ctx->user), stamp = db_int(ctx->a, b->r.stamp);
    const usage counted = txn_take_usage(&ctx->txn);
    txn_send(&ctx->txn, SQL_LEDGER_WRITE,
             DB_PARAMS(user, db_int(ctx->a, counted.entities), db_int(ctx->a, counted.bytes),
                       db_int(ctx->a, counted.hidden), stamp, db_array_param(&ids), db_array_param(&hashes),
                       db_array_param(&results)));
    if (synced.count > 0) txn_send(&ctx->txn, SQL_QUEUE_SYNCED, DB_PARAMS(user, stamp, db_array_param(&synced)));
}

static rc store(batch *b)
{
    txn *t = &b->ctx->txn;
    if (rows_send_entities(&b->r.entities, t)) txn_announce(t, poke_device(b->r.device));
    rows_send_conflicts(&b->r.log, t);
    send_ledger(b);
    if (b->queued) send_failures(b);
    return txn_commit(t);
}

static rc run(batch *b, bool *wrote)
{
    sync_ctx *ctx = b->ctx;
    b->count = b->in.count;
    b->outcomes = arena_alloc(ctx->a, b->count * sizeof *b->outcomes);
    b->results = arena_alloc(ctx->a, b->count * sizeof *b->results);
    b->costs = arena_alloc(ctx->a, b->count * sizeof *b->costs);
    ctx->txn.not_before = b->in.latest;
    rc code = load(b);
    if (code != RC_OK) return code;
    code = decide_all(b);
    if (code == RC_OK) code = write_results(b);
    if (code != RC_OK) return txn_rollback(&ctx->txn, code);
    *wrote = b->recorded > 0 || (b->queued && b->count > 0);
    code = *wrote ? store(b) : txn_rollback_durable(&ctx->txn);
    if (code != RC_OK) return code;
    for (size_t i = 0; i < b->count; i++) tally_operation(ctx, &b->in.ops[i], &b->outcomes[i]);
    tally_conflicts(ctx, &b->r.log);
    return RC_OK;
}

/* Without the closing brace. */
static void write_reply(const batch *b, bool wrote, strbuf *reply)
{
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "results");
    strbuf_putc(reply, '[');
    for (size_t i = 0; i < b->count; i++) {
        if (i > 0) strbuf_putc(reply, ',');
        strbuf_add(reply, b->results[i].data, b->results[i].len);
    }
    strbuf_putc(reply, ']');
    json_write_instant(reply, "syncedAt", ctx_synced_at(b->ctx, wrote));
    json_write_instant(reply, "serverTime", clock_now());
}

static batch batch_new(sync_ctx *ctx)
{
    batch b = {.ctx = ctx, .in = {.last_sync = MERGE_NEVER}};
    return b;
}

rc batch_run(sync_ctx *ctx, const char *body, size_t len, strbuf *reply)
{
    batch b = batch_new(ctx);
    bool wrote = false;
    rc code = envelope_read(ctx, body, len, &b.in);
    if (code == RC_OK) code = run(&b, &wrote);
    if (code != RC_OK) return code;
    write_reply(&b, wrote, reply);
    strbuf_putc(reply, '}');
    return RC_OK;
}

/* Runs as many of the queued operations as fit into one request. */
static rc run_fitting(sync_ctx *ctx, const json_slice *texts, size_t count, batch *b, bool *wrote)
{
    for (;;) {
        *b = batch_new(ctx);
        b->queued = true;
        rc code = envelope_parse(ctx, texts, count, &b->in);
        if (code == RC_OK) code = run(b, wrote);
        if (code != RC_TOO_LARGE || b->fits == 0) return code;
        count = b->fits;
    }
}

rc batch_run_queued(sync_ctx *ctx, const json_slice *texts, size_t count, bool more, strbuf *reply)
{
    batch b;
    bool wrote = false;
    long long failed = 0;
    rc code = run_fitting(ctx, texts, count, &b, &wrote);
    if (code != RC_OK) return code;
    for (size_t i = 0; i < b.count; i++) failed += b.outcomes[i].status == OUTCOME_FAILED;
    write_reply(&b, wrote, reply);
    json_write_int(reply, "applied", (long long)b.count - failed);
    json_write_int(reply, "failed", failed);
    json_write_bool(reply, "hasMore", more || b.count < count);
    strbuf_putc(reply, '}');
    return RC_OK;
}
