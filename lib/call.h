/*
 * What a capability (batch, pull, status, …) is called with: an arena, the settings, the database and the user. It never
 * sees a request. It writes its reply as text, and reports a refusal with call_fail.
 */
#ifndef BOOKY_CALL_H
#define BOOKY_CALL_H

#include <stdbool.h>

#include "arena.h"
#include "conf.h"
#include "db.h"
#include "json.h"
#include "rc.h"

enum { CALL_DETAILS = 100 }; /* most rows in `details` of an error */

/* What a call did, for the metrics. */
typedef struct tally {
    uint32_t operations[4][4]; /* create, update, delete, unreadable × success, conflict, failed, duplicate */
    uint32_t conflicts[4];     /* client, server, merged, open */
} tally;

typedef struct call {
    arena *a;
    const conf *conf;
    db *db;
    const char *user;
    void (*write)(void *to, const char *bytes, size_t len); /* streams a part of a reply; the status is then 200 */
    void *to;
    const char *message; /* of a refusal, for people */
    strbuf details;      /* of a refusal: rows of a JSON array, without its brackets */
    int detail_count;
    bool committing; /* the commit was sent: the request may not be tried again */
    struct {
        bool any;
        int64_t epoch, stamp;
        uint64_t device; /* that wrote (poke.h) */
    } change;               /* what a commit did to what a pull shows, for a poke to the user's other devices */
    const char *etag; /* set by a pull, NULL otherwise */
    const char *id;   /* of the request, for log events; or NULL */
    tally tally;
} call;

/* Ends a write transaction that has nothing to write because it was all done before: rolls it back, and waits until what
 * it found is as safe as a commit is (on the synchronous standby, if there is one). Else a repeat of an operation whose
 * first reply was lost while the standby was away would be acknowledged on the strength of a commit that a failover can
 * undo. One round trip. */
rc call_confirm(call *c);

/* Notes why a request is refused and returns `code`, so that a refusal is one line. */
rc call_fail(call *c, rc code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Notes that the commit that is about to be sent moves the user's clock to `stamp` for all who pull. */
void call_changes(call *c, int64_t epoch, int64_t stamp, const char *device);

/* Adds {"path":…,"message":…} to the details; dropped beyond CALL_DETAILS. */
void call_detail(call *c, const char *path, const char *message);

/* Refuses what stands at `path` (a member or parameter), in the message and as a detail; returns RC_VALIDATION. */
rc call_invalid(call *c, const char *path, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Refuses text that is not JSON, or not JSON that can be kept; it stands at `path` of the body ("": the body itself). */
rc call_bad_json(call *c, const char *path, const json_fault *fault);

#endif
