#include <err.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "sync/erase.h"
#include "sync/export.h"
#include "sync/import.h"

int cmd_user_list(const cmdline *line, const conf *settings)
{
    static const char sql[] =
        "SELECT c.user_id AS \"user\", count(e.entity_id) FILTER (WHERE e.status = 'live') AS live,"
        " count(e.entity_id) FILTER (WHERE e.status = 'deleted') AS deleted,"
        " " CMD_INSTANT("c.clock") " AS \"lastSync\""
                                   " FROM clocks c LEFT JOIN entities e ON e.user_id = c.user_id"
                                   " GROUP BY c.user_id, c.clock ORDER BY c.user_id";
    return cmd_list(settings, sql, 0, NULL, cmdline_get(line, "json"));
}

int cmd_user_export(const cmdline *line, const conf *settings)
{
    sync_ctx ctx;
    if (!cmd_ctx_begin_known(&ctx, settings, line->operands[0])) return CMD_FAILED;
    rc code = export_run(&ctx, cmdline_get(line, "snapshots")); /* streams its reply */
    return cmd_ctx_finish(&ctx, code, &STRBUF(ctx.a));
}

static bool read_file(const char *path, strbuf *out)
{
    char piece[65536];
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!f) {
        warn("%s", path);
        return false;
    }
    strbuf_puts(out, "");
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;) strbuf_add(out, piece, n);
    bool ok = !ferror(f);
    if (!ok) warn("%s", path);
    if (f != stdin) fclose(f);
    return ok;
}

int cmd_user_import(const cmdline *line, const conf *settings)
{
    sync_ctx ctx;
    size_t failed = 0;
    if (!cmd_ctx_begin(&ctx, settings, line->operands[0])) return CMD_FAILED;
    strbuf text = STRBUF(ctx.a), reply = STRBUF(ctx.a);
    if (!read_file(line->operands[1], &text)) {
        cmd_ctx_end(&ctx);
        return CMD_FAILED;
    }
    rc code = import_run(&ctx, text.data, text.len, &reply, &failed);
    if (code != RC_OK) txn_rollback(&ctx.txn, code);
    int exit_code = cmd_ctx_finish(&ctx, code, &reply);
    if (failed > 0) warnx("%zu entities could not be stored, see `failed`", failed);
    return failed > 0 ? CMD_FAILED : exit_code;
}

int cmd_user_erase(const cmdline *line, const conf *settings)
{
    sync_ctx ctx;
    if (!cmd_ctx_begin_known(&ctx, settings, line->operands[0])) return CMD_FAILED;
    strbuf receipt = STRBUF(ctx.a);
    rc code = erase_run(&ctx, &receipt);
    return cmd_ctx_finish(&ctx, code, &receipt);
}
