#include "engine/merge_tree.h"

#include <string.h>

enum { INDEX_FROM = 40 }; /* children from which a hash finds a key; below that a scan is faster */

node *node_new(arena *a, const char *key)
{
    node *n = arena_alloc(a, sizeof *n);
    n->key = key;
    n->leaf = n->object = mark_never;
    return n;
}

node *node_new_member(const merge_state *s, const char *key)
{
    node *n = node_new(s->a, key);
    for (const char *const *name = s->sets; name && *name; name++) n->is_set |= strcmp(*name, key) == 0;
    return n;
}

void node_copy(arena *a, node *to, const node *from)
{
    *to = *from;
    to->index = NULL;
    to->set = from->set && set_has_times(from->set) ? set_copy(a, from->set) : NULL;
    to->children = NULL;
    to->capacity = to->count;
    if (to->count == 0) return;
    node *copies = arena_alloc(a, to->count * sizeof *copies);
    to->children = arena_alloc(a, to->count * sizeof *to->children);
    for (size_t i = 0; i < to->count; i++) {
        to->children[i] = &copies[i];
        node_copy(a, &copies[i], from->children[i]);
    }
}

static void build_index(arena *a, node *n)
{
    n->index = json_new_object(a);
    for (size_t i = 0; i < n->count; i++) json_put(a, n->index, n->children[i]->key, json_integer((json_int_t)i));
}

node *node_child(arena *a, node *n, const char *key)
{
    if (n->count >= INDEX_FROM) {
        if (!n->index) build_index(a, n);
        const json_t *at = json_object_get(n->index, key);
        return at ? n->children[json_integer_value(at)] : NULL;
    }
    for (size_t i = 0; i < n->count; i++)
        if (*n->children[i]->key == *key && strcmp(n->children[i]->key, key) == 0) return n->children[i];
    return NULL;
}

void node_attach(arena *a, node *n, node *child)
{
    n->children = arena_grow_list(a, n->children, n->count, &n->capacity, sizeof *n->children);
    if (n->index) json_put(a, n->index, child->key, json_integer((json_int_t)n->count));
    n->children[n->count++] = child;
}

bool node_has_times(const node *n)
{
    return n->times.len > 0 || (n->set && set_has_times(n->set));
}

merge_set *node_set(arena *a, node *n)
{
    if (n->set) return n->set;
    if (n->times.len > 0 || (n->shown && !n->value))
        n->set = set_load(a, n->text.text, n->text.len, n->times.text, n->times.len);
    else
        n->set = set_new(a, n->shown ? n->value : NULL);
    n->times.len = 0;
    if (n->shown && n->leaf.at == MARK_NEVER && !set_has_times(n->set))
        n->leaf.at = 0; /* somebody else wrote the times: a leaf needs one */
    return n->set;
}

const json_t *node_value(arena *a, node *n)
{
    if (n->set && set_has_times(n->set)) {
        strbuf text = STRBUF(a);
        set_write(n->set, &text);
        return json_parse(a, text.data, text.len, NULL);
    }
    if (!n->value) n->value = json_parse(a, n->text.text, n->text.len, NULL);
    if (!n->value) n->value = json_null(); /* somebody else wrote it into the database */
    return n->value;
}

/* A string without escapes is compared as text, without parsing the value. */
bool node_has_value(arena *a, node *n, const json_t *value)
{
    const char *text = n->text.text;
    size_t len = n->text.len;
    if (n->is_set && node_has_times(n)) return set_is(node_set(a, n), value);
    if (n->value || !json_is_string(value) || *text != '"' || memchr(text, '\\', len))
        return json_same(node_value(a, n), value);
    return len == json_string_length(value) + 2 && memcmp(text + 1, json_string_value(value), len - 2) == 0;
}

bool node_has_members(arena *a, node *n, const json_t *data)
{
    const char *key;
    json_t *value;
    if (n->count != json_object_size(data)) return false;
    json_object_foreach((json_t *)data, key, value)
    {
        node *child = node_child(a, n, key);
        if (!child || (child->shown == json_is_object(value) && !child->is_set)) return false;
        if (child->shown ? !node_has_value(a, child, value) : !node_has_members(a, child, value)) return false;
    }
    return true;
}

/* A child without anything visible is detached, so the direct children decide. */
bool node_visible(const node *n)
{
    return n->shown || n->object.at != MARK_NEVER || n->count > 0;
}

bool node_is_object(const node *n)
{
    return !n->shown && node_visible(n);
}

bool node_survives(const node *n, int64_t at)
{
    if (!mark_yields_to(n->object, at)) return true;
    for (size_t i = 0; i < n->count; i++) {
        const node *child = n->children[i];
        if ((child->shown && !mark_yields_to(child->leaf, at)) || node_survives(child, at)) return true;
    }
    return false;
}

void node_prune(arena *a, node *n, int64_t at)
{
    size_t kept = 0;
    if (mark_yields_to(n->object, at)) n->object = mark_never;
    for (size_t i = 0; i < n->count; i++) {
        node *child = n->children[i];
        if (mark_yields_to(child->leaf, at)) {
            merge_set *set = node_has_times(child) ? node_set(a, child) : NULL;
            if (set) set_put(set, NULL, at);
            child->leaf = mark_never;
            child->shown = set && set_has_times(set);
            child->set = child->shown ? set : NULL;
        }
        node_prune(a, child, at);
        if (node_visible(child)) n->children[kept++] = child;
    }
    if (kept < n->count) n->index = NULL; /* the positions changed; the arena still owns it */
    n->count = kept;
}
