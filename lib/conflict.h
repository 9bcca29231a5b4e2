/* The conflict log of one request: what devices disagreed about, with both sides. */
#ifndef BOOKY_CONFLICT_H
#define BOOKY_CONFLICT_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "call.h"
#include "db.h"

/* Why there was a conflict; the name is stored. */
typedef enum conflict_reason {
    CONFLICT_STALE,          /* an edit of a leaf that carries a later or equal timestamp */
    CONFLICT_DELETED,        /* an edit of what was deleted later */
    CONFLICT_EDITED,         /* a deletion of what was edited later */
    CONFLICT_BASE,           /* an edit of a version that another device has moved on from */
    CONFLICT_ONE_PER_KEY,    /* another entity has, or gets, its place */
    CONFLICT_SAME_NAME,      /* two live entities of one name */
    CONFLICT_INCOMPLETE,     /* required members are missing */
    CONFLICT_BEYOND_HORIZON, /* older than what deletions are remembered for */
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
} conflict;

typedef struct conflict_log {
    arena *a;
    conflict *list;
    size_t count, room;
    size_t first;      /* the number of list[0]: a long request writes its conflicts in parts */
    db_array close[3]; /* kinds, ids, reasons of open ones in the database that settled themselves */
} conflict_log;

const char *conflict_reason_name(conflict_reason reason);

conflict_log conflict_log_new(arena *a, size_t first);

/* Adds a copy of *row and returns its index; first + index is its number, which with the stamp makes its id. */
size_t conflict_add(conflict_log *log, const conflict *row);

/* Closes the open conflicts of that reason about (kind, id), here and in the database. */
void conflict_close(conflict_log *log, const char *kind, const char *id, conflict_reason reason);

/* Sends SQL_CONFLICTS_CLOSE and SQL_CONFLICTS_WRITE as far as there is something to send; returns how many were sent. */
int conflict_send(conflict_log *log, db *d, const char *user, int64_t stamp);

/* Counts and logs the conflicts. */
void conflict_tally(const conflict_log *log, call *c);

/* Appends ConflictInfo with the conflict's id, as a JSON object. */
void conflict_write(const conflict_log *log, size_t index, int64_t stamp, strbuf *out);

#endif
