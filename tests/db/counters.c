#include "counters.h"

#include <stdlib.h>

/* Written without the macros of the server. */
static const char true_usage[] =
    "SELECT count(*) FILTER (WHERE e.status <> 'deleted') AS entities,"
    " coalesce(sum(octet_length(e.data::text)) FILTER (WHERE e.status <> 'deleted'), 0)"
    " + (SELECT coalesce(sum(256 + coalesce(octet_length(data::text), 0)), 0) FROM queue"
    "    WHERE user_id = '%1$s' AND synced_at IS NULL)"
    " + (SELECT coalesce(sum(512 + coalesce(octet_length(local_data::text), 0)"
    "    + coalesce(octet_length(server_data::text), 0)), 0) FROM conflicts"
    "    WHERE user_id = '%1$s' AND status = 'open') AS bytes,"
    " coalesce(sum(coalesce(octet_length(e.marks::text), 0) + coalesce(octet_length(e.recent::text), 0)), 0)"
    " + coalesce(sum(128 + octet_length(e.entity_id) + octet_length(e.data::text)) FILTER (WHERE e.status = 'deleted'),"
    "            0)"
    " + (SELECT coalesce(sum(256 + coalesce(octet_length(data::text), 0)), 0) FROM queue"
    "    WHERE user_id = '%1$s' AND synced_at IS NOT NULL)"
    " + (SELECT coalesce(sum(512 + coalesce(octet_length(local_data::text), 0)"
    "    + coalesce(octet_length(server_data::text), 0)), 0) FROM conflicts"
    "    WHERE user_id = '%1$s' AND status = 'resolved')"
    " + (SELECT coalesce(sum(128 + octet_length(operation_id) + coalesce(octet_length(result::text), 0)), 0)"
    "    FROM ledger WHERE user_id = '%1$s')"
    " + (SELECT coalesce(sum(64 + octet_length(entity_id) + octet_length(data::text)), 0) FROM snapshot_entities"
    "    WHERE user_id = '%1$s') AS hidden"
    " FROM entities e WHERE e.user_id = '%1$s'";

static counters read_counters(PGconn *c, const char *sql)
{
    PGresult *r = sql_run(c, "%s", sql);
    ck_assert_int_eq(PQntuples(r), 1);
    counters found = {atoll(PQgetvalue(r, 0, 0)), atoll(PQgetvalue(r, 0, 1)), atoll(PQgetvalue(r, 0, 2))};
    PQclear(r);
    return found;
}

static counters counted(peer *p, PGconn *c)
{
    return read_counters(
        c, peer_printf(p, "SELECT used_entities, used_bytes, hidden_bytes FROM clocks WHERE user_id = '%s'", p->user));
}

counters check_counters(peer *p, PGconn *c, const char *after)
{
    char *sql;
    if (asprintf(&sql, true_usage, p->user) < 0) abort();
    counters stored = counted(p, c), rows = read_counters(c, sql);
    free(sql);
    ck_assert_msg(stored.entities == rows.entities && stored.bytes == rows.bytes && stored.hidden == rows.hidden,
                  "after %s: the clock says %lld, %lld, %lld, the rows %lld, %lld, %lld", after, stored.entities,
                  stored.bytes, stored.hidden, rows.entities, rows.bytes, rows.hidden);
    return stored;
}

long long most(long long a, long long b)
{
    return a > b ? a : b;
}
