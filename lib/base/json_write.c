#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/json_scan.h"

/* How many of the first bytes need no escape. */
static size_t plain_bytes(const char *s, size_t len)
{
    size_t at = json_plain_words(s, len, 0);
    while (at < len && (unsigned char)s[at] >= 0x20 && s[at] != '"' && s[at] != '\\') at++;
    return at;
}

static void write_escape(strbuf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef", short_ones[] = "\"\\\b\f\n\r\t";
    const char *found = memchr(short_ones, c, sizeof short_ones - 1);
    char out[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    if (found) out[1] = "\"\\bfnrt"[found - short_ones];
    strbuf_add(b, out, found ? 2 : 6);
}

void json_write_string(strbuf *b, const char *s, size_t len)
{
    strbuf_putc(b, '"');
    for (size_t at = 0; at < len;) {
        size_t plain = plain_bytes(s + at, len - at);
        strbuf_add(b, s + at, plain);
        at += plain;
        if (at < len) write_escape(b, (unsigned char)s[at++]);
    }
    strbuf_putc(b, '"');
}

/* A power of two is nearer to the double below it than to the one above. The nearest decimal of 16 digits can lie below
 * the number and read back as its lower neighbour, while the decimal after it reads back as the number: 2^-44 is
 * 5.68434188608080148…e-14, and 5.684341886080802e-14 reads back. Replaces `text` by that decimal if it reads back. All
 * 46 such powers are so large or so small that they are written with an exponent. */
static bool step_up(char *text, size_t size, double x)
{
    char up[40];
    snprintf(up, sizeof up, "%.15e", x);
    char *last = strchr(up, 'e') - 1;
    if (*last == '9' || !strchr(text, 'e')) return false;
    ++*last;
    if (strtod(up, NULL) != x) return false;
    snprintf(text, size, "%s", up);
    return true;
}

/* 15 digits reproduce every decimal of up to 15 digits; 17 digits reproduce every double. Subnormal numbers have fewer
 * significant digits, so their search starts at one. A real stays a real ("100.0"). `nearest`: only decimals that are
 * the nearest ones of their length. */
static void write_real(strbuf *b, double x, bool nearest)
{
    char text[40];
    int digits = x != 0 && fabs(x) < 2.2250738585072014e-308 ? 1 : 15;
    for (; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
        if (digits == 16 && !nearest && step_up(text, sizeof text, x)) break;
    }
    char *e = strchr(text, 'e');
    if (!e && !strchr(text, '.')) strcat(text, ".0");
    if (e) { /* 1e+22 becomes 1e22, 1e-07 becomes 1e-7 */
        char *from = e + 1, *to = e + 1;
        if (*from == '-') to++;
        if (*from == '-' || *from == '+') from++;
        while (*from == '0' && from[1]) from++;
        memmove(to, from, strlen(from) + 1);
    }
    strbuf_puts(b, text);
}

typedef struct member {
    const char *key;
    const json_t *value;
} member;

static int by_bytes(const void *x, const void *y)
{
    return strcmp(((const member *)x)->key, ((const member *)y)->key);
}

/* How a value is written: as it is, sorted for a hash (which must never change), or as a key that is equal for equal
 * values. */
typedef enum form { PLAIN, SORTED, KEY } form;

static void write(strbuf *b, const json_t *value, form as);

static void write_sorted_members(strbuf *b, const json_t *object, form as)
{
    const char *key;
    member *members = arena_alloc(b->a, json_object_size(object) * sizeof *members);
    size_t count = 0;
    json_t *item;
    json_object_foreach((json_t *)object, key, item) members[count++] = (member){key, item};
    qsort(members, count, sizeof *members, by_bytes);
    for (size_t i = 0; i < count; i++) {
        json_write_name(b, members[i].key);
        write(b, members[i].value, as);
    }
}

static void write_members(strbuf *b, const json_t *object)
{
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)object, key, item)
    {
        json_write_name(b, key);
        write(b, item, PLAIN);
    }
}

static void write(strbuf *b, const json_t *value, form as)
{
    json_int_t whole;
    size_t index;
    json_t *item;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        strbuf_putc(b, '{');
        if (as != PLAIN)
            write_sorted_members(b, value, as);
        else
            write_members(b, value);
        strbuf_putc(b, '}');
        return;
    case JSON_ARRAY:
        strbuf_putc(b, '[');
        json_array_foreach(value, index, item)
        {
            if (index > 0) strbuf_putc(b, ',');
            write(b, item, as);
        }
        strbuf_putc(b, ']');
        return;
    case JSON_STRING:
        json_write_string(b, json_string_value(value), json_string_length(value));
        return;
    case JSON_INTEGER:
        strbuf_int(b, json_integer_value(value));
        return;
    case JSON_REAL:
        if (as == KEY && json_real_is_whole(json_real_value(value), &whole))
            strbuf_int(b, whole);
        else
            write_real(b, json_real_value(value), as == SORTED);
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        strbuf_puts(b, json_is_true(value) ? "true" : "false");
        return;
    case JSON_NULL:
        strbuf_puts(b, "null");
    }
}

void json_write(strbuf *b, const json_t *value)
{
    write(b, value, PLAIN);
}

void json_write_sorted(strbuf *b, const json_t *value)
{
    write(b, value, SORTED);
}

void json_write_key(strbuf *b, const json_t *value)
{
    write(b, value, KEY);
}

void json_write_name(strbuf *b, const char *name)
{
    if (b->len > 0 && b->data[b->len - 1] != '{' && b->data[b->len - 1] != '[') strbuf_putc(b, ',');
    json_write_string(b, name, strlen(name));
    strbuf_putc(b, ':');
}

void json_write_member(strbuf *b, const char *name, const char *value)
{
    json_write_name(b, name);
    if (value)
        json_write_string(b, value, strlen(value));
    else
        strbuf_puts(b, "null");
}

void json_write_int(strbuf *b, const char *name, long long value)
{
    json_write_name(b, name);
    strbuf_int(b, value);
}

void json_write_bool(strbuf *b, const char *name, bool value)
{
    json_write_name(b, name);
    strbuf_puts(b, value ? "true" : "false");
}

void json_write_instant(strbuf *b, const char *name, long long ms)
{
    char text[CLOCK_TEXT + 1];
    json_write_name(b, name);
    strbuf_putc(b, '"');
    clock_format(ms, text);
    text[CLOCK_TEXT - 1] = '"'; /* it needs no escape */
    strbuf_add(b, text, CLOCK_TEXT);
}

void json_write_instant_unless(strbuf *b, const char *name, long long ms, long long null)
{
    if (ms == null)
        json_write_member(b, name, NULL);
    else
        json_write_instant(b, name, ms);
}

void json_write_raw(strbuf *b, const char *name, const char *json)
{
    json_write_name(b, name);
    strbuf_puts(b, json ? json : "null");
}
