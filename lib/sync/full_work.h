/* What the files of the full sync share: full.c runs the chunks, full_load.c loads one, full_apply.c applies it. */
#ifndef BOOKY_FULL_WORK_H
#define BOOKY_FULL_WORK_H

#include "engine/quota.h"
#include "engine/resolve.h"
#include "sync/library.h"

typedef struct full_options {
    bool dry_run;         /* only count what would be done */
    const char *if_match; /* a cursor: refuse when the server has changed since; NULL: no condition */
    const char *mode;     /* replace or merge, as the query says; NULL: it does not */
    int64_t snapshot;     /* the stamp of the snapshot that holds the items; 0: they come from the body */
} full_options;

/* How an item was counted, if its entity was not shown before the request. */
typedef enum full_counted { COUNTED_OTHERWISE, COUNTED_CREATED, COUNTED_HIDDEN } full_counted;

/* Entities of a kind that are not listed and are kept, because the request does not say that it replaces. */
typedef struct full_kept {
    const kind *kind;
    long long count;
} full_kept;

typedef struct full_work {
    sync_ctx *ctx;
    const library *in;
    const full_options *options;
    db_param kinds, item_kinds, item_ids; /* of SQL_FULL_PLAN and SQL_FULL_DELETE */
    db_param snapshot_kinds;
    size_t conflicts;      /* that earlier chunks wrote */
    size_t conflict_bytes; /* of all conflicts so far */
    uint32_t tally[TALLY_CONFLICTS];
    bool snapshot_taken, committed;
    bool joins;        /* an item of `changes` was reached; all lists are before them */
    usage listed;      /* what the lists change, if there are such items */
    bool joined;       /* an item of `changes` changed its entity, perhaps beneath a deletion, where no count tells */
    long long removed; /* entities that items of `changes` have deleted */
    long long created, updated, unchanged, deleted;
    long long live;        /* of the deleted ones, those that a snapshot keeps */
    full_counted *counted; /* of in->items, one each */
    full_kept kept[LIBRARY_KINDS_MAX];
    size_t kept_count;
    bool displaced; /* some unlisted entities are only superseded by another one; now they are deleted for good */
} full_work;

/* A part of the items, with the stored entities that they name and those that share a key with them. */
typedef struct full_chunk {
    arena *a;
    size_t from, end; /* in library.items */
    operation *ops;
    bool *shown; /* of `ops`, whether the entity was visible before the chunk: an item may supersede a later one */
    resolver r;
    quota quota; /* for items of `changes` */
} full_chunk;

/* The row of `kept` for a kind whose unlisted entities are kept, or NULL. */
full_kept *full_kept_of(full_work *f, const kind *k);

/* Begins a restore, whose pages are read within the transaction. */
rc full_begin_restore(full_work *f, arena *a);

/* Loads the chunk that begins at c->from; the first one begins the transaction, unless that is open. */
rc full_load_chunk(full_work *f, full_chunk *c);

/* Applies the items of a loaded chunk in memory and counts them. *destructive: an entity that was live is changed. */
rc full_apply_chunk(full_work *f, full_chunk *c, bool *destructive);

#endif
