/*
 * The body of a request on its way in. First byte: 'g', the rest comes as gzip; 'z', the rest is compressed first, so
 * that valid gzip is reached; anything else, it comes as it is. Never more than the limit comes out, and what comes out
 * is what went in.
 */
#include <fcgiapp.h>
#include <zlib.h>

#include "../../fcgi-app/request.h"
#include "../../fcgi-app/route.h"
#include "fuzz.h"

enum { LIMIT = 40000 };

static void no_more(FCGX_Stream *stream)
{
    stream->isClosed = 1;
}

static size_t compress_gzip(const uint8_t *data, size_t size, unsigned char *out, size_t room)
{
    z_stream z = {
        .next_in = (unsigned char *)data, .avail_in = (unsigned)size, .next_out = out, .avail_out = (unsigned)room};
    REQUIRE(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static conf c;
    static unsigned char packed[1 << 17], repeated[1 << 16];
    if (size < 2 || size > 60000) return 0;
    c = *fuzz_conf();
    c.body = LIMIT;
    char mode = (char)data[0];
    size_t len = size - 1, sent = len;
    const uint8_t *plain = data + 1, *body = plain;
    if (mode == 'z') { /* the second byte: how often, for what shrinks a lot */
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
    request r = {.a = a, .conf = &c, .fcgi = &fcgi, .route = &routes[0], .call = {.a = a}};
    rc code = request_read_body(&r);
    if (code == RC_OK) {
        REQUIRE(r.body && r.body_len <= LIMIT && r.body[r.body_len] == '\0');
        if (mode != 'g') REQUIRE(r.body_len == len && memcmp(r.body, plain, len) == 0);
    } else {
        REQUIRE(r.call.message && (code == RC_TOO_LARGE || code == RC_VALIDATION));
        if (mode == 'z') REQUIRE(code == RC_TOO_LARGE && len > LIMIT);
    }
    arena_free(a);
    free(copy);
    return 0;
}
