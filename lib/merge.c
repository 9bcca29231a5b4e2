#include "merge.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

enum { INDEX_FROM = 16 }; /* children from which a hash finds them; below that a scan is faster */

/* A timestamp in the state. `fresh`: written since the state was loaded, so an equal timestamp may replace it. */
typedef struct mark {
    int64_t at;
    bool fresh;
} mark;

typedef struct node {
    const char *key;
    const json_t *value; /* of a visible leaf, else NULL */
    mark leaf;           /* the write at this path: of `value`, or a branch mark when `value` is NULL */
    mark object;         /* the write of an empty object here */
    struct node **children;
    size_t count, room;
    json_t *index; /* key → position in children; NULL until needed */
} node;

struct merge_state {
    arena *a;
    node root;
    mark edited, deleted;
    bool is_deleted;
};

static const mark never = {MERGE_NEVER, false};

static bool beats(int64_t at, mark m)
{
    return at > m.at || (at == m.at && m.fresh);
}

static mark later(mark x, mark y)
{
    if (x.at == y.at) return (mark){x.at, x.fresh && y.fresh};
    return x.at > y.at ? x : y;
}

static node *node_new(arena *a, const char *key)
{
    node *n = arena_alloc(a, sizeof *n);
    n->key = key;
    n->leaf = n->object = never;
    return n;
}

static void index_build(arena *a, node *n)
{
    n->index = json_new_object(a);
    for (size_t i = 0; i < n->count; i++)
        json_put(a, n->index, n->children[i]->key, json_integer((json_int_t)i));
}

static node *node_child(arena *a, node *n, const char *key)
{
    if (n->count >= INDEX_FROM) {
        if (!n->index) index_build(a, n);
        const json_t *at = json_object_get(n->index, key);
        return at ? n->children[json_integer_value(at)] : NULL;
    }
    for (size_t i = 0; i < n->count; i++)
        if (strcmp(n->children[i]->key, key) == 0) return n->children[i];
    return NULL;
}

static void node_attach(arena *a, node *n, node *child)
{
    if (n->count == n->room) {
        size_t room = n->room ? n->room * 2 : 8;
        n->children = arena_grow(a, n->children, n->room * sizeof *n->children, room * sizeof *n->children);
        n->room = room;
    }
    if (n->index) json_put(a, n->index, child->key, json_integer((json_int_t)n->count));
    n->children[n->count++] = child;
}

/* Whether anything at or below `n` is visible. Empty children are detached, so this need not look deeper. */
static bool node_visible(const node *n)
{
    return n->value || n->object.at != MERGE_NEVER || n->count > 0;
}

static bool node_is_object(const node *n)
{
    return !n->value && node_visible(n);
}

/* Whether something below `n` is newer than a write of `n` at `at`. */
static bool survives(const node *n, int64_t at)
{
    if (!beats(at, n->object)) return true;
    for (size_t i = 0; i < n->count; i++)
        if ((n->children[i]->value && !beats(at, n->children[i]->leaf)) || survives(n->children[i], at)) return true;
    return false;
}

/* Forgets what is below `n` and not newer than a write of `n` at `at`. */
static void prune(node *n, int64_t at)
{
    size_t kept = 0;
    if (beats(at, n->object)) n->object = never;
    for (size_t i = 0; i < n->count; i++) {
        node *child = n->children[i];
        if (beats(at, child->leaf)) {
            child->value = NULL;
            child->leaf = never;
        }
        prune(child, at);
        if (node_visible(child)) n->children[kept++] = child;
    }
    if (kept < n->count) n->index = NULL; /* positions moved; the arena still owns it */
    n->count = kept;
}

typedef struct walk {
    arena *a;
    int64_t at;
    bool dry_run;
    merge_effect *effect;
} walk;

static void walk_members(walk *w, node *n, const json_t *patch, mark above);

/* Writes `value`, a leaf, at `n` below marks that amount to `above`. */
static void write_leaf(walk *w, node *n, const json_t *value, mark above)
{
    bool same = n->value && json_same(n->value, value);
    if (!same) w->effect->differing++;
    if (!beats(w->at, above) || !beats(w->at, n->leaf)) {
        if (!same) w->effect->lost++;
        return;
    }
    bool covered = survives(n, w->at);
    if (covered) w->effect->lost++;
    else w->effect->applied++;
    if (!same || w->at != n->leaf.at) w->effect->changed = true;
    if (w->dry_run) return;
    prune(n, w->at);
    n->leaf = (mark){w->at, true};
    n->value = covered ? NULL : value;
}

