/*
 * Random histories of operations, and the model of what they must amount to: the same operations in the order of their
 * timestamps, where the last one simply wins.
 */
#ifndef BOOKY_TESTS_HISTORY_H
#define BOOKY_TESTS_HISTORY_H

#include <jansson.h>

#include "dice.h"
#include "engine/kind.h"

enum { OPS_MAX = 48 };

typedef struct op {
    int number;
    const char *type;
    const kind *kind;
    const char *id;
    json_t *data; /* NULL: a deletion */
    int64_t at;
} op;

typedef struct history {
    op ops[OPS_MAX];
    size_t count;
    json_t *times;     /* of the first order: entity → path → time */
    char story[65536]; /* the requests of the last order, for the report */
} history;

/* Fills *h. Mostly one kind, so that operations meet; sometimes all. In a crowd two dozen entities compete for a few
 * keys. */
void history_make(history *h, dice *d, bool crowd);
void history_free(history *h);

/* The operation as a client sends it. */
json_t *history_operation(const op *o);

/* What must not depend on the order: {"entities":{name:…},"pulled":{name:data},"open":{name or pair:reason}}, where a
 * name is "kind id". The caller owns it. */
json_t *history_outcome(const history *h);

/* The times of all leaves and empty objects of an entity, by their paths, from the columns of its row: `base`, except
 * where `marks` names another one. The caller owns it. */
json_t *history_times(const json_t *data, json_t *base, const json_t *marks);

/* The name of an entity there. */
json_t *entity_name(const char *kind, const char *id);

/* Writes the members of `from` into `to`, objects member by member. */
void json_patch(json_t *to, json_t *from);

#endif
