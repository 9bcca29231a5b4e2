/*
 * What a row counts towards the quota (engine/usage.h), as text of statements; and the statements that count anew and
 * that drop the oldest of what is hidden. octet_length reads the size of a large value, not the value.
 *
 * Every statement of the workers that adds or removes rows, and `booky-sync purge`, changes the counters of the user's
 * clock along with them. Rejected:
 * triggers, which run for each table of a write, also where nothing is counted.
 */
#ifndef BOOKY_SQL_USAGE_H
#define BOOKY_SQL_USAGE_H

#include "engine/usage.h"
#include "store/sql_parts.h"

#define BYTES(column) "coalesce(octet_length(" column "::text), 0)"

/* Of rows that a FROM clause names without an alias, or with one that needs no qualification. */
#define ENTITY_SHOWN_SIZE "CASE WHEN status <> 'deleted' THEN octet_length(data::text) ELSE 0 END"
#define TOMBSTONE_SIZE TEXT(USAGE_TOMBSTONE) " + octet_length(entity_id) + octet_length(data::text)"
#define BENEATH_SIZE BYTES("marks") " + " BYTES("recent")
#define ENTITY_HIDDEN_SIZE BENEATH_SIZE " + CASE WHEN status = 'deleted' THEN " TOMBSTONE_SIZE " ELSE 0 END"
#define CONFLICT_SIZE TEXT(USAGE_CONFLICT) " + " BYTES("local_data") " + " BYTES("server_data")
#define LEDGER_SIZE TEXT(USAGE_LEDGER) " + octet_length(operation_id) + " BYTES("result")
#define QUEUED_SIZE TEXT(USAGE_QUEUED) " + " BYTES("data")
#define KEPT_SIZE TEXT(USAGE_KEPT) " + octet_length(entity_id) + octet_length(data::text)"

/* Counts the rows of the user $1. The clock must be locked by an earlier statement of the transaction. */
#define COUNT_USAGE                                                                                                    \
    "UPDATE clocks AS c SET used_entities = e.number, used_bytes = e.shown + q.waiting + f.open,"                      \
    " hidden_bytes = e.hidden + q.synced + f.resolved + l.bytes + s.bytes FROM"                                        \
    " (SELECT count(*) FILTER (WHERE status <> 'deleted') AS number,"                                                  \
    " coalesce(sum(" ENTITY_SHOWN_SIZE "), 0)::bigint AS shown,"                                                       \
    " coalesce(sum(" ENTITY_HIDDEN_SIZE "), 0)::bigint AS hidden FROM entities WHERE user_id = $1::text) AS e,"        \
    " (SELECT coalesce(sum(" QUEUED_SIZE ") FILTER (WHERE synced_at IS NULL), 0)::bigint AS waiting,"                  \
    " coalesce(sum(" QUEUED_SIZE ") FILTER (WHERE synced_at IS NOT NULL), 0)::bigint AS synced"                        \
    " FROM queue WHERE user_id = $1::text) AS q,"                                                                      \
    " (SELECT coalesce(sum(" CONFLICT_SIZE ") FILTER (WHERE status = 'open'), 0)::bigint AS open,"                     \
    " coalesce(sum(" CONFLICT_SIZE ") FILTER (WHERE status <> 'open'), 0)::bigint AS resolved"                         \
    " FROM conflicts WHERE user_id = $1::text) AS f,"                                                                  \
    " (SELECT coalesce(sum(" LEDGER_SIZE "), 0)::bigint AS bytes FROM ledger WHERE user_id = $1::text) AS l,"          \
    " (SELECT coalesce(sum(" KEPT_SIZE "), 0)::bigint AS bytes FROM snapshot_entities WHERE user_id = $1::text) AS s"  \
    " WHERE c.user_id = $1::text RETURNING c.used_entities, c.used_bytes, c.hidden_bytes"

/* Adds $2 entities, $3 bytes and $4 hidden bytes. */
#define USAGE_ADD                                                                                                      \
    "UPDATE clocks SET used_entities = used_entities + $2::bigint, used_bytes = used_bytes + $3::bigint,"              \
    " hidden_bytes = hidden_bytes + $4::bigint WHERE user_id = $1::text"

