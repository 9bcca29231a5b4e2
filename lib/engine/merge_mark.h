/* The times of writes in a merge state. */
#ifndef BOOKY_MERGE_MARK_H
#define BOOKY_MERGE_MARK_H

#include <stdbool.h>
#include <stdint.h>

#define MARK_NEVER INT64_MIN /* the time of a mark without a write; equal to MERGE_NEVER */

/* The time of a write. `fresh`: written since the state was loaded, so an equal timestamp may replace it. */
typedef struct mark {
    int64_t at; /* milliseconds, or MARK_NEVER */
    bool fresh;
} mark;

/* Whether a write at `at` may replace the write `m`. */
static inline bool mark_yields_to(mark m, int64_t at)
{
    return at > m.at || (at == m.at && m.fresh);
}

/* The time `at` of another state: if it is later than `latest`, it counts as `now`. */
static inline int64_t mark_lowered(int64_t at, int64_t latest, int64_t now)
{
    return at > latest ? now : at;
}

static const mark mark_never = {MARK_NEVER, false};

/* The later of two writes: the one that is harder to replace. */
static inline mark mark_later(mark x, mark y)
{
    if (x.at == y.at) return (mark){x.at, x.fresh && y.fresh};
    return x.at > y.at ? x : y;
}

#endif
