/*
 * Reading the body of a request. The first byte is the mode. 'g': the rest is sent as gzip. 'z': the rest is compressed
 * first, so that it is valid gzip. Any other: the rest is sent as it is. The body that is read must never exceed the
 * limit, and must equal the body that was sent.
 */
#include <fcgiapp.h>
#include <zlib.h>

#include "fuzz.h"
#include "http/body.h"

enum { LIMIT = 40000 };

static void no_more(FCGX_Stream *stream)
{
    stream->isClosed = 1;
}

static size_t compress_gzip(const uint8_t *data, size_t size, unsigned char *out, size_t capacity)
{
    z_stream z = {
        .next_in = (unsigned char *)data, .avail_in = (unsigned)size, .next_out = out, .avail_out = (unsigned)capacity};
    REQUIRE(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&z);
    return capacity - z.avail_out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const body_limit limit = {LIMIT, "limits.body"};
    static unsigned char packed[1 << 17], repeated[1 << 16];
    if (size < 2 || size > 60000) return 0;
    char mode = (char)data[0];
    size_t len = size - 1, sent = len;
    const uint8_t *plain = data + 1, *body = plain;
    if (mode == 'z') { /* the second byte is the number of repetitions, for a high ratio of compression */
        size_t times = data[1];
        plain = repeated;
        for (len = 0; times-- > 0 && len + size - 2 <= sizeof repeated; len += size - 2)
            memcpy(repeated + len, data + 2, size - 2);
        sent = compress_gzip(plain, len, packed, sizeof packed);
        body = packed;
    }
    unsigned char *copy = (unsigned char *)fuzz_copy(body, sent);
    char *envp[] = {mode == 'g' || mode == 'z' ? "HTTP_CONTENT_ENCODING=gzip" : "CONTENT_TYPE=application/json", NULL};
    FCGX_Stream in = {.rdNext = copy,
                      .wrNext = copy + sent,
                      .stop = copy + sent,
                      .stopUnget = copy,
                      .isReader = 1,
                      .fillBuffProc = no_more};
    FCGX_Request fcgi = {.in = &in, .envp = envp};
    arena *a = arena_new();
    request r = {.a = a, .conf = fuzz_conf(), .fcgi = &fcgi, .ctx = {.a = a}};
    rc code = body_read(&r, &limit);
    if (code == RC_OK) {
        REQUIRE(r.body && r.body_len <= LIMIT && r.body[r.body_len] == '\0');
        if (mode != 'g') REQUIRE(r.body_len == len && memcmp(r.body, plain, len) == 0);
    } else {
        REQUIRE(r.ctx.message && (code == RC_TOO_LARGE || code == RC_VALIDATION));
        if (mode == 'z') REQUIRE(code == RC_TOO_LARGE && len > LIMIT);
    }
    arena_free(a);
    free(copy);
    return 0;
}
