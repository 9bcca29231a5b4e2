#include "cursor.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "kind.h"
#include "merge.h"

enum { CURSOR_MAX = 2048 };

const char *cursor_wrap(arena *a, const char *text)
{
    size_t len = strlen(text);
    char *out = arena_alloc(a, len * 4 / 3 + 8);
    EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)text, (int)len);
    for (char *c = out; *c; c++) {
        if (*c == '+') *c = '-';
        else if (*c == '/') *c = '_';
        else if (*c == '=') *c = '\0';
    }
    return out;
}

const char *cursor_unwrap(arena *a, const char *cursor)
{
    size_t len = strlen(cursor), padded = (len + 3) / 4 * 4;
    if (len == 0 || len > CURSOR_MAX || len % 4 == 1) return NULL;
    char *in = arena_alloc(a, padded + 1), *out = arena_alloc(a, padded);
    memset(in, '=', padded);
    memcpy(in, cursor, len);
    for (size_t i = 0; i < len; i++) {
        if (in[i] == '-') in[i] = '+';
        else if (in[i] == '_') in[i] = '/';
    }
    int n = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)in, (int)padded);
    if (n < 0) return NULL;
    out[(size_t)n - (padded - len)] = '\0';
    errno = 0;
    json_t *valid = json_string(out);
    if (!valid && errno == ENOMEM) arena_exhausted(a);
    json_decref(valid);
    return valid && strcmp(cursor_wrap(a, out), cursor) == 0 ? out : NULL;
}

const char *position_write(arena *a, const position *p)
{
    return cursor_wrap(a, arena_printf(a, "1 %lld %lld %lld %s %s", (long long)p->epoch, (long long)p->stamp,
                                       (long long)p->bound, p->kind, p->id));
}

const char *cursor_at(arena *a, int64_t epoch, int64_t stamp)
{
    /* Before the user's first write there is no clock yet; whoever goes on from there must hear of deletions all the same,
     * because it may have sent what others delete. */
    return position_write(a, &(position){epoch, stamp, epoch ? MERGE_NEVER : -1, "", ""});
}

bool position_read(arena *a, const char *cursor, position *p)
{
    const char *text = cursor_unwrap(a, cursor);
    long long epoch, stamp, bound;
    int at = 0;
    if (!text || sscanf(text, "1 %lld %lld %lld%n", &epoch, &stamp, &bound, &at) != 3 || text[at] != ' ') return false;
    const char *kind = text + at + 1, *space = strchr(kind, ' ');
    if (!space || epoch < 0 || stamp < CLOCK_MIN || stamp > CLOCK_MAX) return false;
    kind = arena_strndup(a, kind, (size_t)(space - kind));
    if (*kind && !kind_find(kind)) return false;
    *p = (position){epoch, stamp, bound, kind, space + 1};
    return true;
}

rc limit_read(call *c, const char *text, int64_t *limit)
{
    char *end;
    if (!text) return RC_OK;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (!*text || *end || errno || number < 1 || number > LIMIT_MAX)
        return call_invalid(c, "limit", "must be a whole number from 1 to %d", LIMIT_MAX);
    *limit = number;
    return RC_OK;
}
