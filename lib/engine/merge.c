#include "engine/merge.h"

#include <string.h>

#include "engine/merge_set.h"
#include "engine/merge_tree.h"

_Static_assert(MERGE_NEVER == MARK_NEVER, "both mean that there was no write");

/* An edit on its way through the tree. */
typedef struct walk {
    merge_state *s;
    arena *a;
    int64_t at; /* the time of the edit */
    bool dry_run;
    bool replaces; /* the whole tree: a set is written whole, whatever form its value has */
    merge_effect *effect;
} walk;

static void walk_members(walk *w, node *n, const json_t *members, mark above);

/* Writes the leaf `value` at `n`. `above` is the latest write of a leaf above `n`. */
static void write_leaf(walk *w, node *n, const json_t *value, mark above)
{
    bool same = n->shown && node_has_value(w->a, n, value);
    if (!same) w->effect->differing++, w->effect->overwritten++;
    if (!mark_yields_to(above, w->at) || !mark_yields_to(n->leaf, w->at)) {
        if (!same) w->effect->lost++;
        return;
    }
    bool covered = node_survives(n, w->at);
    if (covered)
        w->effect->lost++;
    else
        w->effect->applied++;
    w->effect->changed = true; /* also where the value is the same, but written otherwise: 1.0 for 1 */
    if (w->dry_run) return;
    node_prune(w->a, n, w->at);
    n->leaf = (mark){w->at, true};
    n->shown = !covered;
    n->value = value;
    n->text.len = 0;
}

/* Writes an empty object at `n`, below `above`. */
static void write_empty(walk *w, node *n, mark above)
{
    bool same = node_is_object(n);
    if (!same) w->effect->differing++, w->effect->overwritten++;
    if (!mark_yields_to(above, w->at) || !mark_yields_to(n->leaf, w->at)) {
        if (!same) w->effect->lost++;
        return;
    }
    w->effect->applied++;
    if (n->object.at != MARK_NEVER && !mark_yields_to(n->object, w->at)) return;
    if (w->at != n->object.at) w->effect->changed = true;
    if (w->dry_run) return;
    n->object = (mark){w->at, true};
    n->shown = false; /* n->leaf stays, as a branch mark */
}

/* Writes a list in place of one that has element times. */
static void write_list(walk *w, node *n, const json_t *value, mark above)
{
    merge_set *set = node_set(w->a, n);
    bool same = set_is(set, value);
    if (!same) w->effect->differing++, w->effect->overwritten++;
    if (!mark_yields_to(above, w->at) || !mark_yields_to(n->leaf, w->at)) {
        if (!same) w->effect->lost++;
        return;
    }
    set_meet(set, value, w->at, w->effect);
    if (w->dry_run) return;
    set_put(set, value, w->at);
    n->leaf = (mark){w->at, true};
    n->value = value;
    n->text.len = 0;
    if (!set_has_times(set)) n->set = NULL;
}

static bool shows_list(const node *n)
{
    if (node_has_times(n)) return true;
    if (n->value) return json_is_array(n->value) || json_is_null(n->value);
    return n->shown && (*n->text.text == '[' || *n->text.text == 'n');
}

/* Applies a change of single elements. */
static void write_change(walk *w, node *n, const json_t *value, mark above)
{
    bool late = !mark_yields_to(mark_later(above, n->leaf), w->at);
    if (!late && !n->shown) w->effect->changed = true;
    if (late && !shows_list(n)) w->effect->unlike = true; /* the sender made a list of it */
    set_change(node_set(w->a, n), value, w->at, late, w->dry_run, w->effect);
    if (!late && !w->dry_run) n->shown = true;
}

static void walk_set(walk *w, node *n, const json_t *value, mark above)
{
    if (!w->replaces && set_is_change(value)) {
        write_change(w, n, value, above);
    } else if (node_has_times(n)) {
        write_list(w, n, value, above);
    } else {
        if (!w->dry_run) n->set = NULL; /* that was made for comparing */
        write_leaf(w, n, value, above);
    }
}

static void walk_member(walk *w, node *n, const char *key, const json_t *value, mark above)
{
    node *child = node_child(w->a, n, key), *added = NULL;
    if (!child) child = added = n == &w->s->root ? node_new_member(w->s, key) : node_new(w->a, key);
    if (child->is_set) {
        walk_set(w, child, value, above);
    } else if (!json_is_object(value)) {
        write_leaf(w, child, value, above);
    } else if (json_object_size(value) == 0) {
        write_empty(w, child, above);
    } else {
        size_t before = w->effect->applied;
        walk_members(w, child, value, mark_later(above, child->leaf));
        if (w->effect->applied > before && !w->dry_run) child->shown = false; /* an object replaced a scalar */
    }
    if (added && !w->dry_run && node_visible(added)) node_attach(w->a, n, added);
}

static void walk_members(walk *w, node *n, const json_t *members, mark above)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)members, key, value) walk_member(w, n, key, value, above);
}

merge_state *merge_new(arena *a)
{
    return merge_new_with(a, NULL);
}

merge_state *merge_new_with(arena *a, const char *const *sets)
{
    merge_state *s = arena_alloc(a, sizeof *s);
    s->a = a;
    s->sets = sets;
    s->root.leaf = s->root.object = s->edited = s->deleted = mark_never;
    s->base = MERGE_NEVER;
    return s;
}

merge_state *merge_copy(arena *a, const merge_state *s)
{
    merge_state *copy = arena_alloc(a, sizeof *copy);
    *copy = *s;
    copy->a = a;
    node_copy(a, &copy->root, &s->root);
    return copy;
}

