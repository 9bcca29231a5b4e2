/* The library that a full sync stores: items of the body of POST /full, or of a snapshot. */
#ifndef BOOKY_LIBRARY_H
#define BOOKY_LIBRARY_H

#include "engine/operation.h"
#include "sync/ctx.h"

enum { LIBRARY_KINDS_MAX = 8 };

/* What stands around the content of an item of `changes`, and of an import. */
typedef struct library_change {
    json_slice times;    /* empty: not sent */
    json_slice beneath;  /* of a deletion: the content that it hides; empty: not sent */
    size_t number;       /* in its list */
    bool deleted, whole; /* whole: all required members must be there */
} library_change;

typedef struct library_item {
    const kind *kind;
    const char *id;
    const char *key;  /* the value that its kind's rule compares; NULL: none, or the item is of a snapshot */
    const char *text; /* in the body; NULL: the item is of a snapshot */
    size_t len;
    const char *path;             /* where it stands in the body, for messages */
    bool unfinished;              /* a reading log without finishedAt */
    const operation *op;          /* as it was checked; NULL: it must be parsed again */
    const library_change *change; /* a state to be joined with the stored one; NULL: an item of a list */
} library_item;

/* Why an item cannot be stored. All texts belong to the context of the request. */
typedef struct library_fault {
    rc code;
    const char *where, *reason;
    const library_item *doubtful; /* a copy of the item, if it is valid where the entity has these values already */
} library_fault;

typedef struct library {
    const kind *kinds[LIBRARY_KINDS_MAX]; /* the kinds that are present, also those without an item */
    size_t kind_count;
    library_item *items;
    size_t count, capacity;
    json_t *index;      /* entity_label → place in `items` */
    bool merge;         /* store the items without deleting the others */
    bool says_mode;     /* the request says which */
    bool cautious;      /* it does not, so nothing may be emptied by accident (full_load.c) */
    const char *device; /* or NULL */
    int64_t latest;     /* the latest timestamp that is accepted (ctx_accepts), or 0 */
    size_t kept;        /* bytes of the items that stay parsed */
    strbuf ignored;     /* the names of members that name no kind, as elements of a JSON array */
    size_t ignored_count;
    library_fault *faults;
    size_t fault_count, fault_capacity;
    int unlisted;                  /* further faults */
    const json_slice *changes;     /* the member of the body, which changes.c reads; NULL: there is none */
    struct changes_failed *failed; /* items of `changes` that cannot be stored; NULL: the body has no `changes` */
} library;

library library_new(sync_ctx *ctx);

/* Notes the mode that the request says in its query or in its body. RC_VALIDATION when it is neither replace nor merge,
 * or when query and body differ. */
rc library_set_mode(sync_ctx *ctx, library *l, const char *mode);

/* The kind that a member of a body or of an export stands for, or NULL. */
const kind *library_kind(const char *member);

/* Reads and checks the whole body, and notes why items cannot be stored. */
rc library_read(sync_ctx *ctx, const char *body, size_t len, library *out);

/* Refuses all if there is a fault (RC_VALIDATION or RC_TOO_LARGE, with details). */
rc library_refuse(sync_ctx *ctx, const library *l);

/* Whether the items so far leave room for `len` more bytes that stay parsed; if so, takes it. */
bool library_keep(library *l, size_t len);

/* Adds an item whose id is not in the library yet. */
void library_add(library *l, arena *a, const library_item *item);

/* Puts the unfinished reading logs behind the other items, which stay in their order. An unfinished log displaces no
 * finished one of another day, but a finished one may displace it: so what can stand together does. */
void library_order(library *l, arena *a);

/* The kinds and the ids of the items from..end, as arrays. */
void library_names(const library *l, arena *a, size_t from, size_t end, db_param *names, db_param *ids);

/* The place of an entity among the items, or -1. `scratch` is for a temporary text. */
int64_t library_place(const library *l, arena *scratch, const kind *k, const char *id);

#endif
