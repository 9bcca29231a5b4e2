#include "base/json_scan.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

enum { PATH_BYTES = 400, PATH_KEY_BYTES = 80 };

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

size_t json_skip_space(const char *text, size_t len, size_t at)
{
    while (at < len && is_space(text[at])) at++;
    return at;
}

size_t json_skip_string(const char *text, size_t len, size_t at)
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

size_t json_count_values(const char *text, size_t len)
{
    size_t count = 1, depth = 0;
    for (size_t at = 0; at < len && depth <= JSON_PARSER_MAX_DEPTH;) {
        char c = text[at];
        bool opens = c == '[' || c == '{';
        depth += opens;
        if (depth > 0) depth -= c == ']' || c == '}';
        count += opens || c == ',';
        at = c == '"' ? json_skip_string(text, len, at) : at + 1;
    }
    return count;
}

size_t json_skip_value(const char *text, size_t len, size_t at)
{
    size_t open = 0;
    while (at < len) {
        char c = text[at];
        if (c == '"') {
            at = json_skip_string(text, len, at);
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

void json_path_key(strbuf *path, const char *raw, size_t len)
{
    if (len > PATH_KEY_BYTES) len = PATH_KEY_BYTES;
    strbuf_putc(path, '.');
    for (size_t i = 0; i < len; i++) strbuf_putc(path, raw[i] >= 0x20 && raw[i] < 0x7F ? raw[i] : '?');
}

/* A container that is open at the current offset. */
typedef struct level {
    const char *key; /* the latest member name; NULL: none yet */
    size_t key_len;
    long index; /* of the latest element; -1: an object */
} level;

typedef struct stack {
    arena *a;
    level *levels;
    size_t depth, capacity;
    bool expects_key; /* the next string is a member name */
} stack;

static void stack_push(stack *s, char opening)
{
    if (s->depth == s->capacity) {
        size_t capacity = s->capacity + 32;
        s->levels = arena_grow(s->a, s->levels, s->capacity * sizeof *s->levels, capacity * sizeof *s->levels);
        s->capacity = capacity;
    }
    s->levels[s->depth++] = (level){.index = opening == '[' ? 0 : -1};
    s->expects_key = opening == '{';
}

static void stack_set_key(stack *s, const char *string, size_t len)
{
    level *top = &s->levels[s->depth - 1];
    top->key = string + 1;
    top->key_len = len > 1 ? len - 1 - (string[len - 1] == '"') : 0; /* an unfinished string has no closing quote */
    s->expects_key = false;
}

static void stack_next_member(stack *s)
{
    level *top = &s->levels[s->depth - 1];
    s->expects_key = top->index < 0;
    if (s->expects_key)
        top->key = NULL;
    else
        top->index++;
}

static const char *stack_path(const stack *s)
{
    strbuf path = STRBUF(s->a);
    strbuf_puts(&path, "");
    for (size_t i = 0; i < s->depth && path.len < PATH_BYTES; i++) {
        const level *l = &s->levels[i];
        if (l->index >= 0)
            strbuf_printf(&path, "[%ld]", l->index);
        else if (l->key)
            json_path_key(&path, l->key, l->key_len);
    }
    return path.data;
}

const char *json_path_at(arena *a, const char *text, size_t stop)
{
    stack s = {.a = a};
    for (size_t at = 0; at < stop;) {
        char c = text[at];
        if (c == '"') {
            size_t end = json_skip_string(text, stop, at);
            if (s.expects_key && s.depth > 0) stack_set_key(&s, text + at, end - at);
            at = end;
            continue;
        }
        if (c == '{' || c == '[')
            stack_push(&s, c);
        else if ((c == '}' || c == ']') && s.depth > 0)
            s.depth--;
        else if (c == ',' && s.depth > 0 && at + 1 < stop) /* a comma at the end belongs to the member before it */
            stack_next_member(&s);
        at++;
    }
    return stack_path(&s);
}
