/*
 * One operation meets the entity it is about: the conflict is found, the policy chosen, the edit applied, the rules that
 * span entities (one rating per book, two tags of one name) kept, and all of it noted. No I/O.
 */
#ifndef BOOKY_RESOLVE_H
#define BOOKY_RESOLVE_H

#include "conflict.h"
#include "entity.h"
#include "operation.h"

typedef struct resolver {
    arena *a;
    const conf *conf;
    entity_set entities;
    conflict_log log;
    int64_t stamp;       /* of this transaction; also what "now" means */
    int64_t last_sync;   /* stands in for baseVersion, or MERGE_NEVER */
    const char *device;  /* who sends this, or NULL */
    size_t room;         /* bytes that conflicts and results may still take, for the caller to look at; SIZE_MAX: any */
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
    size_t conflict; /* its index in the log */
    bool show_data;  /* the entity is not what the sender believes */
    bool adjusted;   /* the timestamp was brought down to now */
    rc failed;             /* OUTCOME_FAILED */
    const char *error;     /* OUTCOME_FAILED: another code than that of `failed`, or NULL */
    const char *message;   /* OUTCOME_FAILED */
    const char *repeat;    /* OUTCOME_REPEAT: the stored result */
    size_t repeat_of;      /* OUTCOME_REPEAT without `repeat`: the number of the first copy in this request */
} outcome;

/* The parameters of SQL_ENTITIES_READ for what `ops` are about, refused ones left out; in the arena. */
const db_param *resolve_read_params(arena *a, const char *user, const operation *ops, size_t count);

/* Applies operation `number` of the request; `path` is where it stands, for messages. */
void resolve_operation(resolver *r, const operation *op, size_t number, const char *path, outcome *out);

/* What a full sync's item did. */
typedef enum replaced { REPLACED_NOTHING, REPLACED_CREATED, REPLACED_UPDATED } replaced;

/* Puts op->data in place of the whole entity, whatever its time: what a full sync says is what is stored. */
replaced resolve_replace(resolver *r, const operation *op, size_t number, outcome *out);

/* The entity that has taken the place of `e` (one rating per book), or NULL. */
const entity *resolve_holder(const resolver *r, const entity *e);

/* A resolver for a transaction with that stamp; `first` numbers its first conflict. */
resolver resolver_new(arena *a, const conf *c, int64_t stamp, size_t first);

#endif
