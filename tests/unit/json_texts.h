/*
 * What the tests of lib/base/json share.
 *
 * Every text is copied into memory of exactly its size before it is read, and that memory is freed before the result is
 * used. So a sanitizer sees a read beyond the end, and a result that points into the text.
 */
#ifndef BOOKY_TESTS_JSON_TEXTS_H
#define BOOKY_TESTS_JSON_TEXTS_H

#include "base/json.h"
#include "fixture.h"
#include "unit.h"

#define TEXT(literal) literal, sizeof literal - 1 /* may contain NUL */

enum { OK = -1, DEPTH = 64 };

/* A copy of exactly that size; the caller frees it. */
char *copy_exact(const char *text, size_t len);

/* json_read of such a copy. */
json_t *read_exact(const char *text, size_t len, size_t depth, json_fault *fault);

const char *written(const json_t *value);

#endif
