/* Texts that several statements of sql.c share, and long ones. */
#ifndef BOOKY_SQL_PARTS_H
#define BOOKY_SQL_PARTS_H

#include "engine/merge.h" /* MERGE_MARKS_MAX */

#define NOW_MS "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

/* For to_char: an instant as the API writes it. */
#define ISO_TIME "AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

/* MERGE_NEVER */
#define NEVER "'-9223372036854775808'::bigint"

/* What a pull needs the content of. Deleted ratings and logs compete with the others of their book, so a device that
 * sends them back after a restore sends their content, too. */
#define CONTENT_COUNTS "(status <> 'deleted' OR kind IN ('rating', 'readingLog'))"

/* The times of an entity, as a client sends them back with its content (engine/times.h); NULL: too large to be loaded.
 * WHOLE_TIMES: also those beneath a deletion. */
#define WHOLE_TIMES                                                                                                    \
    "CASE WHEN NOT coalesce(" MARKS_TOO_LARGE ", false) THEN ('{' || concat_ws(',', '\"base\":' || base_at,"           \
    " '\"edited\":' || edited_at, '\"marks\":' || marks::text, '\"deleted\":' || deleted_at,"                          \
    " '\"superseded\":' || superseded_at) || '}')::json END"
#define TIMES                                                                                                          \
    "CASE WHEN " CONTENT_COUNTS " THEN " WHOLE_TIMES                                                                   \
    " ELSE ('{\"deleted\":' || coalesce(deleted_at, updated_at) || '}')::json END"

/* Of the entities `e`, those that compete for a key: the condition of the index entities_rivals (migration 0006). */
#define COMPETES                                                                                                       \
    "e.key IS NOT NULL AND (e.status = 'live' OR (e.kind IN ('rating', 'readingLog') AND e.status = 'deleted'"         \
    " AND (e.superseded_at IS NOT NULL"                                                                                \
    " OR (e.data ->> CASE e.kind WHEN 'rating' THEN 'stars' ELSE 'status' END) IS NOT NULL)))"

/* The same of those that are superseded. */
#define COMPETES_SUPERSEDED                                                                                            \
    "e.key IS NOT NULL AND e.superseded_at IS NOT NULL AND (e.status = 'live'"                                         \
    " OR (e.kind IN ('rating', 'readingLog') AND e.status = 'deleted' AND e.superseded_at IS NOT NULL))"

/* The columns COL_ENTITY_DATA_SIZE and COL_ENTITY_MARKS_SIZE. */
#define SIZES "octet_length(data::text), octet_length(marks::text)"

/* The comparison does not decompress them. */
#define MARKS_TOO_LARGE "octet_length(marks::text) > " TEXT(MERGE_MARKS_MAX)

/* The reading logs that one request loads as siblings: of a book, and of all books; and the bytes of which their facts
 * are made. */
#define LOGS_OF_BOOK "200"
#define LOGS_MAX "10000"
#define LOGS_BYTES "16777216"

/* Of a reading log, the members that decide whether it stands (engine/readings.h), and their times. */
#define LOG_FACTS                                                                                                      \
    "(SELECT json_object_agg(m.key, m.value) FROM json_each(data) AS m"                                                \
    " WHERE m.key IN ('bookId', 'status', 'startedAt', 'finishedAt'))"
#define LOG_MARKS                                                                                                      \
    "(SELECT json_object_agg(m.key, m.value) FROM json_each(marks) AS m"                                               \
    " WHERE m.key IN ('/bookId', '/status', '/startedAt', '/finishedAt'))"

/* Named entities. `own`: the bytes of one; those that the rows before it leave no room for come without content. `true`
 * stands for marks that are too large to be loaded. octet_length reads the size of a large value, not the value. LIMIT
 * 1 keeps it a lookup for each name: where most users have few entities, a join would be planned as one pass over all
 * of the user's entities. */
#define NAMED                                                                                                          \
    "CROSS JOIN LATERAL (SELECT * FROM entities e"                                                                     \
    " WHERE e.user_id = $1::text AND e.kind = n.kind AND e.entity_id = n.entity_id LIMIT 1) AS e"
