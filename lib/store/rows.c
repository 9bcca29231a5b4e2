#include "store/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/quota.h"

const char *rows_cursor(arena *a, const PGresult *clock)
{
    return cursor_at(a, rows_origin(clock), db_column_int(clock, 0, COL_CLOCK_EPOCH, 0),
                     db_column_int(clock, 0, COL_CLOCK_STAMP, 0));
}

bool rows_pull_clock(const PGresult *row, pull_clock *out)
{
    enum { INSTALLATION, GENERATION, HORIZON, SEEN, UNTIL, UNTIL_IN, ERASED_AT, FACTS };
    long long facts[FACTS];
    const char *text = db_column(row, 0, COL_PULL_FACTS);
    if (db_column(row, 0, COL_CHANGE_KIND) || !text) return false;
    for (int i = 0; i < FACTS; i++) {
        char *end;
        facts[i] = strtoll(text, &end, 10);
        if (end == text) return false;
        text = end;
    }
    *out =
        (pull_clock){.known = {.here = {facts[INSTALLATION], facts[GENERATION]},
                               .epoch = db_column_int(row, 0, COL_PULL_EPOCH, 0),
                               .clock = db_column_int(row, 0, COL_PULL_CLOCK, 0),
                               .until = facts[UNTIL],
                               .until_in = facts[UNTIL_IN],
                               .erased_at = facts[ERASED_AT]},
                     .started = db_column_int(row, 0, COL_PULL_STARTED, 0),
                     .horizon = facts[HORIZON],
                     .matching = PQnfields(row) > COL_PULL_MATCHING ? db_column_int(row, 0, COL_PULL_MATCHING, 0) : 0,
                     .seen = facts[SEEN] != 0};
    return true;
}

/* Entities */

db_step rows_entities_read(arena *a, const char *user, const operation *ops, size_t count, int64_t bytes,
                           PGresult **rows)
{
    enum { KINDS, IDS, KEY_KINDS, KEYS, ARRAYS };
    db_array x[ARRAYS];
    json_t *named = json_new_object(a);
    bool keyed = false;
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
        keyed = keyed || op->kind->key;
        const char *key = op->kind->key ? json_string_value(json_object_get(op->data, op->kind->key)) : NULL;
        if (!key) continue;
        db_array_text(&x[KEY_KINDS], op->kind->name);
        db_array_text(&x[KEYS], key);
    }
    int used = keyed ? ARRAYS : KEY_KINDS;
    db_param *params = arena_alloc(a, (2 + ARRAYS) * sizeof *params);
    params[0] = db_text(user);
    for (int i = 0; i < used; i++) params[1 + i] = db_array_param(&x[i]);
    params[1 + used] = db_int(a, bytes);
    return (db_step){keyed ? SQL_ENTITIES_READ : SQL_ENTITIES_NAMED, params, rows};
}

static int64_t instant(const PGresult *rows, int row, int column)
{
    return db_column_int(rows, row, column, MERGE_NEVER);
}

/* In place of marks: they are too large to be loaded, and a write leaves them as they are. */
static const char UNLOADED[] = "true";

static void load_entity(entity *e, arena *a, const PGresult *rows, int i)
{
    e->known = true;
    e->created_at = instant(rows, i, COL_ENTITY_CREATED);
    e->updated_at = instant(rows, i, COL_ENTITY_UPDATED);
    e->superseded_at = instant(rows, i, COL_ENTITY_SUPERSEDED);
    e->device = db_column(rows, i, COL_ENTITY_DEVICE);
    size_t marks_size = (size_t)PQgetlength(rows, i, COL_ENTITY_MARKS);
    e->size = (size_t)PQgetlength(rows, i, COL_ENTITY_DATA);
    e->slack = marks_size;
    e->sealed = marks_size == strlen(UNLOADED) && strcmp(db_column(rows, i, COL_ENTITY_MARKS), UNLOADED) == 0;
    merge_row row = {.marks = db_column(rows, i, COL_ENTITY_MARKS),
                     .base = instant(rows, i, COL_ENTITY_BASE),
                     .edited = instant(rows, i, COL_ENTITY_EDITED),
                     .deleted = instant(rows, i, COL_ENTITY_DELETED),
                     .sets = e->kind->sets};
    if (db_column_bool(rows, i, COL_ENTITY_SIBLING)) {
        e->sibling = true;
        e->key = db_column(rows, i, COL_ENTITY_KEY);
        row.data = db_column(rows, i, COL_ENTITY_FACTS);
        e->text = db_column(rows, i, COL_ENTITY_DATA);
    } else {
        row.data = db_column(rows, i, COL_ENTITY_DATA);
        e->unloaded = row.data == NULL;
    }
    e->state = merge_load(a, &row);
    entity_refresh(e);
    e->was_live = e->status == ENTITY_LIVE;
    e->recent = (recent){.text = db_column(rows, i, COL_ENTITY_RECENT)};
    e->stored = (entity_stored){.status = entity_status_find(db_column(rows, i, COL_ENTITY_STATUS)),
                                .data = (size_t)db_column_int(rows, i, COL_ENTITY_DATA_SIZE, 0),
                                .marks = (size_t)db_column_int(rows, i, COL_ENTITY_MARKS_SIZE, 0),
                                .recent = (size_t)PQgetlength(rows, i, COL_ENTITY_RECENT)};
    e->measured = e->stored.data;
}

