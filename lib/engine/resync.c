#include "engine/resync.h"

#include "engine/merge.h"

static bool is_other_installation(const position *p, const resync_facts *f)
{
    if (p->from.installation != 0) return p->from.installation != f->here.installation;
    return f->until != MERGE_NEVER && f->until_in != f->here.installation; /* a cursor of the first edition */
}

/* Whether the history of the cursor's epoch was cut off before the client had seen what it has. A page of an earlier
 * epoch is always refused: the earlier pages show the state of the time when the pull began, which the position does
 * not tell. An entity that was written on the lost end of the history was on no page yet, and its restored version may
 * stand before the position. */
static bool is_cut_off(const position *p, const resync_facts *f)
{
    if (p->epoch == f->epoch) return p->stamp > f->clock;
    return f->until == MERGE_NEVER || p->stamp > f->until || *p->kind != '\0';
}

resync resync_judge(const position *p, const resync_facts *f)
{
    resync none = {RESYNC_NONE, MERGE_NEVER, MERGE_NEVER};
    bool is_instant = p->epoch == 0 && p->bound == MERGE_NEVER;
    bool is_empty = p->epoch == 0 && !is_instant;                     /* from before the user's first write */
    int64_t generation = p->from.generation ? p->from.generation : 1; /* the first edition knew no other */
    if (p->epoch != 0 && f->erased_at != MERGE_NEVER) return (resync){RESYNC_ERASED, MERGE_NEVER, f->erased_at};
    if (!is_instant && is_other_installation(p, f)) return (resync){RESYNC_OTHER_SERVER, f->until, MERGE_NEVER};
    if (p->epoch != 0 && is_cut_off(p, f)) return (resync){RESYNC_RESTORED, f->until, MERGE_NEVER};
    if (is_empty && generation != f->here.generation) return (resync){RESYNC_RESTORED, MERGE_NEVER, MERGE_NEVER};
    if (f->forgotten) return (resync){RESYNC_FORGOTTEN, MERGE_NEVER, MERGE_NEVER};
    return none;
}

const char *resync_name(resync_reason reason)
{
    static const char *const names[] = {"none", "erased", "other_server", "restored", "deletions_forgotten"};
    return names[reason];
}
