/* Walks over JSON text without parsing it, and reads plain text. For the files json_*.c. */
#ifndef BOOKY_JSON_SCAN_H
#define BOOKY_JSON_SCAN_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"

/* The offset of the first byte from `at` on that is not white space. */
size_t json_skip_space(const char *text, size_t len, size_t at);

/* The offset after the string that starts at `at`; `len` when it does not end. */
size_t json_skip_string(const char *text, size_t len, size_t at);

/* The offset after the value that starts at `at`. Only looks for brackets and strings: whether the value is JSON is
 * left to json_read. */
size_t json_skip_value(const char *text, size_t len, size_t at);

/* A number of first bytes that need no escape in a string: a multiple of eight. A byte that has a bit of `also` ends
 * them, too. Whole words are compared at once, because most of a large entity is text: a byte below 0x20 borrows, and a
 * quote or a backslash becomes zero by the exclusive or and borrows then. A borrow may also reach a byte above; then
 * the caller looks at each byte. */
static inline size_t json_plain_words(const char *s, size_t len, unsigned char also)
{
    const uint64_t each = UINT64_C(0x0101010101010101), high = each * 0x80;
    size_t at = 0;
    for (uint64_t word; at + sizeof word <= len; at += sizeof word) {
        memcpy(&word, s + at, sizeof word);
        uint64_t quote = word ^ (each * '"'), backslash = word ^ (each * '\\');
        uint64_t found = ((word - each * 0x20) & ~word) | ((quote - each) & ~quote) | ((backslash - each) & ~backslash);
        if ((found & high) | (word & (each * also))) break;
    }
    return at;
}

/* Appends ".name" for a member name as it is written in the text, without its quotes; truncated at 80 bytes, with ? for
 * bytes that are not printable ASCII. */
void json_path_key(strbuf *path, const char *raw, size_t len);

/* The path of the member or element at offset `stop`, in the form of json_fault.path. Everything before `stop` must be
 * well-formed. */
const char *json_path_at(arena *a, const char *text, size_t stop);

/* Reads all of `text` as one value, four times as fast as Jansson: what is plain (names and strings without escapes,
 * numbers of some length, at most 32 levels), and any other string or number with Jansson. The value is the one that
 * Jansson makes with JSON_REJECT_DUPLICATES and JSON_DECODE_ANY. The caller owns it. NULL: Jansson must judge, because
 * there is a fault, or something that is not plain. Where memory runs out, errno is ENOMEM, whatever is returned. */
json_t *json_read_quick(const char *text, size_t len);

#endif
