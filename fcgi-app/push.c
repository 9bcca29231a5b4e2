#include "push.h"

#include <errno.h>
#include <ev.h>
#include <libwebsockets.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "cmd.h"
#include "log.h"
#include "push_metrics.h"
#include "push_peers.h"
#include "streams.h"

/*
 * One process, one loop (libwebsockets on libev: with its own poll(2) each poke would cost a walk over all streams).
 * nginx asks for /stream with a ticket that a worker wrote (api_events); so there are no tokens, no users' names and no
 * database in the way here. Who can connect to the socket is believed: it is nginx's.
 *
 *     worker ── datagram ──▶ on_pokes ──▶ streams_poke ──▶ on_writable ──▶ nginx ──▶ app
 *                               ╰──▶ push_peers ── NOTIFY ──▶ push_peers of another host ──▶ on_pokes
 *
 * Connections are accepted here and handed to the library, which could bind a socket, but not take one from systemd.
 */
enum {
    PING_SECONDS = 25,
    SLOW_SECONDS = 60,
    RETRY_MS = 2000,
    RETRY_SPREAD_MS = 3000,
    FDS_BESIDE = 100,
    HEADERS_AT_ONCE = 1024,
    STOP_SECONDS = 3,
    POKES_AT_ONCE = 256
};

typedef struct push {
    const conf *conf;
    struct ev_loop *loop;
    struct lws_context *context;
    struct lws_vhost *vhost;
    int peers_fd; /* -1: there are no other hosts */
    arena *arena; /* of one callback */
    streams *streams;
    push_counts counts;
    peers_counts peers;
    int64_t ticks; /* seconds since the start */
    int64_t until; /* when it ends at the latest; 0: nobody said that it should */
} push;

/* What the library keeps for each connection. */
typedef struct connection {
    stream stream; /* first: a stream is a connection */
    struct lws *wsi;
    ev_io gone; /* of an event stream: tells when the other end has closed */
    char *reply; /* of /metrics */
    size_t reply_len;
} connection;

static push *the;

static void end_if_done(void)
{
    bool done = streams_count(the->streams) == 0 || the->ticks >= the->until;
    if (the->until && done) ev_break(the->loop, EVBREAK_ALL);
}

static void wake(stream *st)
{
    lws_callback_on_writable(((connection *)st)->wsi);
}

static void end(stream *st, int reason)
{
    if (st->ending) return;
    st->ending = true;
    the->counts.endings[reason]++;
    wake(st);
}

/* Opening */

static bool read_ticket(struct lws *wsi, ticket *out)
{
    static const char name[] = "x-booky-ticket:";
    char text[2048];
    int len = lws_hdr_custom_copy(wsi, text, sizeof text, name, sizeof name - 1);
    return len > 0 && ticket_read(the->arena, text, (size_t)len, out);
}

/* While it answers a request the library does not look whether the other end is still there, and would find out with the next
 * ping. Nothing else is ever to be read from such a stream. */
static void on_gone(struct ev_loop *loop, ev_io *watcher, int events)
{
    connection *c = (connection *)((char *)watcher - offsetof(connection, gone));
    (void)events;
    ev_io_stop(loop, watcher);
    c->stream.ending = true;
    wake(&c->stream);
}

/* Counts the stream in; the oldest of a user with too many ends: that is most likely one whose device has gone. */
static bool open_stream(connection *c, struct lws *wsi, const ticket *t, bool websocket)
{
    c->wsi = wsi;
    c->stream.websocket = websocket;
    if (!streams_add(the->streams, &c->stream, t, the->ticks)) return false;
    listener *u = c->stream.user;
    int more = u->count - (int)the->conf->push_streams_per_user;
    stream *st;
    TAILQ_FOREACH(st, &u->streams, of_user)
    {
        if (more-- <= 0) break;
        end(st, PUSH_EVICTED);
    }
    the->counts.opened++;
    the->counts.streams[websocket]++;
    wake(&c->stream);
    if (websocket) return true;
    ev_io_init(&c->gone, on_gone, lws_get_socket_fd(wsi), EV_READ);
    ev_io_start(the->loop, &c->gone);
    return true;
}

