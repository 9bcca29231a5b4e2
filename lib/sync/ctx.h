/*
 * The context of a capability (batch, pull, status, …): memory, settings, database and user. A capability never sees a
 * request. It writes its reply as text and refuses with ctx_fail.
 */
#ifndef BOOKY_CTX_H
#define BOOKY_CTX_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/conf.h"
#include "base/json.h"
#include "base/rc.h"
#include "store/txn.h"

enum { CTX_DETAILS = 100 }; /* most rows in `details` of an error */

enum { TALLY_CONFLICTS = 4 }; /* client, server, merged, open */

/* What was done, for the metrics. */
typedef struct tally {
    uint32_t operations[4][4]; /* create, update, delete, unreadable × success, conflict, failed, duplicate */
    uint32_t conflicts[TALLY_CONFLICTS];
    uint32_t over_quota; /* operations that the quota refused */
} tally;

typedef struct sync_ctx {
    arena *a;
    const conf *conf;
    db *db;
    const char *user;
    const char *id; /* of the request, for log events; or NULL */

    void (*write)(void *to, const char *bytes, size_t len); /* streams a part of a reply; its status is then 200 */
    void *to;
    const char *etag; /* of a pull's reply, set before its first byte; NULL otherwise */

    const char *message; /* why the request is refused, for people */
    strbuf details;      /* then: rows of a JSON array, without its brackets */
    int detail_count;
    strbuf extra; /* then: members that only this error has, each after a comma */

    int64_t accepts; /* see ctx_accepts; 0: not asked yet */

    txn txn; /* the write transaction; tells also whether a commit is in doubt, and whom to poke */
    tally tally;
} sync_ctx;

/* Begins the write transaction with these reads: see txn_begin. */
#define CTX_BEGIN(ctx, ...) txn_begin(&(ctx)->txn, (ctx)->db, (ctx)->a, (ctx)->user, DB_STEPS(__VA_ARGS__))

/* The latest timestamp that this request may bring: the real time, not that of the commit clock, and sync.clock_skew.
 * So a device whose clock is ahead cannot push the commit clock on and on. */
int64_t ctx_accepts(sync_ctx *ctx);

/* The user's commit clock after the write transaction. `wrote`: it was committed. */
int64_t ctx_synced_at(const sync_ctx *ctx, bool wrote);

/* Notes why a request is refused and returns `code`, so that a refusal is one line. */
rc ctx_fail(sync_ctx *ctx, rc code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Adds {"path":…,"message":…} to the details; dropped beyond CTX_DETAILS. */
void ctx_detail(sync_ctx *ctx, const char *path, const char *message);

/* Refuses the member or parameter at `path`, in the message and as a detail; returns RC_VALIDATION. */
rc ctx_invalid(sync_ctx *ctx, const char *path, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Refuses text that is not JSON, or that cannot be stored; it stands at `path` of the body ("": the body itself). */
rc ctx_bad_json(sync_ctx *ctx, const char *path, const json_fault *fault);

/* Refuses with RC_QUOTA if with `change` the user would store more than the quota allows, and more than before. `what`:
 * what becomes of the request then. */
rc ctx_check_quota(sync_ctx *ctx, const usage *change, const char *what);

#endif
