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

/* The entities that `names` (kind, id) select and those that share a key with one of them or with one of `more_keys`
 * (kind, key). Usually a handful share a key; the limit only bounds what one request can load. It must be larger than the
 * number of those that can leave their key in one request, or who is next in line is not seen.
 * The first LIMIT keeps it a lookup for each name: where most users have few entities a join would be planned as one pass
 * over all of the user's. */
#define WITH_SIBLINGS(names, more_keys)                                                                                \
    "WITH named AS ("                                                                                                  \
    " SELECT e.* FROM (" names ") AS n (kind, entity_id) CROSS JOIN LATERAL ("                                         \
    " SELECT * FROM entities e"                                                                                        \
    " WHERE e.user_id = $1::text AND e.kind = n.kind AND e.entity_id = n.entity_id LIMIT 1) AS e"                      \
    "), keys AS ("                                                                                                     \
    " SELECT kind, key FROM (" more_keys ") AS k (kind, key) UNION SELECT kind, key FROM named WHERE key IS NOT NULL"  \
    ")"                                                                                                                \
    " SELECT " ENTITY_COLUMNS " FROM named"                                                                            \
    " UNION ALL SELECT s.* FROM keys CROSS JOIN LATERAL ("                                                             \
    " SELECT " ENTITY_COLUMNS " FROM entities e"                                                                       \
    " WHERE e.user_id = $1::text AND e.kind = keys.kind AND e.key = keys.key"                                          \
    " ORDER BY e.edited_at DESC LIMIT 1000) AS s"

#define QUEUE_COLUMNS                                                                                                  \
    "operation_id, type, kind, entity_id, data, made_at, attempts, last_error, synced_at, encode(hash, 'hex'), policy,"  \
    " base_at"

#define CONFLICT_COLUMNS                                                                                               \
    "stamp, n, kind, entity_id, other_id, reason, status, resolution, operation_id, device, local_at, server_at,"      \
    " resolved_at, local_data, server_data"

