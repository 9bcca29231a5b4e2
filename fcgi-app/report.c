#include "report.h"

#include <fcgiapp.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena.h"
#include "clock.h"
#include "db.h"
#include "json.h"
#include "metrics.h"
#include "route.h"
#include "worker.h"

enum { TOTALS_EVERY_US = 10 * 1000000 }; /* the sums over the database are at most that old */

typedef struct reporter {
    const conf *conf;
    const listeners *listeners;
    arena *arena;
    db *db;
    board *board;
    gauges totals; /* the last look into the database */
    int64_t totals_us;
} reporter;

/* The accept queue. That of a unix socket php-fpm cannot tell: only NETLINK_SOCK_DIAG knows (unix_diag.h). */
static void read_listen_queue(int fd, int64_t *length, int64_t *limit)
{
    struct tcp_info tcp;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &tcp, &(socklen_t){sizeof tcp}) == 0) {
        *length = tcp.tcpi_unacked; /* what these two hold of a listening socket */
        *limit = tcp.tcpi_sacked;
        return;
    }
    struct stat st;
    struct {
        struct nlmsghdr header;
        struct unix_diag_req body;
    } ask = {.header = {sizeof ask, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0},
             .body = {.sdiag_family = AF_UNIX, .udiag_states = -1U, .udiag_show = UDIAG_SHOW_RQLEN}};
    _Alignas(struct nlmsghdr) char answer[4096];
    *length = *limit = -1;
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (netlink < 0) return;
    if (fstat(fd, &st) == 0) {
        ask.body.udiag_ino = (uint32_t)st.st_ino;
        ask.body.udiag_cookie[0] = ask.body.udiag_cookie[1] = ~0U;
    }
    ssize_t n = send(netlink, &ask, sizeof ask, 0) == (ssize_t)sizeof ask ? recv(netlink, answer, sizeof answer, 0) : -1;
    close(netlink);
    const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
    if (n < (ssize_t)sizeof *header || !NLMSG_OK(header, (size_t)n) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY) return;
    const struct unix_diag_msg *message = NLMSG_DATA(header);
    size_t left = header->nlmsg_len - NLMSG_LENGTH(sizeof *message);
    const struct nlattr *attribute = (const struct nlattr *)(message + 1);
    while (left >= sizeof *attribute && attribute->nla_len >= sizeof *attribute && attribute->nla_len <= left) {
        if (attribute->nla_type == UNIX_DIAG_RQLEN) {
            const struct unix_diag_rqlen *queue = (const struct unix_diag_rqlen *)(attribute + 1);
            *length = queue->udiag_rqueue;
            *limit = queue->udiag_wqueue;
        }
        size_t step = NLA_ALIGN(attribute->nla_len);
        if (step >= left) break;
        attribute = (const struct nlattr *)((const char *)attribute + step);
        left -= step;
    }
}

/* Sums over the database, at most every ten seconds, so that a scraper costs it nothing. */
static void read_totals(reporter *r)
{
    PGresult *row;
    rc code = RC_UNAVAILABLE;
    int64_t now = clock_monotonic_us();
    if (r->totals_us != 0 && now - r->totals_us < TOTALS_EVERY_US) return;
    r->totals_us = now;
    r->totals = (gauges){.queue_waiting = -1, .queue_review = -1, .conflicts_open = -1};
    /* A connection that was cut while idle says nothing of the database: it is made again. */
    for (int attempt = 0; attempt < 2 && code != RC_OK && db_ready(r->db) == RC_OK; attempt++) {
        code = DB_RUN(r->db, r->arena, {.id = SQL_TOTALS, .result = &row});
        if (!db_lost(r->db)) break;
    }
    if (code != RC_OK) return;
    r->totals.db_up = 1;
    r->totals.queue_waiting = db_column_int(row, 0, 0, -1);
    r->totals.queue_review = db_column_int(row, 0, 1, -1);
    r->totals.conflicts_open = db_column_int(row, 0, 2, -1);
}

static bool is_worker(const board_slot *slot)
{
    return atomic_load(&slot->pid) > 0;
}

static gauges look(reporter *r, bool totals)
{
    if (totals) read_totals(r);
    gauges g = r->totals;
    memset(g.workers, 0, sizeof g.workers);
    for (int i = 0; i < BOARD_SLOTS; i++) {
        const board_slot *slot = &r->board->slots[i];
        int32_t stage = atomic_load(&slot->stage);
        if (is_worker(slot)) g.workers[stage == STAGE_IDLE ? 0 : stage == STAGE_STARTING ? 2 : 1]++;
    }
    g.workers_max = atomic_load(&r->board->workers_max);
    g.start_time = r->board->started_ms / 1000;
    g.build_info = 1;
    read_listen_queue(r->listeners->requests, &g.listen_queue, &g.listen_limit);
    return g;
}

/* The pool page: php-fpm's names, as text or JSON. A row is a name and a number. */

typedef struct page {
    strbuf *out;
    bool json;
} page;

static void put(page *p, const char *name, long long value)
{
    if (p->json) json_write_int(p->out, name, value);
    else strbuf_printf(p->out, "%-22s%lld\n", arena_printf(p->out->a, "%s:", name), value);
}

