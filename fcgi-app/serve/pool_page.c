#include "serve/pool_page.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "http/route.h"

static void put_escaped(strbuf *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("<>&\"", *text))
            strbuf_printf(out, "&#%d;", *text);
        else
            strbuf_putc(out, *text);
    }
}

static void put_text(const pool_page *p, const char *name, const char *value)
{
    if (p->form == POOL_JSON) {
        json_write_member(p->out, name, value);
    } else if (p->form == POOL_TEXT) {
        strbuf_printf(p->out, "%-22s%s\n", arena_printf(p->out->a, "%s:", name), value);
    } else {
        strbuf_printf(p->out, "<tr><th>%s<td>", name);
        put_escaped(p->out, value);
        strbuf_putc(p->out, '\n');
    }
}

static void put_int(const pool_page *p, const char *name, long long value)
{
    if (p->form == POOL_JSON)
        json_write_int(p->out, name, value);
    else
        put_text(p, name, arena_printf(p->out->a, "%lld", value));
}

static const char *endpoint_name(const progress *p)
{
    int32_t i = atomic_load(&p->endpoint);
    return i >= 0 && i < BOARD_ENDPOINTS ? routes[i].name : "none";
}

static void put_worker(const pool_page *p, const board_slot *slot, int64_t now)
{
    const progress *current = &slot->progress;
    int32_t stage = atomic_load(&current->stage);
    bool busy = stage >= 0;
    char id[PROGRESS_ID_SIZE];
    memcpy(id, current->request_id, sizeof id);
    id[PROGRESS_ID_SIZE - 1] = '\0';
    put_int(p, "pid", atomic_load(&slot->pid));
    put_text(p, "state", busy ? "busy" : stage == STAGE_IDLE ? "idle" : "starting");
    put_int(p, "start since", (now - atomic_load(&slot->started_us)) / 1000000);
    put_int(p, "requests", (long long)atomic_load(&slot->requests));
    put_int(p, "request duration",
            busy ? now - atomic_load(&current->request_started_us) : atomic_load(&slot->last_us));
    put_text(p, "endpoint", endpoint_name(current));
    put_text(p, "request id", id);
}

/* In HTML each worker is a row, so that they can be compared. */
static void put_worker_row(const pool_page *p, const board_slot *slot, int64_t now)
{
    strbuf cells = STRBUF(p->out->a);
    const pool_page text = {.out = &cells, .form = POOL_TEXT};
    put_worker(&text, slot, now);
    strbuf_puts(p->out, "<tr>");
    for (char *line = cells.data, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        char *value = strchr(line, ':') + 1;
        strbuf_puts(p->out, "<td>");
        put_escaped(p->out, value + strspn(value, " "));
    }
    strbuf_putc(p->out, '\n');
}

static void put_workers(const pool_page *p, const board *b, int64_t now)
{
    bool first = true;
    if (p->form == POOL_JSON) {
        json_write_name(p->out, "processes");
        strbuf_putc(p->out, '[');
    } else if (p->form == POOL_HTML) {
        strbuf_puts(p->out, "</table>\n<table>\n<tr><th>pid<th>state<th>start since<th>requests"
                            "<th>request duration<th>endpoint<th>request id\n");
    }
    for (int i = 0; i < BOARD_SLOTS; i++) {
        if (atomic_load(&b->slots[i].pid) == 0) continue;
        if (p->form == POOL_HTML) {
            put_worker_row(p, &b->slots[i], now);
            continue;
        }
        strbuf_puts(p->out, p->form == POOL_TEXT ? "\n" : first ? "{" : ",{");
        put_worker(p, &b->slots[i], now);
        if (p->form == POOL_JSON) strbuf_putc(p->out, '}');
        first = false;
    }
    if (p->form == POOL_JSON) strbuf_putc(p->out, ']');
}

static const char html_head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Booky Sync: pool</title>\n"
    "<meta http-equiv=\"refresh\" content=\"5\">\n"
    "<style>body{font-family:sans-serif}table{border-collapse:collapse;margin:1em}th,td{border:1px solid #999;"
    "padding:.2em .6em;text-align:left}</style></head><body>\n<h1>Booky Sync: pool</h1>\n<table>\n";

void pool_page_write(const pool_page *p, const char *mode, const board *b, const gauges *g)
{
    int64_t now = clock_monotonic_us();
    char started[CLOCK_TEXT];
    if (p->form == POOL_JSON) strbuf_putc(p->out, '{');
    if (p->form == POOL_HTML) strbuf_puts(p->out, html_head);
    put_text(p, "process manager", mode);
    put_text(p, "start time", clock_format(b->started_ms, started));
    put_int(p, "start since", (now - b->started_us) / 1000000);
    put_int(p, "accepted conn", (long long)board_requests(b));
    put_int(p, "listen queue", g->queue_length);
    put_int(p, "listen queue len", g->queue_limit);
    put_int(p, "idle processes", g->workers[0]);
    put_int(p, "active processes", g->workers[1]);
    put_int(p, "starting processes", g->workers[2]);
    put_int(p, "total processes", g->workers[0] + g->workers[1] + g->workers[2]);
    put_int(p, "max processes", g->workers_max);
    put_int(p, "max children reached", (long long)atomic_load(&b->counters.max_reached));
    put_int(p, "slow requests", (long long)atomic_load(&b->counters.slow));
    if (p->full) put_workers(p, b, now);
    if (p->form == POOL_JSON) strbuf_puts(p->out, "}\n");
    if (p->form == POOL_HTML) strbuf_puts(p->out, "</table>\n</body></html>\n");
}
