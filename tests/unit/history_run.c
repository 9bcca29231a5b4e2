#include "history_run.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "engine/rivals.h"
#include "engine/times.h"

static conf settings;
static arena *history_arena; /* the texts of the operations of one history */
arena *run_arena;
static arena *request_arena;

/* Plans */

void run_plan(run *r, dice *d, const bool *chosen, bool in_order, bool repeat)
{
    r->count = 0;
    for (size_t i = 0; i < r->h->count; i++) {
        if (chosen && !chosen[i]) continue;
        for (size_t n = !repeat || dice_chance(d, 70) ? 1 : 2 + dice_below(d, 2); n > 0; n--) r->order[r->count++] = i;
    }
    for (size_t i = r->count; !in_order && i > 1; i--) {
        size_t j = dice_below(d, i), swap = r->order[j];
        r->order[j] = r->order[i - 1];
        r->order[i - 1] = swap;
    }
}

void run_divide(run *r, dice *d, size_t most)
{
    for (size_t i = 0, request = 0; i < r->count; i += r->sizes[request++]) {
        size_t size = 1 + dice_below(d, most);
        r->sizes[request] = size < r->count - i ? size : r->count - i;
    }
}

/* Policies */

/* The time at which the edit would win, if it is in conflict and if it is not. */
static int64_t winning_time(resolver *r, const operation *op, bool in_conflict)
{
    entity *e = entity_get(&r->entities, op->kind, op->stored_id);
    merge_type type = op->type == OPERATION_DELETE ? MERGE_DELETE : MERGE_PATCH;
    step s = {.r = r, .op = op, .e = e, .edit = {type, op->data, op->at}};
    return rivals_winning_time(&s, in_conflict);
}

/* Whether the operation has met another edit of its entity: it has logged one of the conflicts from `from` on. */
static bool was_in_conflict(const conflict_log *log, size_t from)
{
    for (size_t i = from; i < log->count; i++)
        if (log->list[i].reason <= CONFLICT_BASE) return true;
    return false;
}

/* Adds to r->effective what the operation was worth. */
static void note_effect(run *r, const op *o, const operation *read, const outcome *out, bool absent, int64_t at)
{
    op worth = *o;
    bool loses = read->policy == POLICY_SERVER || read->policy == POLICY_MANUAL;
    bool lost = out->status == OUTCOME_CONFLICT || (loses && out->resolution && strcmp(out->resolution, "server") == 0);
    if (read->policy == POLICY_LOCAL) worth.at = at;
    if (lost && (!absent || out->status == OUTCOME_CONFLICT)) return;
    if (lost) worth.data = NULL; /* the sender must drop what the server never had */
    r->effective->ops[r->effective->count++] = worth;
}

/* Operations */

static void read_operation(run *r, dice *d, size_t i, int64_t stamp, operation *out)
{
    json_fault fault;
    const char *text = r->texts[i];
    if (!operation_read(request_arena, &settings, text, strlen(text), "operations[0]", out, &fault))
        ck_abort_msg("%s: %s", text, fault.message);
    if (out->failed != RC_OK) ck_abort_msg("%s: %s", text, out->message);
    out->policy = r->policies[i];
    if (r->versions && dice_chance(d, 20)) out->base = stamp - (int64_t)dice_below(d, 9);
}

static resolver new_request(run *r)
{
    arena_reset(request_arena);
    resolver engine = resolver_new(request_arena, &settings, ++r->stamp, 0);
    engine.clock = r->stamp - 1;
    engine.accepts = r->stamp + settings.clock_skew * 1000;
    return engine;
}

/* Returns a complaint or NULL. */
static const char *run_request(run *r, dice *d, size_t from, size_t count)
{
    operation ops[COPIES_MAX];
    resolver engine = new_request(r);
    int64_t stamp = r->stamp;
    if (dice_chance(d, 60)) engine.device = arena_printf(run_arena, "d%zu", dice_below(d, 3));
    if (r->versions && dice_chance(d, 30)) engine.last_sync = stamp - (int64_t)dice_below(d, 9);
    for (size_t i = 0; i < count; i++) read_operation(r, d, r->order[from + i], stamp, &ops[i]);
    library_load(&r->library, &engine, ops, count);
    for (size_t i = 0; i < count; i++) {
        outcome out = {0};
        const op *o = &r->h->ops[r->order[from + i]];
        entity *e = entity_get(&engine.entities, ops[i].kind, ops[i].stored_id);
        bool absent = e->status == ENTITY_ABSENT;
        size_t logged = engine.log.count;
        int64_t quiet = winning_time(&engine, &ops[i], false), in_conflict = winning_time(&engine, &ops[i], true);
        resolve_operation(&engine, &ops[i], i, "", &out);
        if (out.status != OUTCOME_SUCCESS && ops[i].policy != POLICY_MANUAL)
            return arena_printf(run_arena, "op-%d fails: %s", o->number, out.message);
        if (r->effective)
            note_effect(r, o, &ops[i], &out, absent, was_in_conflict(&engine.log, logged) ? in_conflict : quiet);
    }
    library_store(&r->library, &engine);
    return NULL;
}

void run_begin(run *r)
{
    r->stamp = clock_now();
    r->library = (library){.a = run_arena};
    r->story = STRBUF(run_arena);
}

const char *run_requests(run *r, dice *d)
{
    for (size_t i = 0, request = 0; i < r->count; i += r->sizes[request++]) {
        static const char *const names[] = {"", " local", " server", " manual"};
        strbuf_puts(&r->story, "request:\n");
        for (size_t j = i; j < i + r->sizes[request]; j++)
            strbuf_printf(&r->story, "  %s%s\n", r->texts[r->order[j]], names[r->policies[r->order[j]]]);
        const char *complaint = run_request(r, d, i, r->sizes[request]);
        if (complaint) return complaint;
    }
    return NULL;
}