/* Writes an empty object at `n`. */
static void write_empty(walk *w, node *n, mark above)
{
    bool same = node_is_object(n);
    if (!same) w->effect->differing++;
    if (!beats(w->at, above) || !beats(w->at, n->leaf)) {
        if (!same) w->effect->lost++;
        return;
    }
    w->effect->applied++;
    if (n->object.at != MERGE_NEVER && !beats(w->at, n->object)) return;
    if (w->at != n->object.at) w->effect->changed = true;
    if (w->dry_run) return;
    n->object = (mark){w->at, true};
    n->value = NULL; /* its time stays, as a branch mark */
}

static void walk_member(walk *w, node *n, const char *key, const json_t *value, mark above)
{
    node *child = node_child(w->a, n, key), *made = NULL;
    if (!child) child = made = node_new(w->a, key);
    if (!json_is_object(value)) {
        write_leaf(w, child, value, above);
    } else if (json_object_size(value) == 0) {
        write_empty(w, child, above);
    } else {
        size_t before = w->effect->applied;
        walk_members(w, child, value, later(above, child->leaf));
        if (w->effect->applied > before && !w->dry_run) child->value = NULL; /* a scalar gave way to an object */
    }
    if (made && !w->dry_run && node_visible(made)) node_attach(w->a, n, made);
}

static void walk_members(walk *w, node *n, const json_t *patch, mark above)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)patch, key, value) walk_member(w, n, key, value, above);
}

merge_state *merge_new(arena *a)
{
    merge_state *s = arena_alloc(a, sizeof *s);
    s->a = a;
    s->root.leaf = s->root.object = s->edited = s->deleted = never;
    return s;
}

