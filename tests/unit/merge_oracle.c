#include "merge_oracle.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* What decides between two writes: the timestamp, then the earlier request, then the later edit of the request. */
typedef struct rank {
    int64_t at;
    size_t request, position;
} rank;

typedef struct write {
    const char *path;    /* each name after a \x1F; "" is the whole tree */
    const json_t *value; /* NULL: removes everything below the path and adds nothing (a replacement of the tree) */
    rank rank;
    bool is_patch;
} write;

typedef struct model {
    arena *a;
    write writes[2048];
    size_t count;
    write sets[2 * STEPS * 3]; /* of members that are sets, and replacements (with the path "") */
    size_t set_count;
    bool patches;         /* the edit at hand */
    rank edited, deleted; /* .at == MERGE_NEVER: none */
} model;

static bool is_later(rank x, rank y)
{
    if (x.at != y.at) return x.at > y.at;
    return x.request != y.request ? x.request < y.request : x.position > y.position;
}

bool is_empty_object(const json_t *value)
{
    return json_is_object(value) && json_object_size(value) == 0;
}

static bool is_within(const char *path, const char *above)
{
    size_t len = strlen(above);
    return strncmp(path, above, len) == 0 && (path[len] == '\0' || path[len] == '\x1F');
}

const char *const oracle_sets[] = {"s", "t", NULL};

bool is_oracle_set(const char *name)
{
    for (const char *const *set = oracle_sets; *set; set++)
        if (strcmp(*set, name) == 0) return true;
    return false;
}

static void model_add(model *m, const char *path, const json_t *value, rank r)
{
    if (*path && !strchr(path + 1, '\x1F') && is_oracle_set(path + 1)) {
        m->sets[m->set_count++] = (write){path + 1, value, r, m->patches};
        return;
    }
    const char *name;
    json_t *member;
    if (!json_is_object(value) || (is_empty_object(value) && *path))
        m->writes[m->count++] = (write){path, value, r, false};
    json_object_foreach((json_t *)value, name, member)
        model_add(m, arena_printf(m->a, "%s\x1F%s", path, name), member, r);
}

/* Alive: there is no later write of a leaf at the same path or above. An empty object removes nothing. */
static bool is_alive(const model *m, const write *w)
{
    for (const write *x = m->writes; x < m->writes + m->count; x++)
        if (!is_empty_object(x->value) && is_within(w->path, x->path) && is_later(x->rank, w->rank)) return false;
    return w->value != NULL;
}

/* Visible: alive, and in the case of a leaf, no other live write needs an object at its path. */
static bool is_visible(const model *m, const write *w)
{
    if (!is_alive(m, w)) return false;
    for (const write *x = m->writes; x < m->writes + m->count; x++)
        if (is_within(x->path, w->path) && (strlen(x->path) > strlen(w->path) || is_empty_object(x->value)) &&
            !is_empty_object(w->value) && is_alive(m, x))
            return false;
    return true;
}

static void put(const model *m, json_t *tree, const char *path, const json_t *value)
{
    for (;;) {
        const char *name = path + 1;
        path = name + strcspn(name, "\x1F");
        const char *key = arena_strndup(m->a, name, (size_t)(path - name));
        json_t *member = json_object_get(tree, key);
        if (!*path && json_is_object(value) && json_is_object(member)) return;
        if (!*path) json_object_set_new(tree, key, json_deep_copy(value));
        if (!*path) return;
        if (!json_is_object(member)) json_object_set_new(tree, key, json_object());
        tree = json_object_get(tree, key);
    }
}

/* Sets */

static bool is_change(const write *w)
{
    return w->is_patch && (json_object_get(w->value, "$add") || json_object_get(w->value, "$remove"));
}

/* An edit of one element. */
typedef struct element {
    const json_t *value;
    rank rank;
    size_t index; /* in its operation */
    bool added;
} element;

static bool contains(const json_t *list, const json_t *value, size_t before)
{
    size_t i;
    json_t *other;
    json_array_foreach(list, i, other) if (i < before && json_same(other, value)) return true;
    return false;
}

/* The latest edit of `value` after `whole`; false when there is none. */
static bool latest_edit(const model *m, const char *name, const write *whole, const json_t *value, element *found)
{
    static const char *const lists[] = {"$add", "$remove"};
    bool any = false;
    for (const write *w = m->sets; w < m->sets + m->set_count; w++) {
        if (strcmp(w->path, name) != 0 || !is_change(w) || (whole && !is_later(w->rank, whole->rank))) continue;
        for (int i = 0; i < 2; i++) {
            size_t index;
            json_t *other;
            json_array_foreach(json_object_get(w->value, lists[i]), index, other)
            {
                if (!json_same(other, value) || (any && !is_later(w->rank, found->rank))) continue;
                *found = (element){other, w->rank, index, i == 0};
                any = true;
            }
        }
    }
    return any;
}

