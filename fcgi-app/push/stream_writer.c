#include "push/stream_writer.h"

#include <stdlib.h>
#include <string.h>

/* The reconnection time of Server-Sent Events. It is random, so that not all clients come back at the same moment after
 * a restart. */
enum { RETRY_MS = 2000, RETRY_SPREAD_MS = 3000 };

static int write_text(struct lws *wsi, const char *text, enum lws_write_protocol protocol)
{
    unsigned char buffer[LWS_PRE + 512];
    size_t len = strlen(text);
    if (len > sizeof buffer - LWS_PRE) return -1;
    memcpy(buffer + LWS_PRE, text, len);
    return lws_write(wsi, buffer + LWS_PRE, len, protocol) < (int)len ? -1 : 0;
}

/* NULL: nothing. */
static const char *event_text(push *p, const stream *st)
{
    strbuf out = STRBUF(p->arena);
    const char *cursor = st->poked ? st->user->cursor : NULL;
    if (st->websocket) {
        if (cursor) strbuf_printf(&out, "{\"cursor\":\"%s\"}", cursor);
        return out.data;
    }
    if (!st->started) strbuf_printf(&out, "retry: %d\n\n", RETRY_MS + rand() % RETRY_SPREAD_MS);
    if (cursor)
        strbuf_printf(&out, "id: %s\ndata: {\"cursor\":\"%s\"}\n\n", cursor, cursor);
    else if (st->pinged)
        strbuf_puts(&out, ": ping\n\n");
    return out.data;
}

static int write_end(const push *p, const connection *c)
{
    if (c->stream.websocket)
        lws_close_reason(c->wsi, p->stop_deadline ? LWS_CLOSE_STATUS_GOINGAWAY : LWS_CLOSE_STATUS_POLICY_VIOLATION,
                         NULL, 0);
    return -1;
}

int stream_write(push *p, connection *c)
{
    stream *st = &c->stream;
    st->waiting_since = 0;
    if (st->ending || p->stop_deadline) return write_end(p, c);
    const char *text = event_text(p, st);
    int result = 0;
    if (text)
        result = write_text(c->wsi, text, st->websocket ? LWS_WRITE_TEXT : LWS_WRITE_HTTP);
    else if (st->pinged)
        result = write_text(c->wsi, "", LWS_WRITE_PING);
    p->counts.sent += st->poked;
    st->started = true;
    st->poked = st->pinged = false;
    return result;
}
