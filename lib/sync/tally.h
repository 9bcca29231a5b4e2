/*
 * Counts what a request did, for the metrics (ctx->tally), and logs it. Call these after the commit: a request that is
 * rolled back and repeated would be counted each time.
 */
#ifndef BOOKY_TALLY_H
#define BOOKY_TALLY_H

#include "engine/resolve.h"
#include "sync/ctx.h"

/* Logs an event. */
void tally_operation(sync_ctx *ctx, const operation *op, const outcome *o);

/* Logs an event for each conflict. */
void tally_conflicts(sync_ctx *ctx, const conflict_log *log);

/* For a request whose conflicts are written in parts: counts those of a part... */
void tally_add_part(uint32_t counts[TALLY_CONFLICTS], const conflict_log *log);

/* ...and logs one event for all. */
void tally_parts(sync_ctx *ctx, const uint32_t counts[TALLY_CONFLICTS]);

#endif
