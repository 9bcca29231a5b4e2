#include "push/push_metrics.h"

#include <stddef.h>

typedef struct metric {
    const char *name, *type, *help;
    size_t offset;
    const char *label;
    const char *values[PUSH_ENDINGS + 1];
} metric;

#define COUNT(field) offsetof(push_counts, field)

// clang-format off
static const metric metrics[] = {
    {"booky_sync_push_streams", "gauge", "Open streams, by protocol.",
        COUNT(streams), "protocol", {"sse", "websocket"}},
    {"booky_sync_push_streams_opened_total", "counter", "Streams opened.",
        COUNT(opened), NULL, {0}},
    {"booky_sync_push_streams_ended_total", "counter", "Streams refused or ended by the server, by reason.",
        COUNT(endings), "reason", {"limit", "per_user", "slow", "expired"}},
    {"booky_sync_push_pokes_received_total", "counter", "Pokes received, by source.",
        COUNT(received), "source", {"workers", "hosts"}},
    {"booky_sync_push_pokes_invalid_total", "counter", "Datagrams received that were not pokes.",
        COUNT(invalid), NULL, {0}},
    {"booky_sync_push_pokes_sent_total", "counter", "Pokes written to streams.",
        COUNT(sent), NULL, {0}},
    {"booky_sync_push_pokes_coalesced_total", "counter", "Pokes replaced by a newer one before they were written.",
        COUNT(coalesced), NULL, {0}},
    {"booky_sync_push_hosts_up", "gauge", "1 if the connection to the other hosts listens, 0 otherwise.",
        COUNT(peers_up), NULL, {0}},
    {"booky_sync_push_notifications_total", "counter", "NOTIFYs sent to the other hosts.",
        COUNT(notified), NULL, {0}},
    {"booky_sync_push_notifications_failed_total", "counter", "NOTIFYs to the other hosts that failed.",
        COUNT(notify_failed), NULL, {0}},
};
// clang-format on

void push_metrics_write(const push_counts *counts, strbuf *out)
{
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        const metric *m = &metrics[i];
        const int64_t *values = (const int64_t *)((const char *)counts + m->offset);
        if (*values < 0) continue;
        strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
        if (!m->label) strbuf_printf(out, "%s %lld\n", m->name, (long long)*values);
        for (size_t j = 0; m->values[j]; j++)
            strbuf_printf(out, "%s{%s=\"%s\"} %lld\n", m->name, m->label, m->values[j], (long long)values[j]);
    }
}
