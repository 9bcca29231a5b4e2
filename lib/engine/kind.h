/*
 * Entity kinds. Each kind is a small file (kind_book.c, …) with its table of fields; kind.c has the list. To add a
 * kind, add a file and a row.
 *
 * A table checks only the members that it names. All other members are kept unchecked.
 */
#ifndef BOOKY_KIND_H
#define BOOKY_KIND_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "engine/merge.h"

typedef enum field_type {
    FIELD_STRING, /* min..max characters */
    FIELD_NUMBER, /* min..max, a multiple of step unless that is 0 */
    FIELD_BOOLEAN,
    FIELD_ARRAY,
    FIELD_OBJECT,
    FIELD_INSTANT, /* RFC 3339 or integer milliseconds */
    FIELD_DATE,    /* the same, or a date */
    FIELD_CHOICE,  /* one of choices */
    FIELD_TREE,    /* an object or an array */
    FIELD_SET      /* an array whose single elements can be added and removed; its name is also in kind.sets */
} field_type;

typedef struct field {
    const char *name; /* NULL ends the table */
    field_type type;
    bool required;   /* in a create, and never null; any other field may be null */
    double min, max; /* both 0: no bounds */
    double step;
    const char *const *choices; /* NULL-terminated */
} field;

typedef enum kind_rule {
    KIND_PLAIN,
    KIND_ONE_PER_KEY, /* of several live entities with the same key, the one with the latest edit stays (one rating for
                         each book) */
    KIND_READINGS,    /* of several entities with the same key, those stand that no other displaces (readings.h) */
    KIND_NAMES_CLASH, /* live entities with the same key are all kept, and the user decides (two tags with the same
                         name) */
    KIND_ONE_PER_USER /* there is only one, whatever id a device gives it */
} kind_rule;

typedef struct kind {
    const char *name;   /* as in `entity` and `type`: "book" */
    const char *plural; /* as in a full sync: "books" */
    const char *alias;  /* another name that a full sync accepts, or NULL */
    kind_rule rule;
    const char *key;      /* the member that is the key of KIND_ONE_PER_KEY, KIND_READINGS and KIND_NAMES_CLASH */
    const char *fixed_id; /* KIND_ONE_PER_USER: the id under which it is stored */
    const field *fields;
    const char *const *sets; /* the names of the fields of type FIELD_SET, ended by NULL; or NULL */
} kind;

/* All kinds, ended by NULL. */
extern const kind *const kinds[];

extern const kind kind_book, kind_rating, kind_tag, kind_collection, kind_reading_log, kind_user_settings;

/* The kind called `name`, or NULL. */
const kind *kind_find(const char *name);

/* Whether the member `name` of `data` is a set: a list that operations may change element by element. */
bool kind_is_set(const kind *k, const char *name);

/* The names of all kinds, separated by commas, for a message. */
const char *kind_names(arena *a);

/* Whether a required member is missing in `data`, which is a whole entity. Returns NULL when none is, otherwise a
 * phrase for the user, with the path of the member in *path (".title"). Both are in the arena. */
const char *kind_missing(arena *a, const kind *k, const json_t *data, const char **path);

/* Checks the members of `data` that `k` names, and returns the same. A member that equals that of `held`, the stored
 * entity, is not checked: what an earlier version accepted is always accepted back. NULL: all are checked. */
const char *kind_check(arena *a, const kind *k, const json_t *data, const merge_state *held, const char **path);

/* The same for the value of one set in an operation; *path is relative to it (".$add"). */
const char *kind_check_set(arena *a, const json_t *value, const char **path);

/* The same for an item of a full sync, whose sets are lists or null; kind_check does the rest. */
const char *kind_check_lists(arena *a, const kind *k, const json_t *data, const merge_state *held, const char **path);

#endif