/* 0: there is room. Otherwise the status that was sent; nginx turns it into an error of the API. */
static int refuse(struct lws *wsi, const ticket *t)
{
    if (t && streams_count(the->streams) < (size_t)the->conf->push_streams) return 0;
    if (t) the->counts.endings[PUSH_LIMIT]++;
    lws_return_http_status(wsi, t ? HTTP_STATUS_SERVICE_UNAVAILABLE : HTTP_STATUS_FORBIDDEN, NULL);
    return 1;
}

static int write_head(struct lws *wsi, const char *type, lws_filepos_t len)
{
    static const unsigned char no_store[] = "no-store", no[] = "no";
    unsigned char buffer[LWS_PRE + 512], *start = buffer + LWS_PRE, *p = start, *end = buffer + sizeof buffer - 1;
    if (lws_add_http_common_headers(wsi, HTTP_STATUS_OK, type, len, &p, end) ||
        lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CACHE_CONTROL, no_store, sizeof no_store - 1, &p, end) ||
        lws_add_http_header_by_name(wsi, (const unsigned char *)"x-accel-buffering:", no, sizeof no - 1, &p, end))
        return 1;
    return lws_finalize_write_http_header(wsi, start, &p, end);
}

static int on_metrics(connection *c, struct lws *wsi)
{
    strbuf out = STRBUF(the->arena);
    the->counts.peers_up = the->peers_fd < 0 ? -1 : atomic_load(&the->peers.up);
    the->counts.notified = atomic_load(&the->peers.notified);
    the->counts.notify_failed = atomic_load(&the->peers.failed);
    push_metrics_write(&the->counts, &out);
    if (!(c->reply = malloc(LWS_PRE + out.len))) return 1;
    memcpy(c->reply + LWS_PRE, out.data, out.len);
    c->reply_len = out.len;
    if (write_head(wsi, "text/plain; version=0.0.4; charset=utf-8", out.len)) return 1;
    lws_callback_on_writable(wsi);
    return 0;
}

static int on_request(connection *c, struct lws *wsi, const char *path)
{
    ticket t;
    if (strcmp(path, "/metrics") == 0) return on_metrics(c, wsi);
    bool known = strcmp(path, "/stream") == 0 && read_ticket(wsi, &t);
    if (refuse(wsi, known ? &t : NULL)) return 1;
    if (write_head(wsi, "text/event-stream", LWS_ILLEGAL_HTTP_CONTENT_LEN)) return 1;
    lws_http_headers_detach(wsi); /* gives back their memory */
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    return !open_stream(c, wsi, &t, false);
}

static int on_upgrade(struct lws *wsi)
{
    ticket t;
    return refuse(wsi, read_ticket(wsi, &t) ? &t : NULL);
}

/* Writing */

static int write_text(struct lws *wsi, const char *text, enum lws_write_protocol how)
{
    unsigned char buffer[LWS_PRE + 512];
    size_t len = strlen(text);
    if (len > sizeof buffer - LWS_PRE) return -1;
    memcpy(buffer + LWS_PRE, text, len);
    return lws_write(wsi, buffer + LWS_PRE, len, how) < (int)len ? -1 : 0;
}

static const char *event_text(stream *st)
{
    strbuf out = STRBUF(the->arena);
    const char *cursor = st->poked ? st->user->cursor : NULL;
    if (st->websocket) {
        if (cursor) strbuf_printf(&out, "{\"cursor\":\"%s\"}", cursor);
        return out.data;
    }
    /* The time after which a browser comes back is not the same for all, or all would come at once after a restart. */
    if (!st->started) strbuf_printf(&out, "retry: %d\n\n", RETRY_MS + rand() % RETRY_SPREAD_MS);
    if (cursor)
        strbuf_printf(&out, "id: %s\ndata: {\"cursor\":\"%s\"}\n\n", cursor, cursor);
    else if (st->pinged)
        strbuf_puts(&out, ": ping\n\n");
    return out.data;
}