#define OWN "octet_length(data::text) + coalesce(octet_length(marks::text), 0) AS own"
#define BYTES_BEFORE "sum(own) OVER (ROWS UNBOUNDED PRECEDING) - own"
#define PLACE_COLUMNS                                                                                                  \
    "kind, entity_id, status, created_at, updated_at, edited_at, deleted_at, superseded_at, base_at, key, device"
#define NAMED_COLUMNS                                                                                                  \
    PLACE_COLUMNS ", CASE WHEN NOT fits THEN NULL WHEN " MARKS_TOO_LARGE " THEN 'true' ELSE marks END,"                \
                  " CASE WHEN fits THEN data END, false AS sibling, NULL::json, recent, " SIZES

/* The entities $2 kinds, $3 ids, of kinds without a key, so without siblings: half the work. $4: bytes. */
#define WITHOUT_SIBLINGS                                                                                               \
    "SELECT " NAMED_COLUMNS " FROM (SELECT *, " BYTES_BEFORE " < $4::bigint AS fits FROM (SELECT e.*, " OWN            \
    " FROM unnest($2::text[], $3::text[]) AS n (kind, entity_id) " NAMED ") AS sized) AS summed"

/* The entities that `names` (kind, id) select, and the siblings: entities that are not named and compete for a key of a
 * named one or for one of `more_keys` (kind, key).
 *
 * A request changes the keys and the times of named entities only, so the order of the siblings of a key is fixed. Of
 * ratings the latest sibling is enough: it supersedes the others, whatever the named ones do. Of tags and collections
 * as many as there are questions about one name (rivals.c). Rejected: all siblings up to a limit. 36 ratings of 0.95 MB
 * took 1.6 GB, and the limit would have to exceed the number that one request can move.
 *
 * Of reading logs any sibling may stand, so they are loaded, but without their content: the facts are what decides. Of
 * a book with more than LOGS_OF_BOOK others, those that were edited longest ago stay as they are. A request that meets
 * more than LOGS_MAX logs, or whose logs have more than LOGS_BYTES bytes, gets the further ones without facts; it must
 * be split (rows_load_entities). The LIMIT ends the search of such a request; tags and collections do not reach it.
 *
 * The content of a sibling is only shown in the conflict log. It is returned if it is small, for the first thousand. */
#define WITH_SIBLINGS(names, more_keys, bytes)                                                                         \
    "WITH named AS ("                                                                                                  \
    " SELECT e.* FROM (" names ") AS n (kind, entity_id) " NAMED "), keys AS ("                                        \
    " SELECT kind, key FROM (" more_keys ") AS k (kind, key) UNION SELECT kind, key FROM named WHERE key IS NOT NULL"  \
    "), siblings AS ("                                                                                                 \
    " SELECT s.*, " OWN ", row_number() OVER () AS nth FROM keys CROSS JOIN LATERAL ("                                 \
    " SELECT * FROM entities e"                                                                                        \
    " WHERE e.user_id = $1::text AND e.kind = keys.kind AND e.key = keys.key AND " COMPETES                            \
    " AND (e.kind, e.entity_id) NOT IN (" names ")"                                                                    \
    " ORDER BY e.edited_at DESC, e.status <> 'live', e.superseded_at IS NOT NULL"                                      \
    " LIMIT CASE keys.kind WHEN 'rating' THEN 1 WHEN 'readingLog' THEN " LOGS_OF_BOOK " ELSE 25 END) AS s LIMIT 60000" \
    "), logs AS ("                                                                                                     \
    " SELECT *, nth_log <= " LOGS_MAX " AND total <= " LOGS_BYTES " AS whole FROM ("                                   \
    " SELECT *, row_number() OVER () AS nth_log, sum(own) OVER (ROWS UNBOUNDED PRECEDING) AS total"                    \
    " FROM siblings WHERE kind = 'readingLog') AS l WHERE nth_log <= " LOGS_MAX " + 1"                                 \
    "), sized AS (SELECT *, " OWN " FROM named), summed AS (SELECT *, " BYTES_BEFORE " < " bytes                       \
    " AS fits FROM sized)"                                                                                             \
    " SELECT " NAMED_COLUMNS " FROM summed"                                                                            \
    " UNION ALL SELECT " PLACE_COLUMNS ", NULL::json, CASE WHEN nth <= 1000 AND pg_column_size(data) <= 16384"         \
    " AND octet_length(data::text) <= 16384 THEN data END, true, NULL::json, NULL::json, " SIZES                       \
    " FROM siblings WHERE kind <> 'readingLog'"                                                                        \
    " UNION ALL SELECT " PLACE_COLUMNS ", CASE WHEN whole THEN " LOG_MARKS " END,"                                     \
    " CASE WHEN nth <= 1000 AND status = 'live' AND octet_length(data::text) <= 16384 THEN data END, true,"            \
    " CASE WHEN whole THEN " LOG_FACTS " END, NULL::json, " SIZES " FROM logs"

