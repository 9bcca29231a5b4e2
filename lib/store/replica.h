/*
 * Reads from a replica, which never show less than the client has seen.
 *
 * A request does not tell what its client has seen: a cursor says what the client has pulled, but not what results of
 * its own writes have told it since, and `since` or no parameter at all says nothing. So the worker asks the primary
 * for the user's clock (one row by its key), and the replica answers only from a snapshot that shows the same clock.
 * The reply is then what the primary would have answered at that moment. An older snapshot could hide data that the
 * client has seen; a newer one (a synchronous replica shows a commit a moment before the primary does) would make the
 * client's next read from the primary go backwards. The primary is spared the reading itself.
 */
#ifndef BOOKY_REPLICA_H
#define BOOKY_REPLICA_H

#include <stdbool.h>

#include "base/arena.h"
#include "store/db.h"

/* Whether `replica` may answer reads of `user` in place of `primary`: both can be reached, and the user has written
 * something. Every read for the user on `replica` must then show the primary's clock (replica_require). */
bool replica_prepare(arena *a, db *primary, db *replica, const char *user);

/* From now on every read on `replica` fails with RC_UNAVAILABLE, and returns nothing, unless its snapshot shows exactly
 * this clock and epoch of `user`. `user` must live until the next call. */
void replica_require(db *replica, const char *user, int64_t clock, int64_t epoch);

/* Whether the last read failed for that reason. */
bool replica_is_behind(db *replica);

#endif
