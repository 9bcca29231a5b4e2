/*
 * The times of an entity as JSON, which a pull with `times=true` adds to a change (TIMES in store/sql_parts.h) and a
 * client sends back with it:
 *
 *     {"base":1700000000000,"edited":1700000000000,"marks":{"/title":1600000000000}}
 *     {"deleted":1700000000000}
 *     {"base":1600000000000,"edited":1600000000000,"superseded":1700000000000}
 *
 * For clients it is opaque, but it comes from them, so it is checked. `base` and `marks`: merge.h, and of a set
 * merge_set.h. A deleted rating or log has all of them, and its content as `beneath`; in an export every deleted entity
 * does. `superseded`: not deleted, but another entity with its key has taken its place.
 */
#ifndef BOOKY_TIMES_H
#define BOOKY_TIMES_H

#include "base/conf.h"
#include "base/json.h"
#include "base/rc.h"
#include "engine/merge.h"

typedef struct times {
    int64_t base, edited; /* MERGE_NEVER: only a deletion is known */
    int64_t deleted;      /* MERGE_NEVER: not deleted */
    bool superseded;
    const char *marks; /* JSON, or NULL */
    size_t marks_size;
} times;

/* A fault: its path below `times` and a phrase. */
typedef struct times_fault {
    rc code;
    const char *path, *message;
} times_fault;

/* Reads the text of a value. False: *fault says why. The result lives in the arena. */
bool times_read(arena *a, const conf *c, const json_slice *text, times *out, times_fault *fault);

#endif
