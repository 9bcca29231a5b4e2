#include "store/sql.h"

#include "store/sql_parts.h"
#include "store/sql_usage.h"

/*
 * The statements that read otherwise where a user's rows live on a shard of Citus. All others are the same text, which
 * tests/db/test_shards.c holds to what Citus accepts. Every text here gives the same rows on plain PostgreSQL.
 */

/* The time of the message that runs the statement. Citus reads it on the node that was asked, so clocks of the shards'
 * hosts do not matter, and it cannot be asked for a volatile function. */
#define STATEMENT_MS "floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint"
#define NEXT_CLOCK "greatest(c.clock + 1, " STATEMENT_MS ", $2::bigint)"

static const sql_statement variants[SQL_COUNT] = {
    /* set_config would change the node that was asked only, not the shard (migration 0013). */
    [SQL_IDENTIFY] = {"identify", SQL_ONE, 1, "SELECT booky.identify($1::text), pg_is_in_recovery()"},

    /* SQL_CLOCK_LOCK_FIRST has made or locked the row, so the time is read after the lock was granted. A new row's
     * `started` is the largest bigint. CASE and coalesce around the time are refused. */
    [SQL_CLOCK_ADVANCE] = {"clock_advance", SQL_ONE, 2,
                           "UPDATE clocks AS c SET previous = c.clock, clock = " NEXT_CLOCK
                           ", started = least(c.started, " NEXT_CLOCK ") WHERE c.user_id = $1::text"
                           " RETURNING clock, started, epoch, horizon, (SELECT id FROM installation),"
                           " (SELECT generation FROM installation), previous, used_entities, used_bytes, hidden_bytes"},

    [SQL_DROP_TOMBSTONES] = {"drop_tombstones", SQL_NONE, 3, DROP_TOMBSTONES(DELETED_COMPETES)},
};

const sql_statement *sql_find(sql_id id, bool distributed)
{
    return distributed && variants[id].text ? &variants[id] : &sql_statements[id];
}
