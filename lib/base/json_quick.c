#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/utf8.h"

enum { LEVELS = 32, DIGITS = 18, REAL_MAX = 64 }; /* an integer of so many digits has less than 64 bits */

/* A text on its way into a tree. Whatever is not plain is left to Jansson: a single string or number, or the whole text
 * when it may have a fault. */
typedef struct reader {
    const char *at, *end;
    int level;
} reader;

static json_t *read_value(reader *r);

static void skip_space(reader *r)
{
    if (r->at < r->end && *r->at <= ' ') r->at += json_skip_space(r->at, (size_t)(r->end - r->at), 0);
}

/* Takes `c` and the white space after it. */
static bool take(reader *r, char c)
{
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    skip_space(r);
    return true;
}

/* The end of the string that starts after the quote at `text`, or NULL unless it is plain: UTF-8 without escapes. */
static const char *plain_end(const char *text, const char *end)
{
    enum { NOT_ASCII = 0x80 };
    for (text += json_plain_words(text, (size_t)(end - text), NOT_ASCII); text < end;) {
        unsigned char c = (unsigned char)*text;
        if (c == '"') return text;
        if (c < 0x20 || c == '\\') return NULL;
        size_t length = c < NOT_ASCII ? 1 : utf8_length(text, (size_t)(end - text));
        if (length == 0) return NULL;
        text += length;
    }
    return NULL;
}

/* Lets Jansson read the token of `len` bytes. */
static json_t *read_token(reader *r, size_t len)
{
    const char *token = r->at;
    r->at += len;
    return json_loadb(token, len, JSON_DECODE_ANY, NULL);
}

static json_t *read_string(reader *r)
{
    const char *text = r->at + 1, *end = plain_end(text, r->end);
    if (!end) return read_token(r, json_skip_string(r->at, (size_t)(r->end - r->at), 0));
    r->at = end + 1;
    return json_stringn_nocheck(text, (size_t)(end - text));
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9') at++;
    return at;
}

/* The end of the number at `at`, as RFC 8259 writes it, or NULL. *whole: the end of its part before the point. */
static const char *number_end(const char *at, const char *end, const char **whole)
{
    const char *digits = at < end && *at == '-' ? at + 1 : at;
    const char *rest = *whole = skip_digits(digits, end);
    if (rest == digits || (*digits == '0' && rest > digits + 1)) return NULL;
    if (rest < end && *rest == '.') {
        digits = rest + 1;
        if ((rest = skip_digits(digits, end)) == digits) return NULL;
    }
    if (rest == end || (*rest != 'e' && *rest != 'E')) return rest;
    digits = rest + 1;
    if (digits < end && (*digits == '+' || *digits == '-')) digits++;
    rest = skip_digits(digits, end);
    return rest > digits ? rest : NULL;
}

/* As Jansson does it: with strtod, and nothing beyond the largest double. */
static json_t *real_of(const char *text, size_t len)
{
    char copy[REAL_MAX];
    memcpy(copy, text, len);
    copy[len] = '\0';
    double value = strtod(copy, NULL);
    return isinf(value) ? NULL : json_real(value);
}

static json_t *read_number(reader *r)
{
    const char *text = r->at, *whole, *end = number_end(text, r->end, &whole);
    size_t len = end ? (size_t)(end - text) : 0;
    json_int_t value = 0;
    if (!end || len >= REAL_MAX || (end == whole && len > DIGITS)) return end ? read_token(r, len) : NULL;
    r->at = end;
    if (end > whole) return real_of(text, len);
    for (const char *digit = text + (*text == '-'); digit < end; digit++) value = value * 10 + (*digit - '0');
    return json_integer(*text == '-' ? -value : value);
}

static json_t *read_word(reader *r, const char *word, json_t *value)
{
    size_t len = strlen(word);
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0) return NULL;
    r->at += len;
    return value;
}

static json_t *read_array(reader *r)
{
    json_t *array = json_array();
    bool ok = array && take(r, '[');
    if (ok && take(r, ']')) return array;
    do ok = ok && json_array_append_new(array, read_value(r)) == 0;
    while (ok && take(r, ','));
    if (ok && take(r, ']')) return array;
    json_decref(array);
    return NULL;
}

/* Reads `"name": value` into the object; false when that failed or the name occurs twice. */
static bool read_member(reader *r, json_t *object)
{
    const char *name = r->at + 1;
    const char *end = r->at < r->end && *r->at == '"' ? plain_end(name, r->end) : NULL;
    size_t count = json_object_size(object);
    if (!end) return false;
    r->at = end + 1;
    skip_space(r);
    return take(r, ':') && json_object_setn_new_nocheck(object, name, (size_t)(end - name), read_value(r)) == 0 &&
           json_object_size(object) > count;
}

static json_t *read_object(reader *r)
{
    json_t *object = json_object();
    bool ok = object && take(r, '{');
    if (ok && take(r, '}')) return object;
    do ok = ok && read_member(r, object);
    while (ok && take(r, ','));
    if (ok && take(r, '}')) return object;
    json_decref(object);
    return NULL;
}

static json_t *read_kind_of_value(reader *r)
{
    switch (*r->at) {
    case '{':
        return read_object(r);
    case '[':
        return read_array(r);
    case '"':
        return read_string(r);
    case 't':
        return read_word(r, "true", json_true());
    case 'f':
        return read_word(r, "false", json_false());
    case 'n':
        return read_word(r, "null", json_null());
    default:
        return read_number(r);
    }
}

/* Reads a value and the white space after it. */
static json_t *read_value(reader *r)
{
    if (r->at == r->end || r->level == LEVELS) return NULL;
    r->level++;
    json_t *value = read_kind_of_value(r);
    r->level--;
    skip_space(r);
    return value;
}

json_t *json_read_quick(const char *text, size_t len)
{
    if (len == 0) return NULL; /* `text` may be NULL */
    reader r = {text, text + len, 0};
    skip_space(&r);
    json_t *value = read_value(&r);
    if (r.at == r.end) return value;
    json_decref(value);
    return NULL;
}
