#include "request.h"

#include <ctype.h>
#include <fcgiapp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <zlib.h>

#include "clock.h"
#include "route.h"

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

rc request_fail(request *r, rc code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    r->call.message = arena_vprintf(r->a, fmt, ap);
    va_end(ap);
    return code;
}

/* The client's or the proxy's id when it is a harmless word, else a new one. */
static void read_id(request *r)
{
    const char *given = request_header(r, "HTTP_X_REQUEST_ID");
    size_t len = given ? strlen(given) : 0;
    bool word = len >= 8 && len <= REQUEST_ID_MAX;
    for (size_t i = 0; word && i < len; i++) word = isalnum((unsigned char)given[i]) || given[i] == '-' || given[i] == '_';
    uint64_t random[2] = {0};
    if (!word && getrandom(random, sizeof random, 0) < 0) random[0] = (uint64_t)clock_monotonic_us();
    if (word) memcpy(r->id, given, len + 1);
    else snprintf(r->id, sizeof r->id, "%016llx%016llx", (unsigned long long)random[0], (unsigned long long)random[1]);
}

/* Undoes percent-encoding once; NULL when it is broken or hides a NUL. A plus stays a plus: instants have them. */
static const char *decode(arena *a, const char *text, size_t len)
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
    return out;
}

static rc read_query(request *r, const char *text)
{
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, "&"), name = strcspn(p, "=&");
        if (len > 0) {
            const char *value = name < len ? decode(r->a, p + name + 1, len - name - 1) : "";
            const char *key = decode(r->a, p, name);
            if (!key || !value) return request_fail(r, RC_VALIDATION, "query: broken percent-encoding");
            if (request_query(r, key)) return request_fail(r, RC_VALIDATION, "query: a parameter occurs twice");
            if (r->query_count == REQUEST_QUERY_MAX)
                return request_fail(r, RC_VALIDATION, "query: more than %d parameters", REQUEST_QUERY_MAX);
            r->query[r->query_count].name = key;
            r->query[r->query_count++].value = value;
        }
        p += len;
        p += *p == '&';
    }
    return RC_OK;
}

rc request_read(request *r)
{
    const char *uri = request_header(r, "REQUEST_URI"), *method = request_header(r, "REQUEST_METHOD");
    read_id(r);
    r->method = method ? method : "";
    if (!uri) uri = "";
    size_t len = strcspn(uri, "?#");
    r->path = decode(r->a, uri, len);
    return uri[len] == '?' ? read_query(r, uri + len + 1) : RC_OK;
}

/* Bodies */

/* curl sends its form type for JSON when not told otherwise, and the published commands do not tell it. */
static bool is_json_type(const char *type)
{
    if (!type || !*type) return true;
    size_t len = strcspn(type, "; \t");
    if (len == strlen("application/json") && strncasecmp(type, "application/json", len) == 0) return true;
    if (len == strlen("application/x-www-form-urlencoded") &&
        strncasecmp(type, "application/x-www-form-urlencoded", len) == 0)
        return true;
    return len > strlen("application/+json") && strncasecmp(type, "application/", 12) == 0 &&
           strncasecmp(type + len - 5, "+json", 5) == 0;
}

static size_t body_limit(const request *r)
{
    return (size_t)(r->route->body == BODY_FULL ? r->conf->full_body : r->conf->body);
}

static rc too_large(request *r)
{
    return request_fail(r, RC_TOO_LARGE, "the body is larger than %s, which is %zu bytes",
                        r->route->body == BODY_FULL ? "limits.full_body" : "limits.body", body_limit(r));
}

/* Reads to the end of the stream, at most one byte more than the limit. */
static rc read_raw(request *r, strbuf *out)
{
    const char *length_text = request_header(r, "CONTENT_LENGTH");
    size_t limit = body_limit(r);
    long long length = length_text && *length_text ? strtoll(length_text, NULL, 10) : -1;
    if (length > (long long)limit) return too_large(r);
    char piece[16 * 1024];
    *out = STRBUF(r->a);
    strbuf_puts(out, "");
    for (int n; (n = FCGX_GetStr(piece, sizeof piece, r->fcgi->in)) > 0;) {
        if (out->len + (size_t)n > limit) return too_large(r);
        strbuf_add(out, piece, (size_t)n);
    }
    if (FCGX_GetError(r->fcgi->in) != 0 || (length >= 0 && out->len != (size_t)length))
        return request_fail(r, RC_VALIDATION, "the body ended early");
    return RC_OK;
}

static void release_inflate(void *stream)
{
    inflateEnd(stream);
}

static rc inflate_gzip(request *r, const strbuf *in, strbuf *out)
{
    enum { GZIP = 16 + MAX_WBITS };
    unsigned char piece[16 * 1024];
    size_t limit = body_limit(r);
    z_stream *z = arena_alloc(r->a, sizeof *z);
    if (inflateInit2(z, GZIP) != Z_OK) arena_exhausted(r->a);
    arena_defer(r->a, release_inflate, z);
    z->next_in = (unsigned char *)in->data;
    z->avail_in = (unsigned)in->len;
    *out = STRBUF(r->a);
    strbuf_puts(out, "");
    for (int status = Z_OK; status != Z_STREAM_END;) {
        z->next_out = piece;
        z->avail_out = sizeof piece;
        status = inflate(z, Z_NO_FLUSH);
        if (status == Z_MEM_ERROR) arena_exhausted(r->a);
        if (status != Z_OK && status != Z_STREAM_END) return request_fail(r, RC_VALIDATION, "the body is not valid gzip");
        size_t n = sizeof piece - z->avail_out;
        if (out->len + n > limit) return too_large(r);
        strbuf_add(out, (const char *)piece, n);
    }
    return z->avail_in == 0 ? RC_OK : request_fail(r, RC_VALIDATION, "the body is not valid gzip");
}

rc request_read_body(request *r)
{
    const char *coding = request_header(r, "HTTP_CONTENT_ENCODING");
    bool gzip = coding && (strcasecmp(coding, "gzip") == 0 || strcasecmp(coding, "x-gzip") == 0);
    strbuf raw, inflated;
    if (!is_json_type(request_header(r, "CONTENT_TYPE")))
        return request_fail(r, RC_MEDIA_TYPE, "Content-Type: must be application/json");
    if (coding && *coding && !gzip && strcasecmp(coding, "identity") != 0)
        return request_fail(r, RC_MEDIA_TYPE, "Content-Encoding: must be gzip or absent");
    rc code = read_raw(r, &raw);
    if (code == RC_OK && gzip) {
        code = inflate_gzip(r, &raw, &inflated);
        raw = inflated;
    }
    if (code != RC_OK) return code;
    r->body = raw.data;
    r->body_len = raw.len;
    return RC_OK;
}
