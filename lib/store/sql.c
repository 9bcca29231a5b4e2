#include "store/sql.h"

#include "store/sql_full.h"
#include "store/sql_parts.h"
#include "store/sql_usage.h"

/*
 * Conventions: $1 is the user. Every statement names one user and every key begins with user_id, so that all of a
 * user's rows can live on one shard. Instants are bigint milliseconds. Rows of one request travel as arrays and are
 * unnested. clock_timestamp() stands in the SET clause, so it is read after the row lock was granted.
 */

const sql_statement sql_statements[SQL_COUNT] = {
    [SQL_BEGIN] = {"begin", SQL_NONE, 0, "BEGIN"},
    [SQL_BEGIN_READ] = {"begin_read", SQL_NONE, 0, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
    [SQL_COMMIT] = {"commit", SQL_NONE, 0, "COMMIT"},
    [SQL_ROLLBACK] = {"rollback", SQL_NONE, 0, "ROLLBACK"},

    /* Row-level security compares every row with this setting, which ends with the transaction. The second column
     * tells whether the server is a standby: a pooler may change the server behind a connection. */
    [SQL_IDENTIFY] = {"identify", SQL_ONE, 1,
                      "SELECT set_config('booky.user_id', $1::text, true), pg_is_in_recovery()"},

    /* Whether a replica shows the clock $2 of the epoch $3. If not, the rest of the transaction belongs to no user
     * and finds nothing. */
    [SQL_REACHED] = {"reached", SQL_ONE, 3,
                     "SELECT reached, set_config('booky.user_id', CASE WHEN reached THEN $1::text ELSE '' END, true)"
                     " FROM (SELECT EXISTS"
                     " (SELECT FROM clocks WHERE user_id = $1::text AND clock = $2::bigint AND epoch = $3::bigint)"
                     " AS reached) AS r"},

    /* Before SQL_CLOCK_ADVANCE, where the database is distributed: see sql_citus.c. */
    [SQL_CLOCK_LOCK_FIRST] = {"clock_lock_first", SQL_NONE, 1,
                              "INSERT INTO clocks AS c"
                              " (user_id, clock, started, used_entities, used_bytes, hidden_bytes)"
                              " VALUES ($1::text, 0, 9223372036854775807, 0, 0, 0)"
                              " ON CONFLICT (user_id) DO UPDATE SET clock = c.clock"},

    /* An upsert, not SELECT FOR UPDATE: a user's first write finds no row to lock. $2: the latest timestamp that the
     * request brings and the server accepts. */
    [SQL_CLOCK_ADVANCE] = {"clock_advance", SQL_ONE, 2,
                           "INSERT INTO clocks AS c (user_id, clock, started, used_entities, used_bytes, hidden_bytes)"
                           " SELECT $1::text, t, t, 0, 0, 0 FROM (SELECT greatest(" NOW_MS ", $2::bigint) AS t) AS now"
                           " ON CONFLICT (user_id) DO UPDATE SET previous = c.clock,"
                           " clock = greatest(c.clock + 1, " NOW_MS ", $2::bigint)"
                           " RETURNING clock, started, epoch, horizon, (SELECT id FROM installation),"
                           " (SELECT generation FROM installation), previous, used_entities, used_bytes, hidden_bytes"},

    /* Counts what the user stores, if it was never counted. The clock is locked. */
    [SQL_USAGE_COUNT] = {"usage_count", SQL_MAYBE, 1, COUNT_USAGE},

    [SQL_USAGE_ADD] = {"usage_add", SQL_NONE, 4, USAGE_ADD},

    /* While hidden_bytes exceeds $2: see sql_usage.h. */
    [SQL_DROP_CONFLICTS] = {"drop_conflicts", SQL_NONE, 3, DROP_CONFLICTS},
    [SQL_DROP_SNAPSHOT] = {"drop_snapshot", SQL_NONE, 3, DROP_SNAPSHOT},
    [SQL_DROP_CONTENT] = {"drop_content", SQL_NONE, 3, DROP_CONTENT},
    [SQL_DROP_TOMBSTONES] = {"drop_tombstones", SQL_NONE, 3, DROP_TOMBSTONES(COMPETES)},

    /* Stamps a row that SQL_CLOCK_ADVANCE inserted. The INSERT reads the time first and may then wait, for an erasure
     * that deletes the earlier row or for another first write that is rolled back. */
    [SQL_CLOCK_START] = {"clock_start", SQL_MAYBE, 1,
                         "UPDATE clocks AS c SET clock = greatest(c.clock, t), started = greatest(c.clock, t)"
                         " FROM (SELECT " NOW_MS " AS t) AS now WHERE c.user_id = $1::text RETURNING c.clock"},

    [SQL_CLOCK_READ] = {"clock_read", SQL_ONE, 1,
                        "SELECT clock, started, epoch, horizon, i.id, i.generation"
                        " FROM installation i LEFT JOIN clocks ON user_id = $1::text"},

    /* Changes nothing, but makes the following COMMIT wait for everything that was committed before. */
    [SQL_CLOCK_LOCK] = {"clock_lock", SQL_MAYBE, 1, "SELECT 1 FROM clocks WHERE user_id = $1::text FOR UPDATE"},

    /* The operations among $2 (distinct ids) that were processed, and those that wait in the queue. A result is NULL
     * where it is a plain success. Results are returned up to $3 bytes in all. Looked up one by one, as the entities
     * are (NAMED). */
    [SQL_LEDGER_READ] =
        {"ledger_read", SQL_ROWS, 3,
         "SELECT operation_id, encode(hash, 'hex'), processed_at, CASE WHEN fits THEN result END, fits,"
         " result #> '{conflict,id}' IS NOT NULL AND result #> '{conflict,localData}' IS NULL"
         " FROM (SELECT *, coalesce(sum(octet_length(result::text)) OVER (ROWS UNBOUNDED PRECEDING), 0) <= $3::bigint"
         " AS fits FROM (SELECT l.* FROM unnest($2::text[]) AS n (id) CROSS JOIN LATERAL (SELECT * FROM ledger"
         " WHERE user_id = $1::text AND operation_id = n.id LIMIT 1) AS l) AS known) AS sized"
         " UNION ALL SELECT q.* FROM unnest($2::text[]) AS n (id) CROSS JOIN LATERAL ("
         " SELECT operation_id, encode(hash, 'hex'), NULL::bigint, NULL::json, true, false FROM queue"
         " WHERE user_id = $1::text AND operation_id = n.id AND synced_at IS NULL LIMIT 1) AS q"},

    /* The sides of the conflicts that the results of the operations $2 point to, as far as the log has them, up to $3
     * bytes in all. */
    [SQL_LEDGER_SIDES] =
        {"ledger_sides", SQL_ROWS, 3,
         "SELECT id, CASE WHEN fit THEN local_data END, CASE WHEN fit THEN server_data END, fit FROM ("
         " SELECT *, sum(coalesce(octet_length(local_data::text), 0) + coalesce(octet_length(server_data::text), 0))"
         " OVER (ROWS UNBOUNDED PRECEDING) <= $3::bigint AS fit FROM ("
         " SELECT n.id, c.* FROM unnest($2::text[]) AS n (id) CROSS JOIN LATERAL ("
         " SELECT result #>> '{conflict,id}' AS conflict FROM ledger"
         " WHERE user_id = $1::text AND operation_id = n.id LIMIT 1) AS l CROSS JOIN LATERAL ("
         " SELECT c.local_data, " SERVER_SIDE " AS server_data FROM conflicts c WHERE c.user_id = $1::text"
         " AND c.stamp = split_part(l.conflict, '-', 1)::bigint AND c.n = split_part(l.conflict, '-', 2)::int LIMIT 1)"
         " AS c) AS sides) AS sized"},

    /* The named entities ($2 kinds, $3 ids), in the order of the names. $4: bytes of content. */
    [SQL_ENTITIES_NAMED] = {"entities_named", SQL_ROWS, 4, WITHOUT_SIBLINGS},

    /* The named entities ($2 kinds, $3 ids), and the siblings that share a key with one of them or with one of $4, $5:
     * other ratings of a book, other tags of a name. $6: bytes of content. */
    [SQL_ENTITIES_READ] = {"entities_read", SQL_ROWS, 6,
                           WITH_SIBLINGS("SELECT * FROM unnest($2::text[], $3::text[])",
                                         "SELECT * FROM unnest($4::text[], $5::text[])", "$6::bigint")},

    [SQL_ENTITIES_WRITE] =
        {"entities_write", SQL_NONE, 15,
         "INSERT INTO entities (user_id, updated_at, kind, entity_id, status, created_at, edited_at, deleted_at,"
         " superseded_at, base_at, key, device, marks, data, recent)"
         " SELECT c.user_id, $2::bigint, e.* FROM clocks c CROSS JOIN unnest($3::text[], $4::text[], $5::text[],"
         " $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[],"
         " $12::text[], $13::json[], $14::json[], $15::json[]) AS e WHERE c.user_id = $1::text"
         " ON CONFLICT (user_id, kind, entity_id) DO UPDATE SET updated_at = excluded.updated_at,"
         " status = excluded.status, created_at = excluded.created_at, edited_at = excluded.edited_at,"
         " deleted_at = excluded.deleted_at, superseded_at = excluded.superseded_at, base_at = excluded.base_at,"
         " key = excluded.key, device = excluded.device,"
         " marks = CASE WHEN excluded.marks::text = 'true' THEN entities.marks ELSE excluded.marks END,"
         " data = excluded.data, recent = excluded.recent"},

    /* The place of siblings, whose content stays: $3 kinds, $4 ids, $5 status, $6 superseded_at, $7 device. The row is
     * there, so this never inserts; an UPDATE with a join could be planned as one pass over all of the user's entities.
     */
    [SQL_ENTITIES_PLACE] =
        {"entities_place", SQL_NONE, 7,
         "INSERT INTO entities (user_id, updated_at, kind, entity_id, status, superseded_at, device, created_at, data)"
         " SELECT $1::text, $2::bigint, x.*, e.* FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[],"
         " $7::text[]) AS x (kind, entity_id, status, superseded_at, device) CROSS JOIN LATERAL ("
         " SELECT created_at, data FROM entities e"
         " WHERE e.user_id = $1::text AND e.kind = x.kind AND e.entity_id = x.entity_id LIMIT 1) AS e"
         " ON CONFLICT (user_id, kind, entity_id) DO UPDATE SET updated_at = excluded.updated_at,"
         " status = excluded.status, superseded_at = excluded.superseded_at, device = excluded.device"},

    /* Sets `recent` of $2 kinds, $3 ids to $4. Like SQL_ENTITIES_PLACE it never inserts. */
    [SQL_ENTITIES_WHOLE] =
        {"entities_whole", SQL_NONE, 4,
         "INSERT INTO entities (user_id, kind, entity_id, updated_at, status, recent, created_at, data)"
         " SELECT $1::text, e.* FROM unnest($2::text[], $3::text[]) AS x (kind, entity_id) CROSS JOIN LATERAL ("
         " SELECT kind, entity_id, updated_at, status, $4::json AS recent, created_at, '{}'::json FROM entities e"
         " WHERE e.user_id = $1::text AND e.kind = x.kind AND e.entity_id = x.entity_id LIMIT 1) AS e"
         " ON CONFLICT (user_id, kind, entity_id) DO UPDATE SET recent = excluded.recent"},

    /* Counts on the way what the transaction changes, as SQL_USAGE_ADD does: one statement less. */
    [SQL_LEDGER_WRITE] =
        {"ledger_write", SQL_NONE, 8,
         "WITH written AS (INSERT INTO ledger (user_id, processed_at, operation_id, hash, result)"
         " SELECT c.user_id, $5::bigint, l.* FROM clocks c"
         " CROSS JOIN unnest($6::text[], $7::bytea[], $8::json[]) AS l WHERE c.user_id = $1::text) " USAGE_ADD},

    [SQL_CONFLICTS_WRITE] =
        {"conflicts_write", SQL_NONE, 16,
         "INSERT INTO conflicts (user_id, stamp, n, kind, entity_id, other_id, reason, status, resolution,"
         " operation_id, device, local_at, server_at, local_data, server_data, server_of, resolved_at)"
         " SELECT u.user_id, $2::bigint, c.*, CASE WHEN c.status = 'resolved' THEN $2::bigint END"
         " FROM clocks u CROSS JOIN"
         " unnest($3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],"
         " $10::text[], $11::text[], $12::bigint[], $13::bigint[], $14::json[], $15::json[], $16::int[])"
         " AS c (n, kind, entity_id, other_id, reason, status, resolution, operation_id, device, local_at,"
         " server_at, local_data, server_data, server_of) WHERE u.user_id = $1::text"},

    /* Closes the open conflicts about $3 kinds, $4 ids, $5 reasons. */
    [SQL_CONFLICTS_CLOSE] = {"conflicts_close", SQL_NONE, 5,
                             "WITH " CLOSE_CONFLICTS(
                                 "SELECT DISTINCT * FROM unnest($3::text[], $4::text[], $5::text[])",
                                 "$2::bigint") " " COUNT_SETTLED("settled")},

    /* The content of a processed operation is not needed any more. */
    [SQL_QUEUE_SYNCED] = {"queue_synced", SQL_NONE, 3,
                          "WITH waiting AS (SELECT " QUEUED_SIZE " AS own FROM queue"
                          " WHERE user_id = $1::text AND operation_id = ANY ($3::text[]) AND synced_at IS NULL),"
                          " counted AS (" COUNT_SYNCED ")"
                          " UPDATE queue SET synced_at = $2::bigint, data = NULL"
                          " WHERE user_id = $1::text AND operation_id = ANY ($3::text[]) AND synced_at IS NULL"},

    /* An operation that was processed already is marked as synced at once, without its content. $3: its timestamp, or
       NULL for now. */
    [SQL_QUEUE_ADD] = {"queue_add", SQL_MAYBE, 10,
                       "INSERT INTO queue (user_id, operation_id, queued_at, synced_at, made_at, type, kind, entity_id,"
                       " hash, data, policy, base_at)"
                       " SELECT c.user_id, $2::text, c.clock, l.processed_at, coalesce($3::bigint, c.clock),"
                       " $4::text, $5::text, $6::text, $7::bytea, CASE WHEN l.processed_at IS NULL THEN $8::json END,"
                       " $9::text, $10::bigint FROM clocks c LEFT JOIN ledger l ON l.user_id = $1::text"
                       " AND l.operation_id = $2::text WHERE c.user_id = $1::text"
                       " ON CONFLICT (user_id, operation_id) DO NOTHING RETURNING 1"},

    [SQL_QUEUE_GET] = {"queue_get", SQL_ONE, 2,
                       "SELECT " QUEUE_COLUMNS " FROM queue WHERE user_id = $1::text AND operation_id = $2::text"},

    /* The waiting operations after the position ($2 timestamp, $3 id) with fewer than $4 attempts, oldest first: at
     * most $5, and no further one once their data has $6 bytes. The last column counts them without the bound on
     * bytes.
     */
    [SQL_QUEUE_LIST] =
        {"queue_list", SQL_ROWS, 6,
         "SELECT " QUEUE_COLUMNS ", total FROM (SELECT q.*, count(*) OVER () AS total,"
         " sum(octet_length(data::text)) OVER (ORDER BY made_at, operation_id ROWS UNBOUNDED PRECEDING) AS bytes,"
         " octet_length(data::text) AS own FROM (SELECT * FROM queue WHERE user_id = $1::text AND synced_at IS NULL"
         " AND (made_at, operation_id) > ($2::bigint, $3::text) AND attempts < $4::int"
         " ORDER BY made_at, operation_id LIMIT $5::bigint) AS q) AS sized"
         " WHERE coalesce(bytes, 0) - coalesce(own, 0) < $6::bigint ORDER BY made_at, operation_id"},

    /* For each id: whether it is in the queue, and whether this statement marked it. */
    [SQL_QUEUE_MARK] = {"queue_mark", SQL_ROWS, 2,
                        "WITH ids AS (SELECT DISTINCT unnest($2::text[]) AS id),"
                        " known AS (SELECT operation_id, synced_at, " QUEUED_SIZE " AS own FROM queue q, ids"
                        " WHERE q.user_id = $1::text AND q.operation_id = id),"
                        " waiting AS (SELECT own FROM known WHERE synced_at IS NULL), counted AS (" COUNT_SYNCED "),"
                        " marked AS (UPDATE queue q SET data = NULL,"
                        " synced_at = (SELECT clock FROM clocks WHERE user_id = $1::text) FROM ids"
                        " WHERE q.user_id = $1::text AND q.operation_id = ids.id AND q.synced_at IS NULL)"
                        " SELECT ids.id, k.operation_id IS NOT NULL, k.operation_id IS NOT NULL AND k.synced_at IS NULL"
                        " FROM ids LEFT JOIN known k ON k.operation_id = ids.id"},

    [SQL_QUEUE_CLEAR] =
        {"queue_clear", SQL_ONE, 1,
         "WITH gone AS (DELETE FROM queue WHERE user_id = $1::text AND synced_at IS NOT NULL RETURNING " QUEUED_SIZE
         " AS own), counted AS (" COUNT_HIDDEN("-", "gone") ")"
                                                            " SELECT count(*) FROM gone"},

    [SQL_QUEUE_FAILED] = {"queue_failed", SQL_NONE, 3,
                          "UPDATE queue q SET attempts = attempts + 1, last_error = x.error"
                          " FROM unnest($2::text[], $3::text[]) AS x (id, error)"
                          " WHERE q.user_id = $1::text AND q.operation_id = x.id AND q.synced_at IS NULL"},

    /* $2: status or NULL. Newest first, after the position ($3 stamp, $4 number): at most $5, and no further one once
     * their sides have $6 bytes. The last column counts them without the bound on bytes. */
    [SQL_CONFLICTS_LIST] =
        {"conflicts_list", SQL_ROWS, 6,
         "SELECT stamp, n, kind, entity_id, other_id, reason, status, resolution, operation_id, device, local_at,"
         " server_at, resolved_at, local_data, server_data, total FROM (SELECT listed.*, count(*) OVER () AS total,"
         " sum(own) OVER (ORDER BY stamp DESC, n DESC ROWS UNBOUNDED PRECEDING) AS bytes FROM (SELECT l.*,"
         " coalesce(octet_length(local_data::text), 0) + coalesce(octet_length(server_data::text), 0) AS own FROM"
         " (SELECT " CONFLICT_COLUMNS " FROM conflicts c WHERE user_id = $1::text"
         " AND ($2::text IS NULL OR status = $2::text) AND (stamp, n) < ($3::bigint, $4::int)"
         " ORDER BY stamp DESC, n DESC LIMIT $5::bigint) AS l) AS listed) AS sized"
         " WHERE bytes - own < $6::bigint ORDER BY stamp DESC, n DESC"},

    [SQL_EXPORT_CONFLICTS] = {"export_conflicts", SQL_ROWS, 1,
                              "SELECT " CONFLICT_COLUMNS " FROM conflicts c WHERE user_id = $1::text"
                              " ORDER BY stamp DESC, n DESC"},

    /* The entities of a conflict ($2 stamp, $3 number), and those that share a key with them or with one of $4. */
    [SQL_CONFLICT_ENTITIES] =
        {"conflict_entities", SQL_ROWS, 4,
         WITH_SIBLINGS(
             "SELECT kind, entity_id FROM conflicts WHERE user_id = $1::text AND stamp = $2::bigint AND n = $3::int"
             " UNION SELECT kind, other_id FROM conflicts WHERE user_id = $1::text AND stamp = $2::bigint"
             " AND n = $3::int AND other_id IS NOT NULL",
             "SELECT c.kind, v.key FROM conflicts c CROSS JOIN LATERAL unnest($4::text[]"
             " || ARRAY[c.local_data ->> 'bookId', c.local_data ->> 'name']) AS v (key)"
             " WHERE c.user_id = $1::text AND c.stamp = $2::bigint AND c.n = $3::int AND v.key IS NOT NULL",
             "1e12")},

    [SQL_CONFLICT_RESOLVE] =
        {"conflict_resolve", SQL_NONE, 5,
         "WITH settled AS (SELECT " CONFLICT_SIZE " AS own FROM conflicts"
         " WHERE user_id = $1::text AND stamp = $2::bigint AND n = $3::int AND status = 'open'),"
         " counted AS (" COUNT_SETTLED(
             "settled") ")"
                        " UPDATE conflicts SET status = 'resolved', resolution = $4::text, resolved_at = $5::bigint"
                        " WHERE user_id = $1::text AND stamp = $2::bigint AND n = $3::int"},

    [SQL_FULL_PLAN] = {"full_plan", SQL_ROWS, 4, FULL_PLAN},
    [SQL_FULL_DELETE] = {"full_delete", SQL_NONE, 5, FULL_DELETE},
    [SQL_SNAPSHOT_TAKE] = {"snapshot_take", SQL_NONE, 3, SNAPSHOT_TAKE},
    [SQL_SNAPSHOTS_TRIM] = {"snapshots_trim", SQL_NONE, 2, SNAPSHOTS_TRIM},

    [SQL_SNAPSHOTS_LIST] = {"snapshots_list", SQL_ROWS, 1,
                            "SELECT stamp, array_to_string(kinds, ','), entities FROM snapshots"
                            " WHERE user_id = $1::text ORDER BY stamp DESC"},

    /* In the order in which they are stored: see library_order. */
    [SQL_SNAPSHOT_IDS] = {"snapshot_ids", SQL_ROWS, 2,
                          "SELECT kind, entity_id, octet_length(data::text) FROM snapshot_entities"
                          " WHERE user_id = $1::text AND stamp = $2::bigint ORDER BY"
                          " CASE kind WHEN 'readingLog' THEN data ->> 'finishedAt' IS NULL ELSE false END,"
                          " kind, entity_id"},

    /* The entities $3 kinds, $4 ids of a snapshot, in that order. */
    [SQL_SNAPSHOT_PAGE] =
        {"snapshot_page", SQL_ROWS, 4,
         "SELECT s.* FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS n (kind, id, place) CROSS JOIN LATERAL ("
         " SELECT kind, entity_id, created_at, edited_at, data FROM snapshot_entities WHERE user_id = $1::text"
         " AND stamp = $2::bigint AND kind = n.kind AND entity_id = n.id LIMIT 1) AS s ORDER BY n.place"},

    /* Per kind, over the live entities: their number, and SHA-256 of their lines id@updatedAt, sorted by bytes. */
    [SQL_DIGEST] =
        {"digest", SQL_ROWS, 1,
         "SELECT kind, count(*), encode(sha256(convert_to(string_agg(line, E'\n' ORDER BY line COLLATE \"C\"),"
         " 'UTF8')),"
         " 'hex') FROM (SELECT kind, entity_id || '@' || to_char(instant(updated_at) " ISO_TIME ") AS line"
         " FROM entities WHERE user_id = $1::text AND status = 'live') AS lines"
         " GROUP BY kind"},

    [SQL_EXPORT_ENTITIES] = {"export_entities", SQL_ROWS, 2,
                             "SELECT kind, entity_id, status, created_at, updated_at, NULL, data, NULL FROM entities"
                             " WHERE user_id = $1::text AND kind = $2::text AND status = 'live' ORDER BY entity_id"},

    [SQL_EXPORT_HIDDEN] =
        {"export_hidden", SQL_ROWS, 2,
         "SELECT kind, entity_id, status, created_at, updated_at, coalesce(deleted_at, superseded_at),"
         " data, " WHOLE_TIMES
         " FROM entities WHERE user_id = $1::text AND status = $2::text ORDER BY kind, entity_id"},

    [SQL_EXPORT_TIMES] = {"export_times", SQL_ROWS, 1,
                          "SELECT kind, entity_id, " WHOLE_TIMES " FROM entities"
                          " WHERE user_id = $1::text AND status = 'live' ORDER BY kind, entity_id"},

    [SQL_EXPORT_LEDGER] = {"export_ledger", SQL_ROWS, 1,
                           "SELECT processed_at, coalesce(result, json_build_object('id', operation_id,"
                           " 'status', 'success', 'updatedAt', to_char(instant(processed_at) " ISO_TIME ")))"
                           " FROM ledger WHERE user_id = $1::text ORDER BY operation_id"},

    [SQL_QUEUE_EXPORT] = {"queue_export", SQL_ROWS, 1,
                          "SELECT " QUEUE_COLUMNS " FROM queue WHERE user_id = $1::text ORDER BY operation_id"},

    [SQL_EXPORT_SNAPSHOTS] = {"export_snapshots", SQL_ROWS, 1,
                              "SELECT stamp, kind, entity_id, created_at, edited_at, data FROM snapshot_entities"
                              " WHERE user_id = $1::text ORDER BY stamp, kind, entity_id"},

    /* The user's epochs, and up to which stamp each is valid: the present one first, then the remembered ones. */
    [SQL_EPOCHS_READ] = {"epochs_read", SQL_ROWS, 1,
                         "SELECT epoch, clock AS until, (SELECT id FROM installation) AS installation FROM clocks"
                         " WHERE user_id = $1::text"
                         " UNION ALL SELECT epoch, until, installation FROM epochs WHERE user_id = $1::text"
                         " ORDER BY until DESC"},

    /* Remembers the epochs $2 of other installations $4, valid up to $3, and the present one up to $6, or not at all
     * (NULL); gives the user the new epoch $5. Keeps the latest 100. */
    [SQL_EPOCHS_IMPORT] =
        {"epochs_import", SQL_NONE, 6,
         "WITH me AS MATERIALIZED (SELECT epoch FROM clocks WHERE user_id = $1::text),"
         " gone AS (DELETE FROM epochs WHERE user_id = $1::text AND epoch IN (SELECT epoch FROM epochs"
         " WHERE user_id = $1::text ORDER BY until DESC OFFSET greatest(0, 99 - cardinality($2::bigint[])))),"
         " kept AS (INSERT INTO epochs (user_id, epoch, until, installation)"
         " SELECT $1::text, e.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS e (epoch, until, installation)"
         " WHERE e.epoch NOT IN (SELECT epoch FROM me)"
         " UNION ALL SELECT $1::text, me.epoch, $6::bigint, i.id FROM me CROSS JOIN installation i"
         " WHERE $6::bigint IS NOT NULL"
         " ON CONFLICT (user_id, epoch) DO NOTHING)"
         " UPDATE clocks SET epoch = $5::bigint WHERE user_id = $1::text"},

    /* Erases everything of the user; returns one row of counts. $2: when, for erased_epochs; NULL: they are not
     * recorded. */
    [SQL_ERASE] = {"erase", SQL_ONE, 2, ERASE},

    [SQL_STATUS] = {"status", SQL_ONE, 1,
                    "SELECT c.clock,"
                    " (SELECT count(*) FROM queue WHERE user_id = $1::text AND synced_at IS NULL),"
                    " (SELECT count(*) FROM queue WHERE user_id = $1::text AND synced_at IS NULL AND attempts >= 5),"
                    " (SELECT count(*) FROM conflicts WHERE user_id = $1::text AND status = 'open'),"
                    " c.used_entities, c.used_bytes, c.hidden_bytes"
                    " FROM (SELECT) AS always LEFT JOIN clocks c ON c.user_id = $1::text"},

    /* The first row is the user's clock, without a kind: facts (see rows_pull_clock), clock, start and epoch; NULLs: no
     * write yet. The rows after it are the changes after the position ($2 stamp, $3 kind, $4 id), in order. Entities
     * deleted up to the stamp $5 are left out (NULL: up to the present; negative: none). $6 kinds or NULL, $7 limit or
     * NULL, $9 the epoch of the client's cursor or NULL: no changes if it is not the present one. $8, $10 the clock and
     * the epoch of the reply that the client holds, or NULLs: `seen` if both are the user's, and then no changes. One
     * statement is one snapshot, so a pull needs no transaction block. */
    [SQL_PULL] = {"pull", SQL_ROWS, 10, PULL},

    /* The same with everything that most pulls do not need, which costs half as much again. The facts also tell what is
     * known of an earlier epoch, and its cursor gets changes. $11: whether to return the times. $12: bytes or NULL;
     * returned are the rows before which the data has at most so many bytes, which includes the row that no longer
     * fits. The sum needs the sizes only, and octet_length reads the size of a large value, not the value. $13: whether
     * to count the matching entities. The count reads each row, in the order of the index, without its data. $14:
     * whether to return `recent`. */
    [SQL_PULL_PAGE] = {"pull_page", SQL_ROWS, 14, PULL_PAGE},

    /* The entity $2 kind, $3 id, as a pull shows it; also an incomplete one, of which the last column tells. */
    [SQL_ENTITY_GET] = {"entity_get", SQL_MAYBE, 3,
                        "SELECT " PULL_COLUMNS ", NULL::json AS times, NULL::json AS recent, status = 'incomplete'"
                        " FROM entities WHERE user_id = $1::text AND kind = $2::text AND entity_id = $3::text"},

    /* Counts a request in the user's window of $2 milliseconds. */
    [SQL_RATE] =
        {"rate", SQL_ONE, 2,
         "WITH counted AS (INSERT INTO rate_windows AS r (user_id, started, n) VALUES ($1::text, " NOW_MS ", 1)"
         " ON CONFLICT (user_id) DO UPDATE SET"
         " n = CASE WHEN r.started <= excluded.started - $2::bigint THEN 1 ELSE r.n + 1 END,"
         " started = CASE WHEN r.started <= excluded.started - $2::bigint THEN excluded.started ELSE r.started END"
         " RETURNING n, started) SELECT n, started + $2::bigint - " NOW_MS " FROM counted"},

    /* Over all users: see the function in migration 0001. */
    [SQL_TOTALS] = {"totals", SQL_ONE, 0, "SELECT waiting, review, open FROM booky.totals()"},

    [SQL_PING] = {"ping", SQL_ONE, 0, "SELECT 1"},
};
