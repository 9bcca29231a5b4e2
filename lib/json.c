#include "json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

enum { PATH_MAX_BYTES = 400, PATH_KEY_BYTES = 80 };

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_space(const char *text, size_t len, size_t at)
{
    while (at < len && is_space(text[at])) at++;
    return at;
}

/* The offset behind the string that starts at `at`; `len` when it does not end. */
static size_t skip_string(const char *text, size_t len, size_t at)
{
    for (size_t start = ++at; at < len; at++) {
        const char *quote = memchr(text + at, '"', len - at);
        if (!quote) break;
        at = (size_t)(quote - text);
        size_t escapes = 0;
        while (at - escapes > start && text[at - escapes - 1] == '\\') escapes++;
        if (escapes % 2 == 0) return at + 1;
    }
    return len;
}

/* The offset behind the value that starts at `at`. Only brackets and strings are looked at: whether it is JSON,
 * json_read will say. */
static size_t skip_value(const char *text, size_t len, size_t at)
{
    size_t open = 0;
    while (at < len) {
        char c = text[at];
        if (c == '"') {
            at = skip_string(text, len, at);
            continue;
        }
        if (open == 0 && (c == ',' || c == ']' || c == '}')) break;
        if (c == '{' || c == '[') open++;
        if (c == '}' || c == ']') open--;
        at++;
    }
    while (at > 0 && is_space(text[at - 1])) at--;
    return at;
}

static void path_key(strbuf *path, const char *raw, size_t len)
{
    if (len > PATH_KEY_BYTES) len = PATH_KEY_BYTES;
    strbuf_putc(path, '.');
    for (size_t i = 0; i < len; i++) strbuf_putc(path, raw[i] >= 0x20 && raw[i] < 0x7F ? raw[i] : '?');
}

/*
 * The path of the place where Jansson stopped. It tells only the byte offset; everything before that is well-formed, so
 * one pass that keeps a stack of open containers finds the member.
 */
static const char *locate(arena *a, const char *text, size_t stop)
{
    typedef struct level {
        const char *key;
        size_t key_len;
        long index; /* -1: an object */
    } level;
    size_t depth = 0, room = 0;
    level *stack = NULL;
    bool want_key = false;
    for (size_t at = 0; at < stop;) {
        char c = text[at];
        if (c == '"') {
            size_t end = skip_string(text, stop, at);
            if (want_key && depth > 0) {
                stack[depth - 1].key = text + at + 1;
                stack[depth - 1].key_len = end > at + 1 ? end - at - 1 - (text[end - 1] == '"') : 0;
                want_key = false;
            }
            at = end;
            continue;
        }
        if (c == '{' || c == '[') {
            if (depth == room) {
                stack = arena_grow(a, stack, room * sizeof *stack, (room + 32) * sizeof *stack);
                room += 32;
            }
            stack[depth++] = (level){.index = c == '[' ? 0 : -1};
            want_key = c == '{';
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        } else if (c == ',' && depth > 0 && at + 1 < stop) {
            want_key = stack[depth - 1].index < 0;
            if (want_key)
                stack[depth - 1].key = NULL;
            else
                stack[depth - 1].index++;
        }
        at++;
    }
    strbuf path = STRBUF(a);
    strbuf_puts(&path, "");
    for (size_t i = 0; i < depth && path.len < PATH_MAX_BYTES; i++) {
        if (stack[i].index >= 0)
            strbuf_printf(&path, "[%ld]", stack[i].index);
        else if (stack[i].key)
            path_key(&path, stack[i].key, stack[i].key_len);
    }
    return path.data;
}

static void explain(arena *a, const char *text, size_t len, const json_error_t *error, json_fault *fault)
{
    enum json_error_code code = json_error_code(error);
    size_t at = error->position > 0 ? (size_t)error->position : 0;
    size_t stop = at + (code == json_error_invalid_utf8); /* there Jansson stands before the offender, else behind it */
    *fault = (json_fault){JSON_FAULT_UNKEEPABLE, locate(a, text, stop < len ? stop : len), NULL};
    switch (code) {
    case json_error_numeric_overflow:
        fault->message = "a number beyond what can be kept (integers have 64 bits, others end near 1.8e308)";
        return;
    case json_error_duplicate_key:
        fault->message = "this member name occurs twice";
        return;
    case json_error_null_character:
    case json_error_null_byte_in_key:
        fault->message = "\\u0000 cannot be kept";
        return;
    case json_error_invalid_utf8:
        fault->message = "not valid UTF-8";
        return;
    case json_error_stack_overflow:
        fault->message = "nested too deeply";
        return;
    default:
        if (strncmp(error->text, "invalid Unicode '", 17) == 0) {
            fault->message = "half of a surrogate pair cannot be kept";
            return;
        }
        fault->kind = JSON_FAULT_SYNTAX;
        fault->message = arena_printf(a, "not JSON at byte %zu", at);
    }
}

bool json_within_depth(const json_t *value, size_t depth)
{
    const char *key;
    size_t index;
    json_t *item;
    if (!json_is_object(value) && !json_is_array(value)) return true;
    if (depth == 0) return false;
    json_object_foreach((json_t *)value, key, item) if (!json_within_depth(item, depth - 1)) return false;
    json_array_foreach(value, index, item) if (!json_within_depth(item, depth - 1)) return false;
    return true;
}

