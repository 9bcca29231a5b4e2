#include "engine/merge_marks.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "engine/merge_set.h"

static void cut(strbuf *b, size_t len)
{
    b->len = len;
    if (b->data) b->data[len] = '\0';
}

/* Writing */

enum { REPEATED_MAX = 32 }; /* bytes of its pointer that the marks of a node may repeat */

typedef struct writer {
    int64_t base;
    strbuf *out;
    strbuf pointer; /* of the current node, from the root */
    size_t start;   /* where the part of it begins that is relative to the current object */
} writer;

/* merge_load gives the time `base` to each leaf and empty object in the tree, so these need no mark. */
static bool leaf_is_marked(const node *n, int64_t base)
{
    return n->leaf.at != MARK_NEVER && !(n->shown && n->leaf.at == base);
}

static bool object_is_marked(const node *n, int64_t base)
{
    return n->object.at != MARK_NEVER && !(n->count == 0 && n->object.at == base);
}

/* Counts what each node adds to an object of marks: its own marks, and its children that have any below. */
static void count_marks(node *n, int64_t base)
{
    n->marks = (size_t)leaf_is_marked(n, base) + (size_t)object_is_marked(n, base);
    if (node_has_times(n)) n->marks = 1;
    for (size_t i = 0; i < n->count; i++) {
        count_marks(n->children[i], base);
        n->marks += n->children[i]->marks > 0;
    }
}

size_t marks_least(const node *root, int64_t base)
{
    enum { LEAST = 5 }; /* bytes of a mark: "":0, */
    size_t own = (size_t)leaf_is_marked(root, base) + (size_t)object_is_marked(root, base);
    size_t bytes = node_has_times(root) ? 0 : own * LEAST;
    for (size_t i = 0; i < root->count; i++) bytes += marks_least(root->children[i], base);
    return bytes;
}

void pointer_add(strbuf *pointer, const char *name)
{
    strbuf_putc(pointer, '/');
    for (;;) {
        size_t plain = strcspn(name, "~/");
        strbuf_add(pointer, name, plain);
        if (name[plain] == '\0') return;
        strbuf_puts(pointer, name[plain] == '~' ? "~0" : "~1");
        name += plain + 1;
    }
}

static void write_time(writer *w, const char *suffix, int64_t at)
{
    size_t len = w->pointer.len;
    strbuf_puts(&w->pointer, suffix);
    json_write_int(w->out, w->pointer.data + w->start, at);
    cut(&w->pointer, len);
}

static void write_set(writer *w, const node *n)
{
    json_write_name(w->out, w->pointer.data + w->start);
    if (n->times.len > 0)
        strbuf_add(w->out, n->times.text, n->times.len);
    else
        set_write_times(n->set, n->leaf.at, w->out);
}

static void write_node(writer *w, const node *n)
{
    size_t outer = w->start, len = w->pointer.len;
    if (node_has_times(n)) {
        write_set(w, n);
        return;
    }
    bool own = n->marks > 1 && (n->marks - 1) * (len - outer) > REPEATED_MAX; /* never the root: its pointer is empty */
    if (own) {
        json_write_name(w->out, w->pointer.data + outer);
        strbuf_putc(w->out, '{');
        w->start = len;
    }
    if (leaf_is_marked(n, w->base)) write_time(w, "", n->leaf.at);
    if (object_is_marked(n, w->base)) write_time(w, "/~", n->object.at);
    for (size_t i = 0; i < n->count; i++) {
        if (n->children[i]->marks == 0) continue;
        pointer_add(&w->pointer, n->children[i]->key);
        write_node(w, n->children[i]);
        cut(&w->pointer, len);
    }
    if (own) strbuf_putc(w->out, '}');
    w->start = outer;
}

void marks_write(node *root, int64_t base, strbuf *out)
{
    writer w = {.base = base, .out = out, .pointer = STRBUF(out->a)};
    count_marks(root, base);
    if (root->marks == 0) return;
    strbuf_puts(&w.pointer, "");
    strbuf_putc(out, '{');
    write_node(&w, root);
    strbuf_putc(out, '}');
}

