#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "store/sql_usage.h"

/*
 * Deletes the data that is past its retention, one user after the other. The user's clock is locked, so that none of
 * the user's devices writes meanwhile. The user's horizon moves up to the newest tombstone that is deleted: a request
 * with an older cursor gets 410 and the device pulls from the beginning, so no device silently misses a deletion.
 */

/* The users from $1 to $2 who have something to purge; $3, $4, $5: tombstones and resolved conflicts, ledger and queue
 * rows, and snapshots from before these stamps. Read without locks. */
static const char select_sql[] =
    "SELECT user_id FROM entities WHERE user_id BETWEEN $1 AND $2 AND status = 'deleted' AND updated_at < $3::bigint"
    " UNION SELECT user_id FROM conflicts WHERE user_id BETWEEN $1 AND $2 AND status = 'resolved'"
    " AND stamp < $3::bigint"
    " UNION SELECT user_id FROM ledger WHERE user_id BETWEEN $1 AND $2 AND processed_at < $4::bigint"
    " UNION SELECT user_id FROM queue WHERE user_id BETWEEN $1 AND $2 AND synced_at < $4::bigint"
    " UNION SELECT user_id FROM snapshot_entities WHERE user_id BETWEEN $1 AND $2 AND stamp < $5::bigint"
    " UNION SELECT user_id FROM snapshots WHERE user_id BETWEEN $1 AND $2 AND stamp < $5::bigint";

/* Purges the user $1; $2, $3, $4 as $3, $4, $5 above. The first column tells whether the clock was there and not
 * locked. Rows that change between the start of the statement and the lock are read again by DELETE. A resolved
 * conflict stays as long as it holds the server's side of an open one. A deleted rating or reading log can displace
 * others of its book, so it is purged only together with all tombstones of the book: what it displaced would come back
 * with the next edit. A displaced one displaces nothing. */
#define LOCKED "user_id = $1 AND EXISTS (SELECT FROM me)"
#define PURGE(lock)                                                                                                    \
    "WITH me AS MATERIALIZED (SELECT user_id FROM clocks WHERE user_id = $1 " lock "),"                                \
    " tombstones AS (DELETE FROM entities WHERE " LOCKED " AND status = 'deleted'"                                     \
    " AND updated_at < $2::bigint AND (superseded_at IS NOT NULL OR key IS NULL OR (kind, key) NOT IN"                 \
    " (SELECT kind, key FROM entities WHERE user_id = $1 AND status = 'deleted' AND updated_at >= $2::bigint"          \
    " AND kind IN ('rating', 'readingLog') AND key IS NOT NULL))"                                                      \
    " RETURNING updated_at, " ENTITY_HIDDEN_SIZE " AS own),"                                                           \
    " resolved AS (DELETE FROM conflicts c WHERE " LOCKED " AND status = 'resolved'"                                   \
    " AND stamp < $2::bigint AND NOT EXISTS (SELECT FROM conflicts o WHERE o.user_id = $1 AND o.stamp = c.stamp"       \
    " AND o.server_of = c.n AND o.status = 'open') RETURNING " CONFLICT_SIZE " AS own),"                               \
    " operations AS (DELETE FROM ledger WHERE " LOCKED " AND processed_at < $3::bigint"                                \
    " RETURNING " LEDGER_SIZE " AS own),"                                                                              \
    " queued AS (DELETE FROM queue WHERE " LOCKED " AND synced_at < $3::bigint"                                        \
    " RETURNING " QUEUED_SIZE " AS own),"                                                                              \
    " kept AS (DELETE FROM snapshot_entities WHERE " LOCKED " AND stamp < $4::bigint"                                  \
    " RETURNING " KEPT_SIZE " AS own),"                                                                                \
    " states AS (DELETE FROM snapshots WHERE " LOCKED " AND stamp < $4::bigint RETURNING 1),"                          \
    " counted AS (UPDATE clocks c SET hidden_bytes = c.hidden_bytes - s.own, horizon = greatest(c.horizon,"            \
    " (SELECT max(updated_at) FROM tombstones)) FROM (SELECT coalesce(sum(own), 0)::bigint AS own FROM"                \
    " (SELECT own FROM tombstones UNION ALL SELECT own FROM resolved UNION ALL SELECT own FROM operations"             \
    " UNION ALL SELECT own FROM queued UNION ALL SELECT own FROM kept) AS x) AS s WHERE c.user_id = $1 AND s.own > 0)" \
    " SELECT (SELECT count(*) FROM me), (SELECT count(*) FROM tombstones), (SELECT count(*) FROM resolved),"           \
    " (SELECT count(*) FROM operations), (SELECT count(*) FROM queued), (SELECT count(*) FROM states)"

static const char purge_sql[] = PURGE("FOR UPDATE SKIP LOCKED"), purge_wait_sql[] = PURGE("FOR UPDATE");

/* Not by clocks: a user who only reads has a row here but none in clocks. A locked row is in use. A distributed
 * database does not lock rows of many users; there, a statement each. */
static const char window_users_sql[] = "SELECT user_id FROM rate_windows WHERE started < $1::bigint LIMIT 1000";
static const char window_sql[] = "DELETE FROM rate_windows WHERE user_id = $2 AND started < $1::bigint";
static const char windows_sql[] = "WITH page AS (SELECT user_id FROM rate_windows WHERE started < $1::bigint"
                                  " LIMIT 1000 FOR UPDATE SKIP LOCKED)"
                                  " DELETE FROM rate_windows w USING page WHERE w.user_id = page.user_id";

/* The columns that purge_sql returns. */
static const char *const names[] = {"tombstones", "conflicts", "operations", "queued", "snapshots"};
enum { COUNTS = sizeof names / sizeof *names };

