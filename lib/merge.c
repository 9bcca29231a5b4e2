#include "merge.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

enum { INDEX_FROM = 40 }; /* children from which a hash finds them; below that a scan is faster */

/* A timestamp in the state. `fresh`: written since the state was loaded, so an equal timestamp may replace it. */
typedef struct mark {
    int64_t at;
    bool fresh;
} mark;

typedef struct node {
    const char *key;
    bool shown;          /* a visible leaf */
    const json_t *value; /* its value; NULL: not parsed yet, it is `text` */
    json_slice text;     /* its value as it was loaded; empty: it was written since */
    mark leaf;           /* the write at this path: of a visible leaf, else a branch mark */
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

static const json_t *value_of(arena *a, node *n)
{
    if (!n->value) n->value = json_parse(a, n->text.text, n->text.len, NULL);
    if (!n->value) n->value = json_null(); /* it came into the database past us */
    return n->value;
}

/* Whether the visible leaf `n` has this value. A string without escapes is compared as it stands. */
static bool holds(arena *a, node *n, const json_t *value)
{
    const char *text = n->text.text;
    size_t len = n->text.len;
    if (n->value || !json_is_string(value) || *text != '"' || memchr(text, '\\', len)) return json_same(value_of(a, n), value);
    return len == json_string_length(value) + 2 && memcmp(text + 1, json_string_value(value), len - 2) == 0;
}

/* Whether anything at or below `n` is visible. Empty children are detached, so this need not look deeper. */
static bool node_visible(const node *n)
{
    return n->shown || n->object.at != MERGE_NEVER || n->count > 0;
}

static bool node_is_object(const node *n)
{
    return !n->shown && node_visible(n);
}

/* Whether something below `n` is newer than a write of `n` at `at`. */
static bool survives(const node *n, int64_t at)
{
    if (!beats(at, n->object)) return true;
    for (size_t i = 0; i < n->count; i++)
        if ((n->children[i]->shown && !beats(at, n->children[i]->leaf)) || survives(n->children[i], at)) return true;
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
            child->shown = false;
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
    bool same = n->shown && holds(w->a, n, value);
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
    n->shown = !covered;
    n->value = value;
    n->text.len = 0;
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
    n->shown = false; /* its time stays, as a branch mark */
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
        if (w->effect->applied > before && !w->dry_run) child->shown = false; /* a scalar gave way to an object */
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

static node *leaf_named(const merge_state *s, const char *name)
{
    for (size_t i = 0; i < s->root.count; i++) {
        node *n = s->root.children[i];
        if (strcmp(n->key, name) == 0) return n->shown ? n : NULL;
    }
    return NULL;
}

const json_t *merge_get(const merge_state *s, const char *name)
{
    node *n = leaf_named(s, name);
    return n ? value_of(s->a, n) : NULL;
}

bool merge_has(const merge_state *s, const char *name)
{
    const node *n = leaf_named(s, name);
    return n && (n->value ? !json_is_null(n->value) : *n->text.text != 'n');
}

static bool same_members(arena *a, node *n, const json_t *data)
{
    const char *key;
    json_t *value;
    if (n->count != json_object_size(data)) return false;
    json_object_foreach ((json_t *)data, key, value) {
        node *child = node_child(a, n, key);
        if (!child || child->shown == json_is_object(value)) return false;
        if (child->shown ? !holds(a, child, value) : !same_members(a, child, value)) return false;
    }
    return true;
}

bool merge_is(const merge_state *s, const json_t *data)
{
    return same_members(s->a, (node *)&s->root, data);
}

/* Storing and loading */

static void write_node(const node *n, strbuf *out)
{
    if (n->shown) {
        if (n->text.len > 0) strbuf_add(out, n->text.text, n->text.len);
        else json_write(out, n->value);
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
    if (n->shown || (n->count == 0 && n->object.at != MERGE_NEVER)) {
        if (t->count == t->room) {
            size_t room = t->room ? t->room * 2 : 32;
            t->list = arena_grow(t->a, t->list, t->room * sizeof *t->list, room * sizeof *t->list);
            t->room = room;
        }
        t->list[t->count++] = n->shown ? n->leaf.at : n->object.at;
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

/* A path, from its end to the root. */
typedef struct path {
    const struct path *parent;
    const char *key;
} path;

static void write_pointer(const path *p, strbuf *out)
{
    if (!p) return;
    write_pointer(p->parent, out);
    strbuf_putc(out, '/');
    for (const char *c = p->key; *c; c++) {
        if (*c == '~' || *c == '/') strbuf_puts(out, *c == '~' ? "~0" : "~1");
        else strbuf_putc(out, *c);
    }
}

static void write_mark(strbuf *out, const path *p, const char *suffix, int64_t at)
{
    strbuf pointer = STRBUF(out->a);
    write_pointer(p, &pointer);
    strbuf_puts(&pointer, suffix);
    if (out->len == 0) strbuf_putc(out, '{');
    json_write_int(out, pointer.data, at);
}

static void write_marks(const node *n, const path *p, int64_t base, strbuf *out)
{
    bool implied = n->shown; /* a leaf that stands in `data` */
    if (n->leaf.at != MERGE_NEVER && !(implied && n->leaf.at == base)) write_mark(out, p, "", n->leaf.at);
    implied = n->count == 0 && n->object.at == base;
    if (n->object.at != MERGE_NEVER && !implied) write_mark(out, p, "/~", n->object.at);
    for (size_t i = 0; i < n->count; i++) write_marks(n->children[i], &(path){p, n->children[i]->key}, base, out);
}

int64_t merge_write_marks(const merge_state *s, strbuf *out)
{
    int64_t base = choose_base(s);
    strbuf marks = STRBUF(s->a);
    write_marks(&s->root, NULL, base, &marks);
    if (marks.len > 0) {
        strbuf_putc(&marks, '}');
        strbuf_add(out, marks.data, marks.len);
    }
    return base;
}

/* The members of a JSON object that the database holds; none if it is no object. */
static size_t members_of(arena *a, const char *text, size_t len, json_slice **members)
{
    size_t count;
    json_fault fault;
    return json_split(a, '{', text, len, SIZE_MAX, members, &count, &fault) ? count : 0;
}

static void load_members(arena *a, node *n, const char *text, size_t len, int64_t base)
{
    json_slice *members;
    size_t count = members_of(a, text, len, &members);
    for (size_t i = 0; i < count; i++) {
        node *child = node_new(a, members[i].key);
        node_attach(a, n, child);
        child->shown = *members[i].text != '{';
        if (child->shown) {
            child->text = members[i];
            child->leaf.at = base;
            continue;
        }
        load_members(a, child, members[i].text, members[i].len, base);
        if (child->count == 0) child->object.at = base;
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
    json_slice *marks;
    merge_state *s = merge_new(a);
    if (row->data) load_members(a, &s->root, row->data, strlen(row->data), row->base);
    size_t count = row->marks ? members_of(a, row->marks, strlen(row->marks), &marks) : 0;
    for (size_t i = 0; i < count; i++) load_mark(a, &s->root, marks[i].key, strtoll(marks[i].text, NULL, 10));
    s->edited.at = row->edited;
    s->deleted.at = row->deleted;
    s->is_deleted = row->deleted != MERGE_NEVER;
    return s;
}
