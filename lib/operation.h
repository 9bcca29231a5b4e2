/* One operation of a client: from JSON text to a checked struct. Pure. */
#ifndef BOOKY_OPERATION_H
#define BOOKY_OPERATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "call.h"
#include "conf.h"
#include "json.h"
#include "kind.h"
#include "merge.h"
#include "rc.h"

enum { OPERATION_HASH = 40 };

enum { OPERATION_ID_MAX = 128, ENTITY_ID_MAX = 255, DEVICE_ID_MAX = 255 }; /* characters */

typedef enum operation_type { OPERATION_CREATE, OPERATION_UPDATE, OPERATION_DELETE } operation_type;

/* What is to happen on a conflict (api.md, conflictResolution). */
typedef enum policy { POLICY_MERGE, POLICY_LOCAL, POLICY_SERVER, POLICY_MANUAL } policy;

typedef struct operation {
    const char *id; /* NULL only when `failed` and it could not be read */
    operation_type type;
    const char *type_name;
    const kind *kind;
    const char *kind_name;  /* as sent */
    const char *entity_id;  /* as sent */
    const char *stored_id;  /* as stored: the kind's own where there is one entity per user */
    json_t *data;           /* without id, createdAt, updatedAt; an empty object for a deletion */
    int64_t at;             /* when the person made the edit; MERGE_NEVER: now */
    int64_t created_at;     /* the client's createdAt, or MERGE_NEVER */
    int64_t base;           /* baseVersion, or MERGE_NEVER */
    policy policy;
    size_t size;            /* bytes of its text */
    unsigned char hash[OPERATION_HASH]; /* of what it asks: SHA-256, then the timestamp as sent, big-endian */
    rc failed;              /* RC_OK, or why it can never be applied as it is */
    const char *where;      /* then: the path of what is wrong ("operations[3].data.title") */
    const char *reason;     /* and a phrase */
    const char *message;    /* both, with a colon */
} operation;

/* Finds a policy by name; false when there is none. */
bool policy_find(const char *name, policy *out);
const char *policy_name(policy p);

/* Whether `op` asks what the operation with that hash (as hexadecimal) asked. A timestamp that one of them leaves out is no
 * difference: the server makes one when an operation is parked in the queue. */
bool operation_repeats(const operation *op, const char *hash_hex);

/* The hash as 80 hexadecimal digits. */
const char *operation_hash_hex(arena *a, const operation *op);

/* Checks the member `deviceId` of an envelope. */
rc device_read(call *c, const json_t *value, const char **device);

/* Reads one operation from `text`. `path` is where it stands ("operations[3]"). What is wrong with the operation itself
 * is in out->failed; returns false, with *fault filled, only when `text` is not JSON at all. */
bool operation_read(arena *a, const conf *c, const char *text, size_t len, const char *path, operation *out,
                    json_fault *fault);

/* The same for an item of a full sync: an entity of kind `k`, to be stored as it is. */
bool operation_read_item(arena *a, const conf *c, const kind *k, const char *text, size_t len, const char *path,
                         operation *out, json_fault *fault);

#endif
