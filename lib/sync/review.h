/* GET /conflicts: the conflict log, for a person who reviews it. */
#ifndef BOOKY_REVIEW_H
#define BOOKY_REVIEW_H

#include "store/rows.h"
#include "sync/ctx.h"

typedef struct review_query {
    const char *status;         /* "open", "resolved" or NULL for both */
    const char *limit, *cursor; /* as sent, or NULL */
} review_query;

/* Lists conflicts, newest first. */
rc review_list(sync_ctx *ctx, const review_query *q, strbuf *reply);

/* Appends one conflict as a JSON object. `resolution`: the conflict was resolved since the row was read; else NULL. */
void review_write(const conflict_row *row, const char *resolution, strbuf *out);

/* Reads the id of a conflict: its stamp and number. False when `text` is no id. */
bool review_read_id(const char *text, int64_t *stamp, int *number);

#endif
