#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "cmd.h"

/*
 * What is past its retention is deleted, a hundred users a transaction, with their clocks locked so that no writer of
 * theirs is in between. A user's horizon moves up to the newest deletion that is forgotten: a cursor from before it gets
 * 410 and pulls from the beginning, so that nobody misses a deletion silently.
 */
static const char help[] = "usage: booky-sync purge [--dry-run] [--json] [--config FILE]\n\n"
                           "Deletes what is past its retention: deletions and resolved conflicts (retention.tombstones),\n"
                           "operation ids and synced queue rows (retention.ledger), snapshots (retention.snapshots).\n"
                           "Meant to be run daily; --dry-run only counts.\n";

static const char page_sql[] = "SELECT user_id FROM clocks WHERE user_id > $1 ORDER BY user_id LIMIT 100 FOR UPDATE";

/* $1, $2: the page's first and last user; $3, $4, $5: the stamps up to which things go. */
static const char purge_sql[] =
    "WITH tombstones AS (DELETE FROM entities WHERE user_id BETWEEN $1 AND $2 AND status = 'deleted'"
    " AND updated_at < $3::bigint RETURNING user_id, updated_at),"
    " horizons AS (UPDATE clocks c SET horizon = greatest(c.horizon, t.newest) FROM (SELECT user_id,"
    " max(updated_at) AS newest FROM tombstones GROUP BY user_id) AS t WHERE c.user_id = t.user_id),"
    " resolved AS (DELETE FROM conflicts WHERE user_id BETWEEN $1 AND $2 AND status = 'resolved'"
    " AND stamp < $3::bigint RETURNING 1),"
    " operations AS (DELETE FROM ledger WHERE user_id BETWEEN $1 AND $2 AND processed_at < $4::bigint RETURNING 1),"
    " queued AS (DELETE FROM queue WHERE user_id BETWEEN $1 AND $2 AND synced_at < $4::bigint RETURNING 1),"
    " kept AS (DELETE FROM snapshot_entities WHERE user_id BETWEEN $1 AND $2 AND stamp < $5::bigint),"
    " states AS (DELETE FROM snapshots WHERE user_id BETWEEN $1 AND $2 AND stamp < $5::bigint RETURNING 1)"
    " SELECT (SELECT count(*) FROM tombstones), (SELECT count(*) FROM resolved), (SELECT count(*) FROM operations),"
    " (SELECT count(*) FROM queued), (SELECT count(*) FROM states)";

/* Users who only read have a row here and nowhere else. */
static const char windows_sql[] = "DELETE FROM rate_windows WHERE started < $1::bigint";

enum { COUNTS = 5 };

static bool command(PGconn *conn, const char *sql)
{
    PGresult *r = cmd_sql(conn, sql, 0, NULL);
    PQclear(r);
    return r != NULL;
}

/* Purges the page of users behind `last`, which becomes its last one; *more is false when there was none. */
static bool purge_page(PGconn *conn, bool dry_run, char last[1100], const char *const limits[3], long long counts[COUNTS],
                       bool *more)
{
    const char *from[] = {last};
    if (!command(conn, "BEGIN")) return false;
    PGresult *page = cmd_sql(conn, page_sql, 1, from), *r = NULL;
    int users = page ? PQntuples(page) : 0;
    *more = users > 0;
    if (users > 0) {
        const char *values[] = {PQgetvalue(page, 0, 0), PQgetvalue(page, users - 1, 0), limits[0], limits[1], limits[2]};
        r = cmd_sql(conn, purge_sql, 5, values);
        for (int i = 0; r && i < COUNTS; i++) counts[i] += db_column_int(r, 0, i, 0);
        snprintf(last, 1100, "%s", PQgetvalue(page, users - 1, 0));
    }
    bool ok = page && (users == 0 || r);
    PQclear(r);
    PQclear(page);
    return command(conn, ok && !dry_run ? "COMMIT" : "ROLLBACK") && ok;
}

static bool purge_windows(PGconn *conn, int64_t before)
{
    char text[24];
    const char *values[] = {text};
    snprintf(text, sizeof text, "%lld", (long long)before);
    PGresult *r = cmd_sql(conn, windows_sql, 1, values);
    PQclear(r);
    return r != NULL;
}

int cmd_purge(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"dry-run", no_argument, NULL, 'n'},
                                            {"json", no_argument, NULL, 'j'},         {"help", no_argument, NULL, 'h'},
                                            {0}};
    static conf c; /* its strings live until the process ends */
    static const char *const names[COUNTS] = {"tombstones", "conflicts", "operations", "queued", "snapshots"};
    const char *path = NULL;
    bool json = false, dry_run = false, more = true, ok = true;
    for (int option; (option = getopt_long(argc, argv, "c:njh", options, NULL)) != -1;) {
        if (option == 'h') return fputs(help, stdout) < 0;
        else if (option == 'c') path = optarg;
        else if (option == 'n') dry_run = true;
        else if (option == 'j') json = true;
        else return CMD_USAGE;
    }
    if (optind < argc) return fputs(help, stderr), CMD_USAGE;
    if (!cmd_load_conf(&path, &c)) return CMD_CONFIG;
    char texts[3][24], last[1100] = "";
    const int64_t days[] = {c.tombstone_days, c.ledger_days, c.snapshot_days};
    for (int i = 0; i < 3; i++) snprintf(texts[i], sizeof texts[i], "%lld", (long long)(clock_now() - days[i] * CLOCK_DAY));
    const char *limits[] = {texts[0], texts[1], texts[2]};
    long long counts[COUNTS] = {0};
    PGconn *conn = cmd_admin(&c);
    if (!conn) return CMD_FAILED;
    while (ok && more) ok = purge_page(conn, dry_run, last, limits, counts, &more);
    if (ok && !dry_run) ok = purge_windows(conn, clock_now() - c.rate_window * 1000);
    PQfinish(conn);
    for (int i = 0; i < COUNTS; i++)
        printf(json ? "%s\"%s\":%lld%s" : "%s%s %lld%s", i > 0 ? (json ? "," : ", ") : json ? "{" : dry_run ? "would purge " : "purged ",
               names[i], counts[i], i + 1 < COUNTS ? "" : json ? "}\n" : "\n");
    return ok ? CMD_OK : CMD_FAILED;
}
