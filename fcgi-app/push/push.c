#include "push/push.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "push/connections.h"
#include "push/push_state.h"
#include "serve/notify.h"
#include "sync/poke.h"

/*
 * One process, one loop: libwebsockets on libev, because with its own poll(2) each poke would cost a walk over all
 * streams. nginx asks for /stream with a ticket that a worker wrote (api_events), so tokens, users' names and the
 * database are not needed here. Every connection to the socket is trusted: only nginx can open it.
 *
 *     worker ── datagram ──▶ on_pokes ──▶ streams_poke ──▶ stream_write ──▶ nginx ──▶ app
 *                               ╰──▶ push_peers ── NOTIFY ──▶ push_peers of another host ──▶ on_pokes
 *
 * Connections are accepted here and handed to the library: it can bind a socket, but not take one from systemd.
 */
enum {
    PING_SECONDS = 25,
    SLOW_SECONDS = 60,      /* a stream that could not be written to for so long is closed */
    FDS_EXTRA = 100,        /* descriptors besides those of the streams */
    HEADERS_AT_ONCE = 1024, /* connections whose headers are being read */
    STOP_SECONDS = 3,
    WATCHDOG_SECONDS = 10,
    POKES_AT_ONCE = 256 /* read before the loop turns to other events */
};

/* Incoming connections and pokes */

