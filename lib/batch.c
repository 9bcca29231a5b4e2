#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "log.h"
#include "operation.h"
#include "resolve.h"

/*
 * ① begin, lock the user's clock, read the ledger and the entities that are named; then the engine decides everything
 * without I/O; ② write entities, ledger and conflicts with one statement each, commit. The clock row is held to COMMIT,
 * so two requests of one user never interleave: the second reads what the first has written, its ledger too.
 *
 * When there is nothing to write (repeats and refusals only), the transaction is rolled back, so that a repeat changes
 * nothing, not even a stamp.
 */
typedef struct batch {
    call *c;
    operation *ops;
    outcome *outcomes;
    strbuf *results;
    const char **paths;
    size_t count;
    bool atomic;
    bool queued; /* they waited in the queue */
    resolver r;
    int64_t epoch;
    json_t *first;    /* operation id → number of its first copy in this request */
    json_t *ledger;   /* operation id → row of ledger_rows */
    PGresult *ledger_rows;
    size_t recorded;  /* operations that the ledger will remember */
} batch;

/* Reading the envelope */

static rc parse_operations(batch *b, const json_slice *texts)
{
    call *c = b->c;
    json_fault fault;
    b->ops = arena_alloc(c->a, b->count * sizeof *b->ops);
    b->outcomes = arena_alloc(c->a, b->count * sizeof *b->outcomes);
    b->results = arena_alloc(c->a, b->count * sizeof *b->results);
    b->paths = arena_alloc(c->a, b->count * sizeof *b->paths);
    for (size_t i = 0; i < b->count; i++) {
        b->paths[i] = arena_printf(c->a, "operations[%zu]", i);
        if (!operation_read(c->a, c->conf, texts[i].text, texts[i].len, b->paths[i], &b->ops[i], &fault))
            return call_bad_json(c, b->paths[i], &fault);
    }
    return RC_OK;
}

static rc read_operations(batch *b, const json_slice *slice)
{
    call *c = b->c;
    json_slice *parts;
    json_fault fault;
    size_t limit = (size_t)c->conf->operations;
    if (!json_split(c->a, '[', slice->text, slice->len, limit, &parts, &b->count, &fault)) {
        if (fault.kind == JSON_FAULT_COUNT)
            return call_fail(c, RC_TOO_LARGE, "operations: more than limits.operations, which is %zu", limit);
        return call_bad_json(c, "operations", &fault);
    }
    return parse_operations(b, parts);
}

static rc read_member(batch *b, const json_slice *slice)
{
    call *c = b->c;
    json_fault fault;
    json_t *value = json_read(c->a, slice->text, slice->len, (size_t)c->conf->depth, &fault);
    if (!value) return call_bad_json(c, slice->key, &fault);
    if (json_is_null(value)) return RC_OK;
    if (strcmp(slice->key, "lastSync") == 0 && !json_instant(value, &b->r.last_sync))
        return call_invalid(c, "lastSync", "not an RFC 3339 instant or integer milliseconds since 1970");
    if (strcmp(slice->key, "atomic") == 0) {
        if (!json_is_boolean(value)) return call_invalid(c, "atomic", "must be true or false");
        b->atomic = json_is_true(value);
    }
    return strcmp(slice->key, "deviceId") == 0 ? device_read(c, value, &b->r.device) : RC_OK;
}

static rc read_envelope(batch *b, const char *body, size_t len)
{
    enum { MEMBERS_MAX = 1000 };
    json_slice *parts;
    size_t count;
    json_fault fault;
    bool seen = false;
    if (!json_split(b->c->a, '{', body, len, MEMBERS_MAX, &parts, &count, &fault)) return call_bad_json(b->c, "", &fault);
    for (size_t i = 0; i < count; i++) {
        bool operations = strcmp(parts[i].key, "operations") == 0;
        rc code = operations ? read_operations(b, &parts[i]) : read_member(b, &parts[i]);
        if (code != RC_OK) return code;
        seen |= operations;
    }
    return seen ? RC_OK : call_invalid(b->c, "operations", "is required");
}

/* ① */