static bool comes_before(const element *x, const element *y)
{
    if (x->rank.at != y->rank.at) return x->rank.at < y->rank.at;
    if (x->rank.position != y->rank.position) return x->rank.position < y->rank.position;
    return x->index < y->index;
}

static void put_set(const model *m, json_t *tree, const char *name)
{
    const write *whole = NULL;
    element added[64], e;
    size_t count = 0, index;
    bool touched = false;
    json_t *value, *list = json_array();
    for (const write *w = m->sets; w < m->sets + m->set_count; w++) {
        bool replaces = !*w->path || (strcmp(w->path, name) == 0 && !is_change(w));
        if (replaces && (!whole || !is_later(whole->rank, w->rank))) whole = w; /* in a replacement its member */
    }
    const json_t *last = whole ? whole->value : NULL;
    json_array_foreach(last, index, value) if (!latest_edit(m, name, whole, value, &e)) json_array_append(list, value);
    for (const write *w = m->sets; w < m->sets + m->set_count; w++) {
        if (strcmp(w->path, name) != 0 || !is_change(w) || (whole && !is_later(w->rank, whole->rank))) continue;
        touched = true;
        json_array_foreach(json_object_get(w->value, "$add"), index, value)
        {
            latest_edit(m, name, whole, value, &e);
            size_t i = 0;
            while (i < count && !json_same(added[i].value, value)) i++;
            if (e.added && i == count) added[count++] = e;
        }
    }
    while (count > 0) {
        size_t first = 0;
        for (size_t i = 1; i < count; i++)
            if (comes_before(&added[i], &added[first])) first = i;
        json_array_append(list, (json_t *)added[first].value);
        added[first] = added[--count];
    }
    if (json_array_size(list) > 0 || json_is_array(last) || (touched && !json_is_null(last)))
        json_object_set(tree, name, list);
    else if (last)
        json_object_set_new(tree, name, json_deep_copy(last));
    json_decref(list);
}

json_t *oracle_change(const json_t *list, const json_t *change)
{
    const json_t *add = json_object_get(change, "$add"), *remove = json_object_get(change, "$remove");
    size_t i;
    json_t *value, *result = json_array();
    if (json_is_null(list) && json_array_size(add) == 0) return json_decref(result), json_null();
    json_array_foreach(list, i, value) if (!contains(add, value, SIZE_MAX) && !contains(remove, value, SIZE_MAX))
        json_array_append(result, value);
    json_array_foreach(add, i, value) if (!contains(add, value, i)) json_array_append(result, value);
    return result;
}

const char *canonical(arena *a, const json_t *tree, int64_t edited, int64_t deleted)
{
    char *text = json_dumps(tree, JSON_SORT_KEYS | JSON_COMPACT);
    const char *all = arena_printf(a, "%s, edited %lld, deleted %lld", text, (long long)edited, (long long)deleted);
    free(text);
    return all;
}

static void flatten(arena *a, const char *pointer, const json_t *marks, json_t *flat)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)marks, name, value)
    {
        const char *whole = arena_printf(a, "%s%s", pointer, name);
        if (*name == '/' && is_oracle_set(name + 1) && !*pointer)
            json_put(a, flat, whole, json_incref(value)); /* version 1 has no sets */
        else if (json_is_object(value))
            flatten(a, whole, value, flat);
        else
            json_put(a, flat, whole, json_incref(value));
    }
}

const char *flat_marks(arena *a, const char *text)
{
    if (!text) return NULL;
    json_t *flat = json_new_object(a);
    flatten(a, "", json_parse(a, text, strlen(text), NULL), flat);
    strbuf out = STRBUF(a);
    json_write(&out, flat);
    return out.data;
}

const char *oracle(arena *a, const steps *s)
{
    model *m = arena_alloc(a, sizeof *m);
    m->a = a;
    m->edited.at = m->deleted.at = MERGE_NEVER;
    size_t request = 0;
    for (size_t i = 0; i < s->count; i++) {
        const merge_edit *e = s->list[i].edit;
        rank r = {e->at, request, i}, *latest = e->type == MERGE_DELETE ? &m->deleted : &m->edited;
        if (is_later(r, *latest)) *latest = r;
        m->patches = e->type == MERGE_PATCH;
        if (e->type == MERGE_REPLACE) m->writes[m->count++] = m->sets[m->set_count++] = (write){"", NULL, r, false};
        if (e->type != MERGE_DELETE) model_add(m, "", e->data, r);
        if (s->list[i].store) request++;
    }
    json_t *tree = json_new_object(a);
    for (const write *w = m->writes; w < m->writes + m->count; w++)
        if (is_visible(m, w)) put(m, tree, w->path, w->value);
    for (const char *const *name = oracle_sets; *name; name++) put_set(m, tree, *name);
    bool deleted = m->deleted.at != MERGE_NEVER && is_later(m->deleted, m->edited);
    return canonical(a, tree, m->edited.at, deleted ? m->deleted.at : MERGE_NEVER);
}