static void apply_delete(merge_state *s, int64_t at, bool dry_run, merge_effect *effect)
{
    if (s->is_deleted) {
        if (at <= s->deleted.at) return;
        effect->changed = true;
    } else if (!beats(at, s->edited)) {
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
    effect.late = s->is_deleted && !beats(edit->at, s->deleted);
    if (s->is_deleted && !effect.late) effect.changed = true;
    if (edit->at > s->edited.at) effect.changed = true;
    mark above = s->root.leaf;
    if (edit->type == MERGE_REPLACE && beats(edit->at, s->root.leaf)) {
        above = (mark){edit->at, true};
        effect.changed = true;
        if (!dry_run) {
            prune(&s->root, edit->at);
            s->root.leaf = above;
        }
    }
    walk w = {s->a, edit->at, dry_run, &effect};
    walk_members(&w, &s->root, edit->data, above);
    if (dry_run) return effect;
    if (edit->at >= s->edited.at) s->edited = (mark){edit->at, edit->at > s->edited.at || s->edited.fresh};
    if (s->is_deleted && !effect.late) {
        s->is_deleted = false;
        s->deleted = never;
    }
    return effect;
}

merge_effect merge_apply(merge_state *s, const merge_edit *edit, bool dry_run)
{
    bool replace = edit->type == MERGE_REPLACE && !dry_run; /* takes away first what `differing` must be counted against */
    merge_effect effect = apply_edit(s, edit, dry_run || replace);
    if (replace) apply_edit(s, edit, false);
    return effect;
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
    int64_t latest = later(s->edited, s->deleted).at;
    return latest == MERGE_NEVER ? MERGE_NEVER : latest + 1;
}

const json_t *merge_get(const merge_state *s, const char *name)
{
    for (size_t i = 0; i < s->root.count; i++)
        if (strcmp(s->root.children[i]->key, name) == 0) return s->root.children[i]->value;
    return NULL;
}

/* Storing and loading */

static void write_node(const node *n, strbuf *out)
{
    if (n->value) {
        json_write(out, n->value);
        return;
    }
    strbuf_putc(out, '{');
    for (size_t i = 0; i < n->count; i++) {
        json_write_name(out, n->children[i]->key);
        write_node(n->children[i], out);
    }
    strbuf_putc(out, '}');
}

void merge_write(const merge_state *s, strbuf *out)
{
    write_node(&s->root, out);
}

typedef struct times {
    arena *a;
    int64_t *list;
    size_t count, room;
} times;

/* The times that need no mark when they equal the base: those of visible leaves, and of objects that are empty. */
static void collect_times(const node *n, times *t)
{
    if (n->value || (n->count == 0 && n->object.at != MERGE_NEVER)) {
        if (t->count == t->room) {
            size_t room = t->room ? t->room * 2 : 32;
            t->list = arena_grow(t->a, t->list, t->room * sizeof *t->list, room * sizeof *t->list);
            t->room = room;
        }
        t->list[t->count++] = n->value ? n->leaf.at : n->object.at;
    }
    for (size_t i = 0; i < n->count; i++) collect_times(n->children[i], t);
}

static int compare_times(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

/* The most frequent time: the base that needs the fewest marks. */
static int64_t choose_base(const merge_state *s)
{
    times t = {.a = s->a};
    collect_times(&s->root, &t);
    if (t.count == 0) return s->edited.at;
    qsort(t.list, t.count, sizeof *t.list, compare_times);
    int64_t best = t.list[0];
    size_t best_run = 0;
    for (size_t i = 0, run = 0; i < t.count; i++) {
        run = i > 0 && t.list[i] == t.list[i - 1] ? run + 1 : 1;
        if (run >= best_run) {
            best_run = run;
            best = t.list[i];
        }
    }
    return best;
}

static void write_mark(strbuf *out, const strbuf *path, const char *suffix, int64_t at)
{
    if (out->len == 0) strbuf_putc(out, '{');
    const char *pointer = arena_printf(out->a, "%s%s", path->data ? path->data : "", suffix);
    json_write_int(out, pointer, at);
}

static void write_marks(const node *n, strbuf *path, int64_t base, strbuf *out)
{
    bool implied = n->value != NULL; /* a leaf that stands in `data` */
    if (n->leaf.at != MERGE_NEVER && !(implied && n->leaf.at == base)) write_mark(out, path, "", n->leaf.at);
    implied = n->count == 0 && n->object.at == base;
    if (n->object.at != MERGE_NEVER && !implied) write_mark(out, path, "/~", n->object.at);
    size_t len = path->len;
    for (size_t i = 0; i < n->count; i++) {
        strbuf_putc(path, '/');
        for (const char *c = n->children[i]->key; *c; c++) {
            if (*c == '~' || *c == '/') strbuf_puts(path, *c == '~' ? "~0" : "~1");
            else strbuf_putc(path, *c);
        }
        write_marks(n->children[i], path, base, out);
        path->len = len;
        path->data[len] = '\0';
    }
}

int64_t merge_write_marks(const merge_state *s, strbuf *out)
{
    int64_t base = choose_base(s);
    strbuf path = STRBUF(s->a), marks = STRBUF(s->a);
    write_marks(&s->root, &path, base, &marks);
    if (marks.len > 0) {
        strbuf_putc(&marks, '}');
        strbuf_add(out, marks.data, marks.len);
    }
    return base;
}

static void load_members(arena *a, node *n, const json_t *data, int64_t base)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)data, key, value) {
        node *child = node_new(a, key);
        node_attach(a, n, child);
        if (!json_is_object(value)) {
            child->value = value;
            child->leaf.at = base;
        } else if (json_object_size(value) == 0) {
            child->object.at = base;
        } else {
            load_members(a, child, value, base);
        }
    }
}

static void load_mark(arena *a, node *n, const char *pointer, int64_t at)
{
    while (*pointer == '/') {
        const char *start = ++pointer;
        pointer += strcspn(pointer, "/");
        size_t len = (size_t)(pointer - start), used = 0;
        if (len == 1 && *start == '~') {
            n->object.at = at;
            return;
        }
        char *key = arena_alloc(a, len + 1);
        for (size_t i = 0; i < len; i++) {
            bool escaped = start[i] == '~' && i + 1 < len;
            key[used++] = escaped ? (start[++i] == '1' ? '/' : '~') : start[i];
        }
        node *child = node_child(a, n, key);
        if (!child) return; /* a mark without its path cannot matter */
        n = child;
    }
    n->leaf.at = at;
}

merge_state *merge_load(arena *a, const merge_row *row)
{
    const char *pointer;
    json_t *at;
    merge_state *s = merge_new(a);
    load_members(a, &s->root, row->data, row->base);
    json_object_foreach ((json_t *)row->marks, pointer, at) load_mark(a, &s->root, pointer, json_integer_value(at));
    s->edited.at = row->edited;
    s->deleted.at = row->deleted;
    s->is_deleted = row->deleted != MERGE_NEVER;
    return s;
}
