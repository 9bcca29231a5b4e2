/* Entities of one request: loaded from rows, changed through their merge state, written back as arrays. */
#ifndef BOOKY_ENTITY_H
#define BOOKY_ENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "db.h"
#include "kind.h"
#include "merge.h"

typedef enum entity_status {
    ENTITY_ABSENT, /* the server has never heard of it */
    ENTITY_LIVE,
    ENTITY_DELETED,   /* by a deletion, or because another entity has taken its place */
    ENTITY_INCOMPLETE /* required members are missing: no pull shows it */
} entity_status;

typedef struct entity {
    const kind *kind;
    const char *id;
    merge_state *state;
    entity_status status;
    bool known;            /* it has a row */
    bool dirty;            /* the row must be written */
    int64_t created_at;    /* MERGE_NEVER until known */
    int64_t updated_at;    /* the stamp it was loaded with; MERGE_NEVER when not known */
    int64_t superseded_at; /* the edit of the entity that has taken its place, or MERGE_NEVER */
    const char *device;    /* the last writer, or NULL */
    const char *key;       /* what its kind's rule looks at, or NULL */
    size_t size;           /* bytes of its text when loaded, plus those of what was applied since */
    size_t touched;        /* 1 + the number of the last operation on it in this request, or 0 */
} entity;

typedef struct entity_set {
    arena *a;
    entity **list;
    size_t count, room;
    json_t *index;
} entity_set;

/* Kind and id as one text, for use as a key. */
const char *entity_label(arena *a, const kind *k, const char *id);

entity_set entity_set_new(arena *a);

/* The entity (kind, id), made ENTITY_ABSENT when it is not in the set. `id` must outlive the set. */
entity *entity_get(entity_set *set, const kind *k, const char *id);

/* Adds the rows of SQL_ENTITIES_READ. */
void entity_load(entity_set *set, const PGresult *rows);

/* Brings status and key up to date with the state. */
void entity_refresh(entity *e);

/* Whether it could stand for its key: it was edited and nothing required is missing. */
bool entity_is_candidate(const entity *e);

/* Appends what a client sees: the members with id, createdAt, updatedAt; of a deleted one id, updatedAt, deletedAt. A
 * dirty entity carries `stamp` as its updatedAt. */
void entity_write(const entity *e, int64_t stamp, strbuf *out);

/* The same from the columns of a row; `data` is the text of an object. */
void entity_write_live(strbuf *out, const char *id, int64_t created_at, int64_t updated_at, const char *data);
void entity_write_deleted(strbuf *out, const char *id, int64_t updated_at, int64_t deleted_at);

/* How many entities are dirty. */
size_t entity_dirty_count(const entity_set *set);

/* Sends SQL_ENTITIES_WRITE for the dirty ones. */
void entity_send(entity_set *set, db *d, const char *user, int64_t stamp);

#endif
