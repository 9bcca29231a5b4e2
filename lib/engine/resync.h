/* Why a device must resync: the answer 410 to a cursor, docs/api.md. Pure. */
#ifndef BOOKY_RESYNC_H
#define BOOKY_RESYNC_H

#include "engine/cursor.h"

typedef enum resync_reason {
    RESYNC_NONE,         /* the pull goes on */
    RESYNC_ERASED,       /* the account was erased */
    RESYNC_OTHER_SERVER, /* the cursor is from another installation */
    RESYNC_RESTORED,     /* a backup was restored */
    RESYNC_FORGOTTEN     /* deletions since then are no longer known */
} resync_reason;

/* What the server knows of the user, and of the epoch of the cursor. */
typedef struct resync_facts {
    origin here;
    int64_t epoch, clock; /* of the user; 0: the user has written nothing yet */
    int64_t until;        /* the cursor's epoch is an earlier one of the user, and up to that stamp its history is
                             that of the present one; else MERGE_NEVER */
    int64_t until_in;     /* the installation of that epoch */
    int64_t erased_at;    /* the account with the cursor's epoch was erased then; else MERGE_NEVER */
    bool forgotten;       /* the position is older than the horizon */
} resync_facts;

typedef struct resync {
    resync_reason reason;
    int64_t until;     /* RESYNC_RESTORED, RESYNC_OTHER_SERVER; MERGE_NEVER: not known */
    int64_t erased_at; /* RESYNC_ERASED */
} resync;

/* Judges the position of a cursor, or of an instant `since`. */
resync resync_judge(const position *p, const resync_facts *facts);

/* The `reason` of the error. */
const char *resync_name(resync_reason reason);

#endif
