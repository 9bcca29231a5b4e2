/* What an edit does to a state, or would do: the result of merge_apply. */
#ifndef BOOKY_MERGE_EFFECT_H
#define BOOKY_MERGE_EFFECT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct merge_effect {
    size_t applied;   /* leaves that this edit sets (or would set). Each element of a change of a set is a leaf here */
    size_t lost;      /* leaves that keep another value, because its timestamp is later or equal */
    size_t differing; /* leaves whose value before the edit was not that of the edit */
    size_t overwritten; /* of these, those that an edit of their own had written: not an element that is only added to a
                           list, or removed from the list of a whole write */
    bool unlike;        /* a list shows neither what the edit says nor what it makes of the version before: the elements
                           that it adds do not stand last, or a list that it writes is not shown as it is */
    bool late;    /* a deletion of an entity that was edited later, or an edit of one that was deleted later: it has
                     no visible effect */
    bool changed; /* the edit changes (or would change) the state, visibly or not */
} merge_effect;

#endif
