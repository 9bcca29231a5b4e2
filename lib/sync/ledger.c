#include "sync/ledger.h"

#include "base/json.h"
#include "sync/result.h"

static json_t *index_of(arena *a, const PGresult *rows, int column)
{
    json_t *index = json_new_object(a);
    for (int i = 0; i < PQntuples(rows); i++) json_put(a, index, db_column(rows, i, column), json_integer(i));
    return index;
}

static rc read_sides(ledger *l, sync_ctx *ctx)
{
    PGresult *sides;
    db_array ids = db_array_new(ctx->a, DB_TEXT);
    for (int i = 0; i < PQntuples(l->rows); i++) {
        const ledger_row row = rows_ledger(l->rows, i);
        if (row.is_short) db_array_text(&ids, row.id);
    }
    if (ids.count == 0) return RC_OK;
    const db_param *params = DB_PARAMS(db_text(ctx->user), db_array_param(&ids), db_int(ctx->a, ctx->conf->full_body));
    rc code = txn_read(&ctx->txn, &(db_step){SQL_LEDGER_SIDES, params, &sides}, 1);
    if (code != RC_OK) return code;
    l->side_rows = sides;
    l->sides = index_of(ctx->a, sides, COL_SIDES_ID);
    return RC_OK;
}

rc ledger_open(ledger *l, sync_ctx *ctx, const PGresult *rows)
{
    *l = (ledger){.a = ctx->a, .rows = rows};
    if (PQntuples(rows) == 0) return RC_OK;
    l->index = index_of(ctx->a, rows, COL_LEDGER_ID);
    return read_sides(l, ctx);
}

bool ledger_find(const ledger *l, const operation *op, ledger_row *out)
{
    const json_t *row = json_object_get(l->index, op->id), *sides = json_object_get(l->sides, op->id);
    if (!row) return false;
    *out = rows_ledger(l->rows, (int)json_integer_value(row));
    if (sides) rows_ledger_sides(l->side_rows, (int)json_integer_value(sides), out);
    if (!out->processed || !out->fits || out->result) return true;
    strbuf plain = STRBUF(l->a);
    result_write_plain(op, out->processed_at, &plain);
    out->result = plain.data;
    return true;
}