static rc load(batch *b)
{
    call *c = b->c;
    PGresult *clock, *ledger, *entities;
    db_array ids = db_array_new(c->a, DB_TEXT);
    for (size_t i = 0; i < b->count; i++)
        if (b->ops[i].failed == RC_OK) db_array_text(&ids, b->ops[i].id);
    db_param user = db_text(c->user);
    rc code = DB_RUN(
        c->db, c->a, DB_BEGIN_WRITE(&user, &clock),
        {.id = SQL_LEDGER_READ, .params = DB_PARAMS(user, db_array_param(&ids)), .result = &ledger},
        {.id = SQL_ENTITIES_READ, .params = resolve_read_params(c->a, c->user, b->ops, b->count), .result = &entities});
    if (code != RC_OK) return code;
    b->r.stamp = db_column_int(clock, 0, 0, 0);
    b->epoch = db_column_int(clock, 0, 2, 0);
    b->ledger_rows = ledger;
    for (int i = 0; i < PQntuples(ledger); i++)
        json_put(c->a, b->ledger, db_column(ledger, i, 0), json_integer(i));
    entity_load(&b->r.entities, entities);
    return RC_OK;
}

/* Deciding */

static void fail_reused(batch *b, size_t i)
{
    b->outcomes[i] = (outcome){.status = OUTCOME_FAILED,
                               .failed = RC_VALIDATION,
                               .error = "OPERATION_ID_REUSED",
                               .message = arena_printf(b->c->a, "%s.id: this id was used for another operation",
                                                       b->paths[i])};
}

static void decide(batch *b, size_t i)
{
    operation *op = &b->ops[i];
    outcome *out = &b->outcomes[i];
    if (op->failed != RC_OK) {
        *out = (outcome){.status = OUTCOME_FAILED, .failed = op->failed, .message = op->message};
        return;
    }
    const json_t *row = json_object_get(b->ledger, op->id), *first = json_object_get(b->first, op->id);
    const char *stored = row ? db_column(b->ledger_rows, (int)json_integer_value(row), 2) : NULL;
    if (row && !operation_repeats(op, db_column(b->ledger_rows, (int)json_integer_value(row), 1))) {
        fail_reused(b, i);
        return;
    }
    if (stored) {
        *out = (outcome){.status = OUTCOME_REPEAT, .repeat = stored};
        return;
    }
    if (first) {
        size_t at = (size_t)json_integer_value(first);
        *out = (outcome){.status = OUTCOME_REPEAT, .repeat_of = at};
        if (!operation_repeats(op, operation_hash_hex(b->c->a, &b->ops[at]))) fail_reused(b, i);
        return;
    }
    resolve_operation(&b->r, op, i, b->paths[i], out);
    if (out->status == OUTCOME_FAILED) return; /* not remembered: a corrected operation may come under the same id */
    json_put(b->c->a, b->first, op->id, json_integer((json_int_t)i));
    b->recorded++;
}

/* Writing results */

static void write_failed(const outcome *o, strbuf *out)
{
    const rc_row *row = rc_info(o->failed);
    json_write_member(out, "error", o->error ? o->error : row->error);
    json_write_member(out, "message", o->message);
    json_write_bool(out, "retryable", row->retryable);
}

/* Results tell of the end of the request: what an operation wrote may have been deleted since, or have lost its place,
 * and what it deleted may be back. Its sender will skip this version, so it must hear of that here. */
static bool is_reversed(const operation *op, const entity *e)
{
    return (op->type == OPERATION_DELETE) != (e->status == ENTITY_DELETED);
}

static void write_applied(const batch *b, const operation *op, const outcome *o, strbuf *out)
{
    const entity *e = o->entity;
    int64_t stamp = b->r.stamp;
    if (e->dirty || e->known) json_write_instant(out, "updatedAt", e->dirty ? stamp : e->updated_at);
    if (o->resolution) json_write_member(out, "resolution", o->resolution);
    if (o->adjusted) json_write_bool(out, "timestampAdjusted", true);
    if (e->status == ENTITY_INCOMPLETE) json_write_bool(out, "incomplete", true);
    if (o->status == OUTCOME_CONFLICT) {
        json_write_member(out, "error", rc_info(RC_CONFLICT)->error);
        json_write_member(out, "message", "another edit stands against this one; a person must decide");
        json_write_bool(out, "retryable", false);
    }
    if (o->has_conflict) {
        json_write_name(out, "conflict");
        conflict_write(&b->r.log, o->conflict, stamp, out);
    }
    if ((!o->show_data && !is_reversed(op, e)) || e->status == ENTITY_ABSENT) return;
    if (e->status == ENTITY_DELETED) json_write_bool(out, "deleted", true);
    json_write_name(out, "data");
    entity_write(e, stamp, out);
}

