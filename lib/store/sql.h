/* Every SQL statement of the workers, named, in one table (sql.c). All are prepared when a connection is made. */
#ifndef BOOKY_SQL_H
#define BOOKY_SQL_H

#include <stdbool.h>

typedef enum sql_id {
    SQL_BEGIN,
    SQL_BEGIN_READ,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_IDENTIFY,
    SQL_REACHED,
    SQL_CLOCK_LOCK_FIRST,
    SQL_CLOCK_ADVANCE,
    SQL_CLOCK_START,
    SQL_USAGE_COUNT,
    SQL_USAGE_ADD,
    SQL_DROP_CONFLICTS,
    SQL_DROP_SNAPSHOT,
    SQL_DROP_CONTENT,
    SQL_DROP_TOMBSTONES,
    SQL_CLOCK_READ,
    SQL_CLOCK_LOCK,
    SQL_LEDGER_READ,
    SQL_LEDGER_SIDES,
    SQL_ENTITIES_NAMED,
    SQL_ENTITIES_READ,
    SQL_ENTITIES_WRITE,
    SQL_ENTITIES_PLACE,
    SQL_ENTITIES_WHOLE,
    SQL_LEDGER_WRITE,
    SQL_CONFLICTS_WRITE,
    SQL_CONFLICTS_CLOSE,
    SQL_QUEUE_SYNCED,
    SQL_QUEUE_ADD,
    SQL_QUEUE_GET,
    SQL_QUEUE_LIST,
    SQL_QUEUE_MARK,
    SQL_QUEUE_CLEAR,
    SQL_QUEUE_FAILED,
    SQL_CONFLICTS_LIST,
    SQL_EXPORT_CONFLICTS,
    SQL_CONFLICT_ENTITIES,
    SQL_CONFLICT_RESOLVE,
    SQL_FULL_PLAN,
    SQL_FULL_DELETE,
    SQL_SNAPSHOT_TAKE,
    SQL_SNAPSHOTS_TRIM,
    SQL_SNAPSHOTS_LIST,
    SQL_SNAPSHOT_IDS,
    SQL_SNAPSHOT_PAGE,
    SQL_DIGEST,
    SQL_EXPORT_ENTITIES,
    SQL_EXPORT_HIDDEN,
    SQL_EXPORT_TIMES,
    SQL_EXPORT_LEDGER,
    SQL_QUEUE_EXPORT,
    SQL_EXPORT_SNAPSHOTS,
    SQL_EPOCHS_READ,
    SQL_EPOCHS_IMPORT,
    SQL_ERASE,
    SQL_STATUS,
    SQL_PULL,
    SQL_PULL_PAGE,
    SQL_ENTITY_GET,
    SQL_PING,
    SQL_RATE,
    SQL_TOTALS,
    SQL_COUNT
} sql_id;

/* How many rows a statement must return; anything else is a fault of the server. */
typedef enum sql_expect { SQL_NONE, SQL_ONE, SQL_MAYBE, SQL_ROWS } sql_expect;

typedef struct sql_statement {
    const char *name;
    sql_expect expect;
    int params;
    const char *text;
} sql_statement;

extern const sql_statement sql_statements[SQL_COUNT];

/* The statement `id`, if the database is `distributed` in the text for it (sql_citus.c). */
const sql_statement *sql_find(sql_id id, bool distributed);

/* The columns of the results, in the order of the statements' select lists. */

enum { COL_IDENTIFY_STANDBY = 1 }; /* SQL_IDENTIFY; the first column only echoes the user */

enum { COL_REACHED }; /* SQL_REACHED */

/* SQL_CLOCK_ADVANCE; SQL_CLOCK_START has only the first; SQL_CLOCK_READ lacks those from `previous` on, and where the
 * user has written nothing yet, the first four are NULL. The last three are NULL if the user was never counted. */
