/* The statements of a full sync: what it deletes, and the snapshots. */
#ifndef BOOKY_SQL_FULL_H
#define BOOKY_SQL_FULL_H

#include "store/sql_parts.h"
#include "store/sql_usage.h"

/* Counts, per kind of $2, the entities that are live or incomplete, and of those that are not listed in $3, $4: the
 * same; those that are only superseded (one rating per book) and could come back; those that are live; and how many
 * bytes a deletion takes from what the user sees, and adds to what is hidden. IN is always hashed in an expression;
 * EXISTS would be planned for ten rows and meet ten thousand. OFFSET 0: the list is hashed once, not for each count. */
#define FULL_PLAN                                                                                                      \
    "SELECT kind, count(*) FILTER (WHERE status <> 'deleted'),"                                                        \
    " count(*) FILTER (WHERE NOT listed AND status <> 'deleted'),"                                                     \
    " count(*) FILTER (WHERE NOT listed AND status = 'deleted'),"                                                      \
    " count(*) FILTER (WHERE NOT listed AND status = 'live'),"                                                         \
    " coalesce(sum(octet_length(data::text)) FILTER (WHERE NOT listed AND status <> 'deleted'), 0)::bigint,"           \
    " coalesce(sum(" TOMBSTONE_SIZE ") FILTER (WHERE NOT listed AND status <> 'deleted'), 0)::bigint"                  \
    " FROM (SELECT e.kind, e.status, e.entity_id, e.data,"                                                             \
    " (e.kind, e.entity_id) IN (SELECT * FROM unnest($3::text[], $4::text[])) AS listed"                               \
    " FROM entities e WHERE e.user_id = $1::text AND e.kind = ANY ($2::text[]) AND e.deleted_at IS NULL OFFSET 0)"     \
    " AS e GROUP BY kind"

/* Deletes them. $5: the stamp. The deletion is later than every edit of the entity. A superseded entity looks deleted
 * already and keeps its updated_at. */
#define FULL_DELETE                                                                                                    \
    "WITH gone AS (UPDATE entities e SET status = 'deleted', superseded_at = NULL,"                                    \
    " updated_at = CASE WHEN e.status = 'deleted' THEN e.updated_at ELSE $5::bigint END,"                              \
    " deleted_at = greatest($5::bigint, edited_at + 1)"                                                                \
    " WHERE e.user_id = $1::text AND e.kind = ANY ($2::text[]) AND e.deleted_at IS NULL"                               \
    " AND (e.kind, e.entity_id) NOT IN (SELECT * FROM unnest($3::text[], $4::text[]))"                                 \
    " RETURNING e.kind, e.entity_id), " CLOSE_CONFLICTS(                                                               \
        "SELECT kind, entity_id, reason FROM gone CROSS JOIN (VALUES ('incomplete'), ('same_name')) AS r (reason)",    \
        "$5::bigint") " " COUNT_SETTLED("settled")

/* Copies the live entities of the kinds $3, except those that this transaction has already written. $2: the stamp. */
#define COUNT_KEPT COUNT_HIDDEN("+", "kept")
#define SNAPSHOT_TAKE                                                                                                  \
    "WITH kept AS (INSERT INTO snapshot_entities AS k (user_id, stamp, created_at, edited_at, kind, entity_id, data)"  \
    " SELECT user_id, $2::bigint, created_at, edited_at, kind, entity_id, data FROM entities"                          \
    " WHERE user_id = $1::text AND kind = ANY ($3::text[]) AND status = 'live' AND updated_at < $2::bigint"            \
    " RETURNING " KEPT_SIZE " AS own), taken AS (INSERT INTO snapshots (user_id, stamp, kinds, entities)"              \
    " SELECT c.user_id, $2::bigint, $3::text[], (SELECT count(*) FROM kept) FROM clocks c"                             \
    " WHERE c.user_id = $1::text) " COUNT_KEPT

/* Keeps $2 snapshots. The first to go are those that are neither the last of their day (UTC) nor the first of their
 * hour, then the first ones of an hour, then the first ones of a day, then the last ones, each time the oldest. So a
 * client that replaces the library in a loop displaces neither the state before the loop nor that of an earlier day. */
#define COUNT_TRIMMED COUNT_HIDDEN("-", "contents")
#define SNAPSHOTS_TRIM                                                                                                 \
    "WITH gone AS (SELECT stamp FROM (SELECT stamp, max(stamp) OVER day AS last, min(stamp) OVER day AS first,"        \
    " min(stamp) OVER (PARTITION BY stamp / 3600000) AS first_of_hour"                                                 \
    " FROM snapshots WHERE user_id = $1::text WINDOW day AS (PARTITION BY stamp / 86400000)) AS s"                     \
    " ORDER BY stamp = last DESC, stamp = first DESC, stamp = first_of_hour DESC, stamp DESC OFFSET $2::bigint),"      \
    " contents AS (DELETE FROM snapshot_entities e USING gone g WHERE e.user_id = $1::text AND e.stamp = g.stamp"      \
    " RETURNING " KEPT_SIZE " AS own), counted AS (" COUNT_TRIMMED ")"                                                 \
    " DELETE FROM snapshots s USING gone g WHERE s.user_id = $1::text AND s.stamp = g.stamp"

#endif
