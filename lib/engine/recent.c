#include "engine/recent.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "engine/merge.h"
#include "engine/merge_marks.h"

/* Noting */

static void cut(strbuf *b, size_t len)
{
    b->len = len;
    if (b->data) b->data[len] = '\0';
}

static void note_leaf(recent *r, arena *a, const char *pointer)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->leaves[i], pointer) == 0) return;
    r->bytes += strlen(pointer) + strlen("\"\",");
    r->whole = r->whole || r->bytes > RECENT_MAX; /* the list cannot hold this stamp */
    if (r->whole) return;
    r->leaves = arena_grow_list(a, r->leaves, r->count, &r->capacity, sizeof *r->leaves);
    r->leaves[r->count++] = arena_strdup(a, pointer);
}

static void note_members(recent *r, arena *a, const kind *k, const json_t *members, strbuf *pointer)
{
    const char *name;
    json_t *value;
    size_t len = pointer->len;
    json_object_foreach((json_t *)members, name, value)
    {
        pointer_add(pointer, name);
        bool branch = json_object_size(value) > 0 && !(len == 0 && kind_is_set(k, name));
        if (branch && pointer->len <= RECENT_MAX)
            note_members(r, a, k, value, pointer);
        else
            note_leaf(r, a, pointer->data);
        cut(pointer, len);
        if (r->whole) return;
    }
}

void recent_note(recent *r, arena *a, const kind *k, const json_t *data)
{
    strbuf pointer = STRBUF(a);
    if (!r->whole) note_members(r, a, k, data, &pointer);
}

/* The list as it is read and written */

typedef struct entry {
    int64_t stamp;
    const char *leaf;
    size_t bytes; /* of the leaf as JSON */
} entry;

typedef struct list {
    int64_t from;
    entry *entries; /* the oldest first */
    size_t count, capacity;
} list;

static list list_of(int64_t from)
{
    return (list){.from = from};
}

static void list_add(list *l, arena *a, int64_t stamp, const char *leaf)
{
    strbuf text = STRBUF(a);
    json_write_string(&text, leaf, strlen(leaf));
    l->entries = arena_grow_list(a, l->entries, l->count, &l->capacity, sizeof *l->entries);
    l->entries[l->count++] = (entry){stamp, leaf, text.len};
}

/* The list of a row with the stamp `version`. An unknown one begins at that stamp. */
static list list_read(arena *a, const char *text, int64_t version)
{
    list l = list_of(version);
    const json_t *array = text ? json_parse(a, text, strlen(text), NULL) : NULL;
    if (json_is_array(array) && json_array_size(array) == 0) l.from = INT64_MAX;
    const json_t *of = json_array_get(array, 0), *from = json_array_get(array, 1);
    if (!json_is_integer(of) || json_integer_value(of) != version) return l;
    if (!json_is_integer(from) || json_integer_value(from) < CLOCK_MIN) return l;
    int64_t stamp = MERGE_NEVER;
    list known = list_of(json_integer_value(from));
    for (size_t i = 2; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        if (json_is_integer(item))
            stamp = json_integer_value(item);
        else if (json_is_string(item) && stamp > known.from && stamp <= version)
            list_add(&known, a, stamp, json_string_value(item));
        else
            return l;
    }
    return known;
}

/* The bytes of the list's text from entry `first` on: a comma before each stamp and leaf. */
static size_t list_bytes(const list *l, size_t first)
{
    enum { NUMBER = 16 }; /* bytes of a stamp up to CLOCK_MAX and its comma */
    size_t bytes = 2 * NUMBER + strlen("[]");
    for (size_t i = first; i < l->count; i++) {
        if (i == first || l->entries[i].stamp != l->entries[i - 1].stamp) bytes += NUMBER;
        bytes += l->entries[i].bytes + 1;
    }
    return bytes;
}

/* Drops whole stamps, the oldest first, until the text is small enough. */
static void list_trim(list *l)
{
    size_t first = 0;
    while (first < l->count && list_bytes(l, first) > RECENT_MAX) {
        l->from = l->entries[first].stamp;
        while (first < l->count && l->entries[first].stamp == l->from) first++;
    }
    if (first == 0) return;
    l->entries += first;
    l->count -= first;
}

