/* Making a connection to PostgreSQL: parameters, session settings, prepared statements. */
#ifndef BOOKY_DB_CONNECT_H
#define BOOKY_DB_CONNECT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"

/* Planner settings of the workers' connections. Their statements are all keyed by user, and a pull must come in index
 * order however large the table is: a plan that scans, sorts or goes parallel is never right. One generic plan serves
 * all arguments: a custom plan takes the `kind = ANY` of a selective pull into the index condition and must then sort.
 */
#define DB_PLANNER_SETTINGS(SETTING)                                                                                   \
    SETTING("jit", "off")                                                                                              \
    SETTING("max_parallel_workers_per_gather", "0")                                                                    \
    SETTING("enable_seqscan", "off")                                                                                   \
    SETTING("enable_bitmapscan", "off")                                                                                \
    SETTING("enable_sort", "off") SETTING("plan_cache_mode", "force_generic_plan")

#define DB_PLANNER_OPTION(name, value) " -c " name "=" value
#define DB_PLANNER_OPTIONS DB_PLANNER_SETTINGS(DB_PLANNER_OPTION)

/* Replaces the last of them where the database is distributed: only a plan for a known user goes to one shard. */
#define DB_PLANNER_DISTRIBUTED(SETTING) SETTING("plan_cache_mode", "auto")

/* A plain connection for `dsn` (with the password from `password_file` unless that is "") that sees the schema `booky`;
 * for migrations and administration. Returns NULL with a line in `fault`. The caller calls PQfinish. */
PGconn *db_connect(const char *dsn, const char *password_file, const char *options, char *fault, size_t fault_size);

/* A worker's connection in pipeline mode, made within `timeout` seconds, with the settings of `c`. Unless it is
 * `pooled` it has the session settings and every statement of sql.h prepared. Returns NULL with a line in `fault`. */
PGconn *db_connect_worker(const conf *c, const char *dsn, const char *timeout, bool pooled, char *fault,
                          size_t fault_size);

/* Writes the text of SQL_IDENTIFY for a pooled connection, on which no setting may outlive a transaction: it makes the
 * session settings with SET LOCAL. */
void db_connect_identify(const conf *c, char *text, size_t size);

#endif
