#include "fastcgi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/json.h"

enum { REPLY_MAX = 1 << 20 }; /* bytes */

enum { BEGIN_REQUEST = 1, END_REQUEST = 3, PARAMS = 4, STDIN = 5, STDOUT = 6 };

static void put_record(strbuf *out, int type, const char *bytes, size_t len)
{
    const char head[] = {1, (char)type, 0, 1, (char)(len >> 8), (char)len, 0, 0};
    strbuf_add(out, head, sizeof head);
    if (len > 0) strbuf_add(out, bytes, len);
}

static void put_param(strbuf *out, const char *name, const char *value)
{
    size_t lengths[] = {strlen(name), strlen(value)};
    for (int i = 0; i < 2; i++) {
        const char four[] = {(char)(lengths[i] >> 24 | 0x80), (char)(lengths[i] >> 16), (char)(lengths[i] >> 8),
                             (char)lengths[i]};
        strbuf_add(out, four, sizeof four);
    }
    strbuf_puts(out, name);
    strbuf_puts(out, value);
}

void fastcgi_put_request(strbuf *out, const api_request *r, const char *uri, const char *token, const char *body,
                         size_t len)
{
    strbuf params = STRBUF(out->a);
    put_param(&params, "REQUEST_METHOD", r->method);
    put_param(&params, "REQUEST_URI", uri);
    put_param(&params, "HTTP_AUTHORIZATION", arena_printf(out->a, "Bearer %s", token));
    if (r->gzip) put_param(&params, "HTTP_CONTENT_ENCODING", "gzip");
    if (body) put_param(&params, "CONTENT_LENGTH", arena_printf(out->a, "%zu", len));
    put_record(out, BEGIN_REQUEST, "\0\1\0\0\0\0\0", 8);
    put_record(out, PARAMS, params.data, params.len);
    put_record(out, PARAMS, NULL, 0);
    if (body) put_record(out, STDIN, body, len);
    put_record(out, STDIN, NULL, 0);
}

fastcgi_reply fastcgi_read_reply(arena *a, int fd)
{
    static char bytes[REPLY_MAX];
    size_t used = 0, at = 0;
    strbuf out = STRBUF(a);
    fastcgi_reply reply = {0};
    for (ssize_t n; (n = recv(fd, bytes + used, sizeof bytes - used, 0)) > 0;) used += (size_t)n;
    strbuf_puts(&out, "");
    while (at + 8 <= used) {
        size_t len = (size_t)(unsigned char)bytes[at + 4] << 8 | (unsigned char)bytes[at + 5];
        if (bytes[at + 1] == STDOUT) strbuf_add(&out, bytes + at + 8, len);
        reply.ended |= bytes[at + 1] == END_REQUEST;
        at += 8 + len + (unsigned char)bytes[at + 6];
    }
    const char *body = strstr(out.data, "\r\n\r\n"), *length = strstr(out.data, "\r\nContent-Length: ");
    if (!body || sscanf(out.data, "Status: %d", &reply.status) != 1) return reply;
    json_fault fault;
    reply.body = body + 4;
    size_t len = strlen(reply.body);
    if (!length || length > body || strtoul(length + 18, NULL, 10) == len)
        reply.json = json_read(a, reply.body, len, 100, &fault);
    return reply;
}
