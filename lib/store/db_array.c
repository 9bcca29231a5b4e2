#include "store/db_array.h"

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

db_param db_text(const char *s)
{
    return (db_param){.value = s};
}

db_param db_int(arena *a, int64_t value)
{
    return (db_param){.value = arena_printf(a, "%lld", (long long)value)};
}

db_param db_int_or_null(arena *a, int64_t value, int64_t null)
{
    return value == null ? db_null() : db_int(a, value);
}

db_param db_null(void)
{
    return (db_param){0};
}

/* PostgreSQL's binary array: dimensions, has-nulls, element type, then length and lower bound of the one dimension. */
db_array db_array_new(arena *a, db_type type)
{
    db_array x = {.bytes = STRBUF(a)};
    uint32_t header[] = {htonl(1), htonl(1), htonl((uint32_t)type), 0, htonl(1)};
    strbuf_add(&x.bytes, (const char *)header, sizeof header);
    x.size = sizeof header;
    return x;
}

void db_array_add(db_array *x, const char *bytes, size_t len)
{
    uint32_t size = htonl(bytes ? (uint32_t)len : UINT32_MAX);
    if (!bytes) len = 0;
    x->size = len > DB_PARAMS_MAX || x->size > DB_PARAMS_MAX ? DB_PARAMS_MAX + 1 : x->size + sizeof size + len;
    if (x->size > DB_PARAMS_MAX) {
        x->bytes.len = 0;
        return;
    }
    strbuf_add(&x->bytes, (const char *)&size, sizeof size);
    if (bytes) strbuf_add(&x->bytes, bytes, len);
    x->count++;
}

void db_array_text(db_array *x, const char *s)
{
    db_array_add(x, s, s ? strlen(s) : 0);
}

void db_array_int4(db_array *x, int32_t value)
{
    uint32_t n = htonl((uint32_t)value);
    db_array_add(x, (const char *)&n, sizeof n);
}

void db_array_int8(db_array *x, int64_t value, int64_t null)
{
    uint64_t n = htobe64((uint64_t)value);
    db_array_add(x, value == null ? NULL : (const char *)&n, sizeof n);
}

db_param db_array_param(db_array *x)
{
    uint32_t count = htonl((uint32_t)x->count);
    if (x->size > DB_PARAMS_MAX) return (db_param){"", x->size, true};
    memcpy(x->bytes.data + 12, &count, sizeof count);
    return (db_param){x->bytes.data, x->bytes.len, true};
}
