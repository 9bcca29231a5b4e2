/*
 * JSON in and out, faithfully (Jansson does the parsing).
 *
 * What goes in comes out: strings byte for byte, integers to 64 bits exactly, other numbers as the shortest decimal that
 * reads back as the same double. What cannot be kept (\u0000, lone surrogates, 1e400, integers beyond 64 bits, invalid
 * UTF-8, duplicate member names, nesting beyond the limit) is refused with its path, never altered.
 *
 * A request is taken apart with json_split before its parts are parsed one by one, so that one operation that cannot be
 * kept fails alone and the rest of its batch is served.
 */
#ifndef BOOKY_JSON_H
#define BOOKY_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

typedef enum json_fault_kind {
    JSON_FAULT_SYNTAX,     /* not JSON */
    JSON_FAULT_UNKEEPABLE, /* JSON, but it could not be given back unaltered */
    JSON_FAULT_TYPE,       /* JSON of another type than asked for */
    JSON_FAULT_COUNT       /* more elements than allowed */
} json_fault_kind;

typedef struct json_fault {
    json_fault_kind kind;
    const char *path;    /* below the parsed text: "", ".data.pages", "[3].id"; names as they are written there, cut at 80
                            bytes, with ? for what is not ASCII; lives in the arena */
    const char *message; /* a phrase without a full stop */
} json_fault;

/* Parses the whole of `text` as one value of any type, nested at most `depth` deep. The value belongs to the arena.
 * Returns NULL and fills *fault when it cannot be parsed or kept. */
json_t *json_read(arena *a, const char *text, size_t len, size_t depth, json_fault *fault);

/* Parses what is known to be JSON, or need not be explained when it is not: NULL then. The value belongs to the arena;
 * `error` may be NULL. */
json_t *json_parse(arena *a, const char *text, size_t len, json_error_t *error);

/* An empty object that belongs to the arena; also the hash table of this house (Jansson's keys are seeded). */
json_t *json_new_object(arena *a);

/* object[key] = value, which is taken over; unwinds when there is no memory (or `value` is NULL, which says the same). */
void json_put(arena *a, json_t *object, const char *key, json_t *value);

/* json_decref, for arena_defer. */
void json_release(void *value);

/* A member of an object or an element of an array, as text. `key` is NULL in arrays. */
typedef struct json_slice {
    const char *key;
    const char *text;
    size_t len;
} json_slice;

/* Takes an object (`type` '{') or an array ('[') apart without parsing what it holds; at most `max` parts. Returns false
 * and fills *fault when `text` is not of that type, its frame is broken, or a name occurs twice. */
bool json_split(arena *a, char type, const char *text, size_t len, size_t max, json_slice **parts, size_t *count,
                json_fault *fault);

/* Appends `value` as compact JSON, members in their order. */
void json_write(strbuf *b, const json_t *value);

/* The same with the members of each object sorted by their names' bytes. */
void json_write_sorted(strbuf *b, const json_t *value);

/* Appends `s` as a JSON string; it must be valid UTF-8. */
void json_write_string(strbuf *b, const char *s, size_t len);

/* Appends `"name":` preceded by a comma unless an object or array was just opened. */
void json_write_name(strbuf *b, const char *name);

/* Appends one member with json_write_name; a NULL string is written as null. */
void json_write_member(strbuf *b, const char *name, const char *value);
void json_write_int(strbuf *b, const char *name, long long value);
void json_write_bool(strbuf *b, const char *name, bool value);
void json_write_instant(strbuf *b, const char *name, long long ms);

/* Whether both are the same value; 1 and 1.0 are. */
bool json_same(const json_t *x, const json_t *y);

/* Reads an instant: an RFC 3339 string or integer milliseconds since 1970. Returns false for anything else. */
bool json_instant(const json_t *value, int64_t *ms);

/* Whether `value` is nested at most `depth` levels deep (a scalar has none). */
bool json_within_depth(const json_t *value, size_t depth);

/* The number of characters (code points) of valid UTF-8. */
size_t json_characters(const char *s, size_t len);

#endif