/* Adds to hidden_bytes, or subtracts, the sum of `own` over the rows `of`. */
#define COUNT_HIDDEN(sign, of)                                                                                         \
    "UPDATE clocks SET hidden_bytes = hidden_bytes " sign " s.own"                                                     \
    " FROM (SELECT coalesce(sum(own), 0)::bigint AS own FROM " of ") AS s WHERE user_id = $1::text AND s.own <> 0"

/* Moves the sum of `own` over the rows `of` from what the user sees to what is hidden. */
#define COUNT_SETTLED(of)                                                                                              \
    "UPDATE clocks SET used_bytes = used_bytes - s.own, hidden_bytes = hidden_bytes + s.own"                           \
    " FROM (SELECT coalesce(sum(own), 0)::bigint AS own FROM " of ") AS s WHERE user_id = $1::text AND s.own <> 0"

/* The same for the operations `waiting`, whose content is dropped. */
#define COUNT_SYNCED                                                                                                   \
    "UPDATE clocks SET used_bytes = used_bytes - s.own,"                                                               \
    " hidden_bytes = hidden_bytes + s.number * " TEXT(                                                                 \
        USAGE_QUEUED) " FROM (SELECT coalesce(sum(own), 0)::bigint AS own, count(*) AS number FROM waiting) AS s"      \
                      " WHERE user_id = $1::text AND s.own <> 0"

/* The statements that drop hidden rows: $1 the user, $2 quota.hidden, $3 the stamp of this transaction, whose rows
 * stay. Each drops a bounded number of the oldest rows, and none if there is something that goes before. So a request
 * does a bounded amount of work, and the next ones continue. The rows to drop are a range of an index: a join could be
 * planned as one pass over all of the user's rows. */
#define DROPPED_ROWS "2000"
#define EXCESS "WITH me AS (SELECT *, hidden_bytes - $2::bigint AS excess FROM clocks WHERE user_id = $1::text)"
#define DROPPED "(SELECT coalesce(sum(own), 0)::bigint AS own FROM chosen) AS s"

/* Of the conflicts c. One that holds the server's side of an open one stays. */
#define DROPPABLE_CONFLICT                                                                                             \
    "c.user_id = $1::text AND c.status = 'resolved' AND c.stamp < $3::bigint AND NOT EXISTS (SELECT FROM conflicts o"  \
    " WHERE o.user_id = $1::text AND o.stamp = c.stamp AND o.server_of = c.n AND o.status = 'open')"
/* In the order of the key, so that no scan of the table looks cheaper. */
#define NO_CONFLICT                                                                                                    \
    "NOT EXISTS (SELECT FROM (SELECT stamp FROM conflicts c WHERE " DROPPABLE_CONFLICT                                 \
    " ORDER BY stamp, n LIMIT 1) AS first)"
#define NO_SNAPSHOT "NOT EXISTS (SELECT FROM snapshots WHERE user_id = $1::text AND stamp < $3::bigint)"

/* A conflict that holds the server's side of others goes after them. */
#define DROP_CONFLICTS                                                                                                 \
    EXCESS ", page AS (SELECT stamp, n, own, excess, sum(own) OVER (ORDER BY stamp, n DESC ROWS UNBOUNDED PRECEDING)"  \
           " - own AS before FROM me CROSS JOIN LATERAL (SELECT stamp, n, " CONFLICT_SIZE " AS own"                    \
           " FROM conflicts c WHERE me.excess > 0 AND " DROPPABLE_CONFLICT " ORDER BY stamp FETCH FIRST " DROPPED_ROWS \
           " ROWS WITH TIES) AS p),"                                                                                   \
           " chosen AS (SELECT * FROM page WHERE before < excess),"                                                    \
           " last AS (SELECT stamp, n FROM chosen ORDER BY stamp DESC, n LIMIT 1),"                                    \
           " gone AS (DELETE FROM conflicts c WHERE " DROPPABLE_CONFLICT " AND c.stamp <= (SELECT stamp FROM last)"    \
           " AND (c.stamp < (SELECT stamp FROM last) OR c.n >= (SELECT n FROM last)))"                                 \
           " UPDATE clocks SET hidden_bytes = hidden_bytes - s.own FROM " DROPPED " WHERE user_id = $1::text"          \
           " AND s.own <> 0"