typedef struct purge {
    PGconn *conn;
    bool dry_run;
    char stamps[3][24]; /* $2, $3, $4 of purge_sql */
    long long counts[COUNTS];
} purge;

static cmd_user_end purge_user(void *context, const char *user, bool wait)
{
    purge *p = context;
    PGresult *r;
    const char *values[] = {user, p->stamps[0], p->stamps[1], p->stamps[2]};
    if (p->dry_run && !cmd_exec(p->conn, "BEGIN", 0, NULL)) return CMD_USER_FAILED;
    cmd_user_end end = cmd_user_exec(p->conn, wait ? CMD_USER_WAIT : CMD_USER_TRY, 4, values, &r);
    if (p->dry_run && !cmd_exec(p->conn, "ROLLBACK", 0, NULL)) end = CMD_USER_FAILED;
    if (r && !wait && db_column_int(r, 0, 0, 0) == 0) end = CMD_USER_LOCKED; /* or erased meanwhile */
    for (int i = 0; r && i < COUNTS; i++) p->counts[i] += db_column_int(r, 0, 1 + i, 0);
    PQclear(r);
    return end;
}

/* Counts what a user stores, if that was never done: see migration 0010. A statement sees the rows of the time when it
 * began, so the clock is locked by an earlier one. */
#define LOCK_UNCOUNTED "SELECT user_id FROM clocks WHERE user_id = $1 AND used_bytes IS NULL FOR UPDATE"

static cmd_user_end count_user(void *context, const char *user, bool wait)
{
    PGconn *conn = context;
    PGresult *r;
    const char *values[] = {user};
    if (!cmd_exec(conn, "BEGIN", 0, NULL)) return CMD_USER_FAILED;
    cmd_user_end end = cmd_user_exec(conn, wait ? CMD_USER_WAIT : CMD_USER_TRY, 1, values, &r);
    bool locked = r && PQntuples(r) == 0 && !wait; /* or counted meanwhile */
    if (r && PQntuples(r) == 1 && !cmd_exec(conn, COUNT_USAGE, 1, values)) end = CMD_USER_FAILED;
    PQclear(r);
    if (!cmd_exec(conn, end == CMD_USER_DONE ? "COMMIT" : "ROLLBACK", 0, NULL)) return CMD_USER_FAILED;
    return locked && end == CMD_USER_DONE ? CMD_USER_LOCKED : end;
}

static void write_stamp(char out[24], int64_t age_ms)
{
    snprintf(out, 24, "%lld", (long long)(clock_now() - age_ms));
}

/* Deletes the windows of the users in `page`. */
static bool purge_each_window(PGconn *conn, const PGresult *page, const char *stamp)
{
    bool ok = true;
    for (int i = 0; ok && i < PQntuples(page); i++)
        ok = cmd_exec(conn, window_sql, 2, (const char *[]){stamp, PQgetvalue(page, i, 0)});
    return ok;
}

static bool purge_windows(PGconn *conn, const conf *settings)
{
    bool distributed = conf_is_distributed(settings);
    char stamp[24];
    const char *values[] = {stamp};
    PGresult *r;
    bool ok, more = true;
    write_stamp(stamp, settings->rate_window * 1000);
    for (ok = true; ok && more; PQclear(r)) {
        r = cmd_sql(conn, distributed ? window_users_sql : windows_sql, 1, values);
        ok = r && (!distributed || purge_each_window(conn, r, stamp));
        more = ok && strcmp(PQcmdTuples(r), "0") != 0;
    }
    return ok;
}

static void print_counts(const purge *p, bool json)
{
    fputs(json ? "{" : p->dry_run ? "would purge " : "purged ", stdout);
    for (int i = 0; i < COUNTS; i++) {
        if (i > 0) fputs(json ? "," : ", ", stdout);
        printf(json ? "\"%s\":%lld" : "%s %lld", names[i], p->counts[i]);
    }
    puts(json ? "}" : "");
}

int cmd_purge(const cmdline *line, const conf *settings)
{
    purge p = {.conn = cmd_admin(settings), .dry_run = cmdline_get(line, "dry-run")};
    if (!p.conn) return CMD_FAILED;
    write_stamp(p.stamps[0], settings->tombstone_days * CLOCK_DAY);
    write_stamp(p.stamps[1], settings->ledger_days * CLOCK_DAY);
    write_stamp(p.stamps[2], settings->snapshot_days * CLOCK_DAY);
    const cmd_each_user each = {.conn = p.conn,
                                .select = select_sql,
                                .values = {p.stamps[0], p.stamps[1], p.stamps[2]},
                                .count = 3,
                                .sql = purge_sql,
                                .wait_sql = purge_wait_sql,
                                .handle = purge_user,
                                .context = &p};
    bool ok = cmd_each_user_run(&each, settings);
    const cmd_each_user uncounted = {.conn = p.conn,
                                     .select = "SELECT user_id FROM clocks WHERE user_id BETWEEN $1 AND $2"
                                               " AND used_bytes IS NULL",
                                     .sql = LOCK_UNCOUNTED " SKIP LOCKED",
                                     .wait_sql = LOCK_UNCOUNTED,
                                     .handle = count_user,
                                     .context = p.conn};
    if (!p.dry_run && ok) ok = cmd_exec(p.conn, "DEALLOCATE ALL", 0, NULL) && cmd_each_user_run(&uncounted, settings);
    if (!p.dry_run && !purge_windows(p.conn, settings)) ok = false;
    PQfinish(p.conn);
    print_counts(&p, cmdline_get(line, "json"));
    return ok ? CMD_OK : CMD_FAILED;
}
