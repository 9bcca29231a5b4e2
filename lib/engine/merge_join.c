/*
 * Joins a state with another one of the same entity: what it would be if it had also got the edits of the other. Both
 * are functions of the times of their writes (merge.h), so each write of the other state is applied at its own time.
 */
#include "engine/merge.h"
#include "engine/merge_tree.h"

typedef struct join {
    merge_state *s;
    arena *a, *from;     /* of the two states */
    int64_t latest, now; /* later times than `latest` count as `now` */
    bool changed;
} join;

static int64_t lowered(const join *j, int64_t at)
{
    return mark_lowered(at, j->latest, j->now);
}

/* Joins the leaf of `from`: a value, or the time of a write that later, deeper ones cover. `above`: the latest write of
 * a leaf above. */
static void join_leaf(join *j, node *n, const node *from, mark above)
{
    int64_t at = lowered(j, from->leaf.at);
    if (from->leaf.at == MARK_NEVER || !mark_yields_to(above, at) || !mark_yields_to(n->leaf, at)) return;
    bool covered = node_survives(n, at);
    node_prune(j->a, n, at);
    n->leaf = (mark){at, true};
    n->shown = from->shown && !covered;
    n->value = from->value;
    n->text = from->text;
    n->set = NULL; /* at most for comparing */
    j->changed = true;
}

static void join_object(join *j, node *n, const node *from, mark above)
{
    int64_t at = lowered(j, from->object.at);
    if (from->object.at == MARK_NEVER || !mark_yields_to(above, at) || !mark_yields_to(n->leaf, at)) return;
    if (n->object.at != MARK_NEVER && !mark_yields_to(n->object, at)) return;
    n->object = (mark){at, true};
    n->shown = false;
    j->changed = true;
}

/* Joins two sets. The edits of elements follow the rule for leaves, each for itself. */
static void join_set(join *j, node *n, node *from, mark above)
{
    if (!node_has_times(n) && !node_has_times(from)) {
        join_leaf(j, n, from, above);
        return;
    }
    merge_set *set = node_set(j->a, n), *other = node_set(j->from, from);
    int64_t at = lowered(j, from->leaf.at);
    bool whole = from->leaf.at != MARK_NEVER && mark_yields_to(above, at) && mark_yields_to(n->leaf, at);
    if (whole) {
        n->leaf = (mark){at, true};
        n->value = from->value;
        n->text = from->text;
    }
    const set_joining how = {whole, mark_later(above, n->leaf), j->latest, j->now};
    if (set_join(set, other, &how)) j->changed = true;
    n->shown = n->shown || whole || set_has_times(set);
    if (!set_has_times(set)) n->set = NULL;
}

static void join_node(join *j, node *n, node *from, mark above)
{
    if (n->is_set) {
        join_set(j, n, from, above);
        return;
    }
    join_leaf(j, n, from, above);
    join_object(j, n, from, above);
    above = mark_later(above, n->leaf);
    for (size_t i = 0; i < from->count; i++) {
        node *child = node_child(j->a, n, from->children[i]->key), *added = NULL;
        const char *key = from->children[i]->key;
        if (!child) child = added = n == &j->s->root ? node_new_member(j->s, key) : node_new(j->a, key);
        bool changed = j->changed;
        j->changed = false;
        join_node(j, child, from->children[i], above);
        if (j->changed && node_visible(child)) n->shown = false; /* an object takes the place of a scalar */
        if (added && node_visible(added)) node_attach(j->a, n, added);
        j->changed |= changed;
    }
}

static void join_deletion(join *j, merge_state *s, const merge_state *from)
{
    int64_t edited = lowered(j, from->edited.at), deleted = lowered(j, from->deleted.at);
    if (edited > s->edited.at) {
        s->edited = (mark){edited, true};
        j->changed = true;
    }
    if (s->is_deleted && s->edited.at != MARK_NEVER && mark_yields_to(s->deleted, s->edited.at)) {
        s->is_deleted = false;
        s->deleted = mark_never;
    }
    if (!from->is_deleted) return;
    if (s->is_deleted ? deleted <= s->deleted.at : !mark_yields_to(s->edited, deleted)) return;
    s->deleted = (mark){deleted, true};
    s->is_deleted = true;
    j->changed = true;
}

bool merge_join(merge_state *s, merge_state *from, int64_t latest, int64_t now)
{
    join j = {.s = s, .a = s->a, .from = from->a, .latest = latest, .now = now};
    join_node(&j, &s->root, &from->root, mark_never);
    join_deletion(&j, s, from);
    return j.changed;
}