enum {
    COL_CLOCK_STAMP,
    COL_CLOCK_STARTED,
    COL_CLOCK_EPOCH,
    COL_CLOCK_HORIZON,
    COL_CLOCK_INSTALLATION,
    COL_CLOCK_GENERATION,
    COL_CLOCK_PREVIOUS,
    COL_CLOCK_ENTITIES,
    COL_CLOCK_BYTES,
    COL_CLOCK_HIDDEN
};

enum { COL_USAGE_ENTITIES, COL_USAGE_BYTES, COL_USAGE_HIDDEN }; /* SQL_USAGE_COUNT */

/* SQL_LEDGER_READ */
enum {
    COL_LEDGER_ID,
    COL_LEDGER_HASH,
    COL_LEDGER_PROCESSED_AT, /* NULL: it waits in the queue */
    COL_LEDGER_RESULT,       /* NULL: a plain success, or not returned */
    COL_LEDGER_FITS,         /* false: not returned, because there is too much */
    COL_LEDGER_SIDED         /* the result's conflict has no sides; SQL_LEDGER_SIDES has them */
};

/* SQL_LEDGER_SIDES */
enum { COL_SIDES_ID, COL_SIDES_LOCAL_DATA, COL_SIDES_SERVER_DATA, COL_SIDES_FIT };

/* SQL_ENTITIES_NAMED, SQL_ENTITIES_READ, SQL_CONFLICT_ENTITIES */
enum {
    COL_ENTITY_KIND,
    COL_ENTITY_ID,
    COL_ENTITY_STATUS,
    COL_ENTITY_CREATED,
    COL_ENTITY_UPDATED,
    COL_ENTITY_EDITED,
    COL_ENTITY_DELETED,
    COL_ENTITY_SUPERSEDED,
    COL_ENTITY_BASE,
    COL_ENTITY_KEY,
    COL_ENTITY_DEVICE,
    COL_ENTITY_MARKS,
    COL_ENTITY_DATA, /* NULL: not returned, because there is too much of it */
    COL_ENTITY_SIBLING,
    COL_ENTITY_FACTS, /* of a reading log that is a sibling: what decides whether it stands */
    COL_ENTITY_RECENT,
    COL_ENTITY_DATA_SIZE,
    COL_ENTITY_MARKS_SIZE
};

/* SQL_QUEUE_GET, SQL_QUEUE_EXPORT; SQL_QUEUE_LIST with the last one */
enum {
    COL_QUEUE_ID,
    COL_QUEUE_TYPE,
    COL_QUEUE_KIND,
    COL_QUEUE_ENTITY_ID,
    COL_QUEUE_DATA,
    COL_QUEUE_MADE_AT,
    COL_QUEUE_ATTEMPTS,
    COL_QUEUE_LAST_ERROR,
    COL_QUEUE_SYNCED_AT,
    COL_QUEUE_HASH,
    COL_QUEUE_POLICY,
    COL_QUEUE_BASE_AT,
    COL_QUEUE_TOTAL
};

enum { COL_MARKED_ID, COL_MARKED_KNOWN, COL_MARKED_NOW }; /* SQL_QUEUE_MARK */

enum { COL_CLEARED_COUNT }; /* SQL_QUEUE_CLEAR */

/* SQL_EXPORT_CONFLICTS; SQL_CONFLICTS_LIST with the last one */
enum {
    COL_CONFLICT_STAMP,
    COL_CONFLICT_NUMBER,
    COL_CONFLICT_KIND,
    COL_CONFLICT_ENTITY_ID,
    COL_CONFLICT_OTHER_ID,
    COL_CONFLICT_REASON,
    COL_CONFLICT_STATUS,
    COL_CONFLICT_RESOLUTION,
    COL_CONFLICT_OPERATION_ID,
    COL_CONFLICT_DEVICE,
    COL_CONFLICT_LOCAL_AT,
    COL_CONFLICT_SERVER_AT,
    COL_CONFLICT_RESOLVED_AT,
    COL_CONFLICT_LOCAL_DATA,
    COL_CONFLICT_SERVER_DATA,
    COL_CONFLICT_TOTAL
};

