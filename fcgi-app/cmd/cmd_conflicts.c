#include "cmd/cmd.h"
#include "sync/decision.h"

int cmd_conflicts_list(const cmdline *line, const conf *settings)
{
    static const char sql[] =
        "SELECT user_id AS \"user\", stamp || '-' || n AS id, kind AS entity, entity_id AS \"entityId\", reason, "
        "status,"
        " coalesce(resolution, '') AS resolution,"
        " " CMD_INSTANT(
            "stamp") " AS \"createdAt\""
                     " FROM conflicts WHERE ($1::text IS NULL OR user_id = $1) AND ($2::text IS NULL OR status = $2)"
                     " ORDER BY stamp DESC, n DESC";
    const char *values[] = {cmdline_get(line, "user"), cmdline_get(line, "status")};
    return cmd_list(settings, sql, 2, values, cmdline_get(line, "json"));
}

int cmd_conflicts_resolve(const cmdline *line, const conf *settings)
{
    const char *user = line->operands[0], *id = line->operands[1], *resolution = line->operands[2];
    const char *data = cmdline_get(line, "data"), *base = cmdline_get(line, "base");
    sync_ctx ctx;
    if (!cmd_ctx_begin(&ctx, settings, user)) return CMD_FAILED;
    strbuf body = STRBUF(ctx.a), reply = STRBUF(ctx.a);
    strbuf_putc(&body, '{');
    json_write_member(&body, "resolution", resolution);
    if (base) json_write_member(&body, "baseVersion", base);
    if (data) {
        json_write_name(&body, "mergedData");
        strbuf_puts(&body, data);
    }
    strbuf_putc(&body, '}');
    rc code = decision_run(&ctx, id, body.data, body.len, &reply);
    return cmd_ctx_finish(&ctx, code, &reply);
}
