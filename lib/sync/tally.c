#include "sync/tally.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

void tally_operation(sync_ctx *ctx, const operation *op, const outcome *o)
{
    enum { UNREADABLE = 3 };
    static const char *const outcomes[] = {"success", "conflict", "failed", "duplicate"};
    bool failed = o->status == OUTCOME_FAILED;
    ctx->tally.operations[op->type_name ? (int)op->type : UNREADABLE][o->status]++;
    ctx->tally.over_quota += failed && o->failed == RC_QUOTA;
    log_begin(failed ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "operation");
    log_str("requestId", ctx->id);
    log_str("type", op->type_name);
    log_str("entity", op->kind ? op->kind->name : NULL);
    log_personal("entityId", op->entity_id);
    log_str("status", outcomes[o->status]);
    if (failed) log_personal("message", o->message); /* it may quote the user's data */
    log_end();
}

static const char *const resolutions[TALLY_CONFLICTS] = {"client", "server", "merged", "open"};

static size_t resolution_of(const conflict *row)
{
    size_t i = 0;
    while (i < TALLY_CONFLICTS - 1 && (!row->resolution || strcmp(row->resolution, resolutions[i]) != 0)) i++;
    return i;
}

void tally_add_part(uint32_t counts[TALLY_CONFLICTS], const conflict_log *log)
{
    for (size_t i = 0; i < log->count; i++) counts[resolution_of(&log->list[i])]++;
}

void tally_conflicts(sync_ctx *ctx, const conflict_log *log)
{
    char text[CLOCK_TEXT];
    tally_add_part(ctx->tally.conflicts, log);
    for (size_t i = 0; i < log->count; i++) {
        const conflict *row = &log->list[i];
        log_begin(LOG_LEVEL_INFO, "conflict");
        log_str("requestId", ctx->id);
        log_str("entity", row->kind);
        log_personal("entityId", row->entity_id);
        log_str("reason", conflict_reason_name(row->reason));
        log_str("resolution", resolutions[resolution_of(row)]);
        log_str("localTimestamp", clock_format(row->local_at, text));
        if (row->server_at != MERGE_NEVER) log_str("serverTimestamp", clock_format(row->server_at, text));
        log_end();
    }
}

void tally_parts(sync_ctx *ctx, const uint32_t counts[TALLY_CONFLICTS])
{
    uint32_t all = 0;
    for (size_t i = 0; i < TALLY_CONFLICTS; i++) all += counts[i];
    if (all == 0) return;
    log_begin(LOG_LEVEL_INFO, "conflicts");
    log_str("requestId", ctx->id);
    for (size_t i = 0; i < TALLY_CONFLICTS; i++) {
        ctx->tally.conflicts[i] += counts[i];
        log_int(resolutions[i], counts[i]);
    }
    log_end();
}
