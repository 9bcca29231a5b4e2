#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "store/db_connect.h"

/* Each check prints a line for each fault. All of them run, so that one call shows everything. */

static bool check_keys(const conf *settings)
{
    token_keys *keys = cmd_load_keys(settings);
    token_keys_free(keys);
    return keys != NULL;
}

/* An order in which both values are settings, in the same unit. 0 stands for "no limit". */
static bool check_order(const char *low_name, long long low, const char *high_name, long long high, const char *unit,
                        bool may_equal)
{
    if (low == 0 || high == 0 || low < high || (may_equal && low == high)) return true;
    warnx("%s: %lld %s must be %s %s, which is %lld %s", low_name, low, unit, may_equal ? "at most" : "less than",
          high_name, high, unit);
    return false;
}

/* The orders of docs/operations.md. */
static bool check_orders(const conf *c)
{
    const bool ok[] = {
        check_order("database.lock_timeout", c->lock_timeout, "database.statement_timeout", c->statement_timeout, "ms",
                    false),
        check_order("database.statement_timeout", c->statement_timeout, "pool.request_timeout",
                    c->request_timeout * 1000, "ms", false),
        check_order("pool.slow_log", c->slow_log, "pool.request_timeout", c->request_timeout * 1000, "ms", false),
        check_order("limits.entity", c->entity, "limits.body", c->body, "bytes", true),
        check_order("limits.body", c->body, "limits.full_body", c->full_body, "bytes", true),
        check_order("quota.bytes", c->quota_bytes, "quota.hidden", c->quota_hidden, "bytes", true)};
    for (size_t i = 0; i < sizeof ok / sizeof *ok; i++)
        if (!ok[i]) return false;
    return true;
}

/* Whether a connection string names at most one host. */
static bool is_one_host(const char *dsn)
{
    bool one = true;
    PQconninfoOption *options = PQconninfoParse(dsn, NULL); /* NULL: a bad one, which the connection reports */
    for (PQconninfoOption *o = options; o && o->keyword; o++)
        if (strncmp(o->keyword, "host", 4) == 0 && o->val && strchr(o->val, ',')) one = false;
    PQconninfoFree(options);
    return one;
}

/* What a cluster does not do: pass on NOTIFY, or tell which clock a replica shows. */
static bool check_distributed(const conf *c)
{
    bool ok = true;
    if (!conf_is_distributed(c)) return true;
    if (*c->replica_dsn) warnx("database.replica_dsn: must be empty with database.distributed"), ok = false;
    if (*c->push_channel && (!*c->push_dsn || !is_one_host(c->push_dsn))) {
        warnx("push.dsn: with database.distributed it must name one node, on all hosts the same");
        ok = false;
    }
    return ok;
}

/* Of a cluster: whether the tables are distributed, and admin_dsn is the coordinator. Only a node that can be reached
 * is asked: a host that serves does not need the owner's connection. With `none`, check_connection refuses a cluster.
 */
static bool check_nodes(const conf *c)
{
    static const char tables[] = "SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL";
    static const char clocks[] = "SELECT EXISTS (SELECT FROM pg_dist_partition"
                                 " WHERE logicalrelid = to_regclass('booky.clocks'))";
    static const char coordinator[] = "SELECT citus_is_coordinator()";
    char fault[512];
    if (!conf_is_distributed(c)) return true;
    PGconn *node = db_connect(c->dsn, c->password_file, "", fault, sizeof fault);
    bool ok = !node || (cmd_sql_bool(node, tables) && cmd_sql_bool(node, clocks));
    if (!ok)
        warnx("database.distributed: is %s, but the tables are not distributed; has `booky-sync migrate` been run?",
              c->distributed);
    PQfinish(node);
    if (!ok) return false;
    node = db_connect(c->admin_dsn, "", "", fault, sizeof fault);
    if (node && !cmd_sql_bool(node, coordinator)) {
        warnx("database.admin_dsn: must be the coordinator of the cluster");
        ok = false;
    }
    PQfinish(node);
    return ok;
}

/* Connects to `dsn` as a worker does. */
static bool check_connection(const conf *settings, const char *name, const char *dsn)
{
    char fault[512] = "";
    bool pooled = strcmp(settings->pooler, "transaction") == 0;
    PGconn *conn = db_connect_worker(settings, dsn, "5", pooled, fault, sizeof fault);
    PQfinish(conn);
    for (size_t len = strlen(fault); len > 0 && fault[len - 1] == '\n'; len--) fault[len - 1] = '\0';
    for (char *end = strchr(fault, '\n'); end; end = strchr(end, '\n')) *end = ' ';
    if (!conn) warnx("%s: %s", name, fault);
    return conn != NULL;
}

/* Whether the database allows the connections of this host alone; of a pooler nothing is known. */
static bool check_room(const conf *settings)
{
    static const char sql[] = "SELECT current_setting('max_connections')::int"
                              " - current_setting('superuser_reserved_connections')::int"
                              " - coalesce(current_setting('reserved_connections', true)::int, 0)";
    char fault[512];
    long long most, needed = 2 * settings->workers + 1 + (*settings->alerts_command != '\0');
    /* A reload starts the new workers first. The reporter has one, and so has the process of the alerts. */
    if (strcmp(settings->pooler, "none") != 0) return true;
    PGconn *conn = db_connect(settings->dsn, settings->password_file, "", fault, sizeof fault);
    PGresult *r = conn ? cmd_sql(conn, sql, 0, NULL) : NULL; /* check_connection reports a failed connection */
    most = r ? db_column_int(r, 0, 0, 0) : needed;
    PQclear(r);
    PQfinish(conn);
    if (needed <= most) return true;
    warnx("pool.workers: %lld need %lld connections, but the database allows %lld (max_connections)",
          (long long)settings->workers, needed, most);
    return false;
}

int cmd_check_config(const cmdline *line, const conf *settings)
{
    const char *nginx = cmdline_get(line, "nginx");
    /* A setting with a fault has its default now, which nobody wants to have compared. */
    bool configured = !line->faulty;
    if (configured && !check_orders(settings)) configured = false;
    if (!line->faulty && !cmd_check_nginx(settings, nginx ? nginx : CMD_NGINX, nginx != NULL)) configured = false;
    if (!line->faulty && !check_distributed(settings)) configured = false;
    if (!check_keys(settings)) configured = false;
    bool connected = check_connection(settings, "database.dsn", settings->dsn);
    if (*settings->replica_dsn && !check_connection(settings, "database.replica_dsn", settings->replica_dsn))
        connected = false;
    if (connected) {
        bool has_room = check_room(settings), fits = check_nodes(settings);
        configured = configured && has_room && fits;
    }
    if (configured && connected) puts("configuration, keys and database: OK");
    return !configured ? CMD_CONFIG : connected ? CMD_OK : CMD_FAILED;
}