static int on_writable(connection *c)
{
    stream *st = &c->stream;
    st->waits = 0;
    if (st->ending || the->until) {
        if (st->websocket)
            lws_close_reason(c->wsi, the->until ? LWS_CLOSE_STATUS_GOINGAWAY : LWS_CLOSE_STATUS_POLICY_VIOLATION, NULL,
                             0);
        return -1;
    }
    const char *text = event_text(st);
    int failed = 0;
    if (text)
        failed = write_text(c->wsi, text, st->websocket ? LWS_WRITE_TEXT : LWS_WRITE_HTTP);
    else if (st->pinged)
        failed = write_text(c->wsi, "", LWS_WRITE_PING);
    the->counts.sent += st->poked;
    st->started = true;
    st->poked = st->pinged = false;
    return failed;
}

static int on_reply_writable(connection *c, struct lws *wsi)
{
    if (lws_write(wsi, (unsigned char *)c->reply + LWS_PRE, c->reply_len, LWS_WRITE_HTTP_FINAL) < 0) return -1;
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static void on_closed(connection *c)
{
    free(c->reply);
    c->reply = NULL;
    if (!c->stream.user) return;
    if (!c->stream.websocket) ev_io_stop(the->loop, &c->gone);
    the->counts.streams[c->stream.websocket]--;
    streams_remove(the->streams, &c->stream);
    end_if_done();
}

/* What comes in */

static void on_connect(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop, (void)events;
    for (int fd; (fd = accept4(watcher->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;)
        lws_adopt_socket_vhost(the->vhost, fd);
}

static void on_poke(const char *text, size_t len, bool from_peer)
{
    poke p;
    if (from_peer && len > 2 && *text == PEERS_REPORT) {
        log_event((log_level)(text[1] - '0'), "peers", "%.*s", (int)len - 2, text + 2);
        return;
    }
    if (!poke_read(the->arena, text, len, &p)) {
        the->counts.invalid++;
        return;
    }
    the->counts.received[from_peer]++;
    the->counts.coalesced += (int64_t)streams_poke(the->streams, &p, the->ticks, wake);
    if (!from_peer && the->peers_fd >= 0) send(the->peers_fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_pokes(struct ev_loop *loop, ev_io *watcher, int events)
{
    char text[POKE_MAX];
    ssize_t n;
    (void)loop, (void)events;
    for (int i = 0; i < POKES_AT_ONCE && (n = recv(watcher->fd, text, sizeof text, MSG_DONTWAIT)) > 0; i++) {
        on_poke(text, (size_t)n, watcher->fd == the->peers_fd);
        arena_reset(the->arena);
    }
}

/* Once a second. */
static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    int64_t now = clock_now() / 1000;
    stream *st;
    (void)loop, (void)timer, (void)events;
    the->ticks++;
    TAILQ_FOREACH(st, streams_all(the->streams), of_all)
    {
        bool wants = st->poked || st->pinged || st->ending;
        if (!wants)
            st->waits = 0;
        else if (st->waits == 0)
            st->waits = the->ticks;
        else if (the->ticks - st->waits >= SLOW_SECONDS) {
            if (!st->ending) the->counts.endings[PUSH_SLOW]++;
            st->ending = true;
            /* What waits is never written, and the library sees the end. */
            shutdown(lws_get_socket_fd(((connection *)st)->wsi), SHUT_RDWR);
            continue;
        }
        if (now >= st->expires) end(st, PUSH_EXPIRED);
        if ((the->ticks - st->opened) % PING_SECONDS != 0 || the->ticks == st->opened) continue;
        st->pinged = true;
        wake(st);
    }
    streams_sweep(the->streams, the->ticks);
    lws_cancel_service(the->context); /* with a loop that is not its own, its timers run only when something happens */
    if (the->ticks % 10 == 0) listen_notify("WATCHDOG=1");
    end_if_done();
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    connection *c = user;
    ticket t;
    int result = 0;
    (void)len;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        result = on_request(c, wsi, in);
        break;
    case LWS_CALLBACK_HTTP_WRITEABLE:
        result = c->reply ? on_reply_writable(c, wsi) : on_writable(c);
        break;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        result = on_upgrade(wsi);
        break;
    case LWS_CALLBACK_ESTABLISHED:
        result = read_ticket(wsi, &t) && open_stream(c, wsi, &t, true) ? 0 : -1;
        break;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        result = on_writable(c);
        break;
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_CLOSED:
        on_closed(c);
        break;
    default:
        break;
    }
    arena_reset(the->arena);
    return result;
}

/* Start and stop */

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = callback, .per_session_data_size = sizeof(connection)},
    {.name = "booky.v1", .callback = callback, .per_session_data_size = sizeof(connection)},
    {0}};

static void on_log(int level, const char *line)
{
    log_event(level == LLL_ERR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "websockets", "%.*s", (int)strcspn(line, "\n"),
              line);
}

/* Ends the streams, each with what its protocol has for it, and then the loop. */
static void on_stop(struct ev_loop *loop, ev_signal *watcher, int events)
{
    stream *st;
    (void)loop, (void)watcher, (void)events;
    listen_notify("STOPPING=1");
    the->until = the->ticks + STOP_SECONDS;
    TAILQ_FOREACH(st, streams_all(the->streams), of_all) wake(st);
    end_if_done();
}

/* A descriptor for each stream. */
static unsigned raise_limit(const conf *c)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)c->push_streams + FDS_BESIDE;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return (unsigned)wanted;
    struct rlimit raised = {.rlim_cur = wanted, .rlim_max = limit.rlim_max < wanted ? wanted : limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return (unsigned)wanted;
    raised = (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &raised);
    log_event(LOG_LEVEL_WARN, "push", "push.streams: %lld, but this process may have %lld files open",
              (long long)c->push_streams, (long long)limit.rlim_max);
    return (unsigned)limit.rlim_max;
}

