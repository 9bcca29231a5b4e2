/* What the ledger and the queue know of the operations of a request. */
#ifndef BOOKY_LEDGER_H
#define BOOKY_LEDGER_H

#include "store/rows.h"
#include "sync/ctx.h"

typedef struct ledger {
    arena *a;
    const PGresult *rows, *side_rows;
    json_t *index, *sides; /* operation id → row of `rows`, of `side_rows` */
} ledger;

/* Takes `rows`, the result of SQL_LEDGER_READ in the open transaction. If earlier results point to conflicts, their
 * sides are read in another round trip. */
rc ledger_open(ledger *l, sync_ctx *ctx, const PGresult *rows);

/* The row of an operation; false when neither the ledger nor the queue knows its id. A processed operation gets its
 * result, also for a plain success, unless that is too large for this request. */
bool ledger_find(const ledger *l, const operation *op, ledger_row *out);

#endif
