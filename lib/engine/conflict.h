/* The conflict log of one request: disagreements of devices, each with both sides. Pure; store/rows.h writes it. */
#ifndef BOOKY_CONFLICT_H
#define BOOKY_CONFLICT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

/* Why there was a conflict; the name is stored. */
typedef enum conflict_reason {
    CONFLICT_STALE,          /* an edit of a leaf that carries a later or equal timestamp */
    CONFLICT_DELETED,        /* an edit of an entity that was deleted later */
    CONFLICT_EDITED,         /* a deletion of an entity that was edited later */
    CONFLICT_BASE,           /* an edit of a version that another device has changed since */
    CONFLICT_ONE_PER_KEY,    /* two entities of one key, of which one supersedes the other */
    CONFLICT_SAME_NAME,      /* two live entities of one name */
    CONFLICT_INCOMPLETE,     /* required members are missing */
    CONFLICT_BEYOND_HORIZON, /* an edit of an entity that the server does not know, from before a forgotten deletion */
    CONFLICT_REASONS
} conflict_reason;

typedef struct conflict {
    const char *kind, *entity_id;
    const char *other_id; /* or NULL */
    conflict_reason reason;
    bool open;
    const char *resolution; /* client, server, merged; NULL while open */
    const char *operation_id;
    const char *device;      /* or NULL */
    int64_t local_at;        /* the operation's timestamp */
    int64_t server_at;       /* the latest edit or deletion that the server had, or MERGE_NEVER */
    const char *local_data;  /* JSON text, or NULL */
    const char *server_data; /* JSON text, or NULL */
    size_t size;             /* conflict_size with both sides; set by conflict_add */
} conflict;

/* Closes the open conflicts of that reason about the entity that the database holds. */
typedef struct conflict_closing {
    const char *kind, *entity_id;
    conflict_reason reason;
} conflict_closing;

typedef struct conflict_log {
    arena *a;
    conflict *list;
    size_t count, capacity;
    size_t first; /* the number of list[0]: a long request writes its conflicts in parts */
    conflict_closing *closings;
    size_t closing_count, closing_capacity;
} conflict_log;

const char *conflict_reason_name(conflict_reason reason);

conflict_log conflict_log_new(arena *a, size_t first);

/* Adds a copy of *row and returns its index. first + index is its number; the stamp and the number make its id. */
size_t conflict_add(conflict_log *log, const conflict *row);

/* The bytes that the conflicts from index `from` on take, roughly. */
size_t conflict_bytes(const conflict_log *log, size_t from);

/* The bytes that a conflict counts towards the quota (engine/usage.h); those of all open ones, with both sides. */
size_t conflict_size(const conflict *row, bool with_server_side);
size_t conflict_open_bytes(const conflict_log *log);

/* Closes the open conflicts of that reason about (kind, id), in this log and in the database. */
void conflict_close(conflict_log *log, const char *kind, const char *id, conflict_reason reason);

/* Appends ConflictInfo (docs/api.md) with the conflict's id, as a JSON object. `sides`: with localData and serverData.
 */
void conflict_write(const conflict_log *log, size_t index, int64_t stamp, bool sides, strbuf *out);

/* Appends the two sides to such an object, in place of its closing brace. */
void conflict_write_sides(const char *local_data, const char *server_data, strbuf *out);

#endif