/* The part `settled` of a WITH: resolves the open conflicts of the rows `closed` (kind, entity_id, reason), and returns
 * `own`, the size of each. Each is looked up by index and then
 * addressed by its key: an UPDATE with a join could be planned as one pass over all of the user's conflicts. */
#define CLOSE_CONFLICTS(closed, at)                                                                                    \
    "settled AS (INSERT INTO conflicts (user_id, stamp, n, kind, entity_id, reason, status)"                           \
    " SELECT $1::text, o.* FROM (SELECT DISTINCT o.* FROM (" closed ") AS x (kind, entity_id, reason)"                 \
    " CROSS JOIN LATERAL ("                                                                                            \
    " SELECT stamp, n, kind, entity_id, reason, status FROM conflicts c WHERE c.user_id = $1::text"                    \
    " AND c.status = 'open' AND c.kind = x.kind AND c.entity_id = x.entity_id AND c.reason = x.reason"                 \
    " UNION ALL SELECT stamp, n, kind, entity_id, reason, status FROM conflicts c WHERE c.user_id = $1::text"          \
    " AND c.status = 'open' AND c.kind = x.kind AND c.other_id = x.entity_id AND c.reason = x.reason) AS o) AS o"      \
    " ON CONFLICT (user_id, stamp, n) DO UPDATE SET status = 'resolved', resolution = 'client',"                       \
    " resolved_at = " at " RETURNING " CONFLICT_SIZE " AS own)"

/* A pull: the user's clock, and the entities that match. sql.c explains the parameters. Before PULL_CLOCK_END comes
 * what is known of an epoch that is not the present one. */
#define PULL_CLOCK                                                                                                     \
    "me AS MATERIALIZED (SELECT clock, started, epoch, horizon,"                                                       \
    " coalesce(clock = $8::bigint AND epoch = $10::bigint, false) AS seen FROM clocks WHERE user_id = $1::text)"
#define PULL_CLOCK_COLUMNS                                                                                             \
    "NULL AS kind, concat_ws(' ', i.id, i.generation, coalesce(horizon, 0), coalesce(seen, false)::int, "
#define PULL_CLOCK_END                                                                                                 \
    ") AS entity_id, clock AS created_at, started AS updated_at, me.epoch AS gone_at, NULL::json AS data"
#define PULL_COLUMNS                                                                                                   \
    "kind, entity_id, created_at, updated_at,"                                                                         \
    " CASE WHEN status = 'deleted' THEN coalesce(deleted_at, superseded_at, updated_at) END AS gone_at,"               \
    " CASE WHEN " CONTENT_COUNTS " THEN data END AS data"
#define PULL_MATCHES                                                                                                   \
    "user_id = $1::text AND (updated_at, kind, entity_id) > ($2::bigint, $3::text, $4::text)"                          \
    " AND status <> 'incomplete' AND (status = 'live' OR updated_at > coalesce($5::bigint, me.clock))"                 \
    " AND ($6::text[] IS NULL OR kind = ANY ($6::text[])) AND NOT me.seen"
#define PULL_PRESENT "coalesce(me.epoch = $9::bigint, true)"

#define PULL                                                                                                           \
    "WITH " PULL_CLOCK " SELECT " PULL_CLOCK_COLUMNS NEVER ", 0, " NEVER PULL_CLOCK_END                                \
    " FROM installation i LEFT JOIN me ON true"                                                                        \
    " UNION ALL SELECT e.* FROM me CROSS JOIN LATERAL ("                                                               \
    " SELECT " PULL_COLUMNS " FROM entities WHERE " PULL_MATCHES " AND " PULL_PRESENT                                  \
    " ORDER BY updated_at, kind, entity_id LIMIT $7::bigint) AS e"