static void list_write(const list *l, int64_t version, strbuf *out)
{
    strbuf_putc(out, '[');
    strbuf_int(out, version);
    strbuf_putc(out, ',');
    strbuf_int(out, l->from);
    for (size_t i = 0; i < l->count; i++) {
        const entry *e = &l->entries[i];
        if (i == 0 || e->stamp != e[-1].stamp) {
            strbuf_putc(out, ',');
            strbuf_int(out, e->stamp);
        }
        strbuf_putc(out, ',');
        json_write_string(out, e->leaf, strlen(e->leaf));
    }
    strbuf_putc(out, ']');
}

static bool is_noted(const recent *r, const char *leaf)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->leaves[i], leaf) == 0) return true;
    return false;
}

void recent_write(const recent *r, int64_t version, int64_t stamp, strbuf *out)
{
    list next = list_of(stamp);
    if (!r->whole && version != MERGE_NEVER) {
        const list before = list_read(out->a, r->text, version);
        if (before.from != INT64_MAX) next.from = before.from;
        for (size_t i = 0; before.from != INT64_MAX && i < before.count; i++)
            if (!is_noted(r, before.entries[i].leaf))
                list_add(&next, out->a, before.entries[i].stamp, before.entries[i].leaf);
        for (size_t i = 0; next.from < stamp && i < r->count; i++) list_add(&next, out->a, stamp, r->leaves[i]);
        list_trim(&next);
    }
    if (next.count > 0 || next.from < stamp) list_write(&next, stamp, out);
}

/* Patches */

/* Whether the name at the head of `pointer` ("/name/…") is that of the member; *rest: what follows it. */
static bool leads_to(const char *pointer, const char *name, const char **rest)
{
    const char *p = pointer + 1;
    for (; *p && *p != '/'; p++, name++) {
        char c = *p;
        if (c == '~' && p[1]) c = *++p == '1' ? '/' : '~';
        if (*name != c) return false;
    }
    *rest = p;
    return *name == '\0';
}

typedef struct pointers {
    const char **list;
    size_t count;
} pointers;

static bool write_members(arena *a, const char *text, size_t len, pointers p, strbuf *out);

/* Writes what the pointers of `p` lead to: those that begin with the same name as the first one are taken out. */
static bool write_member(arena *a, const json_slice *members, size_t count, pointers *p, strbuf *out)
{
    const char *rest;
    const json_slice *m = NULL;
    for (size_t i = 0; i < count && !m; i++)
        if (leads_to(p->list[0], members[i].key, &rest)) m = &members[i];
    if (!m) return false;
    pointers below = {arena_alloc(a, p->count * sizeof *below.list), 0}, others = {p->list, 0};
    for (size_t i = 0; i < p->count; i++)
        if (leads_to(p->list[i], m->key, &rest))
            below.list[below.count++] = rest;
        else
            others.list[others.count++] = p->list[i];
    *p = others;
    json_write_name(out, m->key);
    if (*m->text == '{') return write_members(a, m->text, m->len, below, out);
    strbuf_add(out, m->text, m->len);
    for (size_t i = 0; i < below.count; i++)
        if (*below.list[i] != '\0') return false; /* the pointer leads further, to nothing */
    return true;
}

static bool write_members(arena *a, const char *text, size_t len, pointers p, strbuf *out)
{
    json_slice *members;
    size_t count;
    json_fault fault;
    for (size_t i = 0; i < p.count; i++)
        if (*p.list[i] != '/') return false; /* a pointer ends at an object */
    if (!json_split(a, '{', text, len, SIZE_MAX, &members, &count, &fault)) return false;
    strbuf_putc(out, '{');
    while (p.count > 0)
        if (!write_member(a, members, count, &p, out)) return false;
    strbuf_putc(out, '}');
    return true;
}

bool recent_patch(arena *a, const char *text, int64_t version, int64_t base, const char *data, strbuf *out)
{
    if (!text) return false;
    const list l = list_read(a, text, version);
    if (l.from > base) return false;
    pointers p = {arena_alloc(a, (l.count + 1) * sizeof *p.list), 0};
    for (size_t i = 0; i < l.count; i++)
        if (l.entries[i].stamp > base) p.list[p.count++] = l.entries[i].leaf;
    return write_members(a, data, strlen(data), p, out);
}