/* A complete reading log always has facts. */
static bool lacks_facts(const kind *k, const PGresult *rows, int i)
{
    return k->rule == KIND_READINGS && db_column_bool(rows, i, COL_ENTITY_SIBLING) &&
           !db_column(rows, i, COL_ENTITY_FACTS);
}

bool rows_load_entities(entity_set *set, const PGresult *rows)
{
    bool all = true;
    for (int i = 0; i < PQntuples(rows); i++) {
        const kind *k = kind_find(db_column(rows, i, COL_ENTITY_KIND));
        if (!k) continue; /* a kind of a newer version, which no operation can have named */
        if (lacks_facts(k, rows, i))
            all = false;
        else
            load_entity(entity_get(set, k, db_column(rows, i, COL_ENTITY_ID)), set->a, rows, i);
    }
    return all;
}

/* Counts that the row of an entity changes. `beneath`: bytes of its marks and of `recent`. */
static void count_row(txn *t, const entity *e, size_t data, size_t beneath)
{
    const usage before = quota_of_stored(e), after = quota_of_entity(e->status, e->id, data, beneath);
    usage_add(&t->change, &after, 1);
    usage_add(&t->change, &before, -1);
}

/* Of siblings only the place is written. */
static void send_places(const entity_set *set, txn *t)
{
    enum { KIND, ID, STATUS, SUPERSEDED, DEVICE, COLUMNS };
    static const db_type types[COLUMNS] = {DB_TEXT, DB_TEXT, DB_TEXT, DB_INT8, DB_TEXT};
    db_array x[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) x[i] = db_array_new(set->a, types[i]);
    for (size_t i = 0; i < set->count; i++) {
        const entity *e = set->list[i];
        if (!e->dirty || !e->sibling) continue;
        db_array_text(&x[KIND], e->kind->name);
        db_array_text(&x[ID], e->id);
        db_array_text(&x[STATUS], entity_status_name(e->status));
        db_array_int8(&x[SUPERSEDED], e->superseded_at, MERGE_NEVER);
        db_array_text(&x[DEVICE], e->device);
        count_row(t, e, e->stored.data, e->stored.marks + e->stored.recent);
    }
    if (x[KIND].count == 0) return;
    db_param params[2 + COLUMNS] = {db_text(t->user), db_int(set->a, t->stamp)};
    for (int i = 0; i < COLUMNS; i++) params[2 + i] = db_array_param(&x[i]);
    txn_send(t, SQL_ENTITIES_PLACE, params);
}

/* Entities that keep their version, and whose next one comes whole: an edit of them waits for a person. */
static void send_whole(const entity_set *set, txn *t)
{
    db_array kinds = db_array_new(set->a, DB_TEXT), ids = db_array_new(set->a, DB_TEXT);
    for (size_t i = 0; i < set->count; i++) {
        const entity *e = set->list[i];
        if (e->dirty || e->sibling || !e->known || !e->recent.whole) continue;
        db_array_text(&kinds, e->kind->name);
        db_array_text(&ids, e->id);
        t->change.hidden += (int64_t)strlen(RECENT_WHOLE) - (int64_t)e->stored.recent;
    }
    if (kinds.count == 0) return;
    txn_send(t, SQL_ENTITIES_WHOLE,
             DB_PARAMS(db_text(t->user), db_array_param(&kinds), db_array_param(&ids), db_text(RECENT_WHOLE)));
}

