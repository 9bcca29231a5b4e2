#include "push/connections.h"

#include <stdlib.h>
#include <string.h>

#include "push/stream_writer.h"

/* Opening */

static bool read_ticket(push *p, struct lws *wsi, ticket *out)
{
    static const char name[] = "x-booky-ticket:";
    char text[2048];
    int len = lws_hdr_custom_copy(wsi, text, sizeof text, name, sizeof name - 1);
    return len > 0 && ticket_read(p->arena, text, (size_t)len, out);
}

/* While the library answers a request it does not notice that the other end has closed; it would with the next ping.
 * Nothing is ever read from such a stream, so a readable socket means that the other end has closed. */
static void on_hangup(struct ev_loop *loop, ev_io *watcher, int events)
{
    connection *c = (connection *)((char *)watcher - offsetof(connection, hangup));
    (void)events;
    ev_io_stop(loop, watcher);
    c->stream.ending = true;
    push_wake(&c->stream);
}

/* Ends the oldest streams of a user who has too many: most likely their devices are gone. */
static void evict_oldest(push *p, stream_user *u)
{
    int excess = u->count - (int)p->conf->push_streams_per_user;
    stream *st;
    TAILQ_FOREACH(st, &u->streams, user_link)
    {
        if (excess-- <= 0) break;
        push_end_stream(p, st, PUSH_EVICTED);
    }
}

static bool open_stream(push *p, connection *c, struct lws *wsi, const ticket *t, bool websocket)
{
    c->wsi = wsi;
    c->stream.websocket = websocket;
    if (!streams_add(p->streams, &c->stream, t, p->ticks)) return false;
    evict_oldest(p, c->stream.user);
    p->counts.opened++;
    p->counts.streams[websocket]++;
    push_wake(&c->stream);
    if (websocket) return true;
    ev_io_init(&c->hangup, on_hangup, lws_get_socket_fd(wsi), EV_READ);
    ev_io_start(p->loop, &c->hangup);
    return true;
}

/* Refuses a stream without a valid ticket (NULL) or beyond push.streams; nginx turns the status into an error of the
 * API. Returns whether it was refused. */
static bool refuse(push *p, struct lws *wsi, const ticket *t)
{
    if (t && streams_count(p->streams) < (size_t)p->conf->push_streams) return false;
    if (t) p->counts.endings[PUSH_LIMIT]++;
    lws_return_http_status(wsi, t ? HTTP_STATUS_SERVICE_UNAVAILABLE : HTTP_STATUS_FORBIDDEN, NULL);
    return true;
}

static int write_head(struct lws *wsi, const char *type, lws_filepos_t len)
{
    static const unsigned char no_store[] = "no-store", no[] = "no";
    unsigned char buffer[LWS_PRE + 512], *start = buffer + LWS_PRE, *at = start, *end = buffer + sizeof buffer - 1;
    if (lws_add_http_common_headers(wsi, HTTP_STATUS_OK, type, len, &at, end) ||
        lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CACHE_CONTROL, no_store, sizeof no_store - 1, &at, end) ||
        lws_add_http_header_by_name(wsi, (const unsigned char *)"x-accel-buffering:", no, sizeof no - 1, &at, end))
        return 1;
    return lws_finalize_write_http_header(wsi, start, &at, end);
}

static int open_page(connection *c, struct lws *wsi, const strbuf *body, const char *type)
{
    if (!(c->page = malloc(LWS_PRE + body->len))) return 1;
    memcpy(c->page + LWS_PRE, body->data, body->len);
    c->page_len = body->len;
    if (write_head(wsi, type, body->len)) return 1;
    lws_callback_on_writable(wsi);
    return 0;
}

static int open_metrics(push *p, connection *c, struct lws *wsi)
{
    strbuf out = STRBUF(p->arena);
    p->counts.peers_up = p->peers_fd < 0 ? -1 : atomic_load(&p->peers.up);
    p->counts.notified = atomic_load(&p->peers.notified);
    p->counts.notify_failed = atomic_load(&p->peers.failed);
    push_metrics_write(&p->counts, &out);
    return open_page(c, wsi, &out, "text/plain; version=0.0.4; charset=utf-8");
}

/* For `booky-sync user show`: the number of streams of the user whose name, as a poke has it, is in X-Booky-User. */
static int open_user(push *p, connection *c, struct lws *wsi)
{
    static const char header[] = "x-booky-user:";
    char name[2048];
    strbuf out = STRBUF(p->arena);
    if (lws_hdr_custom_copy(wsi, name, sizeof name, header, sizeof header - 1) <= 0) {
        lws_return_http_status(wsi, HTTP_STATUS_BAD_REQUEST, NULL);
        return 1;
    }
    strbuf_printf(&out, "%d\n", streams_of(p->streams, name));
    return open_page(c, wsi, &out, "text/plain; charset=utf-8");
}

static int on_request(push *p, connection *c, struct lws *wsi, const char *path)
{
    ticket t;
    if (strcmp(path, "/metrics") == 0) return open_metrics(p, c, wsi);
    if (strcmp(path, "/user") == 0) return open_user(p, c, wsi);
    bool valid = strcmp(path, "/stream") == 0 && read_ticket(p, wsi, &t);
    if (refuse(p, wsi, valid ? &t : NULL)) return 1;
    if (write_head(wsi, "text/event-stream", LWS_ILLEGAL_HTTP_CONTENT_LEN)) return 1;
    lws_http_headers_detach(wsi); /* gives back their memory */
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    return !open_stream(p, c, wsi, &t, false);
}

static int on_upgrade(push *p, struct lws *wsi)
{
    ticket t;
    return refuse(p, wsi, read_ticket(p, wsi, &t) ? &t : NULL);
}

static int on_websocket(push *p, connection *c, struct lws *wsi)
{
    ticket t;
    return read_ticket(p, wsi, &t) && open_stream(p, c, wsi, &t, true) ? 0 : -1;
}

/* Writing and closing */

static int write_page(connection *c, struct lws *wsi)
{
    if (lws_write(wsi, (unsigned char *)c->page + LWS_PRE, c->page_len, LWS_WRITE_HTTP_FINAL) < 0) return -1;
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static void on_closed(push *p, connection *c)
{
    free(c->page);
    c->page = NULL;
    if (!c->stream.user) return;
    if (!c->stream.websocket) ev_io_stop(p->loop, &c->hangup);
    p->counts.streams[c->stream.websocket]--;
    streams_remove(p->streams, &c->stream);
    push_end_if_done(p);
}

static int on_event(push *p, connection *c, struct lws *wsi, enum lws_callback_reasons reason, void *in)
{
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return on_request(p, c, wsi, in);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return c->page ? write_page(c, wsi) : stream_write(p, c);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return on_upgrade(p, wsi);
    case LWS_CALLBACK_ESTABLISHED:
        return on_websocket(p, c, wsi);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return stream_write(p, c);
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_CLOSED:
        on_closed(p, c);
        return 0;
    default:
        return 0;
    }
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    push *p = wsi ? lws_context_user(lws_get_context(wsi)) : NULL; /* some events belong to no connection */
    (void)len;
    if (!p) return 0;
    int result = on_event(p, user, wsi, reason, in);
    arena_reset(p->arena);
    return result;
}

const struct lws_protocols connections_protocols[] = {
    {.name = "http", .callback = callback, .per_session_data_size = sizeof(connection)},
    {.name = "booky.v1", .callback = callback, .per_session_data_size = sizeof(connection)},
    {0}};

void connections_add(push *p, int fd)
{
    lws_adopt_socket_vhost(p->vhost, fd);
}