#define PULL_PAGE_MATCHES PULL_MATCHES " AND (" PULL_PRESENT " OR EXISTS (SELECT FROM past))"
#define PULL_PAGE                                                                                                      \
    "WITH " PULL_CLOCK ", past AS MATERIALIZED (SELECT until, installation FROM epochs"                                \
    " WHERE user_id = $1::text AND epoch = $9::bigint)"                                                                \
    " SELECT " PULL_CLOCK_COLUMNS "coalesce(until, " NEVER "), coalesce(past.installation, 0),"                        \
    " coalesce((SELECT erased_at FROM erased_epochs x WHERE x.epoch = $9::bigint), " NEVER ")" PULL_CLOCK_END          \
    ", NULL::json AS times, CASE WHEN $13::boolean THEN (SELECT to_json(count(*)) FROM me CROSS JOIN LATERAL ("        \
    " SELECT FROM entities WHERE " PULL_PAGE_MATCHES ") AS e) END AS recent"                                           \
    " FROM installation i LEFT JOIN me ON true LEFT JOIN past ON true"                                                 \
    " UNION ALL SELECT kind, entity_id, created_at, updated_at, gone_at, data, times, recent"                          \
    " FROM me CROSS JOIN LATERAL ("                                                                                    \
    " SELECT *, sum(own) OVER (ORDER BY updated_at, kind, entity_id ROWS UNBOUNDED PRECEDING) - own AS before"         \
    " FROM (SELECT " PULL_COLUMNS ", CASE WHEN $11::boolean THEN " TIMES " END AS times,"                              \
    " CASE WHEN $14::boolean THEN recent END AS recent,"                                                               \
    " least($12::bigint, CASE WHEN status = 'live' OR ($11::boolean AND " CONTENT_COUNTS                               \
    ") THEN octet_length(data::text) ELSE 0 END) AS own"                                                               \
    " FROM entities WHERE " PULL_PAGE_MATCHES " ORDER BY updated_at, kind, entity_id LIMIT $7::bigint) AS e) AS sized" \
    " WHERE coalesce(before <= $12::bigint, true)"

#define QUEUE_COLUMNS                                                                                                  \
    "operation_id, type, kind, entity_id, data, made_at, attempts, last_error, synced_at, encode(hash, 'hex'),"        \
    " policy, base_at"

/* The server's side of the conflict c. Of several conflicts of one request about one version the first one keeps it. */
#define SERVER_SIDE                                                                                                    \
    "coalesce(c.server_data, (SELECT s.server_data FROM conflicts s WHERE s.user_id = $1::text"                        \
    " AND s.stamp = c.stamp AND s.n = c.server_of))"

#define CONFLICT_COLUMNS                                                                                               \
    "stamp, n, kind, entity_id, other_id, reason, status, resolution, operation_id, device, local_at, server_at,"      \
    " resolved_at, local_data, " SERVER_SIDE " AS server_data"

/* Erases everything of the user. $2: when, or NULL. */
#define ERASE                                                                                                          \
    "WITH a AS (DELETE FROM entities WHERE user_id = $1::text RETURNING 1),"                                           \
    " b AS (DELETE FROM ledger WHERE user_id = $1::text RETURNING 1),"                                                 \
    " c AS (DELETE FROM queue WHERE user_id = $1::text RETURNING 1),"                                                  \
    " d AS (DELETE FROM conflicts WHERE user_id = $1::text RETURNING 1),"                                              \
    " e AS (DELETE FROM snapshot_entities WHERE user_id = $1::text RETURNING 1),"                                      \
    " f AS (DELETE FROM snapshots WHERE user_id = $1::text RETURNING 1),"                                              \
    " g AS (DELETE FROM rate_windows WHERE user_id = $1::text),"                                                       \
    " h AS (DELETE FROM clocks WHERE user_id = $1::text RETURNING epoch),"                                             \
    " i AS (DELETE FROM epochs WHERE user_id = $1::text RETURNING epoch),"                                             \
    " j AS (INSERT INTO erased_epochs (epoch, erased_at) SELECT epoch, $2::bigint"                                     \
    " FROM (SELECT epoch FROM h UNION SELECT epoch FROM i) AS known WHERE $2::bigint IS NOT NULL"                      \
    " ON CONFLICT (epoch) DO NOTHING)"                                                                                 \
    " SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT count(*) FROM c),"                            \
    " (SELECT count(*) FROM d), (SELECT count(*) FROM f)"

#endif