static void write_repeat(const char *stored, strbuf *out)
{
    strbuf_add(out, stored, strlen(stored) - 1);
    strbuf_puts(out, ",\"duplicate\":true}");
}

static void write_result(batch *b, size_t i)
{
    static const char *const names[] = {"success", "conflict", "failed"};
    const operation *op = &b->ops[i];
    const outcome *o = &b->outcomes[i];
    strbuf *out = &b->results[i];
    *out = STRBUF(b->c->a);
    if (o->status == OUTCOME_REPEAT) {
        write_repeat(o->repeat ? o->repeat : b->results[o->repeat_of].data, out);
        return;
    }
    strbuf_putc(out, '{');
    json_write_member(out, "id", op->id);
    json_write_member(out, "status", names[o->status]);
    json_write_member(out, "entity", op->kind_name);
    json_write_member(out, "entityId", op->entity_id);
    if (o->status == OUTCOME_FAILED) write_failed(o, out);
    else write_applied(b, op, o, out);
    strbuf_putc(out, '}');
}

/* ② */

/* Counts an attempt of each queued operation that failed. */
static void send_failures(batch *b)
{
    call *c = b->c;
    db_array ids = db_array_new(c->a, DB_TEXT), errors = db_array_new(c->a, DB_TEXT);
    for (size_t i = 0; i < b->count; i++) {
        if (b->outcomes[i].status != OUTCOME_FAILED) continue;
        db_array_text(&ids, b->ops[i].id);
        db_array_text(&errors, b->outcomes[i].message);
    }
    db_send(c->db, SQL_QUEUE_FAILED, DB_PARAMS(db_text(c->user), db_array_param(&ids), db_array_param(&errors)));
}

/* Whether the operation waits in the queue, as the ledger's read has told. */
static bool waits(const batch *b, const operation *op)
{
    const json_t *row = json_object_get(b->ledger, op->id);
    return row && !db_column(b->ledger_rows, (int)json_integer_value(row), 2);
}

static rc store(batch *b)
{
    call *c = b->c;
    int statements = 0;
    db_array waited = db_array_new(c->a, DB_TEXT), ids = db_array_new(c->a, DB_TEXT);
    db_array hashes = db_array_new(c->a, DB_BYTEA), results = db_array_new(c->a, DB_JSON);
    PGresult *ignored;
    for (size_t i = 0; i < b->count; i++) {
        if (b->outcomes[i].status == OUTCOME_FAILED) continue;
        if (waits(b, &b->ops[i])) db_array_text(&waited, b->ops[i].id);
        if (b->outcomes[i].status == OUTCOME_REPEAT) continue;
        db_array_text(&ids, b->ops[i].id);
        db_array_add(&hashes, (const char *)b->ops[i].hash, sizeof b->ops[i].hash);
        db_array_add(&results, b->results[i].data, b->results[i].len);
    }
    db_param user = db_text(c->user), stamp = db_int(c->a, b->r.stamp);
    if (entity_dirty_count(&b->r.entities) > 0) {
        entity_send(&b->r.entities, c->db, c->user, b->r.stamp);
        call_changes(c, b->epoch, b->r.stamp, b->r.device);
        statements++;
    }
    statements += conflict_send(&b->r.log, c->db, c->user, b->r.stamp);
    db_send(c->db, SQL_LEDGER_WRITE,
            DB_PARAMS(user, stamp, db_array_param(&ids), db_array_param(&hashes), db_array_param(&results)));
    if (waited.count > 0) {
        db_send(c->db, SQL_QUEUE_SYNCED, DB_PARAMS(user, stamp, db_array_param(&waited)));
        statements++;
    }
    if (b->queued) {
        send_failures(b);
        statements++;
    }
    db_send(c->db, SQL_COMMIT, NULL);
    c->committing = true;
    db_flush(c->db);
    for (statements += 2; statements > 0; statements--)
        if (db_take(c->db, c->a, &ignored) != RC_OK) break;
    return db_finish(c->db);
}

static rc roll_back(batch *b)
{
    return DB_RUN(b->c->db, b->c->a, {.id = SQL_ROLLBACK});
}

