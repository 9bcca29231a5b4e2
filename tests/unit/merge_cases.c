#include "merge_cases.h"

#include <stdlib.h>
#include <string.h>

const char *unquote(const char *quoted)
{
    char *text = arena_strdup(a, quoted);
    for (char *c = text; *c; c++)
        if (*c == '\'') *c = '"';
    return text;
}

json_t *parse(const char *text)
{
    json_fault fault;
    json_t *value = json_read(a, text, strlen(text), 512, &fault);
    ck_assert_msg(value != NULL, "%s: %s", text, fault.message);
    return value;
}

const char *tree_of(const merge_state *s)
{
    strbuf out = STRBUF(a);
    merge_write(s, &out);
    return out.data;
}

static const char *marks_of(merge_state *s, int64_t *base)
{
    strbuf out = STRBUF(a);
    *base = merge_write_marks(s, &out);
    return out.data ? out.data : "";
}

const char *stored(merge_state *s)
{
    int64_t base;
    const char *marks = marks_of(s, &base);
    return arena_printf(a, "%s %s base %lld edited %lld deleted %lld", tree_of(s), marks, (long long)base,
                        (long long)merge_edited(s), (long long)merge_deleted(s));
}

merge_state *store_and_load(merge_state *s)
{
    merge_row row = {.edited = merge_edited(s), .deleted = merge_deleted(s)};
    const char *marks = marks_of(s, &row.base);
    row.data = tree_of(s);
    row.marks = *marks ? marks : NULL;
    merge_state *loaded = merge_load(a, &row);
    ck_assert_msg(merge_is(loaded, parse(row.data)), "%s", row.data);
    ck_assert_str_eq(stored(loaded), stored(s));
    ck_assert_int_eq(merge_is_deleted(loaded), merge_is_deleted(s));
    return loaded;
}

static bool same_effect(const merge_effect *x, const merge_effect *y)
{
    return x->applied == y->applied && x->lost == y->lost && x->differing == y->differing && x->late == y->late &&
           x->changed == y->changed;
}

static const char *effect_text(const merge_effect *e)
{
    return arena_printf(a, "applied %zu, lost %zu, differing %zu%s%s", e->applied, e->lost, e->differing,
                        e->late ? ", late" : "", e->changed ? ", changed" : "");
}

merge_effect edit_apply(merge_state *s, const char *text)
{
    char *rest;
    merge_edit edit = {.at = strtoll(text, &rest, 10)};
    if (strncmp(rest, " delete", 7) == 0)
        edit.type = MERGE_DELETE;
    else if (strncmp(rest, " replace ", 9) == 0)
        edit = (merge_edit){MERGE_REPLACE, parse(unquote(rest + 9)), edit.at};
    else if (strncmp(rest, " patch ", 7) == 0)
        edit = (merge_edit){MERGE_PATCH, parse(unquote(rest + 7)), edit.at};
    else
        ck_abort_msg("%s: not an edit", text);
    const char *before = stored(s);
    merge_effect dry = merge_apply(s, &edit, true);
    ck_assert_str_eq(stored(s), before);
    merge_effect effect = merge_apply(s, &edit, false);
    ck_assert_msg(same_effect(&dry, &effect), "%s: the dry run reports %s, but the effect is %s", text,
                  effect_text(&dry), effect_text(&effect));
    ck_assert_msg(effect.changed || strcmp(stored(s), before) == 0, "%s: changed without saying so: %s", text,
                  stored(s));
    return effect;
}

void merge_case_check(const merge_case *c, bool one_request)
{
    merge_state *s = merge_new(a);
    merge_effect effect = {0};
    for (int i = 0; i < CASE_EDITS && c->edits[i]; i++) {
        bool store = strcmp(c->edits[i], "store") == 0;
        if (!store) effect = edit_apply(s, c->edits[i]);
        if (store || !one_request) s = store_and_load(s);
    }
    const char *how = one_request ? "in one request" : "in many requests";
    bool deleted = strncmp(c->tree, "deleted ", 8) == 0;
    const char *tree = unquote(c->tree + (deleted ? 8 : 0));
    ck_assert_msg(strcmp(tree_of(s), tree) == 0, "%s, %s: %s", c->name, how, tree_of(s));
    ck_assert_msg(merge_is_deleted(s) == deleted, "%s, %s: %s", c->name, how, deleted ? "not deleted" : "deleted");
    if (c->effect)
        ck_assert_msg(strcmp(effect_text(&effect), c->effect) == 0, "%s, %s: %s", c->name, how, effect_text(&effect));
    int64_t base;
    const char *marks = marks_of(s, &base);
    if (c->marks) ck_assert_msg(strcmp(marks, unquote(c->marks)) == 0, "%s, %s: %s", c->name, how, marks);
}
