/*
 * Reads from a replica, never showing less than the client has seen.
 *
 * What a client has seen cannot be told from its request: a cursor says what it has pulled, but not what it was told of
 * its own writes since, and `since` or no parameter at all says nothing. So the primary is asked for the user's clock,
 * which is one row by its key, and the replica answers only from a snapshot in which the user's clock stands there too.
 * It then shows what the primary would have shown at that moment. Not less: the client may have seen it. And not more: a
 * synchronous replica shows a commit a moment before the primary does, and the client's next read, on the primary, would
 * go back. What the primary is spared is the reading itself.
 */
#ifndef BOOKY_REPLICA_H
#define BOOKY_REPLICA_H

#include <stdbool.h>

#include "arena.h"
#include "db.h"

/* Whether `replica` may be asked in place of `primary` for what is the user's, now: both answer and the user has
 * written something. Every transaction for the user on `replica` is then held against the primary's clock (db_require).
 */
bool replica_prepare(arena *a, db *primary, db *replica, const char *user);

#endif
