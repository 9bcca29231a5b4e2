#include "conflict.h"

#include <string.h>

#include "clock.h"
#include "json.h"
#include "log.h"
#include "merge.h"

const char *conflict_reason_name(conflict_reason reason)
{
    static const char *const names[CONFLICT_REASONS] = {
        [CONFLICT_STALE] = "stale",
        [CONFLICT_DELETED] = "deleted",
        [CONFLICT_EDITED] = "edited",
        [CONFLICT_BASE] = "base",
        [CONFLICT_ONE_PER_KEY] = "one_per_book",
        [CONFLICT_SAME_NAME] = "same_name",
        [CONFLICT_INCOMPLETE] = "incomplete",
        [CONFLICT_BEYOND_HORIZON] = "beyond_horizon",
    };
    return names[reason];
}

conflict_log conflict_log_new(arena *a, size_t first)
{
    conflict_log log = {.a = a, .first = first};
    for (int i = 0; i < 3; i++) log.close[i] = db_array_new(a, DB_TEXT);
    return log;
}

size_t conflict_add(conflict_log *log, const conflict *row)
{
    if (log->count == log->room) {
        size_t room = log->room ? log->room * 2 : 8;
        log->list = arena_grow(log->a, log->list, log->room * sizeof *log->list, room * sizeof *log->list);
        log->room = room;
    }
    log->list[log->count] = *row;
    return log->count++;
}

void conflict_close(conflict_log *log, const char *kind, const char *id, conflict_reason reason)
{
    for (size_t i = 0; i < log->count; i++) {
        conflict *row = &log->list[i];
        bool about = strcmp(row->entity_id, id) == 0 || (row->other_id && strcmp(row->other_id, id) == 0);
        if (!row->open || row->reason != reason || !about || strcmp(row->kind, kind) != 0) continue;
        row->open = false;
        row->resolution = "client";
    }
    db_array_text(&log->close[0], kind);
    db_array_text(&log->close[1], id);
    db_array_text(&log->close[2], conflict_reason_name(reason));
}

static void send_rows(conflict_log *log, db *d, const char *user, int64_t stamp)
{
    static const db_type types[] = {DB_INT4, DB_TEXT, DB_TEXT, DB_TEXT, DB_TEXT, DB_TEXT, DB_TEXT,
                                    DB_TEXT, DB_TEXT, DB_INT8, DB_INT8, DB_JSON, DB_JSON};
    enum { COLUMNS = sizeof types / sizeof *types };
    db_array x[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) x[i] = db_array_new(log->a, types[i]);
    for (size_t i = 0; i < log->count; i++) {
        const conflict *row = &log->list[i];
        db_array_int4(&x[0], (int32_t)(log->first + i));
        db_array_text(&x[1], row->kind);
        db_array_text(&x[2], row->entity_id);
        db_array_text(&x[3], row->other_id);
        db_array_text(&x[4], conflict_reason_name(row->reason));
        db_array_text(&x[5], row->open ? "open" : "resolved");
        db_array_text(&x[6], row->resolution);
        db_array_text(&x[7], row->operation_id);
        db_array_text(&x[8], row->device);
        db_array_int8(&x[9], row->local_at, MERGE_NEVER);
        db_array_int8(&x[10], row->server_at, MERGE_NEVER);
        db_array_text(&x[11], row->local_data);
        db_array_text(&x[12], row->server_data);
    }
    db_param params[2 + COLUMNS] = {db_text(user), db_int(log->a, stamp)};
    for (int i = 0; i < COLUMNS; i++) params[2 + i] = db_array_param(&x[i]);
    db_send(d, SQL_CONFLICTS_WRITE, params);
}

int conflict_send(conflict_log *log, db *d, const char *user, int64_t stamp)
{
    int sent = 0;
    if (log->close[0].count > 0) {
        db_send(d, SQL_CONFLICTS_CLOSE,
                DB_PARAMS(db_text(user), db_int(log->a, stamp), db_array_param(&log->close[0]),
                          db_array_param(&log->close[1]), db_array_param(&log->close[2])));
        sent++;
    }
    if (log->count > 0) {
        send_rows(log, d, user, stamp);
        sent++;
    }
    return sent;
}

static void write_raw(strbuf *out, const char *name, const char *json)
{
    json_write_name(out, name);
    strbuf_puts(out, json ? json : "null");
}

static void write_instant(strbuf *out, const char *name, int64_t at)
{
    if (at == MERGE_NEVER) json_write_member(out, name, NULL);
    else json_write_instant(out, name, at);
}

void conflict_write(const conflict_log *log, size_t index, int64_t stamp, strbuf *out)
{
    const conflict *row = &log->list[index];
    strbuf_putc(out, '{');
    json_write_member(out, "id", arena_printf(out->a, "%lld-%zu", (long long)stamp, log->first + index));
    json_write_member(out, "reason", conflict_reason_name(row->reason));
    json_write_member(out, "entity", row->kind);
    json_write_member(out, "entityId", row->entity_id);
    if (row->other_id) json_write_member(out, "otherId", row->other_id);
    write_raw(out, "localData", row->local_data);
    write_raw(out, "serverData", row->server_data);
    write_instant(out, "localTimestamp", row->local_at);
    write_instant(out, "serverTimestamp", row->server_at);
    strbuf_putc(out, '}');
}

void conflict_tally(const conflict_log *log, call *c)
{
    static const char *const names[] = {"client", "server", "merged"};
    char text[CLOCK_TEXT];
    for (size_t i = 0; i < log->count; i++) {
        const conflict *row = &log->list[i];
        int which = 3;
        for (int j = 0; row->resolution && j < 3; j++)
            if (strcmp(row->resolution, names[j]) == 0) which = j;
        c->tally.conflicts[which]++;
        log_begin(LOG_LEVEL_INFO, "conflict");
        log_str("requestId", c->id);
        log_str("entity", row->kind);
        log_personal("entityId", row->entity_id);
        log_str("reason", conflict_reason_name(row->reason));
        log_str("resolution", row->resolution ? row->resolution : "open");
        log_str("localTimestamp", clock_format(row->local_at, text));
        if (row->server_at != MERGE_NEVER) log_str("serverTimestamp", clock_format(row->server_at, text));
        log_end();
    }
}