/* SQL_FULL_PLAN; the last two are bytes */
enum {
    COL_PLAN_KIND,
    COL_PLAN_HELD,
    COL_PLAN_UNLISTED,
    COL_PLAN_DISPLACED,
    COL_PLAN_LIVE,
    COL_PLAN_SHOWN,
    COL_PLAN_HIDDEN
};

enum { COL_SNAPSHOT_STAMP, COL_SNAPSHOT_KINDS, COL_SNAPSHOT_ENTITIES }; /* SQL_SNAPSHOTS_LIST */

/* SQL_SNAPSHOT_IDS: the last one is the size of the data in bytes */
enum { COL_KEPT_ID_KIND, COL_KEPT_ID_ID, COL_KEPT_ID_SIZE };

/* SQL_SNAPSHOT_PAGE */
enum { COL_KEPT_KIND, COL_KEPT_ID, COL_KEPT_CREATED, COL_KEPT_EDITED, COL_KEPT_DATA };

enum { COL_DIGEST_KIND, COL_DIGEST_COUNT, COL_DIGEST_SHA256 }; /* SQL_DIGEST */

/* SQL_EXPORT_ENTITIES, SQL_EXPORT_HIDDEN */
enum {
    COL_EXPORT_KIND,
    COL_EXPORT_ID,
    COL_EXPORT_STATUS,
    COL_EXPORT_CREATED,
    COL_EXPORT_UPDATED,
    COL_EXPORT_GONE,
    COL_EXPORT_DATA,
    COL_EXPORT_ITEM_TIMES
};

enum { COL_EPOCH, COL_EPOCH_UNTIL, COL_EPOCH_INSTALLATION }; /* SQL_EPOCHS_READ */

/* SQL_ERASE */
enum { COL_ERASED_ENTITIES, COL_ERASED_LEDGER, COL_ERASED_QUEUE, COL_ERASED_CONFLICTS, COL_ERASED_SNAPSHOTS };

/* SQL_STATUS; the last three as in SQL_CLOCK_ADVANCE */
enum {
    COL_STATUS_CLOCK,
    COL_STATUS_WAITING,
    COL_STATUS_REVIEW,
    COL_STATUS_OPEN,
    COL_STATUS_ENTITIES,
    COL_STATUS_BYTES,
    COL_STATUS_HIDDEN
};

/* SQL_PULL up to the data; SQL_PULL_PAGE with two more, SQL_ENTITY_GET with all. In the first row of a pull, the user's
 * clock, kind is NULL, and the columns are the facts, clock, started and epoch, and in place of `recent` the number of
 * matching entities. The facts are seven integers as text: see rows_pull_clock. */
enum {
    COL_CHANGE_KIND,
    COL_CHANGE_ID,
    COL_CHANGE_CREATED,
    COL_CHANGE_UPDATED,
    COL_CHANGE_GONE,
    COL_CHANGE_DATA,
    COL_CHANGE_TIMES,
    COL_CHANGE_RECENT,
    COL_CHANGE_INCOMPLETE
};
enum {
    COL_PULL_FACTS = COL_CHANGE_ID,
    COL_PULL_CLOCK = COL_CHANGE_CREATED,
    COL_PULL_STARTED = COL_CHANGE_UPDATED,
    COL_PULL_EPOCH = COL_CHANGE_GONE,
    COL_PULL_MATCHING = COL_CHANGE_RECENT
};

enum { COL_RATE_USED, COL_RATE_LEFT_MS }; /* SQL_RATE */

enum { COL_TOTALS_WAITING, COL_TOTALS_REVIEW, COL_TOTALS_OPEN }; /* SQL_TOTALS */

#endif
