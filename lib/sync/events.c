#include "sync/events.h"

#include <string.h>

#include "engine/operation.h"
#include "store/query.h"
#include "store/rows.h"
#include "sync/poke.h"

rc events_ticket(sync_ctx *ctx, const char *device, const char *last, int64_t expires, const char **ticket)
{
    enum { UTF8_MOST = 4 }; /* bytes of a character */
    PGresult *clock;
    if (device && (!*device || strlen(device) > UTF8_MOST * DEVICE_ID_MAX))
        return ctx_invalid(ctx, "deviceId", "must have 1 to %d characters", DEVICE_ID_MAX);
    rc code = query_one(ctx->db, ctx->a, ctx->user, SQL_CLOCK_READ, DB_PARAMS(db_text(ctx->user)), &clock);
    if (code != RC_OK) return code;
    const char *poke = poke_write(ctx->a, ctx->user, rows_cursor(ctx->a, clock), poke_device(device));
    *ticket = ticket_write(ctx->a, poke, expires, last);
    return RC_OK;
}
