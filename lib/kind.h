/*
 * Entity kinds. Each is one small file (kind_book.c, …) with its table of fields; kind.c has the list. To add a kind, add
 * a file and a row.
 *
 * A table is as strict as the data is meant to be and no stricter: members it does not name are kept as they come.
 */
#ifndef BOOKY_KIND_H
#define BOOKY_KIND_H

#include <jansson.h>
#include <stdbool.h>

#include "arena.h"

typedef enum field_type {
    FIELD_STRING,  /* min..max characters */
    FIELD_NUMBER,  /* min..max, a multiple of step unless that is 0 */
    FIELD_BOOLEAN,
    FIELD_ARRAY,
    FIELD_OBJECT,
    FIELD_INSTANT, /* RFC 3339 or integer milliseconds */
    FIELD_CHOICE,  /* one of choices */
    FIELD_TREE     /* an object or an array */
} field_type;

typedef struct field {
    const char *name; /* NULL ends the table */
    field_type type;
    bool required;    /* on create, and never null; any other field may be null */
    double min, max;  /* both 0: no bounds */
    double step;
    const char *const *choices; /* NULL-terminated */
} field;

typedef enum kind_rule {
    KIND_PLAIN,
    KIND_ONE_PER_KEY,  /* of several live entities with one key the one with the latest edit stays (one rating per book) */
    KIND_NAMES_CLASH,  /* two live entities with one key are both kept, and a person is asked (two tags of one name) */
    KIND_ONE_PER_USER  /* there is one, whatever id a device gives it */
} kind_rule;

typedef struct kind {
    const char *name;   /* as in `entity` and `type`: "book" */
    const char *plural; /* as in a full sync: "books" */
    const char *alias;  /* another name accepted there, or NULL */
    kind_rule rule;
    const char *key;    /* the member that KIND_ONE_PER_KEY and KIND_NAMES_CLASH look at */
    const char *fixed_id; /* KIND_ONE_PER_USER: the id it is stored under */
    const field *fields;
} kind;

/* All kinds, ended by NULL. */
extern const kind *const kinds[];

extern const kind kind_book, kind_rating, kind_tag, kind_collection, kind_reading_log, kind_user_settings;

/* The kind called `name`, or NULL. */
const kind *kind_find(const char *name);

/* Checks the members of `data` that `k` knows; with `whole`, also that no required one is missing. Returns NULL when all
 * is well, else a phrase for people, with the member's path in *path (".title"). Both live in the arena. */
const char *kind_check(arena *a, const kind *k, const json_t *data, bool whole, const char **path);

#endif
