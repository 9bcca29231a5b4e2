#include "sync/erase.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "sync/journal.h"

/*
 * The epochs of the account go to erased_epochs, so that its devices learn of the erasure, and to the journal, so that
 * a restored backup does not bring the account back. The journal is written first, with the user's clock locked. If the
 * commit then fails, the line says too much: booky-sync resync --erased recognises that by a clock that is not older.
 *
 * An account without a write has an epoch that nobody has seen. It is not recorded, so that erasures in a loop take no
 * space.
 */

static rc write_journal(sync_ctx *ctx, const PGresult *epochs)
{
    const char *path = ctx->conf->erasure_journal;
    journal_line line = {.at = ctx->txn.stamp};
    for (int i = 0; i < PQntuples(epochs) && line.count < JOURNAL_EPOCHS; i++)
        line.epochs[line.count++] = db_column_int(epochs, i, COL_EPOCH, 0);
    if (!*path || journal_append(path, &line)) return RC_OK;
    log_begin(LOG_LEVEL_ERROR, "erasure");
    log_str("message", arena_printf(ctx->a, "erasure.journal: %s: %s; nothing was erased", path, strerror(errno)));
    log_end();
    return ctx_fail(ctx, RC_UNAVAILABLE, "the journal of erasures cannot be written; nothing was erased, retry");
}

static rc erase(sync_ctx *ctx, PGresult **erased)
{
    PGresult *epochs;
    txn *t = &ctx->txn;
    const db_param *user = DB_PARAMS(db_text(ctx->user));
    rc code = CTX_BEGIN(ctx, {.id = SQL_EPOCHS_READ, .params = user, .result = &epochs});
    bool is_recorded = t->previous != 0;
    if (code == RC_OK && is_recorded) code = write_journal(ctx, epochs);
    if (code == RC_OK) {
        const db_param *params = DB_PARAMS(db_text(ctx->user), is_recorded ? db_int(ctx->a, t->stamp) : db_null());
        code = txn_read(t, &(db_step){SQL_ERASE, params, erased}, 1);
    }
    if (code != RC_OK) return txn_rollback(t, code);
    t->announcement = (txn_announcement){.any = true, .from = t->from}; /* the clock is erased as well */
    return txn_commit(t);
}

rc erase_run(sync_ctx *ctx, strbuf *reply)
{
    static const struct {
        const char *name;
        int column;
    } counts[] = {{"entities", COL_ERASED_ENTITIES},
                  {"processedOperations", COL_ERASED_LEDGER},
                  {"queued", COL_ERASED_QUEUE},
                  {"conflicts", COL_ERASED_CONFLICTS},
                  {"snapshots", COL_ERASED_SNAPSHOTS}};
    PGresult *erased;
    rc code = erase(ctx, &erased);
    if (code != RC_OK) return code;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "receipt");
    strbuf_putc(reply, '{');
    json_write_instant(reply, "erasedAt", ctx->txn.stamp);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        json_write_int(reply, counts[i].name, db_column_int(erased, 0, counts[i].column, 0));
    strbuf_puts(reply, "}");
    json_write_instant(reply, "serverTime", clock_now());
    strbuf_putc(reply, '}');
    return RC_OK;
}
