/* The work on one operation, and what it works with. Pure. */
#ifndef BOOKY_STEP_H
#define BOOKY_STEP_H

#include "engine/conflict.h"
#include "engine/entity.h"
#include "engine/operation.h"

typedef struct resolver {
    arena *a;
    const conf *conf;
    entity_set entities;
    conflict_log log;
    int64_t stamp;      /* of this transaction; stands for "now" */
    int64_t clock;      /* the user's commit clock before this transaction; 0: the first write */
    int64_t accepts;    /* the latest timestamp that is accepted; a later one is replaced by the stamp */
    int64_t horizon;    /* deletions of the user up to this stamp may be forgotten; 0: none is */
    int64_t last_sync;  /* stands in for baseVersion, or MERGE_NEVER */
    bool restores;      /* the request restores a snapshot */
    const char *device; /* that sent the request, or NULL */
    size_t budget;      /* bytes that conflicts and results may still take; the caller checks it. SIZE_MAX: any */
    arena *scratch;     /* for the size of one entity; NULL until needed */
} resolver;

typedef enum outcome_status {
    OUTCOME_SUCCESS,
    OUTCOME_CONFLICT, /* a person must decide; nothing was applied */
    OUTCOME_FAILED,   /* it can never be applied as it is */
    OUTCOME_REPEAT    /* it was processed before */
} outcome_status;

typedef struct outcome {
    outcome_status status;
    entity *entity;
    const char *resolution; /* client, server, merged; NULL when there was no conflict, or it is open */
    bool has_conflict;
    size_t conflict;     /* its index in the log */
    bool show_data;      /* the entity differs from what the sender believes */
    bool joined;         /* resolve_state changed the entity */
    bool adjusted;       /* the timestamp was ahead of the clock and was set to now */
    rc failed;           /* OUTCOME_FAILED */
    const char *error;   /* OUTCOME_FAILED: another code than that of `failed`, or NULL */
    const char *message; /* OUTCOME_FAILED */
    const char *repeat;  /* OUTCOME_REPEAT: the stored result */
    size_t repeat_of;    /* OUTCOME_REPEAT without `repeat`: the number of the first copy in this request */
} outcome;

/* The work on one operation. */
typedef struct step {
    resolver *r;
    const operation *op;
    size_t number; /* of the operation in its request */
    outcome *out;
    entity *e;
    merge_edit edit;
    int64_t sent_at; /* when the person made the edit; edit.at may be later, so that the edit wins */
    bool knows;      /* the sender knows the version before the edit */
    entity_status status_before;
    const char *key_before;
} step;

/* A small operation can make the server write a large entity several times, because each conflict holds both sides. The
 * budget bounds this; without it a request of 100 kB could become gigabytes. */
void step_spend(resolver *r, size_t bytes);

/* Logs a conflict of this operation, with both sides. Its result shows the first one. */
void step_log(step *s, conflict_reason reason, const char *resolution, const entity *other, int64_t server_at,
              const char *server_data);

/* The entity as a client sees it, as JSON text in the arena of `r`; NULL when it was never there. */
const char *step_text(resolver *r, entity *e);

/* What the sender wrote, as JSON text in the arena of the resolver; NULL of a deletion. */
const char *step_local_text(const step *s);

#endif
