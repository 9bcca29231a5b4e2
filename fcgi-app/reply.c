#include "reply.h"

#include <fcgiapp.h>
#include <string.h>
#include <sys/socket.h>

#include "json.h"

static void put(request *r, const char *bytes, size_t len)
{
    /* A client that has gone away is no fault of ours; what is left is written to nobody. */
    if (FCGX_PutStr(bytes, (int)len, r->fcgi->out) == (int)len) r->bytes_out += len;
}

static void put_head(request *r, strbuf *head)
{
    const rc_row *row = rc_info(r->code);
    int status = r->code == RC_OK && r->status ? r->status : row->status;
    strbuf_printf(head, "Status: %d\r\nX-Request-Id: %s\r\n", status, r->id);
    if (r->code != RC_NOT_MODIFIED) strbuf_puts(head, "Content-Type: application/json\r\n");
    if (r->call.etag && (r->code == RC_OK || r->code == RC_NOT_MODIFIED))
        strbuf_printf(head, "ETag: %s\r\nCache-Control: private, no-cache\r\n", r->call.etag);
    else if (r->ticket && r->code == RC_OK) /* without Cache-Control, which nginx would keep beside that of the stream */
        strbuf_printf(head, "X-Accel-Redirect: /.booky-stream\r\nX-Booky-Ticket: %s\r\n", r->ticket);
    else strbuf_puts(head, "Cache-Control: no-store\r\n");
    if (r->rate_headers) strbuf_puts(head, r->rate_headers);
    if (r->code == RC_RATE_LIMITED) strbuf_printf(head, "Retry-After: %lld\r\n", (long long)r->retry_after);
    if (r->code == RC_METHOD_NOT_ALLOWED) strbuf_printf(head, "Allow: %s\r\n", r->allow);
    if (r->code == RC_UNAVAILABLE) strbuf_puts(head, "Retry-After: 2\r\n");
    if (r->code == RC_UNAUTHORIZED) {
        strbuf_puts(head, "WWW-Authenticate: Bearer realm=\"booky\"");
        if (r->token_reason) /* RFC 6750: no error code when no token was sent */
            strbuf_printf(head, ", error=\"invalid_token\", error_description=\"%s\"", r->token_reason);
        strbuf_puts(head, "\r\n");
    }
}

void reply_stream(void *to, const char *bytes, size_t len)
{
    request *r = to;
    if (!r->started) {
        strbuf head = STRBUF(r->a);
        r->started = true;
        put_head(r, &head);
        strbuf_puts(&head, "\r\n");
        FCGX_PutStr(head.data, (int)head.len, r->fcgi->out);
    }
    put(r, bytes, len);
}

static const char *default_message(const request *r)
{
    if (r->code == RC_UNAVAILABLE && r->call.committing)
        return "the database went away during the commit; retry with the same operation ids, nothing is done twice";
    if (r->code == RC_UNAVAILABLE && *r->cancelled) return "the request took too long and was cancelled; nothing was applied, retry";
    if (r->code == RC_UNAVAILABLE) return "the database is not available; nothing was applied, retry";
    if (r->code == RC_FAILED) return "the server failed; nothing was applied, retry";
    return "the request was refused";
}

static void write_error(request *r, strbuf *body)
{
    strbuf_putc(body, '{');
    json_write_bool(body, "success", false);
    json_write_member(body, "error", rc_info(r->code)->error);
    json_write_member(body, "message", r->call.message ? r->call.message : default_message(r));
    if (r->call.details.len > 0) {
        json_write_name(body, "details");
        strbuf_printf(body, "[%s]", r->call.details.data);
    }
    json_write_member(body, "requestId", r->id);
    strbuf_putc(body, '}');
}

void reply_send(request *r)
{
    if (r->started) {
        /* Half a reply must not look like a whole one: the proxy sees the connection end without FastCGI's own end. */
        if (r->code != RC_OK) shutdown(r->fcgi->ipcFd, SHUT_RDWR);
        return;
    }
    strbuf head = STRBUF(r->a), *body = &r->reply;
    if (r->code != RC_OK && r->code != RC_NOT_MODIFIED) {
        *body = STRBUF(r->a);
        write_error(r, body);
    }
    put_head(r, &head);
    if (r->code != RC_NOT_MODIFIED) strbuf_printf(&head, "Content-Length: %zu\r\n", body->len);
    strbuf_puts(&head, "\r\n");
    FCGX_PutStr(head.data, (int)head.len, r->fcgi->out);
    if (r->code != RC_NOT_MODIFIED) put(r, body->data, body->len);
}
