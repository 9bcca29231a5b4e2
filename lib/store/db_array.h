/* Parameters of a statement: single values, and arrays in PostgreSQL's binary form. */
#ifndef BOOKY_DB_ARRAY_H
#define BOOKY_DB_ARRAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

/* The most bytes that the parameters of a statement may have. PostgreSQL refuses a message of 1 GiB or more, and ends
 * the connection; the difference is for the rest of the message. */
#define DB_PARAMS_MAX 1000000000

/* NUL-terminated text, or binary of `len` bytes. NULL value: SQL null. A parameter that is larger than DB_PARAMS_MAX
 * has a `len` above it and no bytes; db_send refuses it. */
typedef struct db_param {
    const char *value;
    size_t len;
    bool binary;
} db_param;

#define DB_PARAMS(...) ((const db_param[]){__VA_ARGS__})

db_param db_text(const char *s);
db_param db_int(arena *a, int64_t value);
db_param db_int_or_null(arena *a, int64_t value, int64_t null); /* `null`: the value that stands for SQL null */
db_param db_null(void);

/* An array parameter, built element by element. Beyond DB_PARAMS_MAX it drops its elements and only counts bytes. */
typedef enum db_type {
    DB_INT4 = 23,
    DB_INT8 = 20,
    DB_TEXT = 25,
    DB_JSON = 114,
    DB_BYTEA = 17
} db_type; /* pg_type.oid */

typedef struct db_array {
    strbuf bytes;
    size_t size; /* of all elements, also of dropped ones */
    int count;
} db_array;

db_array db_array_new(arena *a, db_type type);
void db_array_add(db_array *x, const char *bytes, size_t len); /* NULL bytes: an SQL null */
void db_array_text(db_array *x, const char *s);                /* NULL: an SQL null */
void db_array_int4(db_array *x, int32_t value);
void db_array_int8(db_array *x, int64_t value, int64_t null); /* `null`: the value that stands for SQL null */
db_param db_array_param(db_array *x);

#endif