void json_release(void *value)
{
    json_decref(value);
}

json_t *json_new_object(arena *a)
{
    json_t *object = json_object();
    if (!object) arena_exhausted(a);
    arena_defer(a, json_release, object);
    return object;
}

void json_put(arena *a, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new_nocheck(object, key, value) != 0) arena_exhausted(a);
}

json_t *json_parse(arena *a, const char *text, size_t len, json_error_t *error)
{
    errno = 0;
    json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, error);
    if (errno == ENOMEM) { /* Jansson may call it a fault of the text, or go on without the byte that it had no room for */
        json_decref(value);
        arena_exhausted(a);
    }
    if (value) arena_defer(a, json_release, value);
    return value;
}

json_t *json_read(arena *a, const char *text, size_t len, size_t depth, json_fault *fault)
{
    json_error_t error;
    const char *nul = len > 0 ? memchr(text, '\0', len) : NULL;
    if (nul) { /* Jansson skips one that follows a number */
        *fault = (json_fault){JSON_FAULT_SYNTAX, locate(a, text, (size_t)(nul - text)), NULL};
        fault->message = arena_printf(a, "not JSON at byte %zu", (size_t)(nul - text));
        return NULL;
    }
    json_t *value = json_parse(a, text, len, &error);
    if (!value) {
        explain(a, text, len, &error, fault);
        return NULL;
    }
    if (depth == SIZE_MAX || json_within_depth(value, depth)) return value;
    *fault = (json_fault){JSON_FAULT_UNKEEPABLE, "", arena_printf(a, "nested deeper than %zu levels", depth)};
    return NULL;
}

static bool broken(json_fault *fault, arena *a, size_t at)
{
    *fault = (json_fault){JSON_FAULT_SYNTAX, "", arena_printf(a, "not JSON at byte %zu", at)};
    return false;
}

/* The name in the string `text`, quotes included. */
static bool read_key(arena *a, const char *text, size_t len, const char **key, json_fault *fault)
{
    bool plain = len >= 2 && text[len - 1] == '"';
    for (size_t i = 1; plain && i < len - 1; i++) plain = text[i] >= 0x20 && text[i] < 0x7F && text[i] != '\\';
    if (plain) {
        *key = arena_strndup(a, text + 1, len - 2);
        return true;
    }
    const json_t *name = json_read(a, text, len, 1, fault);
    *key = json_string_value(name);
    return name != NULL;
}

/* Whether one of the `count` parts has this name. `names` finds it when there are many. */
static bool occurs(arena *a, json_t **names, const json_slice *parts, size_t count, const char *name)
{
    enum { INDEX_FROM = 16 };
    for (size_t i = 0; count < INDEX_FROM && i < count; i++)
        if (strcmp(parts[i].key, name) == 0) return true;
    if (count < INDEX_FROM) return false;
    if (!*names) {
        *names = json_new_object(a);
        for (size_t i = 0; i < count; i++) json_put(a, *names, parts[i].key, json_true());
    }
    if (json_object_get(*names, name)) return true;
    json_put(a, *names, name, json_true());
    return false;
}

bool json_split(arena *a, char type, const char *text, size_t len, size_t max, json_slice **parts, size_t *count,
                json_fault *fault)
{
    char closing = type == '{' ? '}' : ']';
    size_t at = skip_space(text, len, 0), room = 0;
    json_t *names = NULL;
    *parts = NULL;
    *count = 0;
    if (at == len) return broken(fault, a, at);
    if (text[at] != type) {
        *fault = (json_fault){JSON_FAULT_TYPE, "", type == '{' ? "must be an object" : "must be an array"};
        return false;
    }
    at = skip_space(text, len, at + 1);
    if (at < len && text[at] == closing) return skip_space(text, len, at + 1) == len ? true : broken(fault, a, at + 1);
    for (;;) {
        json_slice part = {0};
        if (type == '{') {
            size_t end = at < len && text[at] == '"' ? skip_string(text, len, at) : at;
            if (end == at) return broken(fault, a, at);
            bool kept = read_key(a, text + at, end - at, &part.key, fault);
            if (!kept && fault->kind == JSON_FAULT_SYNTAX) return broken(fault, a, at);
            bool twice = kept && occurs(a, &names, *parts, *count, part.key);
            if (!kept || twice) {
                strbuf path = STRBUF(a);
                path_key(&path, text + at + 1, end - at - 2);
                fault->path = path.data;
                if (twice) fault->message = "this member name occurs twice";
                fault->kind = JSON_FAULT_UNKEEPABLE;
                return false;
            }
            at = skip_space(text, len, end);
            if (at == len || text[at] != ':') return broken(fault, a, at);
            at = skip_space(text, len, at + 1);
        }
        size_t end = skip_value(text, len, at);
        if (end <= at) return broken(fault, a, at);
        part.text = text + at;
        part.len = end - at;
        if (*count == max) {
            *fault = (json_fault){JSON_FAULT_COUNT, "", "has too many elements"};
            return false;
        }
        if (*count == room) {
            size_t grown = room ? room * 2 : 16;
            *parts = arena_grow(a, *parts, room * sizeof **parts, grown * sizeof **parts);
            room = grown;
        }
        (*parts)[(*count)++] = part;
        at = skip_space(text, len, end);
        if (at < len && text[at] == closing) break;
        if (at == len || text[at] != ',') return broken(fault, a, at);
        at = skip_space(text, len, at + 1);
    }
    return skip_space(text, len, at + 1) == len ? true : broken(fault, a, at + 1);
}