/* States */

static void read_state(const stored_row *row, operation *out)
{
    json_fault fault;
    const json_slice data = {NULL, row->data, strlen(row->data)};
    times *t = arena_alloc(request_arena, sizeof *t);
    if (!operation_read_state(request_arena, &settings, row->kind, row->id, &data, false, "changes[0]", out, &fault))
        ck_abort_msg("%s: %s", row->data, fault.message);
    if (out->failed != RC_OK) ck_abort_msg("%s: %s", row->data, out->message);
    *t = (times){.base = row->base,
                 .edited = row->edited,
                 .deleted = row->deleted,
                 .superseded = row->superseded != MERGE_NEVER,
                 .marks = row->marks,
                 .marks_size = row->marks ? strlen(row->marks) : 0};
    if (t->edited == MERGE_NEVER) t->base = MERGE_NEVER;
    if (t->deleted != MERGE_NEVER || t->superseded) out->type = OPERATION_DELETE;
    out->times = t;
}

const char *run_join(run *r, dice *d, const library *from)
{
    const stored_row *rows[LIBRARY_MAX];
    for (size_t i = 0; i < from->count; i++) {
        size_t j = dice_below(d, i + 1);
        rows[i] = rows[j];
        rows[j] = &from->rows[i];
    }
    for (size_t i = 0, size; i < from->count; i += size) {
        operation ops[LIBRARY_MAX];
        resolver engine = new_request(r);
        size = 1 + dice_below(d, from->count - i);
        strbuf_puts(&r->story, "states:\n");
        for (size_t j = 0; j < size; j++) {
            const stored_row *row = rows[i + j];
            read_state(row, &ops[j]);
            strbuf_printf(&r->story, "  %s %s %s %s base %lld edited %lld deleted %lld superseded %d\n",
                          row->kind->name, row->id, row->data, row->marks ? row->marks : "{}", (long long)row->base,
                          (long long)row->edited, (long long)row->deleted, row->superseded != MERGE_NEVER);
        }
        library_load(&r->library, &engine, ops, size);
        for (size_t j = 0; j < size; j++) {
            outcome out = {0};
            resolve_state(&engine, &ops[j], j, "", &out);
            if (out.status != OUTCOME_SUCCESS) return arena_printf(run_arena, "a state fails: %s", out.message);
        }
        library_store(&r->library, &engine);
    }
    return NULL;
}

/* Comparing */

static const char *text_of(const json_t *json)
{
    char *text = json_dumps(json, JSON_SORT_KEYS | JSON_ENCODE_ANY);
    const char *copy = arena_strdup(run_arena, text);
    free(text);
    return copy;
}

const char *run_differ(const char *what, const json_t *expected, const json_t *found)
{
    if (json_equal(expected, found)) return NULL;
    return arena_printf(run_arena, "%s\n  expected %s\n  found    %s", what, text_of(expected), text_of(found));
}

const char *run_differ_in(const char *member, const json_t *expected, const json_t *found)
{
    return run_differ(member, json_object_get(expected, member), json_object_get(found, member));
}

/* Histories */

static run run_new(const history *h)
{
    run r = {.h = h};
    arena_reset(history_arena);
    for (size_t i = 0; i < h->count; i++) {
        json_t *operation = history_operation(&h->ops[i]);
        char *text = json_dumps(operation, JSON_COMPACT);
        r.texts[i] = arena_strdup(history_arena, text);
        free(text);
        json_decref(operation);
    }
    return r;
}

static const char *check_often(history *h, dice *d, check_run *check, int times, run *r)
{
    const char *fault = NULL;
    for (int i = 0; i < times && !fault; i++) {
        arena_reset(run_arena);
        *r = run_new(h);
        fault = check(r, d);
    }
    return fault;
}

/* Takes away operations as long as the rest still fails, and reports. */
static void report(history *h, dice *d, check_run *check, long number)
{
    enum { TRIES = 300 };
    run r;
    for (size_t i = 0; i < h->count;) {
        op taken = h->ops[i];
        memmove(&h->ops[i], &h->ops[i + 1], (--h->count - i) * sizeof *h->ops);
        if (check_often(h, d, check, TRIES, &r)) {
            json_decref(taken.data);
            i = 0;
            continue;
        }
        memmove(&h->ops[i + 1], &h->ops[i], (h->count++ - i) * sizeof *h->ops);
        h->ops[i++] = taken;
    }
    const char *fault = check_often(h, d, check, 100 * TRIES, &r);
    printf("history %ld, made smaller: %s\n%s", number, fault ? fault : "(passes now)", fault ? r.story.data : "");
    fflush(stdout);
    ck_abort_msg("history %ld, see above", number); /* Check cannot carry a long message */
}

void run_histories(const char *name, check_run *check, bool crowd, int64_t apart, long count)
{
    char fault[512];
    const char *asked = getenv("BOOKY_HISTORIES");
    dice d = dice_new(name);
    if (!conf_load(&settings, NULL, fault, sizeof fault)) ck_abort_msg("%s", fault);
    history_arena = arena_new();
    run_arena = arena_new();
    request_arena = arena_new();
    for (long i = 0; i < (asked ? atol(asked) : count); i++) {
        run r;
        history *h = calloc(1, sizeof *h);
        if (!h) abort();
        history_make(h, &d, crowd);
        for (size_t j = 0; j < h->count; j++) h->ops[j].at += apart * (int64_t)j;
        if (check_often(h, &d, check, 1, &r)) report(h, &d, check, i);
        history_free(h);
    }
    arena_free(history_arena);
    arena_free(run_arena);
    arena_free(request_arena);
    conf_free(&settings);
}
