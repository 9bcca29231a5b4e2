/* One operation of a client: from JSON text to a checked struct. Pure. */
#ifndef BOOKY_OPERATION_H
#define BOOKY_OPERATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "conf.h"
#include "json.h"
#include "kind.h"
#include "merge.h"
#include "rc.h"

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
    unsigned char hash[32]; /* of what it asks; compares repeats */
    rc failed;              /* RC_OK, or why it can never be applied as it is */
    const char *message;    /* then: the path, a colon, a reason */
} operation;

/* Finds a policy by name; false when there is none. */
bool policy_find(const char *name, policy *out);

/* Reads one operation from `text`. `path` is where it stands ("operations[3]"). What is wrong with the operation itself
 * is in out->failed; returns false, with *fault filled, only when `text` is not JSON at all. */
bool operation_read(arena *a, const conf *c, const char *text, size_t len, const char *path, operation *out,
                    json_fault *fault);

#endif
