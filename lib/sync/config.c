#include "sync/config.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/version.h"
#include "engine/kind.h"

/* The members that are sets, by kind. */
static void write_sets(strbuf *reply)
{
    json_write_name(reply, "sets");
    strbuf_putc(reply, '{');
    for (const kind *const *k = kinds; *k; k++) {
        if (!(*k)->sets) continue;
        json_write_name(reply, (*k)->name);
        strbuf_putc(reply, '[');
        for (const char *const *name = (*k)->sets; *name; name++) {
            if (name != (*k)->sets) strbuf_putc(reply, ',');
            json_write_string(reply, *name, strlen(*name));
        }
        strbuf_putc(reply, ']');
    }
    strbuf_putc(reply, '}');
}

rc config_run(sync_ctx *ctx, strbuf *reply)
{
    enum { BATCH_SIZE = 10, POLL_INTERVAL = 30, ATTEMPTS = 5 }; /* the published client's */
    const conf *s = ctx->conf;
    const struct {
        const char *name;
        long long value;
    } limits[] = {{"bodyBytes", s->body},        {"fullBodyBytes", s->full_body}, {"fullItems", s->full_items},
                  {"operations", s->operations}, {"entityBytes", s->entity},      {"depth", s->depth},
                  {"snapshots", s->snapshots}},
      retention[] = {
          {"tombstoneDays", s->tombstone_days}, {"ledgerDays", s->ledger_days}, {"snapshotDays", s->snapshot_days}};
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_member(reply, "version", PACKAGE_VERSION);
    json_write_name(reply, "limits");
    strbuf_putc(reply, '{');
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) json_write_int(reply, limits[i].name, limits[i].value);
    strbuf_putc(reply, '}');
    json_write_name(reply, "retention");
    strbuf_putc(reply, '{');
    for (size_t i = 0; i < sizeof retention / sizeof *retention; i++)
        json_write_int(reply, retention[i].name, retention[i].value);
    strbuf_putc(reply, '}');
    json_write_int(reply, "batchSize", BATCH_SIZE);
    json_write_int(reply, "pollIntervalSeconds", POLL_INTERVAL);
    json_write_int(reply, "maxAttempts", ATTEMPTS);
    json_write_int(reply, "clockSkewSeconds", s->clock_skew);
    json_write_member(reply, "conflictResolution", s->conflict_resolution);
    json_write_name(reply, "requestEncodings");
    strbuf_puts(reply, "[\"gzip\",\"identity\"]");
    json_write_name(reply, "entities");
    strbuf_putc(reply, '[');
    for (const kind *const *k = kinds; *k; k++) {
        if (k != kinds) strbuf_putc(reply, ',');
        json_write_string(reply, (*k)->name, strlen((*k)->name));
    }
    strbuf_putc(reply, ']');
    write_sets(reply);
    json_write_instant(reply, "serverTime", clock_now());
    strbuf_putc(reply, '}');
    return RC_OK;
}
