#include "store/db_connect.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "store/sql.h"

/* The time in milliseconds that an open transaction may wait for its worker: as long as a statement may run. If the
 * host of the worker is gone, the clock of the user stays locked for this time. */
static long long idle_timeout(const conf *c)
{
    enum { LEAST = 5000 }; /* a worker may have to merge a large library in between */
    return c->statement_timeout > LEAST ? c->statement_timeout : LEAST;
}

static PGconn *open_connection(const char *dsn, const char *password_file, const char *options, const char *timeout,
                               char *fault, size_t fault_size)
{
    char password[1024] = "";
    if (*password_file && !conf_read_secret(password_file, password, sizeof password, fault, fault_size)) return NULL;
    /* The DSN overrides the parameters before dbname; the parameters after dbname override the DSN. */
    const char *names[] = {"fallback_application_name",
                           "connect_timeout",
                           "keepalives_idle",
                           "keepalives_interval",
                           "keepalives_count",
                           "tcp_user_timeout",
                           "dbname",
                           "client_encoding",
                           "options",
                           *password ? "password" : NULL,
                           NULL};
    const char *values[] = {"booky-sync", timeout, "30", "10", "3", "10000", dsn, "UTF8", options, password, NULL};
    PGconn *conn = PQconnectdbParams(names, values, 1);
    explicit_bzero(password, sizeof password);
    if (PQstatus(conn) == CONNECTION_OK) return conn;
    snprintf(fault, fault_size, "%s", PQerrorMessage(conn));
    fault[strcspn(fault, "\n")] = '\0';
    PQfinish(conn);
    return NULL;
}

PGconn *db_connect(const char *dsn, const char *password_file, const char *options, char *fault, size_t fault_size)
{
    return open_connection(dsn, password_file, options, "5", fault, fault_size);
}

static bool prepare(PGconn *conn, const sql_statement *s, char *fault, size_t fault_size)
{
    PGresult *r = PQprepare(conn, s->name, s->text, 0, NULL);
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK;
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE), *hint = "";
    if (!ok && state && (strcmp(state, "42P01") == 0 || strcmp(state, "42703") == 0)) /* undefined table or column */
        hint = "; has `booky-sync migrate` been run?";
    if (!ok) snprintf(fault, fault_size, "%.200s%s", PQresultErrorMessage(r), hint);
    PQclear(r);
    return ok;
}

/* Refuses a cluster that the settings take for one PostgreSQL: there the shards would not be told who the user is, and
 * each user would seem to have nothing. */
static bool refuse_cluster(PGconn *conn, char *fault, size_t fault_size)
{
    PGresult *r = PQexec(conn, "SELECT 1 FROM pg_extension WHERE extname = 'citus'");
    bool asked = PQresultStatus(r) == PGRES_TUPLES_OK, is_cluster = asked && PQntuples(r) > 0;
    if (!asked) snprintf(fault, fault_size, "%.200s", PQerrorMessage(conn));
    if (is_cluster) snprintf(fault, fault_size, "the database is a Citus cluster, but database.distributed is none");
    PQclear(r);
    return asked && !is_cluster;
}

/* Notices of the server become events, instead of the raw lines that libpq prints. They tell an administrator nothing
 * that the result of the statement does not tell, so they are logged only at level debug. */
static void log_notice(void *context, const PGresult *notice)
{
    (void)context;
    const char *message = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    log_begin(LOG_LEVEL_DEBUG, "database");
    log_str("severity", PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED));
    log_str("sqlstate", PQresultErrorField(notice, PG_DIAG_SQLSTATE));
    log_str("message", message ? message : PQresultErrorMessage(notice)); /* libpq's own have no fields */
    log_end();
}

PGconn *db_connect_worker(const conf *c, const char *dsn, const char *timeout, bool pooled, char *fault,
                          size_t fault_size)
{
    bool distributed = conf_is_distributed(c);
    char options[512];
    snprintf(options, sizeof options,
             "-c search_path=booky -c statement_timeout=%lld -c lock_timeout=%lld"
             " -c idle_in_transaction_session_timeout=%lld" DB_PLANNER_OPTIONS "%s",
             (long long)c->statement_timeout, (long long)c->lock_timeout, idle_timeout(c),
             distributed ? DB_PLANNER_DISTRIBUTED(DB_PLANNER_OPTION) : "");
    PGconn *conn = open_connection(dsn, c->password_file, pooled ? NULL : options, timeout, fault, fault_size);
    bool ok = conn != NULL;
    if (ok) PQsetNoticeReceiver(conn, log_notice, NULL);
    if (ok && !distributed) ok = refuse_cluster(conn, fault, fault_size);
    for (int id = 0; ok && id < SQL_COUNT && !pooled; id++)
        ok = prepare(conn, sql_find(id, distributed), fault, fault_size);
    if (ok && PQsetnonblocking(conn, 1) == 0 && PQenterPipelineMode(conn) == 1) return conn;
    PQfinish(conn);
    return NULL;
}

#define SET_LOCAL(name, value) ", set_config('" name "', '" value "', true)"

/* Where the database is distributed, booky.identify takes the settings along to the shard, so it stands last, too. */
void db_connect_identify(const conf *c, char *text, size_t size)
{
    bool distributed = conf_is_distributed(c);
    snprintf(text, size,
             "%s, set_config('search_path', 'booky', true), set_config('statement_timeout', '%lld', true)"
             ", set_config('lock_timeout', '%lld', true)"
             ", set_config('idle_in_transaction_session_timeout', '%lld', true)" DB_PLANNER_SETTINGS(SET_LOCAL) "%s",
             sql_find(SQL_IDENTIFY, distributed)->text, (long long)c->statement_timeout, (long long)c->lock_timeout,
             idle_timeout(c), distributed ? DB_PLANNER_DISTRIBUTED(SET_LOCAL) ", booky.identify($1::text)" : "");
}
