/*
 * Rows of the database as the engine's structs, and back. This is the only file that knows both sides, so the engine
 * links without libpq, and no caller counts columns. Strings of a struct live as long as the result it was read from.
 */
#ifndef BOOKY_ROWS_H
#define BOOKY_ROWS_H

#include "engine/conflict.h"
#include "engine/entity.h"
#include "engine/operation.h"
#include "engine/resync.h"
#include "store/txn.h"

/* The cursor with which a pull would end at the clock that SQL_CLOCK_READ returned; in the arena. */
const char *rows_cursor(arena *a, const PGresult *clock);

/* The first row of SQL_PULL: what cursor and entity tag of the client are judged by. */
typedef struct pull_clock {
    resync_facts known; /* without `forgotten` */
    int64_t started, horizon;
    int64_t matching; /* with count=true: the changes from the position to the end of the pull */
    bool seen;        /* the client holds this reply: epoch and clock are those of its entity tag */
} pull_clock;

bool rows_pull_clock(const PGresult *row, pull_clock *out); /* false: the row is something else */

/* Entities */

/* The read of the entities of `ops` and of those that share a key with them; *rows: its result. Operations that failed
 * are left out. `bytes`: no further content is loaded once so many bytes are. In the arena. */
db_step rows_entities_read(arena *a, const char *user, const operation *ops, size_t count, int64_t bytes,
                           PGresult **rows);

/* Adds the rows of rows_entities_read or SQL_CONFLICT_ENTITIES to the set. Returns false when the request meets so many
 * reading logs that only some were loaded. The others stay as they are, so only a single operation may go on. */
bool rows_load_entities(entity_set *set, const PGresult *rows);

/* Appends SQL_ENTITIES_WRITE for the dirty entities, and SQL_ENTITIES_PLACE for the dirty siblings; returns whether
 * there are any. Others whose next version must come whole get SQL_ENTITIES_WHOLE. */
bool rows_send_entities(const entity_set *set, txn *t);

/* An entity as GET /changes and the export show it. `gone_at`: its deletion, or MERGE_NEVER. */
typedef struct change_row {
    const char *kind, *id, *data;
    const char *times;  /* or NULL */
    const char *recent; /* see engine/recent.h; NULL: not read, or none */
    bool incomplete;    /* never in a pull */
    int64_t created_at, updated_at, gone_at;
} change_row;

change_row rows_change(const PGresult *row); /* of SQL_PULL, SQL_PULL_PAGE, SQL_ENTITY_GET */

/* An entity of a snapshot. */
typedef struct kept_row {
    const char *kind, *id;
    size_t size; /* of its data, in bytes */
} kept_row;

kept_row rows_kept(const PGresult *rows, int row);                                     /* of SQL_SNAPSHOT_IDS */
operation rows_kept_operation(arena *a, const PGresult *rows, int row, const kind *k); /* of SQL_SNAPSHOT_PAGE */

/* The row of a snapshot in a result of SQL_SNAPSHOTS_LIST, or -1. */
int rows_find_snapshot(const PGresult *list, int64_t stamp);

/* What the deletions of one kind in a full sync change: a row of SQL_FULL_PLAN. */
usage rows_planned(const PGresult *plan, int row);

/* Conflicts */

/* A conflict of the log, as SQL_CONFLICTS_LIST returns it. */
typedef struct conflict_row {
    int64_t stamp; /* stamp and number make its id */
    int number;
    const char *kind, *entity_id, *other_id; /* the last one may be NULL, as may all below */
    const char *reason, *status, *resolution, *operation_id, *device;
    int64_t local_at, server_at, resolved_at; /* MERGE_NEVER: none */
    const char *local_data, *server_data;
} conflict_row;

conflict_row rows_conflict(const PGresult *rows, int row);

/* Appends SQL_CONFLICTS_CLOSE and SQL_CONFLICTS_WRITE, each if there is something to write. */
void rows_send_conflicts(const conflict_log *log, txn *t);

/* Ledger and queue */

/* An operation whose id is known: SQL_LEDGER_READ. */
typedef struct ledger_row {
    const char *id, *hash;
    bool processed; /* else it waits in the queue */
    int64_t processed_at;
    const char *result;                   /* NULL: a plain success */
    bool fits;                            /* false: result or sides are too large for this request */
    bool is_short;                        /* the result's conflict has no sides; the log has them, if it still exists */
    const char *local_data, *server_data; /* then: the sides (SQL_LEDGER_SIDES), or NULL */
} ledger_row;

ledger_row rows_ledger(const PGresult *rows, int row);
void rows_ledger_sides(const PGresult *sides, int row, ledger_row *out); /* adds a row of SQL_LEDGER_SIDES */

typedef struct queue_row {
    const char *id, *type, *kind, *entity_id, *hash;
    const char *data, *last_error, *policy; /* or NULL */
    int64_t made_at, base_at;               /* the second may be MERGE_NEVER */
    int64_t attempts;
    bool synced;
} queue_row;

queue_row rows_queue(const PGresult *rows, int row); /* of SQL_QUEUE_GET, SQL_QUEUE_LIST */

/* The parameters of SQL_QUEUE_ADD; `data` is the text of the operation's data as sent, or NULL. In the arena. */
const db_param *rows_queue_add(arena *a, const char *user, const operation *op, const char *data);

#endif