/* Only a visible entity has a list; when it becomes visible, it comes whole. Returns the bytes of the list. */
static size_t add_recent(db_array *x, const entity *e, int64_t stamp, arena *a)
{
    strbuf text = STRBUF(a);
    if (e->status == ENTITY_LIVE) recent_write(&e->recent, e->known ? e->updated_at : MERGE_NEVER, stamp, &text);
    db_array_add(x, text.data, text.len);
    return text.len;
}

bool rows_send_entities(const entity_set *set, txn *t)
{
    enum { KIND, ID, STATUS, CREATED, EDITED, DELETED, SUPERSEDED, BASE, KEY, DEVICE, MARKS, DATA, RECENT, COLUMNS };
    static const db_type types[COLUMNS] = {DB_TEXT, DB_TEXT, DB_TEXT, DB_INT8, DB_INT8, DB_INT8, DB_INT8,
                                           DB_INT8, DB_TEXT, DB_TEXT, DB_JSON, DB_JSON, DB_JSON};
    db_array x[COLUMNS];
    send_whole(set, t);
    if (entity_dirty_count(set) == 0) return false;
    for (int i = 0; i < COLUMNS; i++) x[i] = db_array_new(set->a, types[i]);
    for (size_t i = 0; i < set->count; i++) {
        const entity *e = set->list[i];
        if (!e->dirty || e->sibling) continue;
        strbuf data = STRBUF(set->a), marks = STRBUF(set->a);
        merge_write(e->state, &data);
        int64_t base = merge_write_marks(e->state, &marks);
        db_array_text(&x[KIND], e->kind->name);
        db_array_text(&x[ID], e->id);
        db_array_text(&x[STATUS], entity_status_name(e->status));
        db_array_int8(&x[CREATED], e->created_at == MERGE_NEVER ? t->stamp : e->created_at, MERGE_NEVER);
        db_array_int8(&x[EDITED], merge_edited(e->state), MERGE_NEVER);
        db_array_int8(&x[DELETED], merge_deleted(e->state), MERGE_NEVER);
        db_array_int8(&x[SUPERSEDED], e->superseded_at, MERGE_NEVER);
        db_array_int8(&x[BASE], base, MERGE_NEVER);
        db_array_text(&x[KEY], e->key);
        db_array_text(&x[DEVICE], e->device);
        if (e->sealed)
            db_array_text(&x[MARKS], UNLOADED);
        else
            db_array_add(&x[MARKS], marks.data, marks.len);
        db_array_add(&x[DATA], data.data, data.len);
        size_t noted = add_recent(&x[RECENT], e, t->stamp, set->a);
        count_row(t, e, data.len, (e->sealed ? e->stored.marks : marks.len) + noted);
    }
    db_param params[2 + COLUMNS] = {db_text(t->user), db_int(set->a, t->stamp)};
    for (int i = 0; i < COLUMNS; i++) params[2 + i] = db_array_param(&x[i]);
    if (x[KIND].count > 0) txn_send(t, SQL_ENTITIES_WRITE, params);
    send_places(set, t);
    return true;
}

change_row rows_change(const PGresult *row)
{
    return (change_row){.kind = db_column(row, 0, COL_CHANGE_KIND),
                        .id = db_column(row, 0, COL_CHANGE_ID),
                        .data = db_column(row, 0, COL_CHANGE_DATA),
                        .times = PQnfields(row) > COL_CHANGE_TIMES ? db_column(row, 0, COL_CHANGE_TIMES) : NULL,
                        .recent = PQnfields(row) > COL_CHANGE_RECENT ? db_column(row, 0, COL_CHANGE_RECENT) : NULL,
                        .incomplete =
                            PQnfields(row) > COL_CHANGE_INCOMPLETE && db_column_bool(row, 0, COL_CHANGE_INCOMPLETE),
                        .created_at = db_column_int(row, 0, COL_CHANGE_CREATED, 0),
                        .updated_at = db_column_int(row, 0, COL_CHANGE_UPDATED, 0),
                        .gone_at = instant(row, 0, COL_CHANGE_GONE)};
}