/* One snapshot. The first to go are those that are neither the last of their day nor the first of their hour, as at
 * limits.snapshots. */
#define DROP_SNAPSHOT                                                                                                  \
    EXCESS ", old AS (SELECT s.stamp FROM me CROSS JOIN LATERAL (SELECT stamp, max(stamp) OVER day AS last,"           \
           " min(stamp) OVER day AS first, min(stamp) OVER (PARTITION BY stamp / 3600000) AS first_of_hour"            \
           " FROM snapshots WHERE user_id = $1::text AND stamp < $3::bigint"                                           \
           " WINDOW day AS (PARTITION BY stamp / 86400000)) AS s WHERE me.excess > 0 AND " NO_CONFLICT                 \
           " ORDER BY s.stamp = last, s.stamp = first, s.stamp = first_of_hour, s.stamp LIMIT 1),"                     \
           " listed AS (DELETE FROM snapshots WHERE user_id = $1::text AND stamp = (SELECT stamp FROM old)),"          \
           " gone AS (DELETE FROM snapshot_entities WHERE user_id = $1::text AND stamp = (SELECT stamp FROM old)"      \
           " RETURNING " KEPT_SIZE " AS own) " COUNT_HIDDEN("-", "gone")

/* A deleted rating or reading log can displace others of its book, which would come back with the next edit if it went,
 * or if its content did. So it stays as long as there is a displaced one: its content at all, the deletion unless the
 * displaced ones go too. `held`: the keys of such books. */
#define HAS_KEY "kind IN ('rating', 'readingLog') AND key IS NOT NULL"
#define NOT_HELD "(superseded_at IS NOT NULL OR key IS NULL OR (kind, key) NOT IN (SELECT kind, key FROM held))"

/* The next entities in the order of their stamps, from the position `position` on; those of one stamp together. `own`
 * is `size` for each that is `wanted`. The position moves to the last stamp of which all were handled. `stays`: of the
 * entities e, those that stay. */
#define DELETED_PAGE(position, wanted, size, stays)                                                                    \
    EXCESS ", page AS (SELECT updated_at, kind, entity_id, key, superseded_at, own, excess,"                           \
           " sum(own) OVER (ORDER BY updated_at, kind, entity_id ROWS UNBOUNDED PRECEDING) - own AS before"            \
           " FROM me CROSS JOIN LATERAL (SELECT updated_at, kind, entity_id, key, superseded_at,"                      \
           " CASE WHEN " wanted " THEN " size " ELSE 0 END AS own FROM entities WHERE user_id = $1::text"              \
           " AND updated_at > me." position " AND updated_at < $3::bigint AND me.excess > 0"                           \
           " ORDER BY updated_at FETCH FIRST " DROPPED_ROWS " ROWS WITH TIES) AS p),"                                  \
           " reach AS (SELECT * FROM page WHERE before < excess),"                                                     \
           " last AS (SELECT * FROM reach ORDER BY updated_at DESC, kind DESC, entity_id DESC LIMIT 1),"               \
           " reached AS (SELECT max(updated_at) - (count(*) < (SELECT count(*) FROM page))::int AS stamp FROM reach)," \
           " books AS (SELECT DISTINCT kind, key FROM reach WHERE " HAS_KEY "),"                                       \
           " held AS MATERIALIZED (SELECT b.* FROM books b CROSS JOIN LATERAL (SELECT FROM entities e"                 \
           " WHERE e.user_id = $1::text AND e.kind = b.kind AND e.key = b.key AND " COMPETES_SUPERSEDED " AND " stays  \
           " LIMIT 1) AS displaced),"                                                                                  \
           " chosen AS (SELECT * FROM reach WHERE " NOT_HELD ")"
#define LAST "((SELECT updated_at FROM last), (SELECT kind FROM last), (SELECT entity_id FROM last))"
#define CHOSEN(position, wanted)                                                                                       \
    "user_id = $1::text AND updated_at > (SELECT " position " FROM me) AND (updated_at, kind, entity_id) <= " LAST     \
    " AND " wanted " AND " NOT_HELD

