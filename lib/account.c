#include "account.h"

#include <string.h>

#include "clock.h"
#include "cursor.h"
#include "entity.h"
#include "kind.h"
#include "merge.h"

enum { FLUSH_BYTES = 32 * 1024 };

static const char *clock_cursor(arena *a, const PGresult *clock)
{
    position p = {0, 0, MERGE_NEVER, "", ""};
    if (PQntuples(clock) > 0) {
        p.stamp = db_column_int(clock, 0, 0, 0);
        p.epoch = db_column_int(clock, 0, 2, 0);
    }
    return position_write(a, &p);
}

/* Export: one statement after the other is streamed as an array; a row of the table says how its rows are written. */

static void write_entity(const PGresult *r, strbuf *out)
{
    const char *id = db_column(r, 0, 1);
    int64_t created = db_column_int(r, 0, 3, 0), updated = db_column_int(r, 0, 4, 0);
    const char *status = db_column(r, 0, 2), *data = db_column(r, 0, 6);
    if (strcmp(status, "live") == 0) {
        entity_write_live(out, id, created, updated, data);
        return;
    }
    strbuf_putc(out, '{');
    json_write_member(out, "type", db_column(r, 0, 0));
    json_write_name(out, "data");
    if (strcmp(status, "incomplete") == 0) {
        entity_write_live(out, id, created, updated, data);
    } else {
        entity_write_deleted(out, id, updated, db_column_int(r, 0, 5, updated));
        json_write_name(out, "beneath"); /* what a return would bring back */
        strbuf_puts(out, data);
    }
    strbuf_putc(out, '}');
}

/* Any other row: its columns under these names. A name's first letter tells the type: t text, i instant, n number, j JSON. */
static void write_columns(const PGresult *r, const char *const *columns, strbuf *out)
{
    strbuf_putc(out, '{');
    for (int i = 0; columns[i]; i++) {
        const char *name = columns[i] + 1, *value = db_column(r, 0, i);
        if (!*name) continue;
        if (!value || *columns[i] == 't') {
            json_write_member(out, name, value);
        } else if (*columns[i] == 'i') {
            json_write_instant(out, name, db_column_int(r, 0, i, 0));
        } else {
            json_write_name(out, name);
            strbuf_puts(out, value);
        }
    }
    strbuf_putc(out, '}');
}

static const struct part {
    const char *name;
    sql_id sql;
    const char *columns[20];
} parts[] = {
    {"deleted", SQL_EXPORT_HIDDEN, {NULL}},
    {"incomplete", SQL_EXPORT_HIDDEN, {NULL}},
    {"queue", SQL_QUEUE_EXPORT,
     {"tid", "ttype", "tentity", "tentityId", "jdata", "itimestamp", "nattempts", "tlastError", "isyncedAt", "t",
      "tconflictResolution", "ibaseVersion", NULL}},
    {"conflicts", SQL_CONFLICTS_LIST,
     {"icreatedAt", "nnumber", "tentity", "tentityId", "totherId", "treason", "tstatus", "tresolution", "toperationId",
      "tdeviceId", "ilocalTimestamp", "iserverTimestamp", "iresolvedAt", "jlocalData", "jserverData", NULL}},
    {"processedOperations", SQL_EXPORT_LEDGER, {"iprocessedAt", "jresult", NULL}},
    {"snapshots", SQL_EXPORT_SNAPSHOTS,
     {"isnapshot", "ttype", "tid", "icreatedAt", "ieditedAt", "jdata", NULL}},
};

enum { PARTS = sizeof parts / sizeof *parts };

static rc stream_rows(call *c, strbuf *out, const char *const *columns, bool single)
{
    const PGresult *row;
    rc code;
    bool first = true;
    while ((code = db_next_row(c->db, &row)) == RC_OK && row) {
        if (!first) strbuf_putc(out, ',');
        first = false;
        if (columns[0]) write_columns(row, columns, out);
        else write_entity(row, out);
        if (out->len < FLUSH_BYTES) continue;
        c->write(c->to, out->data, out->len);
        out->len = 1; /* what is left tells json_write_name that something stands before */
        out->data[0] = ' ';
    }
    if (code == RC_OK && single && first) strbuf_puts(out, "null");
    return code;
}