static void put_text(page *p, const char *name, const char *value)
{
    if (p->json) json_write_member(p->out, name, value);
    else strbuf_printf(p->out, "%-22s%s\n", arena_printf(p->out->a, "%s:", name), value);
}

static const char *endpoint_of(const board_slot *slot)
{
    int32_t i = atomic_load(&slot->endpoint);
    return i >= 0 && i < BOARD_ENDPOINTS ? routes[i].name : "none";
}

static void put_process(page *p, const board_slot *slot, int64_t now)
{
    int32_t stage = atomic_load(&slot->stage);
    bool busy = stage >= 0;
    char id[BOARD_ID];
    memcpy(id, slot->request_id, sizeof id);
    id[BOARD_ID - 1] = '\0';
    put(p, "pid", atomic_load(&slot->pid));
    put_text(p, "state", busy ? "busy" : stage == STAGE_IDLE ? "idle" : "starting");
    put(p, "start since", (now - atomic_load(&slot->started_us)) / 1000000);
    put(p, "requests", (long long)atomic_load(&slot->requests));
    put(p, "request duration", busy ? now - atomic_load(&slot->request_started_us) : atomic_load(&slot->last_us));
    put_text(p, "endpoint", endpoint_of(slot));
    put_text(p, "request id", id);
}

static void write_pool(reporter *r, page *p, bool full)
{
    gauges g = look(r, false);
    const counters *c = &r->board->counters;
    int64_t now = clock_monotonic_us();
    char started[CLOCK_TEXT];
    uint64_t accepted = 0;
    for (int i = 0; i < BOARD_ENDPOINTS; i++)
        for (int j = 0; j <= BOARD_BUCKETS; j++) accepted += atomic_load(&c->buckets[i][j]);
    if (p->json) strbuf_putc(p->out, '{');
    put_text(p, "process manager", r->conf->mode);
    put_text(p, "start time", clock_format(r->board->started_ms, started));
    put(p, "start since", (now - r->board->started_us) / 1000000);
    put(p, "accepted conn", (long long)accepted);
    put(p, "listen queue", g.listen_queue);
    put(p, "listen queue len", g.listen_limit);
    put(p, "idle processes", g.workers[0]);
    put(p, "active processes", g.workers[1]);
    put(p, "starting processes", g.workers[2]);
    put(p, "total processes", g.workers[0] + g.workers[1] + g.workers[2]);
    put(p, "max processes", g.workers_max);
    put(p, "max children reached", (long long)atomic_load(&c->max_reached));
    put(p, "slow requests", (long long)atomic_load(&c->slow));
    if (p->json && full) {
        json_write_name(p->out, "processes");
        strbuf_putc(p->out, '[');
    }
    bool first = true;
    for (int i = 0; full && i < BOARD_SLOTS; i++) {
        if (!is_worker(&r->board->slots[i])) continue;
        strbuf_puts(p->out, !p->json ? "\n" : first ? "{" : ",{");
        put_process(p, &r->board->slots[i], now);
        if (p->json) strbuf_putc(p->out, '}');
        first = false;
    }
    if (p->json) strbuf_puts(p->out, full ? "]}\n" : "}\n");
}

static bool has_flag(const char *query, const char *flag)
{
    size_t len = strlen(flag);
    for (const char *p = query; p && *p; p += strcspn(p, "&"), p += *p == '&')
        if (strncmp(p, flag, len) == 0 && (p[len] == '&' || p[len] == '\0')) return true;
    return false;
}

static bool handle(FCGX_Request *fcgi, void *context)
{
    reporter *r = context;
    const char *uri = FCGX_GetParam("REQUEST_URI", fcgi->envp);
    size_t len = uri ? strcspn(uri, "?") : 0;
    const char *query = uri && uri[len] ? uri + len + 1 : "", *type = "text/plain; charset=utf-8";
    strbuf out = STRBUF(r->arena);
    int status = 200;
    if (len == 5 && memcmp(uri, "/pool", len) == 0) {
        page p = {&out, has_flag(query, "json")};
        if (p.json) type = "application/json";
        write_pool(r, &p, has_flag(query, "full"));
    } else if (len == 5 && memcmp(uri, "/ping", len) == 0) {
        strbuf_puts(&out, "pong\n");
    } else if (len == 8 && memcmp(uri, "/metrics", len) == 0) {
        gauges g = look(r, true);
        type = "text/plain; version=0.0.4; charset=utf-8";
        metrics_write(&r->board->counters, &g, &out);
    } else {
        status = 404;
        type = "application/json";
        strbuf_puts(&out, "{\"success\":false,\"error\":\"NOT_FOUND\",\"message\":\"there is no such path\"}\n");
    }
    FCGX_FPrintF(fcgi->out, "Status: %d\r\nContent-Type: %s\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n", status, type,
                 (int)out.len);
    FCGX_PutStr(out.data, (int)out.len, fcgi->out);
    fcgi->keepConnection = 0;
    FCGX_Finish_r(fcgi);
    arena_reset(r->arena);
    return true;
}

int report_run(const conf *c, const listeners *l, board *b)
{
    reporter r = {.conf = c, .listeners = l, .arena = arena_new(), .db = db_new(c), .board = b};
    worker_loop(l->status, NULL, handle, &r);
    db_free(r.db);
    arena_free(r.arena);
    return EXIT_SUCCESS;
}
