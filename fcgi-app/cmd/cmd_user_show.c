#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "store/sql_usage.h"

/* Everything that an administrator asks about one user, without a token: the keys are not needed. */

enum { QUOTAS = 3 };

/* $1: the user; the quotas. A clock is ahead after a write with a later timestamp (sync.clock_skew), or if the clock of
 * the host once was. */
static const char user_sql[] =
    "SELECT user_id AS \"user\", used_entities AS entities, used_bytes AS bytes, hidden_bytes AS hidden,"
    " nullif($2::bigint, 0) AS \"quotaEntities\", nullif($3::bigint, 0) AS \"quotaBytes\","
    " nullif($4::bigint, 0) AS \"quotaHidden\", " CMD_INSTANT(
        "started") " AS \"firstSync\","
                   " " CMD_INSTANT(
                       "clock") " AS \"lastSync\","
                                " greatest(clock / 1000 - floor(extract(epoch FROM now()))::bigint, 0)"
                                " AS \"clockAheadSeconds\","
                                " epoch::text AS epoch,"
                                " (SELECT count(*) FROM epochs e WHERE e.user_id = c.user_id) AS \"earlierEpochs\""
                                " FROM clocks c WHERE user_id = $1";

/* $1: the user. A device that has not sent X-Device-Id has no name. Of devices and snapshots the latest are shown. */
static const struct {
    const char *name, *sql;
} sections[] = {
    {"kinds", "SELECT kind, count(*) FILTER (WHERE status = 'live') AS live,"
              " count(*) FILTER (WHERE status = 'deleted') AS deleted,"
              " count(*) FILTER (WHERE status = 'incomplete') AS incomplete,"
              " sum(octet_length(data::text))::bigint AS bytes FROM entities WHERE user_id = $1 GROUP BY 1 ORDER BY 1"},
    {"devices", "SELECT coalesce(device, '') AS device, " CMD_INSTANT(
                    "max(at)") " AS \"lastWrite\", count(*) AS entities"
                               " FROM (SELECT device, updated_at AS at FROM entities WHERE user_id = $1"
                               " UNION ALL SELECT device, stamp FROM conflicts WHERE user_id = $1) AS w"
                               " GROUP BY 1 ORDER BY max(at) DESC LIMIT 100"},
    {"queue", "SELECT CASE WHEN attempts >= 5 THEN 'review' ELSE 'waiting' END AS state, count(*) AS operations,"
              " " CMD_INSTANT("min(queued_at)") " AS oldest FROM queue WHERE user_id = $1 AND synced_at IS NULL"
                                                " GROUP BY 1 ORDER BY 1"},
    {"openConflicts",
     "SELECT kind AS entity, reason, count(*) AS conflicts, " CMD_INSTANT(
         "min(stamp)") " AS oldest"
                       " FROM conflicts WHERE user_id = $1 AND status = 'open' GROUP BY 1, 2 ORDER BY 1, 2"},
    {"snapshots",
     "SELECT stamp::text AS id, " CMD_INSTANT("stamp") " AS \"createdAt\", entities FROM snapshots"
                                                       " WHERE user_id = $1 ORDER BY stamp DESC LIMIT 1000"},
};

/* Counts the rows under the lock of the user's clock. */
static bool count_anew(PGconn *conn, const char *user)
{
    const char *values[] = {user};
    bool ok = cmd_exec(conn, "BEGIN", 0, NULL) &&
              cmd_exec(conn, "SELECT FROM clocks WHERE user_id = $1 FOR UPDATE", 1, values) &&
              cmd_exec(conn, COUNT_USAGE, 1, values);
    return cmd_exec(conn, ok ? "COMMIT" : "ROLLBACK", 0, NULL) && ok;
}

static PGresult *read_user(PGconn *conn, const char *user, const conf *settings)
{
    const int64_t quotas[QUOTAS] = {settings->quota_entities, settings->quota_bytes, settings->quota_hidden};
    char texts[QUOTAS][24];
    const char *values[] = {user, texts[0], texts[1], texts[2]};
    for (int i = 0; i < QUOTAS; i++) snprintf(texts[i], sizeof texts[i], "%lld", (long long)quotas[i]);
    return cmd_sql(conn, user_sql, 1 + QUOTAS, values);
}

/* The number of the user's event streams on this host, or NULL. */
static const char *read_streams(arena *a, const char *user, const conf *settings)
{
    const char *page = cmd_push_page(a, settings, "/user", user);
    return page ? arena_printf(a, "%d", atoi(page)) : NULL;
}

static void print_user(const PGresult *r, const char *streams)
{
    for (int j = 0; j < PQnfields(r); j++)
        printf("%-19s%s\n", PQfname(r, j), PQgetisnull(r, 0, j) ? "-" : PQgetvalue(r, 0, j));
    printf("%-19s%s\n", "streams", streams ? streams : "the push process does not answer");
}

static bool print_sections(PGconn *conn, const char *user, strbuf *json)
{
    const char *values[] = {user};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        PGresult *r = cmd_sql(conn, sections[i].sql, 1, values);
        if (!r) return false;
        if (json) {
            json_write_name(json, sections[i].name);
            cmd_write_rows(json, r);
        } else {
            printf("\n%s%s\n", sections[i].name, PQntuples(r) == 0 ? ": none" : "");
            if (PQntuples(r) > 0) cmd_print_rows(r, false);
        }
        PQclear(r);
    }
    return true;
}

static bool show(PGconn *conn, const PGresult *r, const conf *settings, bool as_json)
{
    const char *user = PQgetvalue(r, 0, 0);
    arena *a = arena_new();
    strbuf json = STRBUF(a);
    const char *streams = read_streams(a, user, settings);
    if (!as_json) print_user(r, streams);
    strbuf_puts(&json, "[{");
    cmd_write_row(&json, r, 0);
    json_write_raw(&json, "streams", streams ? streams : "null");
    bool ok = print_sections(conn, user, as_json ? &json : NULL);
    strbuf_puts(&json, "}]");
    if (as_json && ok) puts(json.data);
    arena_free(a);
    return ok;
}

int cmd_user_show(const cmdline *line, const conf *settings)
{
    const char *user = line->operands[0];
    PGconn *conn = cmd_admin(settings);
    bool ok = conn != NULL;
    if (ok && cmdline_get(line, "recount")) ok = count_anew(conn, user);
    PGresult *r = ok ? read_user(conn, user, settings) : NULL;
    bool found = r && PQntuples(r) == 1;
    if (found) ok = show(conn, r, settings, cmdline_get(line, "json"));
    if (r && !found) warnx("%s: no such user", user);
    PQclear(r);
    PQfinish(conn);
    return found && ok ? CMD_OK : CMD_FAILED;
}
