#include "http/request.h"

#include <ctype.h>
#include <fcgiapp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/utf8.h"

const char *request_header(const request *r, const char *name)
{
    return FCGX_GetParam(name, r->fcgi->envp);
}

const char *request_query(const request *r, const char *name)
{
    for (size_t i = 0; i < r->query_count; i++)
        if (strcmp(r->query[i].name, name) == 0) return r->query[i].value;
    return NULL;
}

const char *request_query_list(const request *r, const char *name)
{
    strbuf list = STRBUF(r->a);
    bool any = false;
    for (size_t i = 0; i < r->query_count; i++) {
        if (strcmp(r->query[i].name, name) != 0) continue;
        if (any) strbuf_putc(&list, ',');
        strbuf_puts(&list, r->query[i].value);
        any = true;
    }
    return any ? list.data : NULL;
}

rc request_fail(request *r, rc code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    r->ctx.message = arena_vprintf(r->a, fmt, ap);
    va_end(ap);
    return code;
}

int request_status(const request *r)
{
    return r->code == RC_OK && r->status ? r->status : rc_info(r->code)->status;
}

/* Takes the id that client or proxy sent if it is safe in headers and logs; otherwise makes a new one. */
static void read_id(request *r)
{
    const char *sent = request_header(r, "HTTP_X_REQUEST_ID");
    size_t len = sent ? strlen(sent) : 0;
    bool safe = len >= 8 && len <= REQUEST_ID_MAX;
    for (size_t i = 0; safe && i < len; i++) safe = isalnum((unsigned char)sent[i]) || sent[i] == '-' || sent[i] == '_';
    uint64_t random[2] = {0};
    if (!safe && getrandom(random, sizeof random, 0) < 0) random[0] = (uint64_t)clock_monotonic_us();
    if (safe)
        memcpy(r->id, sent, len + 1);
    else
        snprintf(r->id, sizeof r->id, "%016llx%016llx", (unsigned long long)random[0], (unsigned long long)random[1]);
}

/* Decodes percent-encoding once; NULL: malformed, an encoded NUL, or not UTF-8 afterwards: the text may come back in a
 * reply, in a log line, or as a parameter of a statement. "+" is no blank, because instants contain it. */
static const char *percent_decode(arena *a, const char *text, size_t len)
{
    char *out = arena_alloc(a, len + 1);
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            out[used++] = text[i];
            continue;
        }
        if (len - i < 3) return NULL;
        char hex[3] = {text[i + 1], text[i + 2], 0}, *end;
        if (!isxdigit((unsigned char)hex[0])) return NULL;
        long byte = strtol(hex, &end, 16);
        if (*end || byte == 0) return NULL;
        out[used++] = (char)byte;
        i += 2;
    }
    return utf8_valid(out, used) ? out : NULL;
}

/* The parameters that are lists. Many HTTP libraries send a list as a repeated parameter. */
static bool is_list(const char *name)
{
    return strcmp(name, "entities") == 0;
}

static rc read_query(request *r, const char *text)
{
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, "&"), name_len = strcspn(p, "=&");
        if (len > 0) {
            const char *value = name_len < len ? percent_decode(r->a, p + name_len + 1, len - name_len - 1) : "";
            const char *name = percent_decode(r->a, p, name_len);
            if (!name || !value) return request_fail(r, RC_VALIDATION, "query: broken percent-encoding, or not UTF-8");
            if (request_query(r, name) && !is_list(name))
                return request_fail(r, RC_VALIDATION, "query: a parameter occurs twice");
            if (r->query_count == REQUEST_QUERY_MAX)
                return request_fail(r, RC_VALIDATION, "query: more than %d parameters", REQUEST_QUERY_MAX);
            r->query[r->query_count].name = name;
            r->query[r->query_count++].value = value;
        }
        p += len;
        p += *p == '&';
    }
    return RC_OK;
}

/* Splits the path before it is decoded: an id in it may contain a slash. */
static void read_segments(request *r, const char *path, size_t len)
{
    for (size_t i = 0; i < len && path[i] == '/';) {
        size_t start = ++i;
        while (i < len && path[i] != '/') i++;
        const char *segment = percent_decode(r->a, path + start, i - start);
        if (!segment || r->segment_count == REQUEST_SEGMENTS_MAX) {
            r->segment_count = 0;
            return;
        }
        r->segments[r->segment_count++] = segment;
    }
}

rc request_read(request *r)
{
    const char *uri = request_header(r, "REQUEST_URI"), *method = request_header(r, "REQUEST_METHOD");
    read_id(r);
    r->method = method ? method : "";
    if (!uri) uri = "";
    size_t len = strcspn(uri, "?#");
    r->path = percent_decode(r->a, uri, len);
    read_segments(r, uri, len);
    return uri[len] == '?' ? read_query(r, uri + len + 1) : RC_OK;
}
