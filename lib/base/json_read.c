#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_scan.h"

json_t *json_parse(arena *a, const char *text, size_t len, json_error_t *error)
{
    errno = 0;
    json_t *value = json_read_quick(text, len);
    if (!value && errno != ENOMEM) value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, error);
    if (errno == ENOMEM) { /* Jansson may report it as a fault of the text, or go on without a byte of it */
        json_decref(value);
        arena_exhausted(a);
    }
    if (value) arena_defer(a, json_release, value);
    return value;
}

/* Fills *fault with what Jansson reports. It tells only the offset, not the path. */
static void explain(arena *a, const char *text, size_t len, const json_error_t *error, json_fault *fault)
{
    enum json_error_code code = json_error_code(error);
    size_t at = error->position > 0 ? (size_t)error->position : 0;
    /* For invalid UTF-8 the position is that of the invalid byte, otherwise it is after the fault. */
    size_t stop = at + (code == json_error_invalid_utf8);
    *fault = (json_fault){JSON_FAULT_LOSSY, json_path_at(a, text, stop < len ? stop : len), NULL};
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

/* Whether there is a real number 0 in `value`. */
static bool has_real_zero(const json_t *value)
{
    const char *key;
    size_t index;
    json_t *item;
    if (json_is_real(value)) return json_real_value(value) == 0;
    json_object_foreach((json_t *)value, key, item) if (has_real_zero(item)) return true;
    json_array_foreach(value, index, item) if (has_real_zero(item)) return true;
    return false;
}

/* The offset after the first number that is read as 0 although it has another digit, or 0. `text` is JSON. Jansson
 * reports numbers that are too large only. */
static size_t find_underflow(arena *a, const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        if (text[at] == '"') {
            at = json_skip_string(text, len, at);
            continue;
        }
        size_t end = at, digits = 0;
        bool exponent = false;
        for (; end < len && memchr("0123456789+-.eE", text[end], 15); end++) {
            exponent |= text[end] == 'e' || text[end] == 'E';
            digits += !exponent && text[end] >= '1' && text[end] <= '9';
        }
        bool number = text[at] == '-' || (text[at] >= '0' && text[at] <= '9'); /* not the e of `false` */
        if (number && digits > 0 && strtod(arena_strndup(a, text + at, end - at), NULL) == 0) return end;
        at = end > at ? end : at + 1;
    }
    return 0;
}

/* A member of an object that this program wrote. Jansson looks at each byte of a string several times: 11 ms a
 * megabyte, most of the time of a restore of large books. A string without escapes is its own value. */
static json_t *read_stored_member(arena *a, const json_slice *part)
{
    bool is_string = part->len >= 2 && *part->text == '"' && !memchr(part->text, '\\', part->len);
    if (is_string) return json_stringn_nocheck(part->text + 1, part->len - 2);
    return json_incref(json_parse(a, part->text, part->len, NULL)); /* the arena has a reference of its own */
}

json_t *json_read_stored(arena *a, const char *text, size_t len)
{
    enum { FEW_MEMBERS = 64 }; /* of more, splitting costs as much as it saves */
    json_slice *parts;
    size_t count;
    json_fault fault;
    if (!json_split(a, '{', text, len, FEW_MEMBERS, &parts, &count, &fault)) return json_parse(a, text, len, NULL);
    json_t *object = json_new_object(a);
    for (size_t i = 0; i < count; i++) json_put(a, object, parts[i].key, read_stored_member(a, &parts[i]));
    return object;
}

json_t *json_read(arena *a, const char *text, size_t len, size_t depth, json_fault *fault)
{
    json_error_t error;
    const char *nul = len > 0 ? memchr(text, '\0', len) : NULL;
    if (nul) { /* Jansson ignores a NUL byte after a number */
        size_t at = (size_t)(nul - text);
        *fault = (json_fault){JSON_FAULT_SYNTAX, json_path_at(a, text, at), NULL};
        fault->message = arena_printf(a, "not JSON at byte %zu", at);
        return NULL;
    }
    json_t *value = json_parse(a, text, len, &error);
    if (!value) {
        explain(a, text, len, &error, fault);
        return NULL;
    }
    size_t underflow = has_real_zero(value) ? find_underflow(a, text, len) : 0;
    if (underflow > 0) {
        *fault = (json_fault){JSON_FAULT_LOSSY, json_path_at(a, text, underflow),
                              "a number too small to be kept (numbers other than 0 begin near 4.9e-324)"};
        return NULL;
    }
    if (depth == SIZE_MAX || json_within_depth(value, depth)) return value;
    *fault = (json_fault){JSON_FAULT_LOSSY, "", arena_printf(a, "nested deeper than %zu levels", depth)};
    return NULL;
}
