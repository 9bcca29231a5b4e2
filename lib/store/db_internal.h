/* struct db, for db_handle.c (the connection) and db_pipeline.c (statements and results). */
#ifndef BOOKY_DB_INTERNAL_H
#define BOOKY_DB_INTERNAL_H

#include "store/db.h"
#include "store/db_slow.h"

enum { DB_PIPELINE_MAX = 32 }; /* statements of a round trip */

/* How the two kinds of servers are treated. */
typedef struct db_manner {
    const char *name, *connect_timeout; /* seconds */
    int64_t backoff_first_ms, backoff_max_ms;
    int64_t answer_ms; /* time limit of the first answer; 0: that of a statement */
} db_manner;

struct db {
    const conf *conf;
    const db_manner *manner;
    const char *dsn;
    bool pooled;         /* nothing may outlive a transaction: no prepared statements, settings with SET LOCAL only */
    bool distributed;    /* the statements are those of sql_citus.c, and each stands in a transaction block */
    char identify[1024]; /* pooled: the text of SQL_IDENTIFY, with the settings */
    db_position required;
    PGconn *conn; /* NULL: not connected */
    bool lost;
    bool refused;                 /* see db_refused */
    bool locked;                  /* see db_locked */
    bool oversize;                /* a statement of this round trip was too large to be sent */
    rc failed;                    /* first error of the current round trip */
    sql_id sent[DB_PIPELINE_MAX]; /* the statements in the pipeline, in order */
    int count, taken;
    bool synced;    /* the sync was sent and its result not yet taken */
    bool streaming; /* the statement at `taken` is being read row by row */
    PGresult *row;  /* the last one */
    int64_t deadline_us;
    int64_t retry_at_us, backoff_ms;
    uint64_t round_trips, connects;
    const volatile sig_atomic_t *interrupt;
    int64_t sent_us; /* when the round trip was sent */
    db_slow slow;
};

#endif
