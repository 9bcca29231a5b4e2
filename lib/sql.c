#include "sql.h"

/*
 * Conventions: $1 is the user. Every statement names one user and every key begins with user_id, so that all of a user's
 * rows can live on one shard. Instants are bigint milliseconds. Rows of one request travel as arrays and are unnested.
 * The commit clock is read with clock_timestamp() in the SET clause, that is after the row lock was granted.
 */

#define NOW_MS "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

#define ENTITY_COLUMNS                                                                                                 \
    "kind, entity_id, status, created_at, updated_at, edited_at, deleted_at, superseded_at, base_at, key, device, "    \
    "marks, data"

const sql_statement sql_statements[SQL_COUNT] = {
    [SQL_BEGIN] = {"begin", SQL_NONE, 0, "BEGIN"},
    [SQL_BEGIN_READ] = {"begin_read", SQL_NONE, 0, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
    [SQL_COMMIT] = {"commit", SQL_NONE, 0, "COMMIT"},
    [SQL_ROLLBACK] = {"rollback", SQL_NONE, 0, "ROLLBACK"},

    /* Row-level security compares every row with this setting; it ends with the transaction. */
    [SQL_IDENTIFY] = {"identify", SQL_ONE, 1, "SELECT set_config('booky.user_id', $1::text, true)"},

    /* Upserted, not selected for update: for a user's first write there is nothing to lock. */
    [SQL_CLOCK_ADVANCE] = {"clock_advance", SQL_ONE, 1,
                           "INSERT INTO clocks AS c (user_id, clock, started)"
                           " SELECT $1::text, t, t FROM (SELECT " NOW_MS " AS t) AS now"
                           " ON CONFLICT (user_id) DO UPDATE SET clock = greatest(c.clock + 1, " NOW_MS ")"
                           " RETURNING clock, started, epoch, horizon"},

    [SQL_CLOCK_READ] = {"clock_read", SQL_MAYBE, 1,
                        "SELECT clock, started, epoch, horizon FROM clocks WHERE user_id = $1::text"},

    [SQL_LEDGER_READ] = {"ledger_read", SQL_ROWS, 2,
                         "SELECT operation_id, encode(hash, 'hex'), result FROM ledger"
                         " WHERE user_id = $1::text AND operation_id = ANY ($2::text[])"},

    /* The entities that are named ($2 kinds, $3 ids), and those that share a key with one of them or with one of $4, $5:
     * the other ratings of a book, the other tags of a name. The latest 16 of each key are enough, because of several
     * entities with one key all but the latest are already settled. */
    [SQL_ENTITIES_READ] =
        {"entities_read", SQL_ROWS, 5,
         "WITH named AS ("
         " SELECT e.* FROM unnest($2::text[], $3::text[]) AS n (kind, entity_id)"
         " JOIN entities e ON e.user_id = $1::text AND e.kind = n.kind AND e.entity_id = n.entity_id"
         "), keys AS ("
         " SELECT k.kind, k.key FROM unnest($4::text[], $5::text[]) AS k (kind, key)"
         " UNION SELECT kind, key FROM named WHERE key IS NOT NULL"
         ")"
         " SELECT " ENTITY_COLUMNS " FROM named"
         " UNION ALL SELECT s.* FROM keys CROSS JOIN LATERAL ("
         " SELECT " ENTITY_COLUMNS " FROM entities e"
         " WHERE e.user_id = $1::text AND e.kind = keys.kind AND e.key = keys.key"
         " ORDER BY e.edited_at DESC LIMIT 16) AS s"},

    [SQL_ENTITIES_WRITE] =
        {"entities_write", SQL_NONE, 14,
         "INSERT INTO entities (user_id, updated_at, kind, entity_id, status, created_at, edited_at, deleted_at,"
         " superseded_at, base_at, key, device, marks, data)"
         " SELECT $1::text, $2::bigint, e.* FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],"
         " $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::json[], $14::json[]) AS e"
         " ON CONFLICT (user_id, kind, entity_id) DO UPDATE SET updated_at = excluded.updated_at,"
         " status = excluded.status, created_at = excluded.created_at, edited_at = excluded.edited_at,"
         " deleted_at = excluded.deleted_at, superseded_at = excluded.superseded_at, base_at = excluded.base_at,"
         " key = excluded.key, device = excluded.device, marks = excluded.marks, data = excluded.data"},

    [SQL_LEDGER_WRITE] = {"ledger_write", SQL_NONE, 5,
                          "INSERT INTO ledger (user_id, processed_at, operation_id, hash, result)"
                          " SELECT $1::text, $2::bigint, l.* FROM unnest($3::text[], $4::bytea[], $5::json[]) AS l"},

    [SQL_CONFLICTS_WRITE] =
        {"conflicts_write", SQL_NONE, 15,
         "INSERT INTO conflicts (user_id, stamp, n, kind, entity_id, other_id, reason, status, resolution, operation_id,"
         " device, local_at, server_at, local_data, server_data, resolved_at)"
         " SELECT $1::text, $2::bigint, c.*, CASE WHEN c.status = 'resolved' THEN $2::bigint END"
         " FROM unnest($3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],"
         " $11::text[], $12::bigint[], $13::bigint[], $14::json[], $15::json[])"
         " AS c (n, kind, entity_id, other_id, reason, status, resolution, operation_id, device, local_at, server_at,"
         " local_data, server_data)"},

    /* Closes what settled itself: $3 kinds, $4 ids, $5 reasons. */
    [SQL_CONFLICTS_CLOSE] =
        {"conflicts_close", SQL_NONE, 5,
         "UPDATE conflicts c SET status = 'resolved', resolution = 'client', resolved_at = $2::bigint"
         " FROM unnest($3::text[], $4::text[], $5::text[]) AS x (kind, entity_id, reason)"
         " WHERE c.user_id = $1::text AND c.status = 'open' AND c.kind = x.kind AND c.reason = x.reason"
         " AND (c.entity_id = x.entity_id OR c.other_id = x.entity_id)"},

    [SQL_QUEUE_SYNCED] = {"queue_synced", SQL_NONE, 3,
                          "UPDATE queue SET synced_at = $2::bigint"
                          " WHERE user_id = $1::text AND operation_id = ANY ($3::text[]) AND synced_at IS NULL"},

    [SQL_STATUS] = {"status", SQL_ONE, 1,
                    "SELECT (SELECT clock FROM clocks WHERE user_id = $1::text),"
                    " (SELECT count(*) FROM queue WHERE user_id = $1::text AND synced_at IS NULL),"
                    " (SELECT count(*) FROM queue WHERE user_id = $1::text AND synced_at IS NULL AND attempts >= 5),"
                    " (SELECT count(*) FROM conflicts WHERE user_id = $1::text AND status = 'open')"},

    /* What comes after the position ($2 stamp, $3 kind, $4 id), in order. Deleted entities are left out up to the stamp
     * $5 (NULL: up to the present when the pull starts before the user's first write, else none is left out). $6 kinds
     * or NULL, $7 limit or NULL, $8 the clock the client has already seen or NULL, $9 the epoch of its cursor or NULL. */
    [SQL_PULL] =
        {"pull", SQL_ROWS, 9,
         "SELECT kind, entity_id, status, created_at, updated_at, coalesce(deleted_at, superseded_at), data"
         " FROM entities"
         " WHERE user_id = $1::text AND (updated_at, kind, entity_id) > ($2::bigint, $3::text, $4::text)"
         " AND status <> 'incomplete' AND (status = 'live' OR updated_at > (SELECT coalesce($5::bigint,"
         " CASE WHEN $2::bigint <= started THEN clock ELSE -1 END) FROM clocks WHERE user_id = $1::text))"
         " AND ($6::text[] IS NULL OR kind = ANY ($6::text[]))"
         " AND (SELECT clock IS DISTINCT FROM $8::bigint AND coalesce(epoch = $9::bigint, true)"
         " FROM clocks WHERE user_id = $1::text)"
         " ORDER BY updated_at, kind, entity_id LIMIT $7::bigint"},

    [SQL_PING] = {"ping", SQL_ONE, 0, "SELECT 1"},
};