/* Reading: in one pass and without a copy of the text, which may be large. */

typedef struct reader {
    arena *a;
    const char *text;
    size_t len, at;
    strbuf name; /* the latest member name, decoded */
    bool below;  /* it points below a set */
} reader;

/* Consumes white space, `c` and white space; false when something else comes next. */
static bool consume(reader *r, char c)
{
    r->at = json_skip_space(r->text, r->len, r->at);
    if (r->at >= r->len || r->text[r->at] != c) return false;
    r->at = json_skip_space(r->text, r->len, r->at + 1);
    return true;
}

/* Reads `"name":` into r->name. */
static bool read_name(reader *r)
{
    const char *start = r->text + r->at;
    if (r->at >= r->len || *start != '"') return false;
    size_t end = json_skip_string(r->text, r->len, r->at), len = end - r->at;
    r->at = end;
    if (len < 2 || start[len - 1] != '"') return false;
    cut(&r->name, 0);
    if (!memchr(start, '\\', len)) {
        strbuf_add(&r->name, start + 1, len - 2);
    } else {
        const json_t *decoded = json_parse(r->a, start, len, NULL);
        if (!decoded) return false;
        strbuf_add(&r->name, json_string_value(decoded), json_string_length(decoded));
    }
    return consume(r, ':');
}

/* Decodes one member name of a pointer in its place. */
static void decode_name(char *name)
{
    char *to = strchr(name, '~');
    if (!to) return;
    for (const char *from = to; *from; from++) {
        bool escaped = *from == '~' && from[1];
        if (escaped) from++;
        *to++ = !escaped ? *from : *from == '1' ? '/' : '~';
    }
    *to = '\0';
}

/* The node that the pointer r->name leads to, or NULL. *object: the pointer ends with "/~". A set has nothing below,
 * but before it was one, its value may have been an object; then a pointer leads to the set at most. */
static node *find_node(reader *r, node *n, bool *object)
{
    char *name = r->name.data;
    *object = false;
    if (*name && *name != '/') return NULL;
    r->below = false;
    for (bool more = *name == '/'; more && n;) {
        if (n->is_set) {
            r->below = true;
            return n;
        }
        char *end = strchr(++name, '/');
        more = end != NULL;
        if (more) *end = '\0';
        if (strcmp(name, "~") == 0) {
            *object = true;
            return n;
        }
        decode_name(name);
        n = node_child(r->a, n, name);
        name = end;
    }
    return n;
}

static void load_marks(reader *r, node *n);

/* The times of a set: "" is read now, the others when they are needed (merge_set_row.c). */
static void load_set(reader *r, node *n)
{
    size_t start = r->at;
    bool list = *n->text.text != '{';
    if (list) n->leaf.at = MARK_NEVER;
    load_marks(r, n);
    if (list) n->times = (json_slice){NULL, r->text + start, r->at - start};
}

/* Below a set there are only marks of an object that it was before: the latest of them is the time of the whole. */
static void set_time(reader *r, node *n, bool object, int64_t at)
{
    if (object)
        n->object.at = at;
    else if (!r->below || at > n->leaf.at)
        n->leaf.at = at;
}

static void load_marks(reader *r, node *n)
{
    if (!consume(r, '{')) return;
    do {
        bool object;
        if (!read_name(r)) break;
        node *at = find_node(r, n, &object);
        char first = r->at < r->len ? r->text[r->at] : '\0';
        if (first == '{' && at && !object) {
            if (at->is_set)
                load_set(r, at);
            else
                load_marks(r, at);
            continue;
        }
        size_t end = json_skip_value(r->text, r->len, r->at);
        if (at && (first == '-' || (first >= '0' && first <= '9')))
            set_time(r, at, object, strtoll(r->text + r->at, NULL, 10));
        r->at = end;
    } while (consume(r, ','));
    consume(r, '}');
}

void marks_load(arena *a, node *root, const char *text)
{
    reader r = {.a = a, .text = text, .len = strlen(text), .name = STRBUF(a)};
    load_marks(&r, root);
}