/* With `atomic`, one operation that cannot be applied, or that a person must decide about, refuses them all. */
static rc check_atomic(batch *b)
{
    rc code = RC_OK;
    for (size_t i = 0; i < b->count; i++) {
        const outcome *o = &b->outcomes[i];
        if (o->status == OUTCOME_FAILED) {
            const operation *op = &b->ops[i];
            call_detail(b->c, op->where ? op->where : b->paths[i], op->where ? op->reason : o->message);
            code = RC_VALIDATION;
        } else if (o->status == OUTCOME_CONFLICT) {
            call_detail(b->c, b->paths[i], "another edit stands against this one; a person must decide");
            if (code == RC_OK) code = RC_CONFLICT;
        }
    }
    if (code == RC_OK) return RC_OK;
    return call_fail(b->c, code, "atomic: %d of %zu operations cannot be applied, so none was", b->c->detail_count,
                     b->count);
}

/* All but the closing brace. */
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
    /* Without a write there is no stamp of ours; the last millisecond before it is still right as a cursor. */
    json_write_instant(reply, "syncedAt", wrote ? b->r.stamp : b->r.stamp - 1);
    json_write_instant(reply, "serverTime", clock_now());
}

/* For the metrics and the log, once it is done. */
static void tally_results(batch *b)
{
    static const char *const outcomes[] = {"success", "conflict", "failed", "duplicate"};
    for (size_t i = 0; i < b->count; i++) {
        const operation *op = &b->ops[i];
        outcome_status status = b->outcomes[i].status;
        b->c->tally.operations[op->type_name ? (int)op->type : 3][status]++;
        log_begin(status == OUTCOME_FAILED ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "operation");
        log_str("requestId", b->c->id);
        log_str("type", op->type_name);
        log_str("entity", op->kind ? op->kind->name : NULL);
        log_personal("entityId", op->entity_id);
        log_str("status", outcomes[status]);
        if (status == OUTCOME_FAILED) log_personal("message", b->outcomes[i].message); /* it may name a member of theirs */
        log_end();
    }
    conflict_tally(&b->r.log, b->c);
}

static batch batch_new(call *c)
{
    batch b = {.c = c, .first = json_new_object(c->a), .ledger = json_new_object(c->a), .r = resolver_new(c->a, c->conf, 0, 0)};
    b.r.room = (size_t)c->conf->full_body;
    return b;
}

/* When conflicts and results have no room left, what is parked waits for the next request, and an own request is refused: no
 * operation of it may be called failed, which would mean that it can never be applied. */
static rc decide_all(batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        if (b->r.room > 0) decide(b, i);
        else if (b->queued) b->count = i;
        else return call_fail(b->c, RC_TOO_LARGE, "operations: conflicts and results of the first %zu are over limits.full_body, "
                              "which is %lld; send fewer at once", i, (long long)b->c->conf->full_body);
    }
    return b->atomic ? check_atomic(b) : RC_OK;
}

static rc run(batch *b, bool *wrote)
{
    rc code = load(b);
    if (code != RC_OK) return code;
    if ((code = decide_all(b)) != RC_OK) {
        rc rolled_back = roll_back(b);
        return rolled_back == RC_OK ? code : rolled_back;
    }
    for (size_t i = 0; i < b->count; i++) write_result(b, i);
    *wrote = b->recorded > 0 || (b->queued && b->count > 0);
    code = *wrote ? store(b) : call_confirm(b->c);
    if (code == RC_OK) tally_results(b);
    return code;
}

rc batch_run(call *c, const char *body, size_t len, strbuf *reply)
{
    batch b = batch_new(c);
    bool wrote = false;
    rc code = read_envelope(&b, body, len);
    if (code == RC_OK) code = run(&b, &wrote);
    if (code != RC_OK) return code;
    write_reply(&b, wrote, reply);
    strbuf_putc(reply, '}');
    return RC_OK;
}

rc batch_run_queued(call *c, const json_slice *texts, size_t count, bool more, strbuf *reply)
{
    batch b = batch_new(c);
    bool wrote = false;
    long long failed = 0;
    b.queued = true;
    b.count = count;
    rc code = parse_operations(&b, texts);
    if (code == RC_OK) code = run(&b, &wrote);
    if (code != RC_OK) return code;
    for (size_t i = 0; i < b.count; i++) failed += b.outcomes[i].status == OUTCOME_FAILED;
    write_reply(&b, wrote, reply);
    json_write_int(reply, "applied", (long long)b.count - failed);
    json_write_int(reply, "failed", failed);
    json_write_bool(reply, "hasMore", more || b.count < count);
    strbuf_putc(reply, '}');
    return RC_OK;
}
