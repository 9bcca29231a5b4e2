/* The body of POST /operations: its members around the operations, and the operations as checked structs. */
#ifndef BOOKY_ENVELOPE_H
#define BOOKY_ENVELOPE_H

#include "engine/operation.h"
#include "sync/ctx.h"

typedef struct envelope {
    operation *ops;
    const char **paths; /* where each stands, for messages: "operations[3]" */
    size_t count;
    bool atomic;
    int64_t latest;     /* the latest timestamp that is accepted (ctx_accepts), or 0 */
    int64_t last_sync;  /* stands in for a missing baseVersion; MERGE_NEVER: none was sent */
    const char *device; /* NULL: none was sent */
} envelope;

/* Reads `body`. An operation that is wrong by itself does not fail the envelope: its own `failed` says so.
 * RC_VALIDATION or RC_TOO_LARGE, with the refusal in ctx, when the envelope cannot be read. */
rc envelope_read(sync_ctx *ctx, const char *body, size_t len, envelope *out);

/* The same for the operations alone, as texts. */
rc envelope_parse(sync_ctx *ctx, const json_slice *texts, size_t count, envelope *out);

#endif
