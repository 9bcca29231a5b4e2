/* Every SQL statement of the workers, named, in one table (sql.c). All are prepared when a connection is made. */
#ifndef BOOKY_SQL_H
#define BOOKY_SQL_H

typedef enum sql_id {
    SQL_BEGIN,
    SQL_BEGIN_READ,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_IDENTIFY,
    SQL_REACHED,
    SQL_CLOCK_ADVANCE,
    SQL_CLOCK_READ,
    SQL_CLOCK_LOCK,
    SQL_LEDGER_READ,
    SQL_ENTITIES_READ,
    SQL_ENTITIES_WRITE,
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
    SQL_CONFLICT_ENTITIES,
    SQL_CONFLICT_RESOLVE,
    SQL_FULL_PLAN,
    SQL_FULL_DELETE,
    SQL_SNAPSHOT_TAKE,
    SQL_SNAPSHOTS_LIST,
    SQL_SNAPSHOT_IDS,
    SQL_SNAPSHOT_PAGE,
    SQL_DIGEST,
    SQL_EXPORT_ENTITIES,
    SQL_EXPORT_HIDDEN,
    SQL_EXPORT_LEDGER,
    SQL_QUEUE_EXPORT,
    SQL_EXPORT_SNAPSHOTS,
    SQL_ERASE,
    SQL_STATUS,
    SQL_PULL,
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

#endif