void json_write_string(strbuf *b, const char *s, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    strbuf_putc(b, '"');
    size_t clean = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        strbuf_add(b, s + clean, i - clean);
        clean = i + 1;
        const char *named = "\"\\\b\f\n\r\t", *found = memchr(named, c, 7);
        char out[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        if (found) out[1] = "\"\\bfnrt"[found - named];
        strbuf_add(b, out, found ? 2 : 6);
    }
    strbuf_add(b, s + clean, len - clean);
    strbuf_putc(b, '"');
}

/* 15 digits print every decimal of up to 15 digits as it was written; 17 always read back. Subnormal numbers have fewer
 * significant digits, so their search starts at one. A number that was written as a real stays one ("100.0"). */
static void write_real(strbuf *b, double x)
{
    char text[40];
    int digits = x != 0 && fabs(x) < 2.2250738585072014e-308 ? 1 : 15;
    for (; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    char *e = strchr(text, 'e');
    if (!e && !strchr(text, '.')) strcat(text, ".0");
    if (e) { /* 1e+22 and 1e-07 are written 1e22 and 1e-7 */
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

static void write(strbuf *b, const json_t *value, bool sorted);

static void write_sorted_members(strbuf *b, const json_t *object)
{
    const char *key;
    member *members = arena_alloc(b->a, json_object_size(object) * sizeof *members);
    size_t count = 0;
    json_t *item;
    json_object_foreach((json_t *)object, key, item) members[count++] = (member){key, item};
    qsort(members, count, sizeof *members, by_bytes);
    for (size_t i = 0; i < count; i++) {
        json_write_name(b, members[i].key);
        write(b, members[i].value, true);
    }
}

static void write_members(strbuf *b, const json_t *object)
{
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)object, key, item)
    {
        json_write_name(b, key);
        write(b, item, false);
    }
}

static void write(strbuf *b, const json_t *value, bool sorted)
{
    size_t index;
    json_t *item;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        strbuf_putc(b, '{');
        if (sorted)
            write_sorted_members(b, value);
        else
            write_members(b, value);
        strbuf_putc(b, '}');
        return;
    case JSON_ARRAY:
        strbuf_putc(b, '[');
        json_array_foreach(value, index, item)
        {
            if (index > 0) strbuf_putc(b, ',');
            write(b, item, sorted);
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
        write_real(b, json_real_value(value));
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
    write(b, value, false);
}

void json_write_sorted(strbuf *b, const json_t *value)
{
    write(b, value, true);
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
    char text[CLOCK_TEXT];
    json_write_member(b, name, clock_format(ms, text));
}

static bool same_number(const json_t *x, const json_t *y)
{
    if (json_typeof(x) == json_typeof(y))
        return json_is_integer(x) ? json_integer_value(x) == json_integer_value(y)
                                  : json_real_value(x) == json_real_value(y);
    double real = json_real_value(json_is_real(x) ? x : y);
    json_int_t whole = json_integer_value(json_is_real(x) ? y : x);
    return real >= -0x1p63 && real < 0x1p63 && real == trunc(real) && (json_int_t)real == whole;
}

bool json_same(const json_t *x, const json_t *y)
{
    const char *key;
    size_t index;
    json_t *item;
    if (json_is_number(x) && json_is_number(y)) return same_number(x, y);
    if (json_typeof(x) != json_typeof(y)) return false;
    switch (json_typeof(x)) {
    case JSON_OBJECT:
        if (json_object_size(x) != json_object_size(y)) return false;
        json_object_foreach((json_t *)x, key, item)
        {
            const json_t *other = json_object_get(y, key);
            if (!other || !json_same(item, other)) return false;
        }
        return true;
    case JSON_ARRAY:
        if (json_array_size(x) != json_array_size(y)) return false;
        json_array_foreach(x, index, item) if (!json_same(item, json_array_get(y, index))) return false;
        return true;
    case JSON_STRING:
        return json_string_length(x) == json_string_length(y) &&
               memcmp(json_string_value(x), json_string_value(y), json_string_length(x)) == 0;
    default:
        return true;
    }
}

bool json_instant(const json_t *value, int64_t *ms)
{
    if (json_is_string(value)) return clock_parse(json_string_value(value), ms);
    if (!json_is_integer(value)) return false;
    json_int_t number = json_integer_value(value);
    if (number < CLOCK_MIN || number > CLOCK_MAX) return false;
    *ms = number;
    return true;
}

size_t json_characters(const char *s, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) count += ((unsigned char)s[i] & 0xC0) != 0x80;
    return count;
}
