#include "http/body.h"

#include <fcgiapp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

enum { PIECE = 16 * 1024 }; /* bytes read or decompressed at a time */

/* Accepts the type of HTML forms, too: curl sends it by default, and the published commands do not set another. */
static bool is_accepted_type(const char *type)
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

static rc too_large(request *r, const body_limit *limit)
{
    return request_fail(r, RC_TOO_LARGE, "the body is larger than %s, which is %zu bytes", limit->setting,
                        limit->bytes);
}

/* Reads the body as sent, and stops once it exceeds the limit. */
static rc read_raw(request *r, const body_limit *limit, strbuf *out)
{
    const char *length_text = request_header(r, "CONTENT_LENGTH");
    long long length = length_text && *length_text ? strtoll(length_text, NULL, 10) : -1;
    if (length > (long long)limit->bytes) return too_large(r, limit);
    char piece[PIECE];
    *out = STRBUF(r->a);
    strbuf_puts(out, "");
    for (int n; (n = FCGX_GetStr(piece, sizeof piece, r->fcgi->in)) > 0;) {
        if (out->len + (size_t)n > limit->bytes) return too_large(r, limit);
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

static rc inflate_gzip(request *r, const body_limit *limit, const strbuf *in, strbuf *out)
{
    enum { GZIP = 16 + MAX_WBITS };
    unsigned char piece[PIECE];
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
        if (status != Z_OK && status != Z_STREAM_END)
            return request_fail(r, RC_VALIDATION, "the body is not valid gzip");
        size_t n = sizeof piece - z->avail_out;
        if (out->len + n > limit->bytes) return too_large(r, limit);
        strbuf_add(out, (const char *)piece, n);
    }
    return z->avail_in == 0 ? RC_OK : request_fail(r, RC_VALIDATION, "the body is not valid gzip");
}

rc body_read(request *r, const body_limit *limit)
{
    const char *coding = request_header(r, "HTTP_CONTENT_ENCODING");
    bool gzip = coding && (strcasecmp(coding, "gzip") == 0 || strcasecmp(coding, "x-gzip") == 0);
    strbuf raw, inflated;
    if (!is_accepted_type(request_header(r, "CONTENT_TYPE")))
        return request_fail(r, RC_MEDIA_TYPE, "Content-Type: must be application/json");
    if (coding && *coding && !gzip && strcasecmp(coding, "identity") != 0)
        return request_fail(r, RC_MEDIA_TYPE, "Content-Encoding: must be gzip or absent");
    rc code = read_raw(r, limit, &raw);
    if (code == RC_OK && gzip) {
        code = inflate_gzip(r, limit, &raw, &inflated);
        raw = inflated;
    }
    if (code != RC_OK) return code;
    r->body = raw.data;
    r->body_len = raw.len;
    return RC_OK;
}

rc body_check_start(request *r)
{
    const char *start = r->body + strspn(r->body, " \t\r\n");
    if (start == r->body + r->body_len) return request_fail(r, RC_VALIDATION, "the body is empty; send a JSON object");
    if (strncmp(start, "\xEF\xBB\xBF", 3) == 0)
        return request_fail(r, RC_VALIDATION, "the body begins with a byte order mark; send UTF-8 without it");
    if (*start == '[')
        return request_fail(r, RC_VALIDATION, "the body is an array; send an object, such as {\"operations\":[...]}");
    if (start[strspn(start, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_%+.[]-")] == '=')
        return request_fail(r, RC_VALIDATION,
                            "the body is a form; send a JSON object, with Content-Type: application/json");
    return RC_OK;
}
