#include <stdio.h>

#include "cmd/cmd.h"
#include "sync/snapshot.h"

int cmd_snapshots_list(const cmdline *line, const conf *settings)
{
    static const char sql[] = "SELECT user_id AS \"user\", stamp::text AS id, " CMD_INSTANT(
        "stamp") " AS \"createdAt\","
                 " " CMD_INSTANT(
                     "stamp + $2::bigint * 86400000") " AS \"expiresAt\", entities,"
                                                      " array_to_string(kinds, ',') AS kinds"
                                                      " FROM snapshots WHERE $1::text IS NULL OR user_id = $1"
                                                      " ORDER BY user_id, stamp DESC";
    char days[24];
    const char *values[] = {cmdline_get(line, "user"), days};
    snprintf(days, sizeof days, "%lld", (long long)settings->snapshot_days);
    return cmd_list(settings, sql, 2, values, cmdline_get(line, "json"));
}

int cmd_snapshots_restore(const cmdline *line, const conf *settings)
{
    sync_ctx ctx;
    if (!cmd_ctx_begin_known(&ctx, settings, line->operands[0])) return CMD_FAILED;
    strbuf reply = STRBUF(ctx.a);
    rc code = snapshot_restore(&ctx, line->operands[1], &reply);
    if (code != RC_OK) txn_rollback(&ctx.txn, code);
    return cmd_ctx_finish(&ctx, code, &reply);
}