const sql_statement sql_statements[SQL_COUNT] = {
    [SQL_BEGIN] = {"begin", SQL_NONE, 0, "BEGIN"},
    [SQL_BEGIN_READ] = {"begin_read", SQL_NONE, 0, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
    [SQL_COMMIT] = {"commit", SQL_NONE, 0, "COMMIT"},
    [SQL_ROLLBACK] = {"rollback", SQL_NONE, 0, "ROLLBACK"},

    /* Row-level security compares every row with this setting; it ends with the transaction. Whether this is a standby: a
     * pooler may have changed the server behind a connection since it was made. */
    [SQL_IDENTIFY] = {"identify", SQL_ONE, 1, "SELECT set_config('booky.user_id', $1::text, true), pg_is_in_recovery()"},

    /* Whether a replica stands at the clock $2 of the epoch $3. If not, the rest of the transaction is nobody's and finds
     * nothing. */
    [SQL_REACHED] =
        {"reached", SQL_ONE, 3,
         "SELECT reached, set_config('booky.user_id', CASE WHEN reached THEN $1::text ELSE '' END, true) FROM (SELECT EXISTS"
         " (SELECT FROM clocks WHERE user_id = $1::text AND clock = $2::bigint AND epoch = $3::bigint) AS reached) AS r"},

    /* Upserted, not selected for update: for a user's first write there is nothing to lock. */
    [SQL_CLOCK_ADVANCE] = {"clock_advance", SQL_ONE, 1,
                           "INSERT INTO clocks AS c (user_id, clock, started)"
                           " SELECT $1::text, t, t FROM (SELECT " NOW_MS " AS t) AS now"
                           " ON CONFLICT (user_id) DO UPDATE SET previous = c.clock,"
                           " clock = greatest(c.clock + 1, " NOW_MS ")"
                           " RETURNING clock, started, epoch, horizon, previous"},

    [SQL_CLOCK_READ] = {"clock_read", SQL_MAYBE, 1,
                        "SELECT clock, started, epoch, horizon FROM clocks WHERE user_id = $1::text"},

    /* Changes nothing, but makes the COMMIT behind it wait for everything that was committed before. */
    [SQL_CLOCK_LOCK] = {"clock_lock", SQL_MAYBE, 1, "SELECT 1 FROM clocks WHERE user_id = $1::text FOR UPDATE"},

    /* Those that were processed, with their results; those that wait in the queue, without. Looked up one by
     * one, as the entities are (WITH_SIBLINGS). */
    [SQL_LEDGER_READ] = {"ledger_read", SQL_ROWS, 2,
                         "SELECT l.* FROM unnest($2::text[]) AS n (id) CROSS JOIN LATERAL ("
                         " SELECT operation_id, encode(hash, 'hex'), result FROM ledger"
                         " WHERE user_id = $1::text AND operation_id = n.id LIMIT 1) AS l"
                         " UNION ALL SELECT q.* FROM unnest($2::text[]) AS n (id) CROSS JOIN LATERAL ("
                         " SELECT operation_id, encode(hash, 'hex'), NULL::json FROM queue"
                         " WHERE user_id = $1::text AND operation_id = n.id AND synced_at IS NULL LIMIT 1) AS q"},

    /* The entities that are named ($2 kinds, $3 ids), and those that share a key with one of them or with one of $4, $5:
     * the other ratings of a book, the other tags of a name. */
    [SQL_ENTITIES_READ] = {"entities_read", SQL_ROWS, 5,
                           WITH_SIBLINGS("SELECT * FROM unnest($2::text[], $3::text[])",
                                         "SELECT * FROM unnest($4::text[], $5::text[])")},

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

    /* An operation that was processed already is born synced. $3: its timestamp, or NULL for now. */
    [SQL_QUEUE_ADD] = {"queue_add", SQL_MAYBE, 10,
                       "INSERT INTO queue (user_id, operation_id, queued_at, synced_at, made_at, type, kind, entity_id,"
                       " hash, data, policy, base_at)"
                       " SELECT $1::text, $2::text, c.clock, (SELECT processed_at FROM ledger WHERE user_id = $1::text"
                       " AND operation_id = $2::text), coalesce($3::bigint, c.clock), $4::text, $5::text, $6::text,"
                       " $7::bytea, $8::json, $9::text, $10::bigint FROM clocks c WHERE c.user_id = $1::text"
                       " ON CONFLICT (user_id, operation_id) DO NOTHING RETURNING 1"},

    [SQL_QUEUE_GET] = {"queue_get", SQL_ONE, 2,
                       "SELECT " QUEUE_COLUMNS " FROM queue WHERE user_id = $1::text AND operation_id = $2::text"},

    /* Those that wait, oldest first, behind the position ($2 timestamp, $3 id), with fewer than $4 attempts; at most $5, and
     * no further one once their data has $6 bytes. The last column counts them without that last bound. */
    [SQL_QUEUE_LIST] =
        {"queue_list", SQL_ROWS, 6,
         "SELECT " QUEUE_COLUMNS ", total FROM (SELECT q.*, count(*) OVER () AS total,"
         " sum(octet_length(data::text)) OVER (ORDER BY made_at, operation_id ROWS UNBOUNDED PRECEDING) AS bytes,"
         " octet_length(data::text) AS own FROM (SELECT * FROM queue WHERE user_id = $1::text AND synced_at IS NULL"
         " AND (made_at, operation_id) > ($2::bigint, $3::text) AND attempts < $4::int"
         " ORDER BY made_at, operation_id LIMIT $5::bigint) AS q) AS sized"
         " WHERE coalesce(bytes, 0) - coalesce(own, 0) < $6::bigint ORDER BY made_at, operation_id"},

    /* For each id: whether it is in the queue, and whether it was marked only now. */
    [SQL_QUEUE_MARK] =
        {"queue_mark", SQL_ROWS, 2,
         "WITH ids AS (SELECT DISTINCT unnest($2::text[]) AS id),"
         " known AS (SELECT operation_id, synced_at FROM queue q, ids WHERE q.user_id = $1::text AND q.operation_id = id),"
         " marked AS (UPDATE queue q SET synced_at = (SELECT clock FROM clocks WHERE user_id = $1::text)"
         " FROM ids WHERE q.user_id = $1::text AND q.operation_id = ids.id AND q.synced_at IS NULL)"
         " SELECT ids.id, k.operation_id IS NOT NULL, k.operation_id IS NOT NULL AND k.synced_at IS NULL"
         " FROM ids LEFT JOIN known k ON k.operation_id = ids.id"},

    [SQL_QUEUE_CLEAR] = {"queue_clear", SQL_ONE, 1,
                         "WITH gone AS (DELETE FROM queue WHERE user_id = $1::text AND synced_at IS NOT NULL RETURNING 1)"
                         " SELECT count(*) FROM gone"},

    [SQL_QUEUE_FAILED] = {"queue_failed", SQL_NONE, 3,
                          "UPDATE queue q SET attempts = attempts + 1, last_error = x.error"
                          " FROM unnest($2::text[], $3::text[]) AS x (id, error)"
                          " WHERE q.user_id = $1::text AND q.operation_id = x.id AND q.synced_at IS NULL"},

    /* $2 status or NULL; newest first, behind the position ($3 stamp, $4 number). */
    [SQL_CONFLICTS_LIST] = {"conflicts_list", SQL_ROWS, 5,
                            "SELECT " CONFLICT_COLUMNS " FROM conflicts WHERE user_id = $1::text"
                            " AND ($2::text IS NULL OR status = $2::text) AND (stamp, n) < ($3::bigint, $4::int)"
                            " ORDER BY stamp DESC, n DESC LIMIT $5::bigint"},

    /* What a conflict ($2 stamp, $3 number) is about, and what shares a key with it or with one of $4. */
    [SQL_CONFLICT_ENTITIES] =
        {"conflict_entities", SQL_ROWS, 4,
         WITH_SIBLINGS("SELECT kind, entity_id FROM conflicts WHERE user_id = $1::text AND stamp = $2::bigint AND n = $3::int"
                       " UNION SELECT kind, other_id FROM conflicts WHERE user_id = $1::text AND stamp = $2::bigint"
                       " AND n = $3::int AND other_id IS NOT NULL",
                       "SELECT c.kind, v.key FROM conflicts c CROSS JOIN LATERAL unnest($4::text[]"
                       " || ARRAY[c.local_data ->> 'bookId', c.local_data ->> 'name']) AS v (key)"
                       " WHERE c.user_id = $1::text AND c.stamp = $2::bigint AND c.n = $3::int AND v.key IS NOT NULL")},

    [SQL_CONFLICT_RESOLVE] = {"conflict_resolve", SQL_NONE, 5,
                              "UPDATE conflicts SET status = 'resolved', resolution = $4::text, resolved_at = $5::bigint"
                              " WHERE user_id = $1::text AND stamp = $2::bigint AND n = $3::int"},

    /* How many of the kinds $2 are live (or incomplete) and not among $3, $4; and how many are only displaced (one rating
     * per book), so that they could come back. NOT IN is always hashed; NOT EXISTS would be
     * planned for ten rows and meet ten thousand. */
    [SQL_FULL_PLAN] = {"full_plan", SQL_ONE, 4,
                       "SELECT count(*) FILTER (WHERE e.status <> 'deleted'), count(*) FILTER (WHERE e.status = 'deleted')"
                       " FROM entities e WHERE e.user_id = $1::text AND e.kind = ANY ($2::text[])"
                       " AND e.deleted_at IS NULL AND (e.kind, e.entity_id) NOT IN"
                       " (SELECT * FROM unnest($3::text[], $4::text[]))"},

    /* Deletes those. $5: the stamp. The deletion is later than whatever it deletes. What was only displaced looks deleted
     * already, and keeps its stamp. */
    [SQL_FULL_DELETE] =
        {"full_delete", SQL_NONE, 5,
         "WITH gone AS (UPDATE entities e SET status = 'deleted', superseded_at = NULL,"
         " updated_at = CASE WHEN e.status = 'deleted' THEN e.updated_at ELSE $5::bigint END,"
         " deleted_at = greatest($5::bigint, edited_at + 1)"
         " WHERE e.user_id = $1::text AND e.kind = ANY ($2::text[]) AND e.deleted_at IS NULL"
         " AND (e.kind, e.entity_id) NOT IN (SELECT * FROM unnest($3::text[], $4::text[]))"
         " RETURNING e.kind, e.entity_id)"
         " UPDATE conflicts c SET status = 'resolved', resolution = 'client', resolved_at = $5::bigint FROM gone g"
         " WHERE c.user_id = $1::text AND c.status = 'open' AND c.reason IN ('incomplete', 'same_name')"
         " AND c.kind = g.kind AND (c.entity_id = g.entity_id OR c.other_id = g.entity_id)"},

    /* Keeps what is live of the kinds $3, but for what this transaction has written already. */
    [SQL_SNAPSHOT_TAKE] =
        {"snapshot_take", SQL_NONE, 3,
         "WITH kept AS (INSERT INTO snapshot_entities (user_id, stamp, created_at, edited_at, kind, entity_id, data)"
         " SELECT user_id, $2::bigint, created_at, edited_at, kind, entity_id, data FROM entities"
         " WHERE user_id = $1::text AND kind = ANY ($3::text[]) AND status = 'live' AND updated_at < $2::bigint"
         " RETURNING 1)"
         " INSERT INTO snapshots (user_id, stamp, kinds, entities) SELECT $1::text, $2::bigint, $3::text[], count(*)"
         " FROM kept"},

    [SQL_SNAPSHOTS_LIST] = {"snapshots_list", SQL_ROWS, 1,
                            "SELECT stamp, array_to_string(kinds, ','), entities FROM snapshots"
                            " WHERE user_id = $1::text ORDER BY stamp DESC"},

    [SQL_SNAPSHOT_IDS] = {"snapshot_ids", SQL_ROWS, 2,
                          "SELECT kind, entity_id FROM snapshot_entities"
                          " WHERE user_id = $1::text AND stamp = $2::bigint ORDER BY kind, entity_id"},

    [SQL_SNAPSHOT_PAGE] = {"snapshot_page", SQL_ROWS, 5,
                           "SELECT kind, entity_id, created_at, edited_at, data FROM snapshot_entities"
                           " WHERE user_id = $1::text AND stamp = $2::bigint AND (kind, entity_id) > ($3::text, $4::text)"
                           " ORDER BY kind, entity_id LIMIT $5::bigint"},

    /* Per kind, over the live entities: their number, and SHA-256 of their lines id@updatedAt, sorted by bytes. */
    [SQL_DIGEST] =
        {"digest", SQL_ROWS, 1,
         "SELECT kind, count(*), encode(sha256(convert_to(string_agg(line, E'\n' ORDER BY line COLLATE \"C\"), 'UTF8')),"
         " 'hex') FROM (SELECT kind, entity_id || '@' || to_char(instant(updated_at) AT TIME ZONE 'UTC',"
         " 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS line FROM entities WHERE user_id = $1::text AND status = 'live') AS lines"
         " GROUP BY kind"},

    [SQL_EXPORT_ENTITIES] = {"export_entities", SQL_ROWS, 2,
                             "SELECT kind, entity_id, status, created_at, updated_at, NULL, data FROM entities"
                             " WHERE user_id = $1::text AND kind = $2::text AND status = 'live' ORDER BY entity_id"},

    [SQL_EXPORT_HIDDEN] = {"export_hidden", SQL_ROWS, 2,
                            "SELECT kind, entity_id, status, created_at, updated_at, coalesce(deleted_at, superseded_at),"
                            " data FROM entities WHERE user_id = $1::text AND status = $2::text ORDER BY kind, entity_id"},

    [SQL_EXPORT_LEDGER] = {"export_ledger", SQL_ROWS, 1,
                           "SELECT processed_at, result FROM ledger WHERE user_id = $1::text ORDER BY operation_id"},

    [SQL_QUEUE_EXPORT] = {"queue_export", SQL_ROWS, 1,
                          "SELECT " QUEUE_COLUMNS " FROM queue WHERE user_id = $1::text ORDER BY operation_id"},

    [SQL_EXPORT_SNAPSHOTS] = {"export_snapshots", SQL_ROWS, 1,
                              "SELECT stamp, kind, entity_id, created_at, edited_at, data FROM snapshot_entities"
                              " WHERE user_id = $1::text ORDER BY stamp, kind, entity_id"},

    /* Everything of the user; one row of counts. */
    [SQL_ERASE] = {"erase", SQL_ONE, 1,
                   "WITH a AS (DELETE FROM entities WHERE user_id = $1::text RETURNING 1),"
                   " b AS (DELETE FROM ledger WHERE user_id = $1::text RETURNING 1),"
                   " c AS (DELETE FROM queue WHERE user_id = $1::text RETURNING 1),"
                   " d AS (DELETE FROM conflicts WHERE user_id = $1::text RETURNING 1),"
                   " e AS (DELETE FROM snapshot_entities WHERE user_id = $1::text RETURNING 1),"
                   " f AS (DELETE FROM snapshots WHERE user_id = $1::text RETURNING 1),"
                   " g AS (DELETE FROM rate_windows WHERE user_id = $1::text),"
                   " h AS (DELETE FROM clocks WHERE user_id = $1::text RETURNING 1)"
                   " SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT count(*) FROM c),"
                   " (SELECT count(*) FROM d), (SELECT count(*) FROM f)"},

    [SQL_STATUS] = {"status", SQL_ONE, 1,
                    "SELECT (SELECT clock FROM clocks WHERE user_id = $1::text),"
                    " (SELECT count(*) FROM queue WHERE user_id = $1::text AND synced_at IS NULL),"
                    " (SELECT count(*) FROM queue WHERE user_id = $1::text AND synced_at IS NULL AND attempts >= 5),"
                    " (SELECT count(*) FROM conflicts WHERE user_id = $1::text AND status = 'open')"},

    /* First the user's clock, as a row without a kind: its horizon, clock, start and epoch, or NULLs: no write yet.
     * Then what comes after the position ($2 stamp, $3 kind, $4 id), in order. Deleted entities are left out up to the stamp
     * $5 (NULL: up to the present when the pull starts before the user's first write, else none is left out). $6 kinds
     * or NULL, $7 limit or NULL, $8 the clock the client has already seen or NULL, $9 the epoch of its cursor or NULL.
     * One statement is one snapshot, so that a pull needs no transaction block. */
    [SQL_PULL] =
        {"pull", SQL_ROWS, 9,
         "WITH me AS MATERIALIZED (SELECT clock, started, epoch, horizon FROM clocks WHERE user_id = $1::text)"
         " SELECT NULL AS kind, horizon::text AS entity_id, clock AS created_at, started AS updated_at, epoch AS gone_at,"
         " NULL::json AS data FROM (SELECT) AS always LEFT JOIN me ON true"
         " UNION ALL SELECT e.* FROM me CROSS JOIN LATERAL ("
         " SELECT kind, entity_id, created_at, updated_at,"
         " CASE WHEN status = 'deleted' THEN coalesce(deleted_at, superseded_at, updated_at) END, data"
         " FROM entities"
         " WHERE user_id = $1::text AND (updated_at, kind, entity_id) > ($2::bigint, $3::text, $4::text)"
         " AND status <> 'incomplete' AND (status = 'live' OR updated_at > coalesce($5::bigint,"
         " CASE WHEN $2::bigint <= me.started THEN me.clock ELSE -1 END))"
         " AND ($6::text[] IS NULL OR kind = ANY ($6::text[]))"
         " AND me.clock IS DISTINCT FROM $8::bigint AND coalesce(me.epoch = $9::bigint, true)"
         " ORDER BY updated_at, kind, entity_id LIMIT $7::bigint) AS e"},

    /* Counts a request in the user's window of $2 milliseconds. */
    [SQL_RATE] = {"rate", SQL_ONE, 2,
                  "INSERT INTO rate_windows AS r (user_id, started, n) VALUES ($1::text, " NOW_MS ", 1)"
                  " ON CONFLICT (user_id) DO UPDATE SET"
                  " n = CASE WHEN r.started <= excluded.started - $2::bigint THEN 1 ELSE r.n + 1 END,"
                  " started = CASE WHEN r.started <= excluded.started - $2::bigint THEN excluded.started ELSE r.started END"
                  " RETURNING n, started + $2::bigint - " NOW_MS},

    /* Over all users: see the function. */
    [SQL_TOTALS] = {"totals", SQL_ONE, 0, "SELECT waiting, review, open FROM booky.totals()"},

    [SQL_PING] = {"ping", SQL_ONE, 0, "SELECT 1"},
};