static bool start(push *p, const push_sockets *sockets)
{
    static ev_io streams, pokes, peers;
    static ev_timer tick;
    static ev_signal stops[3];
    p->loop = ev_loop_new(EVFLAG_AUTO);
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .foreign_loops = (void *[]){p->loop},
        .fd_limit_per_thread = raise_limit(p->conf),
        .max_http_header_pool = HEADERS_AT_ONCE,
        .timeout_secs = 20,
        .vhost_name = "push",
    };
    lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
    if (p->loop) p->context = lws_create_context(&info);
    if (p->context) p->vhost = lws_create_vhost(p->context, &info);
    if (!p->vhost) return false;
    p->peers_fd = *p->conf->push_channel ? peers_start(p->conf, &p->peers) : -1;
    ev_io_init(&streams, on_connect, sockets->streams, EV_READ);
    ev_io_start(p->loop, &streams);
    ev_io_init(&pokes, on_pokes, sockets->pokes, EV_READ);
    if (sockets->pokes >= 0) ev_io_start(p->loop, &pokes);
    ev_io_init(&peers, on_pokes, p->peers_fd, EV_READ);
    if (p->peers_fd >= 0) ev_io_start(p->loop, &peers);
    ev_timer_init(&tick, on_tick, 1, 1);
    ev_timer_start(p->loop, &tick);
    for (size_t i = 0; i < 3; i++) {
        ev_signal_init(&stops[i], on_stop, ((const int[]){SIGTERM, SIGQUIT, SIGINT})[i]);
        ev_signal_start(p->loop, &stops[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* whoever means a reload: there is nothing to read again */
    return true;
}

int push_run(const conf *c, const push_sockets *sockets)
{
    static push p;
    p = (push){.conf = c, .arena = arena_new(), .streams = streams_new()};
    the = &p;
    srand((unsigned)getpid());
    if (!start(&p, sockets)) {
        log_event(LOG_LEVEL_ERROR, "push", "libwebsockets cannot start");
        return CMD_FAILED;
    }
    listen_notify("READY=1");
    log_event(LOG_LEVEL_INFO, "push", "ready for %lld streams", (long long)c->push_streams);
    ev_run(p.loop, 0);
    lws_context_destroy(p.context);
    streams_free(p.streams);
    arena_free(p.arena);
    log_event(LOG_LEVEL_INFO, "push", "stopped");
    return CMD_OK;
}
