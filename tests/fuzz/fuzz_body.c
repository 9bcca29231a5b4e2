/*
 * Request bodies, processed until they need the database. The first byte chooses the endpoint. A valid body fails with
 * RC_UNAVAILABLE at the database; any other body is refused with a reason that is valid JSON.
 *
 * Operations go further: they are resolved against each other as entities of one new user, so that conflicts, policies
 * and the rules across entities run as well.
 */
#include "engine/operation.h"
#include "engine/resolve.h"
#include "fuzz.h"
#include "sync/batch.h"
#include "sync/decision.h"
#include "sync/full.h"
#include "sync/queue.h"

static void write_nowhere(void *to, const char *bytes, size_t len)
{
    (void)to, (void)bytes, (void)len;
}

static rc run(sync_ctx *ctx, char endpoint, const char *body, size_t len)
{
    strbuf reply = STRBUF(ctx->a);
    bool created;
    switch (endpoint) {
    case 'f':
        return full_run(ctx, body, len, &(full_options){.dry_run = false}, &reply);
    case 'q':
        return queue_add(ctx, body, len, &created, &reply);
    case 'm':
        return queue_mark(ctx, body, len, &reply);
    case 'r':
        return decision_run(ctx, "1700000000000-0", body, len, &reply);
    default:
        return batch_run(ctx, body, len, &reply);
    }
}

static void check_refusal(sync_ctx *ctx)
{
    strbuf text = STRBUF(ctx->a);
    REQUIRE(ctx->message);
    strbuf_putc(&text, '[');
    json_write_string(&text, ctx->message, strlen(ctx->message));
    if (ctx->details.len > 0) strbuf_printf(&text, ",%s", ctx->details.data);
    strbuf_putc(&text, ']');
    REQUIRE(fuzz_is_json(ctx->a, text.data, text.len));
}

static void check_entity(arena *a, const resolver *r, const entity *e)
{
    strbuf out = STRBUF(a), marks = STRBUF(a);
    entity_write(e, r->stamp, &out);
    REQUIRE(fuzz_is_json(a, out.data, out.len));
    merge_write_marks(e->state, &marks);
    if (marks.len > 0) REQUIRE(fuzz_is_json(a, marks.data, marks.len));
    if (e->status == ENTITY_LIVE) REQUIRE(entity_is_candidate(e));
}

/* Resolves all operations of a batch, one after the other, on entities that do not exist yet. */
static void resolve_all(arena *a, const char *body, size_t len)
{
    json_slice *members, *texts;
    size_t count, n = 0;
    json_fault fault;
    resolver r = resolver_new(a, fuzz_conf(), INT64_C(1700000000000), 0);
    r.last_sync = MERGE_NEVER;
    if (!json_split(a, '{', body, len, 1000, &members, &count, &fault)) return;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(members[i].key, "operations") != 0) continue;
        if (!json_split(a, '[', members[i].text, members[i].len, 50, &texts, &n, &fault)) return;
    }
    for (size_t i = 0; i < n; i++) {
        operation *op = arena_alloc(a, sizeof *op);
        outcome out = {0};
        if (!operation_read(a, r.conf, texts[i].text, texts[i].len, "operations[0]", op, &fault)) return;
        if (op->failed != RC_OK || !operation_settle(a, op, NULL)) {
            REQUIRE(op->where && op->reason && op->message);
            continue;
        }
        REQUIRE(operation_repeats(op, operation_hash_hex(a, op)));
        resolve_operation(&r, op, i, "operations[0]", &out);
        if (out.status == OUTCOME_FAILED) continue;
        REQUIRE(out.entity);
        if (!out.has_conflict) continue;
        strbuf text = STRBUF(a);
        conflict_write(&r.log, out.conflict, r.stamp, true, &text);
        REQUIRE(fuzz_is_json(a, text.data, text.len));
    }
    for (size_t i = 0; i < r.entities.count; i++) check_entity(a, &r, r.entities.list[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    arena *a = arena_new();
    size_t len = size - 1;
    char *body = fuzz_copy(data + 1, len);
    sync_ctx ctx = {.a = a, .conf = fuzz_conf(), .db = fuzz_db(), .user = "fuzz", .write = write_nowhere};
    rc code = run(&ctx, (char)*data, body, len);
    REQUIRE(code != RC_OK && code != RC_FAILED);
    if (code != RC_UNAVAILABLE)
        check_refusal(&ctx);
    else if (*data == 'o')
        resolve_all(a, body, len);
    free(body);
    arena_free(a);
    return 0;
}
