/*
 * One PostgreSQL connection in pipeline mode: db_send appends statements, db_flush sends them together, and db_take
 * returns their results in the same order. This layer turns every error of libpq and of the server into an rc.
 *
 * After an error the server skips the rest of the pipeline; db_take then returns that error for each statement, and
 * db_finish leaves the connection usable (rolled back) or marks it lost. db_ready makes a lost connection again, with
 * back-off.
 *
 * The capabilities do not use this layer directly: store/txn.h is a write transaction, store/query.h is a read.
 */
#ifndef BOOKY_DB_H
#define BOOKY_DB_H

#include <libpq-fe.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/conf.h"
#include "base/rc.h"
#include "store/db_array.h"
#include "store/sql.h"

typedef struct db db;

/* A connection to the primary of `c` (which must outlive it), not yet made. Release it with db_free. */
db *db_new(const conf *c);

/* The same to the replica (database.replica_dsn), or NULL when there is none. A replica gets shorter time limits and
 * longer back-off, because the primary can answer in its place. */
db *db_new_replica(const conf *c);
void db_free(db *d);

/* The settings that it was made with. */
const conf *db_settings(const db *d);

/* Makes the connection unless it is there. RC_UNAVAILABLE when that fails or failed a moment ago (back-off). */
rc db_ready(db *d);

/* Appends a statement to the pipeline. db_take reports faults: RC_TOO_LARGE when the parameters are larger than
 * PostgreSQL takes (DB_PARAMS_MAX). Then the statement is not sent, nor are those behind it in the round trip. */
void db_send(db *d, sql_id id, const db_param *params);

/* Sends the appended statements with a sync: one round trip. */
void db_flush(db *d);

/* Takes the result of the next statement in order, after a check against the number of rows that sql.h expects. The
 * arena owns the result. */
rc db_take(db *d, arena *a, PGresult **result);

/* Takes the rows of the next statement one at a time: RC_OK with *row set, or RC_OK with NULL after the last. A row
 * lives until the next call. */
rc db_next_row(db *d, const PGresult **row);

/* Takes the remaining results up to the sync. Returns RC_OK, or the first error of the round trip. */
rc db_finish(db *d);

/* One round trip as a list. `result` may be NULL. */
typedef struct db_step {
    sql_id id;
    const db_param *params;
    PGresult **result;
} db_step;

#define DB_STEPS(...) ((const db_step[]){__VA_ARGS__}), sizeof((const db_step[]){__VA_ARGS__}) / sizeof(db_step)

/* Sends the steps, takes their results in order, finishes. */
rc db_run(db *d, arena *a, const db_step *steps, size_t count);

#define DB_RUN(d, a, ...) db_run(d, a, DB_STEPS(__VA_ARGS__))

/* Gives up the server behind the connection, for example because a pooler switched to a standby: the round trip fails
 * with RC_UNAVAILABLE, and db_ready connects anew. Returns RC_UNAVAILABLE. */
rc db_reject_server(db *d);

/* Fails the round trip with RC_UNAVAILABLE and keeps the connection. Returns RC_UNAVAILABLE. */
rc db_reject_snapshot(db *d);

/* Whether the connection is meant for the primary. */
bool db_is_primary(const db *d);

/* Whether a user's rows live on a shard (database.distributed). */
bool db_is_distributed(const db *d);

/* The clock that the snapshot of every read for `user` on this connection must show, see store/replica.h. */
typedef struct db_position {
    const char *user; /* NULL: reads may show any clock */
    int64_t clock, epoch;
    bool behind; /* the last read was refused, because its snapshot shows another clock */
} db_position;

db_position *db_required(db *d);

/* Closes the connection, so that the server cancels the running statement and rolls back. */
void db_drop(db *d);

/* Whether the connection broke (a request without a commit in doubt may then be tried once more). */
bool db_lost(const db *d);

/* Whether the server itself reported an error for a statement of this round trip, or the statement was too large to be
 * sent. The statements behind it were then skipped. False when the connection broke, because then nobody knows what the
 * server did. Valid until db_finish. */
bool db_refused(const db *d);

/* Whether a statement since db_ready was refused because it waited too long for a lock. */
bool db_locked(const db *d);

/* While *flag is set, no call waits for the server: the running statement is cancelled and the connection closed. */
void db_interrupt(db *d, const volatile sig_atomic_t *flag);

/* The slowest round trip since db_slow_reset: its statements' names joined by a plus, and its time in microseconds.
 * NULL when there was none. */
const char *db_slowest(const db *d, int64_t *us);
void db_slow_reset(db *d);

/* Round trips and connections made since db_new. */
uint64_t db_round_trips(const db *d);
uint64_t db_connects(const db *d);

/* Reads a column; the text lives as long as the result. The enums of sql.h name the columns. */
const char *db_column(const PGresult *r, int row, int column); /* NULL for SQL null */
int64_t db_column_int(const PGresult *r, int row, int column, int64_t null);
bool db_column_bool(const PGresult *r, int row, int column); /* SQL null is false */

#endif
