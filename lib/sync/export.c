#include "sync/export.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "engine/entity.h"
#include "engine/kind.h"
#include "store/query.h"
#include "store/rows.h"

enum { FLUSH_BYTES = 32 * 1024 };

/* The statements are streamed one after the other, each as an array. */

static void write_entity(const PGresult *r, strbuf *out)
{
    const char *id = db_column(r, 0, COL_EXPORT_ID), *status = db_column(r, 0, COL_EXPORT_STATUS);
    const char *data = db_column(r, 0, COL_EXPORT_DATA);
    int64_t created = db_column_int(r, 0, COL_EXPORT_CREATED, 0), updated = db_column_int(r, 0, COL_EXPORT_UPDATED, 0);
    if (strcmp(status, "live") == 0) {
        entity_write_live(out, id, created, updated, data);
        return;
    }
    strbuf_putc(out, '{');
    json_write_member(out, "type", db_column(r, 0, COL_EXPORT_KIND));
    json_write_name(out, "data");
    if (strcmp(status, "incomplete") == 0) {
        entity_write_live(out, id, created, updated, data);
    } else {
        entity_write_deleted(out, id, updated, db_column_int(r, 0, COL_EXPORT_GONE, updated));
        json_write_raw(out, "beneath", data); /* the members that a later edit would bring back */
    }
    json_write_raw(out, "times", db_column(r, 0, COL_EXPORT_ITEM_TIMES));
    strbuf_putc(out, '}');
}

/* Writes the columns of any other row under these names. The first letter of a name gives the type of its value: t
 * text, i instant, n number, j JSON. A name of one letter leaves the column out. */
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
            json_write_raw(out, name, value);
        }
    }
    strbuf_putc(out, '}');
}

static const struct part {
    const char *name;
    sql_id sql;
    const char *columns[20]; /* in the order of the statement's; none: the rows are entities */
} parts[] = {
    {"deleted", SQL_EXPORT_HIDDEN, {NULL}},
    {"incomplete", SQL_EXPORT_HIDDEN, {NULL}},
    {"times", SQL_EXPORT_TIMES, {"ttype", "tid", "jtimes", NULL}}, /* of the live ones */
    {"epochs", SQL_EPOCHS_READ, {"tepoch", "iuntil", "tinstallation", NULL}},
    {"queue",
     SQL_QUEUE_EXPORT,
     {"tid", "ttype", "tentity", "tentityId", "jdata", "itimestamp", "nattempts", "tlastError", "isyncedAt", "t",
      "tconflictResolution", "ibaseVersion", NULL}},
    {"conflicts",
     SQL_EXPORT_CONFLICTS,
     {"icreatedAt", "nnumber", "tentity", "tentityId", "totherId", "treason", "tstatus", "tresolution", "toperationId",
      "tdeviceId", "ilocalTimestamp", "iserverTimestamp", "iresolvedAt", "jlocalData", "jserverData", NULL}},
    {"processedOperations", SQL_EXPORT_LEDGER, {"iprocessedAt", "jresult", NULL}},
    {"snapshots", SQL_EXPORT_SNAPSHOTS, {"isnapshot", "ttype", "tid", "icreatedAt", "ieditedAt", "jdata", NULL}},
};

enum { PARTS = sizeof parts / sizeof *parts };

/* The last part holds the snapshots. */
static int part_count(bool snapshots)
{
    return snapshots ? PARTS : PARTS - 1;
}

static rc stream_rows(sync_ctx *ctx, strbuf *out, const char *const *columns, bool single)
{
    const PGresult *row;
    rc code;
    bool first = true;
    while ((code = db_next_row(ctx->db, &row)) == RC_OK && row) {
        if (!first) strbuf_putc(out, ',');
        first = false;
        if (columns[0])
            write_columns(row, columns, out);
        else
            write_entity(row, out);
        if (out->len < FLUSH_BYTES) continue;
        ctx->write(ctx->to, out->data, out->len);
        out->len = 1; /* the blank tells json_write_name that a member stands before */
        out->data[0] = ' ';
    }
    if (code == RC_OK && single && first) strbuf_puts(out, "null");
    return code;
}

static void send_statements(sync_ctx *ctx, int count)
{
    db_param user = db_text(ctx->user);
    db_send(ctx->db, SQL_CLOCK_READ, &user);
    for (const kind *const *k = kinds; *k; k++)
        db_send(ctx->db, SQL_EXPORT_ENTITIES, DB_PARAMS(user, db_text((*k)->name)));
    for (int i = 0; i < count; i++) {
        const db_param params[] = {user, db_text(parts[i].name)}; /* the second for SQL_EXPORT_HIDDEN alone */
        db_send(ctx->db, parts[i].sql, params);
    }
}

static rc stream_document(sync_ctx *ctx, const PGresult *clock, int count, strbuf *out)
{
    static const char *const none[] = {NULL};
    rc code = RC_OK;
    strbuf_putc(out, '{');
    json_write_bool(out, "success", true);
    json_write_instant(out, "exportedAt", clock_now());
    json_write_member(out, "cursor", rows_cursor(ctx->a, clock));
    for (const kind *const *k = kinds; code == RC_OK && *k; k++) {
        bool single = (*k)->fixed_id != NULL;
        json_write_name(out, (*k)->plural);
        if (!single) strbuf_putc(out, '[');
        code = stream_rows(ctx, out, none, single);
        if (!single) strbuf_putc(out, ']');
    }
    for (int i = 0; code == RC_OK && i < count; i++) {
        json_write_name(out, parts[i].name);
        strbuf_putc(out, '[');
        code = stream_rows(ctx, out, parts[i].columns, false);
        strbuf_putc(out, ']');
    }
    strbuf_putc(out, '}');
    return code;
}

rc export_run(sync_ctx *ctx, bool snapshots)
{
    PGresult *clock;
    strbuf out = STRBUF(ctx->a);
    query snapshot = query_open(ctx->db, ctx->user, true);
    send_statements(ctx, part_count(snapshots));
    rc code = query_start(&snapshot, ctx->a);
    if (code == RC_OK) code = db_take(ctx->db, ctx->a, &clock);
    if (code == RC_OK) code = stream_document(ctx, clock, part_count(snapshots), &out);
    rc finished = db_finish(ctx->db);
    if (code == RC_OK) code = finished;
    if (code == RC_OK) ctx->write(ctx->to, out.data, out.len);
    return code;
}
