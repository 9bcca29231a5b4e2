/*
 * JSON in and out without loss. Jansson decides what is JSON, and makes the values.
 *
 * What is read is written again unaltered: strings byte for byte, integers of 64 bits exactly, other numbers as the
 * shortest decimal that reads back as the same double. A value that cannot be kept (\u0000, lone surrogates, 1e400,
 * 1e-400, integers beyond 64 bits, invalid UTF-8, duplicate member names, nesting beyond the limit) is refused with its
 * path, never altered.
 *
 * json_split splits the text of a request into its parts, and each part is then parsed alone. So if one operation
 * cannot be kept, only this operation fails, and the rest of its batch is applied.
 *
 * Values: json.c. Reading: json_read.c, json_quick.c. Checking: json_check.c. Splitting: json_split.c.
 * Writing: json_write.c.
 */
#ifndef BOOKY_JSON_H
#define BOOKY_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

typedef enum json_fault_kind {
    JSON_FAULT_SYNTAX, /* not JSON */
    JSON_FAULT_LOSSY,  /* JSON that cannot be kept without loss */
    JSON_FAULT_TYPE,   /* JSON of the wrong type */
    JSON_FAULT_COUNT   /* more elements than allowed */
} json_fault_kind;

typedef struct json_fault {
    json_fault_kind kind;
    const char *path;    /* relative to the parsed text: "", ".data.pages", "[3].id"; names as they are written there,
                            truncated at 80 bytes, with ? for bytes that are not printable ASCII; in the arena */
    const char *message; /* a phrase without a full stop */
} json_fault;

/* Parses all of `text` as one value of any type, nested at most `depth` levels deep. The value belongs to the arena.
 * Returns NULL and fills *fault when it cannot be parsed or kept. */
json_t *json_read(arena *a, const char *text, size_t len, size_t depth, json_fault *fault);

/* Parses like json_read, but without a depth limit and without an explanation of a fault: NULL. The value belongs
 * to the arena; `error` may be NULL. */
json_t *json_parse(arena *a, const char *text, size_t len, json_error_t *error);

/* Parses the text of an object that json_write wrote: it is not checked again. The value belongs to the arena. */
json_t *json_read_stored(arena *a, const char *text, size_t len);

/* Whether all of `text` is one JSON value, without making it: for a part of a body that nothing reads. Unlike json_read
 * it accepts values that cannot be kept, such as \u0000, 1e400 or a name twice. Fills *fault when it is not. */
bool json_check(arena *a, const char *text, size_t len, json_fault *fault);

/* An empty object that belongs to the arena. It also serves as the hash table of this program: Jansson seeds its hash.
 */
json_t *json_new_object(arena *a);

/* object[key] = value; takes ownership of `value`. Unwinds when there is no memory, or when `value` is NULL because
 * there was none for it. */
void json_put(arena *a, json_t *object, const char *key, json_t *value);

/* json_decref in the form that arena_defer expects. */
void json_release(void *value);

/* A member of an object or an element of an array, as text. `key` is NULL in arrays. */
typedef struct json_slice {
    const char *key;
    const char *text;
    size_t len;
} json_slice;

/* Splits an object (`type` '{') or an array ('[') into at most `max` parts without parsing their values. Returns false
 * and fills *fault when `text` is not of that type, when its own brackets, names, colons or commas are wrong, or when a
 * name occurs twice. The parts point into `text`. */
bool json_split(arena *a, char type, const char *text, size_t len, size_t max, json_slice **parts, size_t *count,
                json_fault *fault);

/* A value is written with at most this many times the bytes that were read: "1e14," becomes "100000000000000.0,". */
enum { JSON_WRITE_GROWTH = 4 };

/* Appends `value` as compact JSON, members in their order. */
void json_write(strbuf *b, const json_t *value);

/* The same for a hash, with the members of each object sorted by the bytes of their names. Must never change, because
 * hashes are stored: 46 powers of two keep the 17 digits that version 1 gave them, though 16 read back. */
void json_write_sorted(strbuf *b, const json_t *value);

/* The same for comparing: two values have the same text exactly when json_same says so. Not stored. */
void json_write_key(strbuf *b, const json_t *value);

/* Appends `s` as a JSON string; it must be valid UTF-8. */
void json_write_string(strbuf *b, const char *s, size_t len);

/* Appends `"name":`, preceded by a comma unless an object or array was just opened. */
void json_write_name(strbuf *b, const char *name);

/* Appends one member with json_write_name; a NULL string is written as null. */
void json_write_member(strbuf *b, const char *name, const char *value);
void json_write_int(strbuf *b, const char *name, long long value);
void json_write_bool(strbuf *b, const char *name, bool value);
void json_write_instant(strbuf *b, const char *name, long long ms);

/* The same; `ms` is written as null when it equals `null`. */
void json_write_instant_unless(strbuf *b, const char *name, long long ms, long long null);

/* Appends one member whose value is the JSON text `json`; NULL is written as null. */
void json_write_raw(strbuf *b, const char *name, const char *json);

/* A bound of the number of values that json_read would make of the text, as far as its parser's depth. Each takes up to
 * some hundred bytes, while the bytes of strings cost little more than themselves. */
size_t json_count_values(const char *text, size_t len);

/* Whether both are the same value; 1 and 1.0 are the same. */
bool json_same(const json_t *x, const json_t *y);

/* Whether `real` is a whole number of 64 bits, and which. */
bool json_real_is_whole(double real, json_int_t *whole);

/* Reads an instant: an RFC 3339 string or integer milliseconds since 1970. Returns false for anything else. */
bool json_instant(const json_t *value, int64_t *ms);

/* The same for a time that an app states, which may be in seconds by mistake: an integer between -100,000,000,000 and
 * 100,000,000,000 (3 March 1973) is refused. Returns NULL, or a phrase without a subject. */
const char *json_instant_fault(const json_t *value, int64_t *ms);

/* Whether `value` is nested at most `depth` levels deep. A scalar has no levels. */
bool json_within_depth(const json_t *value, size_t depth);

/* The number of code points in valid UTF-8. */
size_t json_characters(const char *s, size_t len);

#endif
