/*
 * A state as the database stores it: the visible tree as JSON text, and its times. One time, the base, is that of most
 * leaves; the marks (merge_marks.h) name the paths that have another one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/merge.h"
#include "engine/merge_marks.h"
#include "engine/merge_set.h"
#include "engine/merge_tree.h"

static void write_node(const node *n, strbuf *out)
{
    if (n->shown) {
        if (n->set && set_has_times(n->set))
            set_write(n->set, out);
        else if (n->text.len > 0)
            strbuf_add(out, n->text.text, n->text.len);
        else
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
    size_t count, capacity;
} times;

/* Collects the times that need no mark when they equal the base: those of visible leaves and of empty objects. */
static void collect_times(const node *n, times *t)
{
    if (node_has_times(n)) return; /* its marks name all of them */
    if (n->shown || (n->count == 0 && n->object.at != MARK_NEVER)) {
        t->list = arena_grow_list(t->a, t->list, t->count, &t->capacity, sizeof *t->list);
        t->list[t->count++] = n->shown ? n->leaf.at : n->object.at;
    }
    for (size_t i = 0; i < n->count; i++) collect_times(n->children[i], t);
}

static int compare_times(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

/* The most frequent time: as the base, it usually needs the fewest marks. Of equally frequent times, the latest. */
static int64_t choose_base(const merge_state *s, arena *a)
{
    times t = {.a = a};
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

int64_t merge_write_marks(merge_state *s, strbuf *out)
{
    int64_t base = choose_base(s, out->a);
    strbuf marks = STRBUF(out->a);
    marks_write(&s->root, base, &marks);
    if (s->base != MERGE_NEVER && s->base != base && marks_least(&s->root, s->base) < marks.len) {
        /* Few leaves with long names can need larger marks than many with short names. */
        strbuf others = STRBUF(out->a);
        marks_write(&s->root, s->base, &others);
        if (others.len < marks.len) {
            marks = others;
            base = s->base;
        }
    }
    s->base = base;
    if (marks.len > 0) strbuf_add(out, marks.data, marks.len);
    return base;
}

/* The members of a JSON object from the database; none if it is not an object. Returns their number. */
static size_t split_members(arena *a, const char *text, size_t len, json_slice **members)
{
    size_t count;
    json_fault fault;
    return json_split(a, '{', text, len, SIZE_MAX, members, &count, &fault) ? count : 0;
}

static void load_members(merge_state *s, node *n, const char *text, size_t len, int64_t base)
{
    json_slice *members;
    size_t count = split_members(s->a, text, len, &members);
    for (size_t i = 0; i < count; i++) {
        node *child = n == &s->root ? node_new_member(s, members[i].key) : node_new(s->a, members[i].key);
        node_attach(s->a, n, child);
        child->shown = *members[i].text != '{' || child->is_set;
        if (child->shown) {
            child->text = members[i];
            child->leaf.at = base;
            continue;
        }
        load_members(s, child, members[i].text, members[i].len, base);
        if (child->count == 0) child->object.at = base;
    }
}

merge_state *merge_load(arena *a, const merge_row *row)
{
    merge_state *s = merge_new_with(a, row->sets);
    s->base = row->base;
    if (row->data) load_members(s, &s->root, row->data, strlen(row->data), row->base);
    if (row->marks) marks_load(a, &s->root, row->marks);
    s->edited.at = row->edited;
    s->deleted.at = row->deleted;
    s->is_deleted = row->deleted != MERGE_NEVER;
    return s;
}
