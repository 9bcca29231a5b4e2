#include <err.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"

/*
 * Distributes the tables over the nodes of a Citus cluster, after the migrations: those whose first column is user_id
 * by that column, and so that all rows of a user are in the shards of one group; the others, which belong to no user,
 * as reference tables, of which each node has a copy. A table that is distributed already stays as it is, so tables of
 * later migrations are caught, and an interrupted run goes on. Rows that a table has are moved.
 */

/* `migrations` is read and written by migrate alone. */
static const char tables_sql[] =
    "SELECT format('booky.%I', relname), EXISTS (SELECT FROM pg_attribute"
    " WHERE attrelid = c.oid AND attnum = 1 AND attname = 'user_id'), relpersistence = 'u', relname = 'clocks'"
    " FROM pg_class c WHERE relnamespace = to_regnamespace('booky') AND relkind = 'r' AND relname <> 'migrations'"
    " AND NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = c.oid)"
    " ORDER BY relname <> 'clocks', relname";

static const char first_sql[] = "SELECT create_distributed_table($1::regclass, 'user_id', shard_count => $2::int)";
static const char next_sql[] =
    "SELECT create_distributed_table($1::regclass, 'user_id', colocate_with => 'booky.clocks')";
static const char reference_sql[] = "SELECT create_reference_table($1::regclass)";
static const char truncate_sql[] = "SELECT truncate_local_data_after_distributing_table($1::regclass)";

/* Citus warns of each view that is made before its table is distributed. The view follows the table. */
static void print_notice(void *context, const PGresult *notice)
{
    (void)context;
    const char *state = PQresultErrorField(notice, PG_DIAG_SQLSTATE);
    if (!state || strcmp(state, "0A000") != 0) fputs(PQresultErrorMessage(notice), stderr);
}

bool cmd_distribute_begin(PGconn *conn)
{
    if (!cmd_sql_bool(conn, "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')")) {
        warnx("database.distributed is citus, but the database does not have the extension");
        return false;
    }
    if (!cmd_sql_bool(conn, "SELECT citus_is_coordinator()")) {
        warnx("database.admin_dsn: is not the coordinator of the cluster");
        return false;
    }
    /* One connection a node, because a statement may need what an earlier one of the transaction has done; time limits
     * of a transaction hold on the nodes, too. */
    PQsetNoticeReceiver(conn, print_notice, NULL);
    return cmd_exec(conn, "SET citus.multi_shard_modify_mode = 'sequential'", 0, NULL) &&
           cmd_exec(conn, "SET citus.propagate_set_commands = 'local'", 0, NULL);
}

static bool distribute_table(PGconn *conn, const PGresult *tables, int row, const char *shards)
{
    const char *values[] = {PQgetvalue(tables, row, 0), shards};
    bool by_user = db_column_bool(tables, row, 1), is_first = db_column_bool(tables, row, 3);
    char logged[256];
    snprintf(logged, sizeof logged, "ALTER TABLE %s SET LOGGED", values[0]);
    /* A shard of an unlogged table cannot be moved while it is used. */
    if (db_column_bool(tables, row, 2) && !cmd_exec(conn, logged, 0, NULL)) return false;
    if (!cmd_exec(conn, !by_user ? reference_sql : is_first ? first_sql : next_sql, is_first ? 2 : 1, values))
        return false;
    if (!cmd_exec(conn, truncate_sql, 1, values)) return false;
    printf("distributed %s\n", values[0]);
    return true;
}

bool cmd_distribute(PGconn *conn, const char *shards, bool status, int *pending)
{
    PGresult *tables = cmd_sql(conn, tables_sql, 0, NULL);
    bool ok = tables != NULL;
    for (int i = 0; ok && i < PQntuples(tables); i++) {
        ++*pending;
        if (status)
            printf("%-24s not distributed\n", PQgetvalue(tables, i, 0));
        else
            ok = distribute_table(conn, tables, i, shards);
    }
    PQclear(tables);
    return ok;
}
