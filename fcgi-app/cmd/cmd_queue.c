#include "cmd/cmd.h"

int cmd_queue_list(const cmdline *line, const conf *settings)
{
    static const char sql[] =
        "SELECT user_id AS \"user\", operation_id AS id, type, kind AS entity, entity_id AS \"entityId\","
        " " CMD_INSTANT("made_at") " AS timestamp, " CMD_INSTANT(
            "queued_at") " AS \"queuedAt\", attempts,"
                         " coalesce(last_error, '') AS error FROM queue WHERE synced_at IS NULL"
                         " AND ($1::text IS NULL OR user_id = $1)"
                         " ORDER BY queued_at, user_id, operation_id LIMIT 10000";
    const char *values[] = {cmdline_get(line, "user")};
    return cmd_list(settings, sql, 1, values, cmdline_get(line, "json"));
}