/* What lies beneath deletions. The content of an entity that is only superseded stays: it may come back. */
#define HAS_CONTENT "status = 'deleted' AND deleted_at IS NOT NULL AND " NO_CONFLICT " AND " NO_SNAPSHOT
#define CONTENT_SIZE "octet_length(data::text) - 2 + " BENEATH_SIZE
#define CONTENT_CHOSEN CHOSEN("cleared_to", HAS_CONTENT)
#define DROP_CONTENT                                                                                                   \
    DELETED_PAGE("cleared_to", HAS_CONTENT, CONTENT_SIZE, "true")                                                      \
    ", cleared AS (UPDATE entities SET data = '{}', marks = NULL, key = NULL, recent = NULL"                           \
    " WHERE (octet_length(data::text) > 2 OR marks IS NOT NULL OR recent IS NOT NULL) AND " CONTENT_CHOSEN ")"         \
    " UPDATE clocks SET cleared_to = r.stamp, hidden_bytes = hidden_bytes - s.own FROM reached AS r, " DROPPED         \
    " WHERE user_id = $1::text AND r.stamp IS NOT NULL AND " NO_CONFLICT " AND " NO_SNAPSHOT

/* The deletions themselves, once no content is left. The horizon moves, so that no device misses one: a pull from
 * before it gets 410. A deleted entity that was held goes with the last one that it displaces: `mates`. */
#define CONTENT_DROPPED                                                                                                \
    "NOT EXISTS (SELECT FROM entities e WHERE e.user_id = $1::text AND e.updated_at < $3::bigint"                      \
    " AND e.updated_at > (SELECT cleared_to FROM clocks WHERE user_id = $1::text))"
#define IS_TOMBSTONE "status = 'deleted' AND " NO_CONFLICT " AND " NO_SNAPSHOT " AND " CONTENT_DROPPED
#define TOMBSTONES_CHOSEN CHOSEN("forgotten_to", IS_TOMBSTONE)
/* Of the deleted entities e, COMPETES, for Citus, which breaks a CASE with an operand. No index has this condition. */
#define DELETED_COMPETES                                                                                               \
    "e.key IS NOT NULL AND (e.superseded_at IS NOT NULL OR (e.data ->> 'stars' IS NOT NULL AND e.kind = 'rating')"     \
    " OR (e.data ->> 'status' IS NOT NULL AND e.kind = 'readingLog'))"
#define AFTER_LAST "(e.updated_at, e.kind, e.entity_id) > " LAST
#define DROP_TOMBSTONES(competes)                                                                                      \
    DELETED_PAGE("forgotten_to", IS_TOMBSTONE, ENTITY_HIDDEN_SIZE, AFTER_LAST)                                         \
    ", gone AS (DELETE FROM entities WHERE " TOMBSTONES_CHOSEN " RETURNING updated_at),"                               \
    " freed AS MATERIALIZED (SELECT * FROM books WHERE (kind, key) NOT IN (SELECT kind, key FROM held)),"              \
    " mates AS (DELETE FROM entities e WHERE e.user_id = $1::text AND e.key = ANY (ARRAY(SELECT key FROM freed))"      \
    " AND e.kind || ' ' || e.key = ANY (ARRAY(SELECT kind || ' ' || key FROM freed))"                                  \
    " AND e.kind IN ('rating', 'readingLog') AND " competes " AND e.updated_at <= (SELECT forgotten_to FROM me)"       \
    " AND e.status = 'deleted' AND " NO_CONFLICT " AND " NO_SNAPSHOT " AND " CONTENT_DROPPED                           \
    " RETURNING updated_at, " ENTITY_HIDDEN_SIZE " AS own)"                                                            \
    " UPDATE clocks SET forgotten_to = r.stamp, hidden_bytes = hidden_bytes - s.own"                                   \
    " - (SELECT coalesce(sum(own), 0)::bigint FROM mates),"                                                            \
    " horizon = greatest(horizon, (SELECT max(updated_at) FROM gone), (SELECT max(updated_at) FROM mates))"            \
    " FROM reached AS r, " DROPPED " WHERE user_id = $1::text AND r.stamp IS NOT NULL AND " NO_CONFLICT                \
    " AND " NO_SNAPSHOT " AND " CONTENT_DROPPED

#endif
