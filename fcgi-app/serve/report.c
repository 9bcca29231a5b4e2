#include "serve/report.h"

#include <fcgiapp.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "serve/accept.h"
#include "serve/alerts.h"
#include "serve/listen_queue.h"
#include "serve/metrics.h"
#include "serve/pool_page.h"
#include "serve/totals.h"

typedef struct reporter {
    const conf *conf;
    const listeners *listeners;
    arena *arena;
    board *board;
    totals_source *totals;
} reporter;

static gauges read_gauges(const reporter *r)
{
    gauges g = {
        .workers_max = atomic_load(&r->board->workers_max), .start_time = r->board->started_ms / 1000, .build_info = 1};
    for (int i = 0; i < BOARD_SLOTS; i++) {
        const board_slot *slot = &r->board->slots[i];
        int32_t stage = atomic_load(&slot->progress.stage);
        if (atomic_load(&slot->pid) == 0) continue;
        g.workers[stage == STAGE_IDLE ? 0 : stage == STAGE_STARTING ? 2 : 1]++;
    }
    listen_queue_read(r->listeners->requests, &g.queue_length, &g.queue_limit);
    return g;
}

static bool has_flag(const char *query, const char *flag)
{
    size_t len = strlen(flag);
    for (const char *p = query; p && *p; p += strcspn(p, "&"), p += *p == '&')
        if (strncmp(p, flag, len) == 0 && (p[len] == '&' || p[len] == '\0')) return true;
    return false;
}

/* The pages. Each appends its body and returns its type. */

static const char *write_ping(reporter *r, const char *query, strbuf *out)
{
    (void)r, (void)query;
    strbuf_puts(out, "pong\n");
    return "text/plain; charset=utf-8";
}

static const char *write_pool(reporter *r, const char *query, strbuf *out)
{
    static const char *const types[] = {
        [POOL_TEXT] = "text/plain; charset=utf-8",
        [POOL_JSON] = "application/json",
        [POOL_HTML] = "text/html; charset=utf-8",
    };
    const pool_page page = {.out = out,
                            .form = has_flag(query, "json")   ? POOL_JSON
                                    : has_flag(query, "html") ? POOL_HTML
                                                              : POOL_TEXT,
                            .full = has_flag(query, "full")};
    gauges g = read_gauges(r);
    pool_page_write(&page, r->conf->mode, r->board, &g);
    return types[page.form];
}

static const char *write_metrics(reporter *r, const char *query, strbuf *out)
{
    (void)query;
    gauges g = read_gauges(r);
    g.totals = totals_refresh(r->totals);
    metrics_write(&r->board->counters, &g, out);
    return "text/plain; version=0.0.4; charset=utf-8";
}

static const char *write_not_found(strbuf *out)
{
    strbuf_puts(out, "{\"success\":false,\"error\":\"NOT_FOUND\",\"message\":\"there is no such path\"}\n");
    return "application/json";
}

static const struct {
    const char *path;
    const char *(*write)(reporter *r, const char *query, strbuf *out);
} pages[] = {{"/ping", write_ping}, {"/pool", write_pool}, {"/metrics", write_metrics}};

static bool handle_request(FCGX_Request *fcgi, void *context)
{
    reporter *r = context;
    const char *uri = FCGX_GetParam("REQUEST_URI", fcgi->envp), *type = NULL;
    size_t len = uri ? strcspn(uri, "?") : 0;
    const char *query = uri && uri[len] ? uri + len + 1 : "";
    strbuf out = STRBUF(r->arena);
    for (size_t i = 0; !type && i < sizeof pages / sizeof *pages; i++)
        if (len == strlen(pages[i].path) && memcmp(uri, pages[i].path, len) == 0) type = pages[i].write(r, query, &out);
    int status = type ? 200 : 404;
    if (!type) type = write_not_found(&out);
    FCGX_FPrintF(fcgi->out, "Status: %d\r\nContent-Type: %s\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n",
                 status, type, (int)out.len);
    FCGX_PutStr(out.data, (int)out.len, fcgi->out);
    fcgi->keepConnection = 0;
    FCGX_Finish_r(fcgi);
    arena_reset(r->arena);
    return true;
}

int report_run(const conf *c, const listeners *l, board *b)
{
    reporter r = {.conf = c, .listeners = l, .arena = arena_new(), .board = b, .totals = totals_start(c)};
    pid_t alerts = alerts_start(c, b);
    accept_loop(l->status, NULL, handle_request, &r);
    alerts_stop(alerts);
    totals_stop(r.totals);
    arena_free(r.arena);
    return EXIT_SUCCESS;
}