static void apply_delete(merge_state *s, int64_t at, bool dry_run, merge_effect *effect)
{
    if (s->is_deleted) {
        if (at <= s->deleted.at) return;
        effect->changed = true;
    } else if (!mark_yields_to(s->edited, at)) {
        effect->late = true;
        return;
    } else {
        effect->applied = 1;
        effect->changed = true;
    }
    if (dry_run) return;
    s->deleted = (mark){at, true};
    s->is_deleted = true;
}

static merge_effect apply_edit(merge_state *s, const merge_edit *edit, bool dry_run)
{
    merge_effect effect = {0};
    if (edit->type == MERGE_DELETE) {
        apply_delete(s, edit->at, dry_run, &effect);
        return effect;
    }
    effect.late = s->is_deleted && !mark_yields_to(s->deleted, edit->at);
    if (s->is_deleted && !effect.late) effect.changed = true;
    if (edit->at > s->edited.at) effect.changed = true;
    mark above = s->root.leaf;
    if (edit->type == MERGE_REPLACE && mark_yields_to(s->root.leaf, edit->at)) {
        above = (mark){edit->at, true};
        effect.changed = true;
        if (!dry_run) {
            node_prune(s->a, &s->root, edit->at);
            s->root.leaf = above;
        }
    }
    walk w = {s, s->a, edit->at, dry_run, edit->type == MERGE_REPLACE, &effect};
    walk_members(&w, &s->root, edit->data, above);
    if (dry_run) return effect;
    if (edit->at >= s->edited.at) s->edited = (mark){edit->at, edit->at > s->edited.at || s->edited.fresh};
    if (s->is_deleted && !effect.late) {
        s->is_deleted = false;
        s->deleted = mark_never;
    }
    return effect;
}

merge_effect merge_apply(merge_state *s, const merge_edit *edit, bool dry_run)
{
    /* A replacement prunes the values that `differing` is counted against, so its effect comes from a dry run. */
    bool replace = edit->type == MERGE_REPLACE && !dry_run;
    merge_effect effect = apply_edit(s, edit, dry_run || replace);
    if (replace) merge_put(s, edit);
    return effect;
}

void merge_put(merge_state *s, const merge_edit *edit)
{
    apply_edit(s, edit, false);
}

static void forget_times(merge_state *s, node *n, int64_t before)
{
    if (n->times.len > 0 && !set_is_older(n->times.text, n->times.len, before)) return;
    merge_set *set = node_set(s->a, n);
    int64_t latest = set_latest(set);
    set_forget(set, before);
    if (set_has_times(set)) return;
    strbuf text = STRBUF(s->a);
    set_write(set, &text);
    n->text = (json_slice){NULL, text.data, text.len};
    n->value = NULL;
    n->set = NULL;
    if (n->leaf.at == MARK_NEVER) n->leaf.at = latest; /* a leaf has a time */
}

void merge_forget(merge_state *s, int64_t before)
{
    for (size_t i = 0; i < s->root.count; i++)
        if (node_has_times(s->root.children[i])) forget_times(s, s->root.children[i], before);
}

bool merge_is_deleted(const merge_state *s)
{
    return s->is_deleted;
}

int64_t merge_edited(const merge_state *s)
{
    return s->edited.at;
}

int64_t merge_deleted(const merge_state *s)
{
    return s->is_deleted ? s->deleted.at : MERGE_NEVER;
}

int64_t merge_next(const merge_state *s)
{
    int64_t latest = mark_later(s->edited, s->deleted).at;
    return latest == MERGE_NEVER ? MERGE_NEVER : latest + 1;
}

int64_t merge_winning(const merge_state *s)
{
    mark latest = mark_later(s->edited, s->deleted);
    return latest.at == MERGE_NEVER || latest.fresh ? latest.at : latest.at + 1;
}

bool merge_is_latest(const merge_state *s, int64_t at)
{
    return s->edited.at == at && s->edited.fresh;
}

/* The member `name` at the top level, or NULL. Only the index of the members may change. */
static node *find_member(const merge_state *s, const char *name)
{
    return node_child(s->a, (node *)&s->root, name);
}

/* The visible leaf `name` at the top level, or NULL. */
static node *find_leaf(const merge_state *s, const char *name)
{
    node *n = find_member(s, name);
    return n && n->shown ? n : NULL;
}

const json_t *merge_get(const merge_state *s, const char *name)
{
    node *n = find_leaf(s, name);
    return n ? node_value(s->a, n) : NULL;
}

bool merge_has(const merge_state *s, const char *name)
{
    const node *n = find_leaf(s, name);
    return n &&
           (n->is_set || (n->value ? !json_is_null(n->value) : *n->text.text != 'n')); /* only null begins with n */
}

int64_t merge_written(const merge_state *s, const char *name, bool *fresh)
{
    const node *n = find_member(s, name);
    *fresh = n && n->leaf.fresh;
    return n ? n->leaf.at : MERGE_NEVER;
}

bool merge_holds(const merge_state *s, const char *name, const json_t *value)
{
    node *n = find_member(s, name);
    if (!n || !node_visible(n) || (n->shown == json_is_object(value) && !n->is_set)) return false;
    return n->shown ? node_has_value(s->a, n, value) : node_has_members(s->a, n, value);
}

bool merge_is(const merge_state *s, const json_t *data)
{
    return node_has_members(s->a, (node *)&s->root, data);
}
