/*
 * One PostgreSQL connection in pipeline mode: statements are sent with db_send, travel together at db_flush, and their
 * results are taken in the same order with db_take. What libpq or the server report becomes an rc here and nowhere else.
 *
 * After any error the rest of the pipeline is skipped by the server; db_take then returns that error for each statement
 * and db_finish leaves the connection usable (rolled back) or marks it lost. A lost connection is made again by
 * db_ready, with back-off.
 */
#ifndef BOOKY_DB_H
#define BOOKY_DB_H

#include <libpq-fe.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "conf.h"
#include "rc.h"
#include "sql.h"

typedef struct db db;

/* A parameter: NUL-terminated text, or binary of `len` bytes. NULL value: SQL null. */
typedef struct db_param {
    const char *value;
    int len;
    bool binary;
} db_param;

db_param db_text(const char *s);
db_param db_int(arena *a, int64_t value);
db_param db_null(void);

/* An array parameter, built element by element. */
typedef enum db_type { DB_INT4 = 23, DB_INT8 = 20, DB_TEXT = 25, DB_JSON = 114, DB_BYTEA = 17 } db_type; /* pg_type.oid */

typedef struct db_array {
    strbuf bytes;
    int count;
} db_array;

db_array db_array_new(arena *a, db_type type);
void db_array_add(db_array *x, const char *bytes, size_t len); /* NULL bytes: an SQL null */
void db_array_text(db_array *x, const char *s);                /* NULL: an SQL null */
void db_array_int4(db_array *x, int32_t value);
void db_array_int8(db_array *x, int64_t value, int64_t null);  /* `null`: the value that stands for SQL null */
db_param db_array_param(db_array *x);

/* A connection to the primary of `c` (which must outlive it), not yet made. Released with db_free. */
db *db_new(const conf *c);

/* The same to the replica (database.replica_dsn), or NULL when there is none. It is given up sooner and tried again later,
 * because the primary can answer in its place. */
db *db_new_replica(const conf *c);
void db_free(db *d);

/* The workers' statements are all keyed by user, and a pull must come in index order however large the table is: a plan
 * that scans, sorts or goes parallel is never right, so the planner is told so. One plan serves all: one that is made for
 * the arguments takes `kind = ANY` of a selective pull into the index condition, and must then sort. */
#define DB_PLANNER_SETTINGS(SETTING)                                                                                   \
    SETTING("jit", "off") SETTING("max_parallel_workers_per_gather", "0") SETTING("enable_seqscan", "off")             \
    SETTING("enable_bitmapscan", "off") SETTING("enable_sort", "off") SETTING("plan_cache_mode", "force_generic_plan")

#define DB_PLANNER_OPTION(name, value) " -c " name "=" value
#define DB_PLANNER_OPTIONS DB_PLANNER_SETTINGS(DB_PLANNER_OPTION)

/* Makes the connection unless it is there. RC_UNAVAILABLE when it cannot be made or was tried a moment ago. */
rc db_ready(db *d);

/* Appends a statement to the pipeline. Faults are reported by db_take. */
void db_send(db *d, sql_id id, const db_param *params);

#define DB_PARAMS(...) ((const db_param[]){__VA_ARGS__})

/* Sends what was appended, with a sync: one round trip. */
void db_flush(db *d);

/* The result of the next statement in order, checked against what the statement expects; it joins the arena. */
rc db_take(db *d, arena *a, PGresult **result);

/* The rows of the next statement one at a time: RC_OK with *row set, or RC_OK with NULL behind the last. A row lives until
 * the next call. */
rc db_next_row(db *d, const PGresult **row);

/* Takes what is left up to the sync. Returns RC_OK, or the first error of the round trip. */
rc db_finish(db *d);

/* One round trip as a list: sends the steps, takes their results in order, finishes. `result` may be NULL. */
typedef struct db_step {
    sql_id id;
    const db_param *params;
    PGresult **result;
} db_step;

rc db_run(db *d, arena *a, const db_step *steps, size_t count);

#define DB_RUN(d, a, ...) \
    db_run(d, a, (const db_step[]){__VA_ARGS__}, sizeof((const db_step[]){__VA_ARGS__}) / sizeof(db_step))

/* The steps that every write begins with: a transaction in the name of `*user` (a db_param) that holds the user's clock up to
 * its end. The clock's row comes in *clock, which may be NULL. */
#define DB_BEGIN_WRITE(user, clock) \
    {.id = SQL_BEGIN}, {.id = SQL_IDENTIFY, .params = (user)}, {.id = SQL_CLOCK_ADVANCE, .params = (user), .result = (clock)}

/* One statement for `user` as one round trip: it is one snapshot and commits by itself, so it needs no transaction block. */
rc db_query(db *d, arena *a, const char *user, sql_id id, const db_param *params, PGresult **result);

/* From now on every transaction for `user` fails with RC_UNAVAILABLE, and returns nothing, unless in its snapshot the user's
 * clock stands exactly there. For a replica; NULL: no more. `user` must live as long. */
void db_require(db *d, const char *user, int64_t clock, int64_t epoch);

/* Whether that was the reason of the last failure. */
bool db_behind(const db *d);

/* Drops the connection, so that the server cancels and rolls back what it was doing. */
void db_drop(db *d);

/* Whether the connection broke (so that a request that has not begun to commit may be tried once more). */
bool db_lost(const db *d);

/* While *flag is set, waiting for the server ends: the running statement is cancelled and the connection dropped. */
void db_interrupt(db *d, const volatile sig_atomic_t *flag);

/* The round trip that was waited for longest since db_watch_reset, as its statements' names with a plus between, and how long;
 * NULL when there was none. */
const char *db_slowest(const db *d, int64_t *us);
void db_watch_reset(db *d);

/* Round trips and connections made since db_new. */
uint64_t db_round_trips(const db *d);
uint64_t db_connects(const db *d);

/* Reads a column; the text lives as long as the result. */
const char *db_column(const PGresult *r, int row, int column); /* NULL for SQL null */
int64_t db_column_int(const PGresult *r, int row, int column, int64_t null);

/* A plain connection for `dsn` (with the password from `password_file` unless that is "") that sees the schema `booky`;
 * for migrations and administration. Returns NULL with a line in `fault`. The caller calls PQfinish. */
PGconn *db_connect(const char *dsn, const char *password_file, const char *options, char *fault, size_t fault_size);

#endif
