/* The entities of one request. The store loads them (store/rows.h), edits change their merge state, the store writes
 * the changed ones back. Pure. */
#ifndef BOOKY_ENTITY_H
#define BOOKY_ENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "engine/kind.h"
#include "engine/merge.h"
#include "engine/recent.h"

typedef enum entity_status {
    ENTITY_ABSENT, /* no operation about it ever arrived */
    ENTITY_LIVE,
    ENTITY_DELETED,   /* by a deletion, or superseded by another entity with its key */
    ENTITY_INCOMPLETE /* required members are missing: no pull shows it */
} entity_status;

/* What the row of an entity holds, for the quota: bytes of its columns. */
typedef struct entity_stored {
    entity_status status;
    size_t data, marks, recent;
} entity_stored;

typedef struct entity_set entity_set;
typedef struct entity_group entity_group;

typedef struct entity {
    entity_set *set; /* that owns it */
    const kind *kind;
    const char *id;
    merge_state *state; /* of a sibling: its times only; of a reading log also the members that decide whether it stands
                         */
    entity_status status;
    bool known;            /* it has a row */
    bool was_live;         /* before the request */
    bool dirty;            /* the row must be written */
    int64_t created_at;    /* MERGE_NEVER until known */
    int64_t updated_at;    /* the stamp it was loaded with; MERGE_NEVER when not known */
    int64_t superseded_at; /* the edit of the entity that supersedes it, or MERGE_NEVER */
    const char *device;    /* the last writer, or NULL */
    bool ours;             /* an operation of this request wrote it last */
    const char *key;       /* the value that its kind's rule compares, or NULL */
    size_t size;           /* bytes of its text when loaded, plus those of what was applied since */
    const char *written;   /* by entity_text, or NULL */
    size_t slack;          /* its text and its marks together have at most `size` + `slack` bytes */
    bool sealed;           /* its marks are too large to be loaded: it can only be deleted or replaced */
    size_t touched;        /* 1 + the number of the last operation on it in this request, or 0 */
    size_t edited_by;      /* 1 + the number of the operation that made its latest edit, or 0: an earlier request did */
    entity_group *group;   /* the entities of its key, or NULL */
    bool unloaded;         /* named, but the request loads too much: no operation on it may run */
    bool sibling;          /* not named by an operation, but complete and with the key of one that is: it may be
                              superseded or come back; its content is neither changed nor written */
    recent recent;         /* the leaves that were written lately */
    const char *text;      /* of a sibling: its data as JSON text, or NULL when it was not loaded */
    entity_stored stored;  /* its row when it was loaded; zeroed: there was none */
    size_t measured;       /* bytes of its data, unless `unmeasured`: the state was changed since */
    bool unmeasured;
} entity;

/* The entities of a set that have the same kind and key. */
struct entity_group {
    entity **list;
    size_t count, capacity;
};

struct entity_set {
    arena *a;
    entity **list;
    size_t count, capacity;
    json_t *index;         /* kind and id → place in list */
    entity_group **groups; /* by kind and key */
    size_t group_count, group_capacity;
    json_t *group_index; /* kind and key → place in groups */
};

/* Kind and id as one text, for use as a key. */
const char *entity_label(arena *a, const kind *k, const char *id);

/* An empty set. It must not move any more once it has entities. */
entity_set entity_set_new(arena *a);

/* The entity (kind, id), made ENTITY_ABSENT when it is not in the set. `id` must outlive the set. */
entity *entity_get(entity_set *set, const kind *k, const char *id);

/* Whether `edit`, of `bytes` bytes, would make the text of the entity and its marks together larger than `limit` and
 * larger than they are. *size: what they would have. Trying the edit on a copy is expensive, so it is done only when
 * an upper bound exceeds the limit; *cost is then the number of bytes written, else 0. Uses `scratch` and resets it. */
bool entity_outgrows(entity *e, arena *scratch, const merge_edit *edit, size_t bytes, size_t limit, size_t *size,
                     size_t *cost);

/* The same for merge_join with these parameters. */
bool entity_outgrows_joined(entity *e, arena *scratch, merge_state *with, int64_t latest, int64_t now, size_t limit,
                            size_t *size);

/* Notes that an edit of `bytes` bytes was applied. */
void entity_grow(entity *e, size_t bytes);

/* Notes that operation `number` has applied `edit`. */
void entity_note_edit(entity *e, const merge_edit *edit, size_t number);

/* Brings status, key and group up to date with the state. */
void entity_refresh(entity *e);

/* The entities of `set` with that key, in the order in which they got it; never NULL. The cost of a rule between
 * entities is the size of this group. */
const entity_group *entity_group_of(entity_set *set, const kind *k, const char *key);

/* Whether it competes for its key: it was edited, and no required member is missing. */
bool entity_is_candidate(const entity *e);

/* Appends the entity as a client sees it: its members with id, createdAt, updatedAt; if deleted, id, updatedAt and
 * deletedAt only. A dirty entity has `stamp` as its updatedAt. A sibling whose content was not loaded has only its key
 * as data. */
void entity_write(const entity *e, int64_t stamp, strbuf *out);

/* The same as a text; NULL when the entity is ENTITY_ABSENT. The text is written once for each state of the entity in
 * this request: who changes the state sets e->written to NULL. */
const char *entity_text(entity *e, int64_t stamp, arena *a);

/* The same from the columns of a row; `data` is the text of an object. */
void entity_write_live(strbuf *out, const char *id, int64_t created_at, int64_t updated_at, const char *data);
void entity_write_deleted(strbuf *out, const char *id, int64_t updated_at, int64_t deleted_at);

/* How many entities are dirty. */
size_t entity_dirty_count(const entity_set *set);

/* The name under which a status is stored, and back; ENTITY_ABSENT: no such name. */
entity_status entity_status_find(const char *name);
const char *entity_status_name(entity_status status);

#endif
