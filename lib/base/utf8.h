/* UTF-8, as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef BOOKY_UTF8_H
#define BOOKY_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The bytes of the character at the start of `s`, 1 to 4; 0: the `len` bytes do not start with a character. */
size_t utf8_length(const char *s, size_t len);

/* Whether `s` consists of whole characters. */
bool utf8_valid(const char *s, size_t len);

#endif
