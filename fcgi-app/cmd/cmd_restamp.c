#include <stdio.h>

#include "cmd/cmd.h"
#include "store/sql_usage.h"

/*
 * After the clock of the host was ahead, the stamps of some users lie in the future, and their commit clocks with them:
 * the clock never goes back. Their horizon may be there too, and then each entity that is new to the server becomes an
 * open conflict until the real time has passed it.
 *
 * All times of a user that are later than now, stamps and times of edits alike, get the places right after now, one
 * millisecond apart and in their order. So nothing changes in what is visible, in what wins and in the order of a pull.
 * History up to now stays as it is, therefore a cursor up to now stays valid; a later one is refused by the new epoch.
 */

/* $1: the user; $2: now; $3: the distinct times after it, in order. width_bucket is the place in that list. */
#define BACK(time)                                                                                                     \
    "CASE WHEN " time " > $2::bigint THEN $2::bigint + width_bucket(" time ", $3::bigint[]) ELSE " time " END"
#define SET_BACK(column) column " = " BACK(column)

/* The numbers of a JSON text that are times, outside of its strings. */
#define TOKENS(text)                                                                                                   \
    "regexp_matches(" text "::text, '\"(?:[^\"\\\\]|\\\\.)*\"|-?[0-9]+|[^\"0-9-]+|-', 'g') WITH ORDINALITY AS x (m, n)"
#define IS_LATE "m[1] ~ '^[0-9]{13,18}$' AND m[1]::bigint > $2::bigint"
#define BACK_NUMBER "(" BACK("m[1]::bigint") ")::text"
#define BACK_JSON(column)                                                                                              \
    column " = (SELECT string_agg(CASE WHEN " IS_LATE " THEN " BACK_NUMBER                                             \
           " ELSE m[1] END, '' ORDER BY n) FROM " TOKENS(column) ")::json"

/* As it stands in JSON. Of immutable functions, as a distributed database wants it. */
#define CONFLICT_ID(stamp) "('\"' || (" stamp ")::text || '-' || c.n::text || '\"')"

// clang-format off
static const char times_sql[] =
    "SELECT array_agg(DISTINCT t ORDER BY t) FROM ("
    " SELECT unnest(ARRAY[updated_at, created_at, edited_at, deleted_at, superseded_at, base_at]) FROM entities"
    " WHERE user_id = $1"
    " UNION ALL SELECT m[1]::bigint FROM entities e CROSS JOIN LATERAL " TOKENS("e.marks")
    " WHERE e.user_id = $1 AND e.updated_at > $2::bigint AND " IS_LATE
    " UNION ALL SELECT m[1]::bigint FROM entities e CROSS JOIN LATERAL " TOKENS("e.recent")
    " WHERE e.user_id = $1 AND e.updated_at > $2::bigint AND " IS_LATE
    " UNION ALL SELECT unnest(ARRAY[stamp, local_at, server_at, resolved_at]) FROM conflicts WHERE user_id = $1"
    " UNION ALL SELECT processed_at FROM ledger WHERE user_id = $1"
    " UNION ALL SELECT unnest(ARRAY[queued_at, made_at, synced_at, base_at]) FROM queue WHERE user_id = $1"
    " UNION ALL SELECT stamp FROM snapshots WHERE user_id = $1"
    " UNION ALL SELECT unnest(ARRAY[created_at, edited_at]) FROM snapshot_entities WHERE user_id = $1"
    " UNION ALL SELECT unnest(ARRAY[clock, started, horizon, previous, cleared_to, forgotten_to]) FROM clocks"
    " WHERE user_id = $1) AS all_times (t) WHERE t > $2::bigint";

/* A stamp in a key moves by way of a range that no stamp is in: a row must not meet one that has not moved yet. */
#define FAR "1152921504606846976"
#define MOVE(table)                                                                                                    \
    "UPDATE " table " SET stamp = stamp + " FAR                                                                        \
    " WHERE user_id = $1 AND stamp > $2::bigint AND $3::bigint[] IS NOT NULL"
#define ARRIVE(table, others)                                                                                          \
    "UPDATE " table " SET stamp = " BACK("(stamp - " FAR ")") others " WHERE user_id = $1 AND stamp > " FAR

static const char *const steps[] = {
    "UPDATE entities SET " SET_BACK("updated_at") ", " SET_BACK("created_at") ", " SET_BACK("edited_at")
    ", " SET_BACK("deleted_at") ", " SET_BACK("superseded_at") ", " SET_BACK("base_at")
    ", " BACK_JSON("marks") ", " BACK_JSON("recent") " WHERE user_id = $1 AND updated_at > $2::bigint",

    /* A stored result names its conflict by the stamp. */
    "UPDATE ledger l SET result = replace(result::text, " CONFLICT_ID("c.stamp") ", " CONFLICT_ID(BACK("c.stamp"))
    ")::json FROM conflicts c WHERE l.user_id = $1 AND c.user_id = $1 AND c.stamp > $2::bigint"
    " AND '\"' || (l.result #>> '{conflict,id}') || '\"' = " CONFLICT_ID("c.stamp"),

    "UPDATE ledger SET " SET_BACK("processed_at") " WHERE user_id = $1 AND processed_at > $2::bigint",

    "UPDATE conflicts SET " SET_BACK("local_at") ", " SET_BACK("server_at") ", " SET_BACK("resolved_at")
    " WHERE user_id = $1 AND greatest(local_at, server_at, resolved_at) > $2::bigint",

    MOVE("conflicts"), ARRIVE("conflicts", ""),
    MOVE("snapshots"), ARRIVE("snapshots", ""),
    MOVE("snapshot_entities"), ARRIVE("snapshot_entities", ", " SET_BACK("created_at") ", " SET_BACK("edited_at")),

    "UPDATE queue SET " SET_BACK("queued_at") ", " SET_BACK("made_at") ", " SET_BACK("synced_at")
    ", " SET_BACK("base_at")
    " WHERE user_id = $1 AND greatest(queued_at, made_at, synced_at, base_at) > $2::bigint",

    "UPDATE clocks SET " SET_BACK("clock") ", " SET_BACK("started") ", " SET_BACK("horizon")
    ", " SET_BACK("previous") ", " SET_BACK("cleared_to") ", " SET_BACK("forgotten_to") " WHERE user_id = $1",

    "UPDATE epochs SET until = least(until, $2::bigint) WHERE user_id = $1 AND $3::bigint[] IS NOT NULL",
    "DELETE FROM rate_windows WHERE user_id = $1 AND started > $2::bigint AND $3::bigint[] IS NOT NULL",
};
// clang-format on

bool cmd_restamp(PGconn *conn, const char *user, const char *now)
{
    const char *values[] = {user, now, NULL};
    PGresult *times = cmd_sql(conn, times_sql, 2, values);
    bool ok = times != NULL;
    values[2] = ok ? db_column(times, 0, 0) : NULL;
    for (size_t i = 0; ok && values[2] && i < sizeof steps / sizeof *steps; i++)
        ok = cmd_exec(conn, steps[i], 3, values);
    if (ok) ok = cmd_exec(conn, COUNT_USAGE, 1, values);
    PQclear(times);
    return ok;
}
