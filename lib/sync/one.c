#include "sync/one.h"

#include <string.h>

#include "engine/kind.h"
#include "engine/operation.h"
#include "store/query.h"
#include "sync/change.h"
#include "sync/param.h"

rc entity_run(sync_ctx *ctx, const char *kind_name, const char *id, strbuf *reply)
{
    PGresult *rows;
    const kind *k = kind_find(kind_name);
    size_t length = json_characters(id, strlen(id));
    if (!k) return param_unknown_kind(ctx, "entity", kind_name, strlen(kind_name));
    if (length > ENTITY_ID_MAX)
        return ctx_invalid(ctx, "entityId", "must have at most %d characters, has %zu", ENTITY_ID_MAX, length);
    if (k->fixed_id) id = k->fixed_id;
    rc code = query_one(ctx->db, ctx->a, ctx->user, SQL_ENTITY_GET,
                        DB_PARAMS(db_text(ctx->user), db_text(k->name), db_text(id)), &rows);
    if (code != RC_OK) return code;
    if (PQntuples(rows) == 0) return ctx_fail(ctx, RC_NOT_FOUND, "there is no %s with this id", k->name);
    const change_row row = rows_change(rows);
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "change");
    change_write(&row, reply);
    strbuf_putc(reply, '}');
    return RC_OK;
}
