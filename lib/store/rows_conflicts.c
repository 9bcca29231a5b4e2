#include "store/rows.h"

conflict_row rows_conflict(const PGresult *rows, int row)
{
    return (conflict_row){.stamp = db_column_int(rows, row, COL_CONFLICT_STAMP, 0),
                          .number = (int)db_column_int(rows, row, COL_CONFLICT_NUMBER, 0),
                          .kind = db_column(rows, row, COL_CONFLICT_KIND),
                          .entity_id = db_column(rows, row, COL_CONFLICT_ENTITY_ID),
                          .other_id = db_column(rows, row, COL_CONFLICT_OTHER_ID),
                          .reason = db_column(rows, row, COL_CONFLICT_REASON),
                          .status = db_column(rows, row, COL_CONFLICT_STATUS),
                          .resolution = db_column(rows, row, COL_CONFLICT_RESOLUTION),
                          .operation_id = db_column(rows, row, COL_CONFLICT_OPERATION_ID),
                          .device = db_column(rows, row, COL_CONFLICT_DEVICE),
                          .local_at = db_column_int(rows, row, COL_CONFLICT_LOCAL_AT, MERGE_NEVER),
                          .server_at = db_column_int(rows, row, COL_CONFLICT_SERVER_AT, MERGE_NEVER),
                          .resolved_at = db_column_int(rows, row, COL_CONFLICT_RESOLVED_AT, MERGE_NEVER),
                          .local_data = db_column(rows, row, COL_CONFLICT_LOCAL_DATA),
                          .server_data = db_column(rows, row, COL_CONFLICT_SERVER_DATA)};
}

static void send_closings(const conflict_log *log, txn *t)
{
    enum { KIND, ENTITY_ID, REASON, COLUMNS };
    db_array x[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) x[i] = db_array_new(log->a, DB_TEXT);
    for (size_t i = 0; i < log->closing_count; i++) {
        const conflict_closing *c = &log->closings[i];
        db_array_text(&x[KIND], c->kind);
        db_array_text(&x[ENTITY_ID], c->entity_id);
        db_array_text(&x[REASON], conflict_reason_name(c->reason));
    }
    txn_send(t, SQL_CONFLICTS_CLOSE,
             DB_PARAMS(db_text(t->user), db_int(log->a, t->stamp), db_array_param(&x[KIND]),
                       db_array_param(&x[ENTITY_ID]), db_array_param(&x[REASON])));
}

/* For each conflict the number of the one that stores its server side: itself, or an earlier one with the very same
 * text. The text of an entity is written once for each of its versions (entity_text), so comparing pointers is enough.
 * Only the nearest are compared. The owner itself never refers to another conflict, because SERVER_SIDE follows one
 * reference only. */
static size_t *side_owners(const conflict_log *log)
{
    enum { NEAR = 64 };
    size_t *owners = arena_alloc(log->a, log->count * sizeof *owners);
    for (size_t i = 0; i < log->count; i++) {
        const char *side = log->list[i].server_data;
        owners[i] = i;
        for (size_t j = i; side && owners[i] == i && j > 0 && i - j < NEAR; j--)
            if (log->list[j - 1].server_data == side) owners[i] = owners[j - 1];
    }
    return owners;
}

static void send_conflicts(const conflict_log *log, txn *t)
{
    enum {
        NUMBER,
        KIND,
        ENTITY_ID,
        OTHER_ID,
        REASON,
        STATUS,
        RESOLUTION,
        OPERATION_ID,
        DEVICE,
        LOCAL_AT,
        SERVER_AT,
        LOCAL_DATA,
        SERVER_DATA,
        SERVER_OF,
        COLUMNS
    };
    static const db_type types[COLUMNS] = {DB_INT4, DB_TEXT, DB_TEXT, DB_TEXT, DB_TEXT, DB_TEXT, DB_TEXT,
                                           DB_TEXT, DB_TEXT, DB_INT8, DB_INT8, DB_JSON, DB_JSON, DB_INT4};
    db_array x[COLUMNS];
    const size_t *owners = side_owners(log);
    for (int i = 0; i < COLUMNS; i++) x[i] = db_array_new(log->a, types[i]);
    for (size_t i = 0; i < log->count; i++) {
        const conflict *row = &log->list[i];
        db_array_int4(&x[NUMBER], (int32_t)(log->first + i));
        db_array_text(&x[KIND], row->kind);
        db_array_text(&x[ENTITY_ID], row->entity_id);
        db_array_text(&x[OTHER_ID], row->other_id);
        db_array_text(&x[REASON], conflict_reason_name(row->reason));
        db_array_text(&x[STATUS], row->open ? "open" : "resolved");
        db_array_text(&x[RESOLUTION], row->resolution);
        db_array_text(&x[OPERATION_ID], row->operation_id);
        db_array_text(&x[DEVICE], row->device);
        db_array_int8(&x[LOCAL_AT], row->local_at, MERGE_NEVER);
        db_array_int8(&x[SERVER_AT], row->server_at, MERGE_NEVER);
        db_array_text(&x[LOCAL_DATA], row->local_data);
        size_t size = conflict_size(row, owners[i] == i);
        *(row->open ? &t->change.bytes : &t->change.hidden) += (int64_t)size;
        db_array_text(&x[SERVER_DATA], owners[i] < i ? NULL : row->server_data);
        if (owners[i] < i)
            db_array_int4(&x[SERVER_OF], (int32_t)(log->first + owners[i]));
        else
            db_array_add(&x[SERVER_OF], NULL, 0);
    }
    db_param params[2 + COLUMNS] = {db_text(t->user), db_int(log->a, t->stamp)};
    for (int i = 0; i < COLUMNS; i++) params[2 + i] = db_array_param(&x[i]);
    txn_send(t, SQL_CONFLICTS_WRITE, params);
}

void rows_send_conflicts(const conflict_log *log, txn *t)
{
    if (log->closing_count > 0) send_closings(log, t);
    if (log->count > 0) send_conflicts(log, t);
}
