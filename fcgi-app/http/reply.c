#include "http/reply.h"

#include <errno.h>
#include <fcgiapp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/json.h"

/* PIECE: bytes. A socket that poll reports as writable takes more than a piece and the 8 KiB that libfcgi buffers, so a
 * write never blocks. WAKE_MS: as in db_pipeline.c. */
enum { PIECE = 16 * 1024, WAKE_MS = 1000 };

/* Waits until the connection takes a piece. Returns false when it does not and the time of the request is over. A write
 * that blocks inside libfcgi cannot be ended reliably, because the signal may come just before it. */
static bool wait_writable(const request *r)
{
    struct pollfd p = {r->fcgi->ipcFd, POLLOUT, 0};
    for (;;) {
        bool over = *r->cancelled; /* the 503 of a cancelled request is sent if the connection takes it at once */
        int ready = poll(&p, 1, over ? 0 : WAKE_MS);
        if (ready > 0 || (ready < 0 && errno != EINTR)) return true; /* the write reports errors */
        if (over && ready == 0) return false;
    }
}

/* Gives up the rest of the reply. nginx sees the connection end without FastCGI's end record, so that a partial reply
 * does not look complete. */
static void give_up(request *r)
{
    r->reply_ended = true;
    shutdown(r->fcgi->ipcFd, SHUT_RDWR);
}

static void write_out(request *r, const char *bytes, size_t len, bool is_body)
{
    while (len > 0 && !r->reply_ended) {
        int n = len < PIECE ? (int)len : PIECE;
        bool fits = r->bytes_out + (size_t)n <= PIECE; /* nothing else is in the socket */
        if (!fits && !wait_writable(r)) {
            r->code = RC_UNAVAILABLE;
            give_up(r);
        } else if (FCGX_PutStr(bytes, n, r->fcgi->out) != n) {
            /* A client that has gone away is not an error. Ends the statement whose rows nobody will read. */
            r->client_gone = true;
            *r->cancelled = 1;
            give_up(r);
        } else if (is_body) {
            r->bytes_out += (uint64_t)n;
        }
        bytes += n;
        len -= (size_t)n;
    }
}

/* RFC 6750: no error code when no token was sent. */
static void append_challenge(const request *r, strbuf *head)
{
    strbuf_puts(head, "WWW-Authenticate: Bearer realm=\"booky\"");
    if (r->token_reason) strbuf_printf(head, ", error=\"invalid_token\", error_description=\"%s\"", r->token_reason);
    strbuf_puts(head, "\r\n");
}

/* A reply with a ticket has no Cache-Control: nginx would add it to the one of the stream. */
static void append_cache_headers(const request *r, strbuf *head)
{
    if (r->ctx.etag && (r->code == RC_OK || r->code == RC_NOT_MODIFIED))
        strbuf_printf(head, "ETag: %s\r\nCache-Control: private, no-cache\r\n", r->ctx.etag);
    else if (r->ticket && r->code == RC_OK)
        strbuf_printf(head, "X-Accel-Redirect: /.booky-stream\r\nX-Booky-Ticket: %s\r\n", r->ticket);
    else
        strbuf_puts(head, "Cache-Control: no-store\r\n");
}

static void append_head(const request *r, strbuf *head)
{
    strbuf_printf(head, "Status: %d\r\nX-Request-Id: %s\r\n", request_status(r), r->id);
    if (r->code != RC_NOT_MODIFIED) strbuf_puts(head, "Content-Type: application/json\r\n");
    append_cache_headers(r, head);
    if (r->rate_headers) strbuf_puts(head, r->rate_headers);
    if (r->code == RC_RATE_LIMITED) strbuf_printf(head, "Retry-After: %lld\r\n", (long long)r->retry_after);
    if (r->code == RC_METHOD_NOT_ALLOWED) strbuf_printf(head, "Allow: %s\r\n", r->allow);
    if (r->code == RC_UNAVAILABLE) strbuf_puts(head, "Retry-After: 2\r\n");
    if (r->code == RC_UNAUTHORIZED) append_challenge(r, head);
}

void reply_stream(void *to, const char *bytes, size_t len)
{
    request *r = to;
    if (!r->reply_started) {
        strbuf head = STRBUF(r->a);
        r->reply_started = true;
        append_head(r, &head);
        strbuf_puts(&head, "\r\n");
        write_out(r, head.data, head.len, false);
    }
    write_out(r, bytes, len, true);
}

static const char *default_message(const request *r)
{
    if (r->code == RC_UNAVAILABLE && r->ctx.txn.in_doubt)
        return "the database went away during the commit; retry with the same operation ids, nothing is done twice";
    if (r->code == RC_UNAVAILABLE && *r->cancelled)
        return "the request took too long and was cancelled; nothing was applied, retry";
    if (r->code == RC_UNAVAILABLE && db_locked(r->db))
        return "another request of this user is not done yet; nothing was applied, retry";
    if (r->code == RC_UNAVAILABLE) return "the database is not available; nothing was applied, retry";
    if (r->code == RC_TOO_LARGE) return "the changes are too large to be stored at once; send fewer in a request";
    if (r->code == RC_FAILED) return "the server failed; nothing was applied, retry";
    return "the request was refused";
}

static void append_error(request *r, strbuf *body)
{
    strbuf_putc(body, '{');
    json_write_bool(body, "success", false);
    json_write_member(body, "error", rc_info(r->code)->error);
    json_write_member(body, "message", r->ctx.message ? r->ctx.message : default_message(r));
    if (r->ctx.details.len > 0) {
        json_write_name(body, "details");
        strbuf_printf(body, "[%s]", r->ctx.details.data);
    }
    if (r->ctx.extra.len > 0) strbuf_add(body, r->ctx.extra.data, r->ctx.extra.len);
    json_write_member(body, "requestId", r->id);
    strbuf_putc(body, '}');
}

void reply_send(request *r)
{
    if (r->reply_started) {
        if (r->code != RC_OK) give_up(r);
        if (r->client_gone) r->code = RC_OK; /* the status that it was sent */
        return;
    }
    strbuf head = STRBUF(r->a), *body = &r->reply;
    if (r->code != RC_OK && r->code != RC_NOT_MODIFIED) {
        *body = STRBUF(r->a);
        append_error(r, body);
    }
    append_head(r, &head);
    if (r->code != RC_NOT_MODIFIED) strbuf_printf(&head, "Content-Length: %zu\r\n", body->len);
    strbuf_puts(&head, "\r\n");
    write_out(r, head.data, head.len, false);
    if (r->code != RC_NOT_MODIFIED) write_out(r, body->data, body->len, true);
}