rc account_export(call *c)
{
    static const char *const none[] = {NULL};
    db_param user = db_text(c->user);
    PGresult *r, *clock;
    strbuf out = STRBUF(c->a);
    db_send(c->db, SQL_BEGIN_READ, NULL);
    db_send(c->db, SQL_IDENTIFY, &user);
    db_send(c->db, SQL_CLOCK_READ, &user);
    for (const kind *const *k = kinds; *k; k++)
        db_send(c->db, SQL_EXPORT_ENTITIES, DB_PARAMS(user, db_text((*k)->name)));
    for (int i = 0; i < PARTS; i++) {
        const db_param hidden[] = {user, db_text(parts[i].name)};
        const db_param all[] = {user, db_null(), db_int(c->a, INT64_MAX), db_int(c->a, INT32_MAX), db_null()};
        db_send(c->db, parts[i].sql, parts[i].sql == SQL_EXPORT_HIDDEN ? hidden : all); /* the others take the user alone */
    }
    db_send(c->db, SQL_COMMIT, NULL);
    db_flush(c->db);
    rc code = db_take(c->db, c->a, &r);
    if (code == RC_OK) code = db_take(c->db, c->a, &r);
    if (code == RC_OK) code = db_take(c->db, c->a, &clock);
    if (code == RC_OK) {
        strbuf_putc(&out, '{');
        json_write_bool(&out, "success", true);
        json_write_instant(&out, "exportedAt", clock_now());
        json_write_member(&out, "cursor", clock_cursor(c->a, clock));
    }
    for (const kind *const *k = kinds; code == RC_OK && *k; k++) {
        json_write_name(&out, (*k)->plural);
        if (!(*k)->fixed_id) strbuf_putc(&out, '[');
        code = stream_rows(c, &out, none, (*k)->fixed_id != NULL);
        if (!(*k)->fixed_id) strbuf_putc(&out, ']');
    }
    for (int i = 0; code == RC_OK && i < PARTS; i++) {
        json_write_name(&out, parts[i].name);
        strbuf_putc(&out, '[');
        code = stream_rows(c, &out, parts[i].columns, false);
        strbuf_putc(&out, ']');
    }
    rc finished = db_finish(c->db);
    if (code == RC_OK) code = finished;
    if (code != RC_OK) return code;
    strbuf_putc(&out, '}');
    c->write(c->to, out.data, out.len);
    return RC_OK;
}

rc account_erase(call *c, strbuf *reply)
{
    static const char *const names[] = {"entities", "processedOperations", "queued", "conflicts", "snapshots"};
    PGresult *clock, *counts;
    db_param user = db_text(c->user);
    c->committing = true;
    call_changes(c, 0, 0, NULL); /* the clock goes too */
    rc code = DB_RUN(c->db, c->a, DB_BEGIN_WRITE(&user, &clock),
                     {.id = SQL_ERASE, .params = &user, .result = &counts}, {.id = SQL_COMMIT});
    if (code != RC_OK) return code;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "receipt");
    strbuf_putc(reply, '{');
    json_write_instant(reply, "erasedAt", db_column_int(clock, 0, 0, 0));
    for (int i = 0; i < 5; i++) json_write_int(reply, names[i], db_column_int(counts, 0, i, 0));
    strbuf_puts(reply, "}");
    json_write_instant(reply, "serverTime", clock_now());
    strbuf_putc(reply, '}');
    return RC_OK;
}