kept_row rows_kept(const PGresult *rows, int row)
{
    return (kept_row){db_column(rows, row, COL_KEPT_ID_KIND), db_column(rows, row, COL_KEPT_ID_ID),
                      (size_t)db_column_int(rows, row, COL_KEPT_ID_SIZE, 0)};
}

operation rows_kept_operation(arena *a, const PGresult *rows, int row, const kind *k)
{
    const char *text = db_column(rows, row, COL_KEPT_DATA), *id = db_column(rows, row, COL_KEPT_ID);
    size_t len = strlen(text);
    return (operation){.type = OPERATION_CREATE,
                       .kind = k,
                       .entity_id = id,
                       .stored_id = id,
                       .data = json_read_stored(a, text, len), /* without its id */
                       .at = instant(rows, row, COL_KEPT_EDITED),
                       .created_at = instant(rows, row, COL_KEPT_CREATED),
                       .size = len};
}

int rows_find_snapshot(const PGresult *list, int64_t stamp)
{
    for (int row = 0; row < PQntuples(list); row++)
        if (db_column_int(list, row, COL_SNAPSHOT_STAMP, 0) == stamp) return row;
    return -1;
}

usage rows_planned(const PGresult *plan, int row)
{
    return (usage){-db_column_int(plan, row, COL_PLAN_UNLISTED, 0), -db_column_int(plan, row, COL_PLAN_SHOWN, 0),
                   db_column_int(plan, row, COL_PLAN_HIDDEN, 0)};
}

/* Ledger and queue */

ledger_row rows_ledger(const PGresult *rows, int row)
{
    return (ledger_row){.id = db_column(rows, row, COL_LEDGER_ID),
                        .hash = db_column(rows, row, COL_LEDGER_HASH),
                        .processed = db_column(rows, row, COL_LEDGER_PROCESSED_AT) != NULL,
                        .processed_at = instant(rows, row, COL_LEDGER_PROCESSED_AT),
                        .result = db_column(rows, row, COL_LEDGER_RESULT),
                        .fits = db_column_bool(rows, row, COL_LEDGER_FITS),
                        .is_short = db_column_bool(rows, row, COL_LEDGER_SIDED)};
}

void rows_ledger_sides(const PGresult *sides, int row, ledger_row *out)
{
    out->local_data = db_column(sides, row, COL_SIDES_LOCAL_DATA);
    out->server_data = db_column(sides, row, COL_SIDES_SERVER_DATA);
    out->fits = out->fits && db_column_bool(sides, row, COL_SIDES_FIT);
}

queue_row rows_queue(const PGresult *rows, int row)
{
    return (queue_row){.id = db_column(rows, row, COL_QUEUE_ID),
                       .type = db_column(rows, row, COL_QUEUE_TYPE),
                       .kind = db_column(rows, row, COL_QUEUE_KIND),
                       .entity_id = db_column(rows, row, COL_QUEUE_ENTITY_ID),
                       .hash = db_column(rows, row, COL_QUEUE_HASH),
                       .data = db_column(rows, row, COL_QUEUE_DATA),
                       .last_error = db_column(rows, row, COL_QUEUE_LAST_ERROR),
                       .policy = db_column(rows, row, COL_QUEUE_POLICY),
                       .made_at = db_column_int(rows, row, COL_QUEUE_MADE_AT, 0),
                       .base_at = instant(rows, row, COL_QUEUE_BASE_AT),
                       .attempts = db_column_int(rows, row, COL_QUEUE_ATTEMPTS, 0),
                       .synced = db_column(rows, row, COL_QUEUE_SYNCED_AT) != NULL};
}

const db_param *rows_queue_add(arena *a, const char *user, const operation *op, const char *data)
{
    const db_param params[] = {db_text(user),
                               db_text(op->id),
                               db_int_or_null(a, op->at, MERGE_NEVER),
                               db_text(op->type_name),
                               db_text(op->kind->name),
                               db_text(op->entity_id),
                               {(const char *)op->hash, sizeof op->hash, true},
                               db_text(data),
                               db_text(policy_name(op->policy)),
                               db_int_or_null(a, op->base, MERGE_NEVER)};
    return memcpy(arena_alloc(a, sizeof params), params, sizeof params);
}
