#include <string.h>

#include "base/json.h"
#include "base/json_scan.h"

enum { INDEX_FROM = 40 }; /* members from which a hash finds a name; below that a scan is faster */

/* A text on its way into parts. */
typedef struct splitter {
    arena *a;
    char type; /* '{' or '[' */
    const char *text;
    size_t len, at;
    json_slice *parts;
    size_t count, capacity, max;
    json_t *names; /* of the parts, when there are many; NULL until needed */
    json_fault *fault;
} splitter;

static bool refuse(splitter *s, json_fault_kind kind, const char *message)
{
    *s->fault = (json_fault){kind, "", message};
    return false;
}

static bool refuse_syntax(splitter *s, size_t at)
{
    return refuse(s, JSON_FAULT_SYNTAX, arena_printf(s->a, "not JSON at byte %zu", at));
}

static bool next_is(const splitter *s, char c)
{
    return s->at < s->len && s->text[s->at] == c;
}

static void skip_space_from(splitter *s, size_t at)
{
    s->at = json_skip_space(s->text, s->len, at);
}

/* Consumes `c` and the white space after it; false when something else comes next. */
static bool consume(splitter *s, char c)
{
    if (!next_is(s, c)) return false;
    skip_space_from(s, s->at + 1);
    return true;
}

/* Decodes the member name in the string `text` of `len` bytes, quotes included. Returns NULL and fills the fault when
 * it cannot be kept. */
static const char *decode_name(splitter *s, const char *text, size_t len)
{
    bool plain = len >= 2 && text[len - 1] == '"';
    for (size_t i = 1; plain && i < len - 1; i++) plain = text[i] >= 0x20 && text[i] < 0x7F && text[i] != '\\';
    if (plain) return arena_strndup(s->a, text + 1, len - 2);
    return json_string_value(json_read(s->a, text, len, 1, s->fault));
}

/* Whether one of the parts has this name. */
static bool has_name(splitter *s, const char *name)
{
    if (s->count < INDEX_FROM) {
        for (size_t i = 0; i < s->count; i++)
            if (*s->parts[i].key == *name && strcmp(s->parts[i].key, name) == 0) return true;
        return false;
    }
    if (!s->names) {
        s->names = json_new_object(s->a);
        for (size_t i = 0; i < s->count; i++) json_put(s->a, s->names, s->parts[i].key, json_true());
    }
    if (json_object_get(s->names, name)) return true;
    json_put(s->a, s->names, name, json_true());
    return false;
}

/* Reads `"name":` and leaves the splitter at the value. */
static bool read_name(splitter *s, const char **name)
{
    size_t start = s->at, end = next_is(s, '"') ? json_skip_string(s->text, s->len, start) : start;
    if (end == start) return refuse_syntax(s, start);
    *name = decode_name(s, s->text + start, end - start);
    if (!*name && s->fault->kind == JSON_FAULT_SYNTAX) return refuse_syntax(s, start);
    bool repeated = *name && has_name(s, *name);
    if (!*name || repeated) {
        strbuf path = STRBUF(s->a);
        json_path_key(&path, s->text + start + 1, end - start - 2);
        s->fault->kind = JSON_FAULT_LOSSY;
        s->fault->path = path.data;
        if (repeated) s->fault->message = "this member name occurs twice";
        return false;
    }
    skip_space_from(s, end);
    return consume(s, ':') ? true : refuse_syntax(s, s->at);
}

static bool read_part(splitter *s)
{
    json_slice part = {0};
    if (s->type == '{' && !read_name(s, &part.key)) return false;
    size_t end = json_skip_value(s->text, s->len, s->at);
    if (end <= s->at) return refuse_syntax(s, s->at);
    part.text = s->text + s->at;
    part.len = end - s->at;
    if (s->count == s->max) return refuse(s, JSON_FAULT_COUNT, "has too many elements");
    s->parts = arena_grow_list(s->a, s->parts, s->count, &s->capacity, sizeof *s->parts);
    s->parts[s->count++] = part;
    skip_space_from(s, end);
    return true;
}

static bool read_parts(splitter *s)
{
    char closing = s->type == '{' ? '}' : ']';
    skip_space_from(s, 0);
    if (s->at == s->len) return refuse_syntax(s, s->at);
    if (!consume(s, s->type))
        return refuse(s, JSON_FAULT_TYPE, s->type == '{' ? "must be an object" : "must be an array");
    if (!next_is(s, closing)) {
        if (!read_part(s)) return false;
        while (consume(s, ','))
            if (!read_part(s)) return false;
        if (!next_is(s, closing)) return refuse_syntax(s, s->at);
    }
    size_t end = s->at + 1;
    return json_skip_space(s->text, s->len, end) == s->len ? true : refuse_syntax(s, end);
}

bool json_split(arena *a, char type, const char *text, size_t len, size_t max, json_slice **parts, size_t *count,
                json_fault *fault)
{
    splitter s = {.a = a, .type = type, .text = text, .len = len, .max = max, .fault = fault};
    bool ok = read_parts(&s);
    *parts = s.parts;
    *count = s.count;
    return ok;
}