static void on_connect(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    for (int fd; (fd = accept4(watcher->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;)
        connections_add(ev_userdata(loop), fd);
}

static void handle_poke(push *p, const char *text, size_t len, bool from_peer)
{
    poke received;
    if (from_peer && len > 2 && *text == PEERS_REPORT) {
        log_event((log_level)(text[1] - '0'), "peers", "%.*s", (int)len - 2, text + 2);
        return;
    }
    if (!poke_read(p->arena, text, len, &received)) {
        p->counts.invalid++;
        return;
    }
    p->counts.received[from_peer]++;
    p->counts.coalesced += (int64_t)streams_poke(p->streams, &received, p->ticks, push_wake);
    if (!from_peer && p->peers_fd >= 0) send(p->peers_fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_pokes(struct ev_loop *loop, ev_io *watcher, int events)
{
    push *p = ev_userdata(loop);
    char text[POKE_MAX];
    ssize_t n;
    (void)events;
    for (int i = 0; i < POKES_AT_ONCE && (n = recv(watcher->fd, text, sizeof text, MSG_DONTWAIT)) > 0; i++) {
        handle_poke(p, text, (size_t)n, watcher->fd == p->peers_fd);
        arena_reset(p->arena);
    }
}

/* Once a second */

/* Closes a stream that could not be written to for SLOW_SECONDS. Returns whether it did. */
static bool close_if_slow(push *p, stream *st)
{
    if (!st->poked && !st->pinged && !st->ending)
        st->waiting_since = 0;
    else if (st->waiting_since == 0)
        st->waiting_since = p->ticks;
    else if (p->ticks - st->waiting_since >= SLOW_SECONDS) {
        if (!st->ending) p->counts.endings[PUSH_SLOW]++;
        st->ending = true;
        /* The library does not close a connection while data waits to be written; after shutdown it sees an end. */
        shutdown(lws_get_socket_fd(((connection *)st)->wsi), SHUT_RDWR);
        return true;
    }
    return false;
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    push *p = ev_userdata(loop);
    int64_t now = clock_now() / 1000;
    stream *st;
    (void)timer, (void)events;
    p->ticks++;
    TAILQ_FOREACH(st, streams_all(p->streams), all_link)
    {
        if (close_if_slow(p, st)) continue;
        if (now >= st->expires) push_end_stream(p, st, PUSH_EXPIRED);
        if ((p->ticks - st->opened) % PING_SECONDS != 0 || p->ticks == st->opened) continue;
        st->pinged = true;
        push_wake(st);
    }
    streams_sweep(p->streams, p->ticks);
    lws_cancel_service(p->context); /* on a foreign loop the library's timers run only when something happens */
    if (p->ticks % WATCHDOG_SECONDS == 0) notify_send("WATCHDOG=1");
    push_end_if_done(p);
}

/* Start and stop */

static void on_log(int level, const char *line)
{
    log_event(level == LLL_ERR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "websockets", "%.*s", (int)strcspn(line, "\n"),
              line);
}

/* Ends all streams as their protocol provides for; the loop ends with the last one or after STOP_SECONDS. */
static void on_stop(struct ev_loop *loop, ev_signal *watcher, int events)
{
    push *p = ev_userdata(loop);
    stream *st;
    (void)watcher, (void)events;
    notify_send("STOPPING=1");
    p->stop_deadline = p->ticks + STOP_SECONDS;
    TAILQ_FOREACH(st, streams_all(p->streams), all_link) push_wake(st);
    push_end_if_done(p);
}

/* Allows one descriptor per stream. Returns how many descriptors the process may have. */
static unsigned raise_fd_limit(const conf *c)
{
    struct rlimit limit;
    rlim_t needed = (rlim_t)c->push_streams + FDS_EXTRA;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return (unsigned)needed;
    struct rlimit raised = {.rlim_cur = needed, .rlim_max = limit.rlim_max < needed ? needed : limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return (unsigned)needed;
    raised = (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &raised);
    log_event(LOG_LEVEL_WARN, "push", "push.streams: %lld, but this process may have %lld files open",
              (long long)c->push_streams, (long long)limit.rlim_max);
    return (unsigned)limit.rlim_max;
}

static bool start_library(push *p)
{
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = connections_protocols,
        .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .foreign_loops = (void *[]){p->loop},
        .fd_limit_per_thread = raise_fd_limit(p->conf),
        .max_http_header_pool = HEADERS_AT_ONCE,
        .timeout_secs = 20,
        .vhost_name = "push",
        .user = p,
    };
    lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
    p->context = lws_create_context(&info);
    if (p->context) p->vhost = lws_create_vhost(p->context, &info);
    return p->vhost != NULL;
}

static void watch_fd(push *p, ev_io *watcher, void (*handle)(struct ev_loop *, ev_io *, int), int fd)
{
    if (fd < 0) return;
    ev_io_init(watcher, handle, fd, EV_READ);
    ev_io_start(p->loop, watcher);
}

static bool start(push *p, const push_sockets *sockets)
{
    static ev_io streams, pokes, peers;
    static ev_timer tick;
    static ev_signal stops[3];
    if (!(p->loop = ev_loop_new(EVFLAG_AUTO))) return false;
    ev_set_userdata(p->loop, p);
    if (!start_library(p)) return false;
    p->peers_fd = *p->conf->push_channel ? peers_start(p->conf, &p->peers) : -1;
    watch_fd(p, &streams, on_connect, sockets->streams);
    watch_fd(p, &pokes, on_pokes, sockets->pokes);
    watch_fd(p, &peers, on_pokes, p->peers_fd);
    ev_timer_init(&tick, on_tick, 1, 1);
    ev_timer_start(p->loop, &tick);
    for (size_t i = 0; i < 3; i++) {
        ev_signal_init(&stops[i], on_stop, ((const int[]){SIGTERM, SIGQUIT, SIGINT})[i]);
        ev_signal_start(p->loop, &stops[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* there is nothing to reload */
    return true;
}

int push_run(const conf *c, const push_sockets *sockets)
{
    static push p; /* the thread of push_peers.c may outlive this function */
    p = (push){.conf = c, .arena = arena_new(), .streams = streams_new()};
    srand((unsigned)getpid());
    if (!start(&p, sockets)) {
        log_event(LOG_LEVEL_ERROR, "push", "libwebsockets cannot start");
        return EXIT_FAILURE;
    }
    notify_send("READY=1");
    log_event(LOG_LEVEL_INFO, "push", "ready for %lld streams", (long long)c->push_streams);
    ev_run(p.loop, 0);
    lws_context_destroy(p.context);
    streams_free(p.streams);
    arena_free(p.arena);
    log_event(LOG_LEVEL_INFO, "push", "stopped");
    return EXIT_SUCCESS;
}
