#include "engine/cursor.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/kind.h"
#include "engine/merge.h"

enum { CURSOR_MAX = 2048 };

const char *cursor_wrap(arena *a, const char *text)
{
    size_t len = strlen(text);
    char *out = arena_alloc(a, len * 4 / 3 + 8);
    EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)text, (int)len);
    for (char *c = out; *c; c++) {
        if (*c == '+')
            *c = '-';
        else if (*c == '/')
            *c = '_';
        else if (*c == '=')
            *c = '\0';
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
        if (in[i] == '-')
            in[i] = '+';
        else if (in[i] == '_')
            in[i] = '/';
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

enum { ORIGIN = 0x1F }; /* stands before the origin */
enum { BASE = 0x1E };   /* stands between the id and the base */

/* The base behind the id. An earlier version of the server reads it as the end of the id, which matters little: the
 * next id in the order is the same. So hosts of both versions may answer the pages of a pull. */
static const char *base_text(arena *a, const position *p)
{
    if (p->base != MERGE_NEVER) return arena_printf(a, "%c%lld", BASE, (long long)p->base);
    return strchr(p->id, BASE) ? arena_printf(a, "%c-", BASE) : "";
}

/* Splits it off. What is no base is a part of the id: the first edition wrote none. */
static void read_base(arena *a, position *p)
{
    long long base = MERGE_NEVER;
    int end = 0;
    const char *at = strrchr(p->id, BASE);
    if (!at) return;
    bool any = sscanf(at + 1, "%lld%n", &base, &end) == 1 && at[1 + end] == '\0';
    if (any ? base < CLOCK_MIN || base > p->stamp : strcmp(at + 1, "-") != 0) return;
    p->id = arena_strndup(a, p->id, (size_t)(at - p->id));
    p->base = any ? base : MERGE_NEVER;
}

const char *position_write(arena *a, const position *p)
{
    const char *from =
        p->from.installation == 0
            ? ""
            : arena_printf(a, "%c%lld %lld", ORIGIN, (long long)p->from.installation, (long long)p->from.generation);
    return cursor_wrap(a, arena_printf(a, "1 %lld %lld %lld %s %s%s%s", (long long)p->epoch, (long long)p->stamp,
                                       (long long)p->bound, p->kind, p->id, base_text(a, p), from));
}

const char *cursor_at(arena *a, origin from, int64_t epoch, int64_t stamp)
{
    /* Before the user's first write there is no clock yet. A pull from here reports deletions all the same: the client
     * may have sent an entity that another device deletes. */
    return position_write(a, &(position){epoch, stamp, epoch ? MERGE_NEVER : -1, MERGE_NEVER, "", "", from});
}

/* Splits off the origin behind the id, if there is one. */
static origin read_origin(arena *a, const char **id)
{
    long long installation, generation;
    int end = 0;
    const char *at = strrchr(*id, ORIGIN);
    if (!at || sscanf(at + 1, "%lld %lld%n", &installation, &generation, &end) != 2 || at[1 + end] != '\0' ||
        installation <= 0 || generation <= 0)
        return (origin){0};
    *id = arena_strndup(a, *id, (size_t)(at - *id));
    return (origin){installation, generation};
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
    const char *id = space + 1;
    origin from = read_origin(a, &id);
    *p = (position){epoch, stamp, bound, MERGE_NEVER, kind, id, from};
    read_base(a, p);
    return true;
}
