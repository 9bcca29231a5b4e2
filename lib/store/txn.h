/*
 * One write transaction of one user, in two round trips: txn_begin locks the user's commit clock and reads; the engine
 * decides; txn_send appends the writes and txn_commit sends them together with COMMIT. The clock's row stays locked up
 * to COMMIT, so two writes of one user never interleave: the second reads what the first has written.
 *
 * The transaction counts its statements, knows whether a COMMIT may have reached the server, and notes that the user's
 * other devices are to be told. It is rolled back in one place: every round trip that fails ends it, and txn_rollback
 * ends it when the caller refuses.
 */
#ifndef BOOKY_TXN_H
#define BOOKY_TXN_H

#include "engine/cursor.h"
#include "engine/usage.h"
#include "store/db.h"

/* That a commit shows something new to pulls, for a poke to the user's other devices (sync/poke.h). */
typedef struct txn_announcement {
    bool any;
    origin from;
    int64_t epoch, stamp; /* both 0: the account is empty */
    uint64_t device;      /* that wrote and needs no poke (poke_device); 0: not known */
} txn_announcement;

typedef struct txn {
    db *db;
    arena *a; /* owns the results; work in parts may replace it between two round trips */
    const char *user;
    bool open;
    int unsent;                    /* statements that were appended since the last round trip */
    int64_t not_before;            /* set by the caller before txn_begin: `stamp` is not earlier */
    int64_t stamp;                 /* of this commit: milliseconds, later than every earlier stamp of the user */
    int64_t horizon;               /* deletions up to this stamp may be forgotten; 0: none is */
    int64_t previous;              /* the clock before this transaction, 0: this is the user's first write */
    int64_t epoch;                 /* of the user's clock */
    origin from;                   /* of the database */
    usage used;                    /* what the user stored before this transaction */
    usage change;                  /* what the rows count that were appended, beyond what their statements count */
    bool counted;                  /* `used` was counted in this transaction, after its reads */
    bool grown;                    /* a statement has added to what is hidden */
    bool in_doubt;                 /* a COMMIT may have reached the server, and its outcome is not known */
    txn_announcement announcement; /* of this transaction, or of an earlier one in the same place */
} txn;

/* Begins, identifies the user, moves the clock on, and reads: one round trip, for a user's first write two. On anything
 * but RC_OK the transaction is over. */
rc txn_begin(txn *t, db *d, arena *a, const char *user, const db_step *reads, size_t count);

/* The origin in the row of SQL_CLOCK_ADVANCE or SQL_CLOCK_READ. */
origin rows_origin(const PGresult *clock);

/* A further round trip of reads, for work that comes in parts. On anything but RC_OK the transaction is over. */
rc txn_read(txn *t, const db_step *reads, size_t count);

/* Appends a statement that returns nothing of interest. txn_flush or txn_commit reports its faults. */
void txn_send(txn *t, sql_id id, const db_param *params);

/* What the rows count that were appended so far, for a statement that counts them itself. */
usage txn_take_usage(txn *t);

/* Sends the appended statements, if there are any, and leaves the transaction open. On anything but RC_OK it is over.
 */
rc txn_flush(txn *t);

/* Notes that the commit shows something new to pulls. `device`: see txn_announcement. */
void txn_announce(txn *t, uint64_t device);

/* Counts the changes, drops the oldest of what is hidden if that is over its quota, and sends the appended statements
 * and COMMIT. The transaction is over. On anything but RC_OK nothing was applied, unless
 * t->in_doubt. */
rc txn_commit(txn *t);

/* Rolls back, if the transaction is still open, and returns `code`, or the fault of the rollback. */
rc txn_rollback(txn *t, rc code);

/* Rolls back a transaction that found everything done before, and waits until what it found is as durable as a commit
 * (on the synchronous standby, if there is one). Without this wait a repeat of an operation whose first reply was lost
 * while the standby was away would acknowledge a commit that a failover can undo. One round trip. */
rc txn_rollback_durable(txn *t);

#endif
