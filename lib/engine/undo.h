/* Takes one operation back: the quota can be judged only after the operation was applied, because it may supersede
 * other entities, or let one come back. Pure. */
#ifndef BOOKY_UNDO_H
#define BOOKY_UNDO_H

#include "engine/step.h"

typedef struct undo {
    resolver *r;
    entity *e;               /* of the operation */
    struct entity **changed; /* `e` and the entities of its keys */
    entity *before;          /* as they were, one each */
    conflict *log;           /* the conflicts so far, which the operation may close */
    size_t count, log_count, closing_count;
} undo;

/* Keeps in `a` what `op` may change, with a copy of the state of its entity, whose size counts towards the budget. */
undo undo_save(resolver *r, arena *a, const operation *op);

/* Puts everything back except the budget. Afterwards `a` is not needed. */
void undo_run(const undo *u);

#endif
