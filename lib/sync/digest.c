#include "sync/digest.h"

#include <string.h>

#include "base/json.h"
#include "engine/kind.h"
#include "store/query.h"
#include "store/rows.h"

rc digest_run(sync_ctx *ctx, strbuf *reply)
{
    static const char empty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; /* of no bytes */
    PGresult *clock, *rows;
    db_param user = db_text(ctx->user);
    rc code = QUERY_SNAPSHOT(ctx->db, ctx->a, ctx->user, {.id = SQL_CLOCK_READ, .params = &user, .result = &clock},
                             {.id = SQL_DIGEST, .params = &user, .result = &rows});
    if (code != RC_OK) return code;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_member(reply, "cursor", rows_cursor(ctx->a, clock));
    json_write_name(reply, "kinds");
    strbuf_putc(reply, '{');
    for (const kind *const *k = kinds; *k; k++) {
        int row = 0;
        while (row < PQntuples(rows) && strcmp(db_column(rows, row, COL_DIGEST_KIND), (*k)->name) != 0) row++;
        bool found = row < PQntuples(rows);
        json_write_name(reply, (*k)->name);
        strbuf_putc(reply, '{');
        json_write_int(reply, "count", found ? db_column_int(rows, row, COL_DIGEST_COUNT, 0) : 0);
        json_write_member(reply, "sha256", found ? db_column(rows, row, COL_DIGEST_SHA256) : empty);
        strbuf_putc(reply, '}');
    }
    strbuf_puts(reply, "}}");
    return RC_OK;
}
