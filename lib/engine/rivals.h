/* The rules between entities of one key: one rating per book, the reading logs of a book, two tags of one name. Pure.
 */
#ifndef BOOKY_RIVALS_H
#define BOOKY_RIVALS_H

#include "engine/step.h"

/* Whether entities of `k` with one key can displace each other. */
bool rivals_displace(const kind *k);

/* After the edit of `s`: decides which of the entities with its key before and after the edit are live. */
void rivals_settle(step *s);

/* The entity that the edit of `s`, which is not applied yet, would displace, or that would displace its own; NULL when
 * there is none. Of several, the latest. */
entity *rivals_meet(step *s);

/* After the edit of `s`: asks a person about other live entities of its name, and closes what it answers. */
void rivals_names(step *s);

/* The time of an edit that must win. `in_conflict`: it contradicts the stored entity. */
int64_t rivals_winning_time(const step *s, bool in_conflict);

/* The time of an item of a full sync, which is stored whatever was stored before. A log that was live before the
 * request or in the snapshot goes on standing. Any other log competes with the listed ones by its own time: an app that
 * gives each status a new id lists them all. */
int64_t rivals_replacing_time(const step *s);

/* The entity that displaces `e` (one rating per book), or NULL. */
const entity *rivals_holder(resolver *r, const entity *e);

#endif
