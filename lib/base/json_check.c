#include <string.h>

#include "base/json.h"
#include "base/json_scan.h"
#include "base/utf8.h"

/* A text on its way through the grammar of RFC 8259. Nothing is allocated and nothing recurses, so a text of 32 MiB
 * costs time only. */
typedef struct checker {
    const char *text;
    size_t len, at;
    size_t depth;                          /* containers that are open */
    bool in_object[JSON_PARSER_MAX_DEPTH]; /* one each */
    bool invalid_utf8, too_deep;           /* why it was refused, if it is no plain syntax fault */
} checker;

static bool is_at(const checker *c, char expected)
{
    return c->at < c->len && c->text[c->at] == expected;
}

static bool take(checker *c, char expected)
{
    if (!is_at(c, expected)) return false;
    c->at++;
    return true;
}

static void skip_space(checker *c)
{
    c->at = json_skip_space(c->text, c->len, c->at);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take_digits(checker *c)
{
    size_t start = c->at;
    while (c->at < c->len && is_digit(c->text[c->at])) c->at++;
    return c->at > start;
}

static bool take_number(checker *c)
{
    take(c, '-');
    if (!take(c, '0') && !take_digits(c)) return false;
    if (take(c, '.') && !take_digits(c)) return false;
    if (!take(c, 'e') && !take(c, 'E')) return true;
    if (!take(c, '+')) take(c, '-');
    return take_digits(c);
}

static bool take_word(checker *c, const char *word)
{
    size_t len = strlen(word);
    if (c->len - c->at < len || memcmp(c->text + c->at, word, len) != 0) return false;
    c->at += len;
    return true;
}

/* Takes what follows a backslash. */
static bool take_escape(checker *c)
{
    static const char simple[] = "\"\\/bfnrt", hex[] = "0123456789abcdefABCDEF";
    if (c->at == c->len) return false;
    char kind = c->text[c->at];
    if (kind && strchr(simple, kind)) return take(c, kind);
    if (kind != 'u') return false;
    c->at++;
    for (int i = 0; i < 4; i++, c->at++)
        if (c->at == c->len || !c->text[c->at] || !strchr(hex, c->text[c->at])) return false;
    return true;
}

static bool take_string(checker *c)
{
    if (!take(c, '"')) return false;
    while (c->at < c->len && c->text[c->at] != '"') {
        if (take(c, '\\')) {
            if (!take_escape(c)) return false;
            continue;
        }
        if ((unsigned char)c->text[c->at] < 0x20) return false;
        size_t length = utf8_length(c->text + c->at, c->len - c->at);
        c->invalid_utf8 = length == 0;
        if (c->invalid_utf8) return false;
        c->at += length;
    }
    return take(c, '"');
}

static bool take_scalar(checker *c)
{
    if (c->at == c->len) return false;
    switch (c->text[c->at]) {
    case '"':
        return take_string(c);
    case 't':
        return take_word(c, "true");
    case 'f':
        return take_word(c, "false");
    case 'n':
        return take_word(c, "null");
    default:
        return take_number(c);
    }
}

static bool take_name(checker *c)
{
    if (!take_string(c)) return false;
    skip_space(c);
    if (!take(c, ':')) return false;
    skip_space(c);
    return true;
}

/* Takes the start of a value, up to its first scalar or its end. */
static bool take_value(checker *c)
{
    while (is_at(c, '{') || is_at(c, '[')) {
        bool object = is_at(c, '{');
        c->too_deep = c->depth == JSON_PARSER_MAX_DEPTH;
        if (c->too_deep) return false;
        c->at++;
        skip_space(c);
        if (take(c, object ? '}' : ']')) return true;
        c->in_object[c->depth++] = object;
        if (object && !take_name(c)) return false;
    }
    return take_scalar(c);
}

/* Takes the ends of containers after a value, and a comma. Returns false when that is wrong; *more: a value follows. */
static bool take_ends(checker *c, bool *more)
{
    *more = false;
    for (skip_space(c); c->depth > 0; skip_space(c)) {
        bool object = c->in_object[c->depth - 1];
        if (take(c, ',')) {
            *more = true;
            skip_space(c);
            return !object || take_name(c);
        }
        if (!take(c, object ? '}' : ']')) return false;
        c->depth--;
    }
    return c->at == c->len;
}

bool json_check(arena *a, const char *text, size_t len, json_fault *fault)
{
    checker c = {.text = text, .len = len};
    bool more = true;
    skip_space(&c);
    while (more)
        if (!take_value(&c) || !take_ends(&c, &more)) {
            json_fault_kind kind = c.invalid_utf8 || c.too_deep ? JSON_FAULT_LOSSY : JSON_FAULT_SYNTAX;
            *fault = (json_fault){kind, json_path_at(a, text, c.at), NULL};
            fault->message = c.invalid_utf8 ? "not valid UTF-8"
                             : c.too_deep   ? "nested too deeply"
                                            : arena_printf(a, "not JSON at byte %zu", c.at);
            return false;
        }
    return true;
}