rc account_snapshots(call *c, strbuf *reply)
{
    PGresult *rows;
    db_param user = db_text(c->user);
    rc code = db_query(c->db, c->a, c->user, SQL_SNAPSHOTS_LIST, &user, &rows);
    if (code != RC_OK) return code;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "snapshots");
    strbuf_putc(reply, '[');
    for (int i = 0; i < PQntuples(rows); i++) {
        int64_t stamp = db_column_int(rows, i, 0, 0);
        strbuf_puts(reply, i > 0 ? ",{" : "{");
        json_write_member(reply, "id", db_column(rows, i, 0));
        json_write_instant(reply, "createdAt", stamp);
        json_write_instant(reply, "expiresAt", stamp + c->conf->snapshot_days * CLOCK_DAY);
        json_write_int(reply, "entities", db_column_int(rows, i, 2, 0));
        json_write_name(reply, "kinds");
        strbuf_putc(reply, '[');
        for (const char *p = db_column(rows, i, 1); *p;) {
            size_t len = strcspn(p, ",");
            json_write_string(reply, p, len);
            p += len;
            if (*p == ',') strbuf_putc(reply, *p++);
        }
        strbuf_puts(reply, "]}");
    }
    strbuf_puts(reply, "]}");
    return RC_OK;
}

rc account_digest(call *c, strbuf *reply)
{
    static const char empty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; /* SHA-256 of nothing */
    PGresult *clock, *rows;
    db_param user = db_text(c->user);
    rc code = DB_RUN(c->db, c->a, {.id = SQL_BEGIN_READ}, {.id = SQL_IDENTIFY, .params = &user},
                     {.id = SQL_CLOCK_READ, .params = &user, .result = &clock},
                     {.id = SQL_DIGEST, .params = &user, .result = &rows}, {.id = SQL_COMMIT});
    if (code != RC_OK) return code;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_member(reply, "cursor", clock_cursor(c->a, clock));
    json_write_name(reply, "kinds");
    strbuf_putc(reply, '{');
    for (const kind *const *k = kinds; *k; k++) {
        int row = 0;
        while (row < PQntuples(rows) && strcmp(db_column(rows, row, 0), (*k)->name) != 0) row++;
        bool found = row < PQntuples(rows);
        json_write_name(reply, (*k)->name);
        strbuf_putc(reply, '{');
        json_write_int(reply, "count", found ? db_column_int(rows, row, 1, 0) : 0);
        json_write_member(reply, "sha256", found ? db_column(rows, row, 2) : empty);
        strbuf_putc(reply, '}');
    }
    strbuf_puts(reply, "}}");
    return RC_OK;
}

rc account_config(call *c, strbuf *reply)
{
    enum { BATCH_SIZE = 10, POLL_INTERVAL = 30, ATTEMPTS = 5 }; /* the published client's */
    const conf *s = c->conf;
    const struct {
        const char *name;
        long long value;
    } limits[] = {{"bodyBytes", s->body},       {"fullBodyBytes", s->full_body}, {"fullItems", s->full_items},
                  {"operations", s->operations}, {"entityBytes", s->entity},      {"depth", s->depth}},
      retention[] = {{"tombstoneDays", s->tombstone_days}, {"ledgerDays", s->ledger_days}, {"snapshotDays", s->snapshot_days}};
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "limits");
    strbuf_putc(reply, '{');
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) json_write_int(reply, limits[i].name, limits[i].value);
    strbuf_putc(reply, '}');
    json_write_name(reply, "retention");
    strbuf_putc(reply, '{');
    for (size_t i = 0; i < sizeof retention / sizeof *retention; i++)
        json_write_int(reply, retention[i].name, retention[i].value);
    strbuf_putc(reply, '}');
    json_write_int(reply, "batchSize", BATCH_SIZE);
    json_write_int(reply, "pollIntervalSeconds", POLL_INTERVAL);
    json_write_int(reply, "maxAttempts", ATTEMPTS);
    json_write_int(reply, "clockSkewSeconds", s->clock_skew);
    json_write_member(reply, "conflictResolution", s->conflict_resolution);
    json_write_name(reply, "requestEncodings");
    strbuf_puts(reply, "[\"gzip\",\"identity\"]");
    json_write_name(reply, "entities");
    strbuf_putc(reply, '[');
    for (const kind *const *k = kinds; *k; k++) {
        if (k != kinds) strbuf_putc(reply, ',');
        json_write_string(reply, (*k)->name, strlen((*k)->name));
    }
    strbuf_putc(reply, ']');
    json_write_instant(reply, "serverTime", clock_now());
    strbuf_putc(reply, '}');
    return RC_OK;
}
