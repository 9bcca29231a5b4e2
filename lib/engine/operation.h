/* Reads one operation of a client: JSON text becomes a checked struct. Pure. */
#ifndef BOOKY_OPERATION_H
#define BOOKY_OPERATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/conf.h"
#include "base/json.h"
#include "base/rc.h"
#include "engine/kind.h"
#include "engine/merge.h"

enum { OPERATION_DIGEST = 16, OPERATION_HASH = OPERATION_DIGEST + 8 };

enum { OPERATION_VALUES_MAX = 100000 }; /* JSON values that are parsed for one operation */

/* The same for an item of a full sync. Several operations may have made an entity of more values than one of them may
 * have; its export must be accepted. An entity of limits.entity (1 MiB by default) has at most 524,288 values. */
enum { OPERATION_ITEM_VALUES_MAX = 600000 };

enum { OPERATION_ID_MAX = 128, ENTITY_ID_MAX = 255, DEVICE_ID_MAX = 255 }; /* characters */

typedef enum operation_type { OPERATION_CREATE, OPERATION_UPDATE, OPERATION_DELETE } operation_type;

/* How a conflict is settled (docs/api.md, conflictResolution). */
typedef enum policy { POLICY_MERGE, POLICY_LOCAL, POLICY_SERVER, POLICY_MANUAL } policy;

typedef struct operation {
    const char *id; /* NULL only when the operation failed because of it */
    operation_type type;
    const char *type_name;
    const kind *kind;
    const char *kind_name; /* as sent */
    const char *entity_id; /* as sent */
    const char *stored_id; /* as stored; a kind with one entity per user has a fixed id */
    json_t *data;          /* without id, createdAt, updatedAt; an empty object for a deletion */
    int64_t at;            /* when the person made the edit; MERGE_NEVER: now */
    int64_t created_at;    /* the client's createdAt, or MERGE_NEVER */
    int64_t base;          /* baseVersion, or MERGE_NEVER */
    int64_t version;       /* of a state: the version that the sender holds, or MERGE_NEVER */
    policy policy;
    const struct times *times;          /* a state, not an edit: see operation_read_state; else NULL */
    size_t size;                        /* bytes of its text */
    size_t values;                      /* see json_count_values */
    unsigned char hash[OPERATION_HASH]; /* 16 bytes of SHA-256 of the request, then the timestamp as sent, big-endian */
    const char *doubtful;               /* the path of `data` if a member is valid only where the entity has that value
                                           already: operation_settle decides; else NULL */
    rc failed;                          /* RC_OK, or why the operation can never be applied as it is */
    const char *where;                  /* of the fault: its path ("operations[3].data.title") */
    const char *reason;                 /* and a phrase for people */
    const char *message;                /* both, joined by a colon */
} operation;

/* Settles a doubtful operation: it stays valid if `held`, its entity, has the values in doubt; otherwise `failed` is
 * set. NULL: nothing is known of the entity. Returns whether the operation is valid. */
bool operation_settle(arena *a, operation *op, const merge_state *held);

/* Finds a policy by name; false when there is none. */
bool policy_find(const char *name, policy *out);
const char *policy_name(policy p);

/* Whether `op` repeats the operation with that hash (in hexadecimal; one from before version 1.0.0 has all of
 * SHA-256). A timestamp that only one of them has makes no
 * difference: the server adds one when an operation is parked in the queue. An empty hash matches: it belongs to an
 * operation that was parked before hashes were kept. */
bool operation_repeats(const operation *op, const char *hash_hex);

/* The hash in hexadecimal. */
const char *operation_hash_hex(arena *a, const operation *op);

/* Reads one operation from `text`, which stands at `path` ("operations[3]"). A fault of the operation itself is in
 * out->failed. Returns false, with *fault filled, only when `text` is not JSON. */
bool operation_read(arena *a, const conf *c, const char *text, size_t len, const char *path, operation *out,
                    json_fault *fault);

/* The same for an item of a full sync: an entity of kind `k` that is to be stored as it is. */
bool operation_read_item(arena *a, const conf *c, const kind *k, const char *text, size_t len, const char *path,
                         operation *out, json_fault *fault);

/* The same for the content of a state that is to be joined with the stored one; the caller sets out->times. `id`: of
 * the entity, or NULL: it is a member. `whole`: all required members must be there. */
bool operation_read_state(arena *a, const conf *c, const kind *k, const char *id, const json_slice *text, bool whole,
                          const char *path, operation *out, json_fault *fault);

#endif
