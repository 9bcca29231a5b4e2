/*
 * The promise of merge.h, over thousands of random histories: the outcome is the same in whatever order edits arrive,
 * however often they are repeated and however they are batched.
 *
 * A history is some edits of random trees over few names, so that they collide. It is run in several random orders,
 * with repetitions, in requests of random size; between requests the state goes through text and back. What is there at
 * the end must be what the oracle says, which is the definition put into two loops over all writes: it keeps no state.
 *
 * BOOKY_SEED repeats a run, BOOKY_HISTORIES makes it longer. A failure is shrunk and printed as a row for test_merge.c.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "merge.h"

enum { EDITS = 8, STEPS = 2 * EDITS, ORDERS = 6, DEPTH = 4 };

typedef struct step {
    const merge_edit *edit;
    bool store; /* after this edit the request ends */
} step;

typedef struct steps {
    size_t count;
    step list[STEPS];
} steps;

static arena *a; /* of one history: its edits */
static arena *t; /* of one run */
static uint64_t state;

static uint64_t rnd(void)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

static bool chance(unsigned percent)
{
    return rnd() % 100 < percent;
}

static void release(void *value)
{
    json_decref(value);
}

static json_t *keep(arena *owner, json_t *value)
{
    arena_defer(owner, release, value);
    return value;
}

/* Random edits */

static json_t *random_object(int depth);

static json_t *random_value(int depth)
{
    unsigned pick = rnd() % 12;
    if (pick < 4) return json_integer((json_int_t)(rnd() % 3));
    if (pick == 4) return json_null();
    if (pick == 5) return json_pack("[i]", (int)(rnd() % 2));
    if (pick == 6) return json_string("text");
    if (pick == 7) return json_object();
    return depth < DEPTH ? random_object(depth + 1) : json_true();
}

static json_t *random_object(int depth)
{
    static const char *const names[] = {"a", "a", "a", "b", "b", "c", "~", "/", ""};
    json_t *object = json_object();
    for (unsigned count = 1 + rnd() % 3; count > 0; count--)
        json_object_set_new(object, names[rnd() % (sizeof names / sizeof *names)], random_value(depth));
    return object;
}

static merge_edit random_edit(int64_t at)
{
    unsigned pick = rnd() % 100;
    merge_edit edit = {pick < 75 ? MERGE_PATCH : pick < 88 ? MERGE_DELETE : MERGE_REPLACE, NULL, at};
    if (edit.type != MERGE_DELETE) edit.data = keep(a, chance(4) ? json_object() : random_object(1));
    return edit;
}

/* The oracle */

/* When a write counts: by its timestamp; at equal ones the earlier request, and in a request the later edit. */
typedef struct rank {
    int64_t at;
    size_t request, position;
} rank;

typedef struct write {
    const char *path;    /* each name after a \x1F; "" is the whole tree */
    const json_t *value; /* NULL: takes all below the path away, and puts nothing there (a replacement of the tree) */
    rank rank;
} write;

typedef struct model {
    write writes[2048];
    size_t count;
    rank edited, deleted; /* .at == MERGE_NEVER: none */
} model;

static bool is_later(rank x, rank y)
{
    if (x.at != y.at) return x.at > y.at;
    return x.request != y.request ? x.request < y.request : x.position > y.position;
}

static bool is_empty_object(const json_t *value)
{
    return json_is_object(value) && json_object_size(value) == 0;
}

static bool is_within(const char *path, const char *above)
{
    size_t len = strlen(above);
    return strncmp(path, above, len) == 0 && (path[len] == '\0' || path[len] == '\x1F');
}

static void model_add(model *m, const char *path, const json_t *value, rank r)
{
    const char *name;
    json_t *member;
    if (!json_is_object(value) || (is_empty_object(value) && *path)) m->writes[m->count++] = (write){path, value, r};
    json_object_foreach((json_t *)value, name, member) model_add(m, arena_printf(t, "%s\x1F%s", path, name), member, r);
}

/* Alive: no later write of a leaf at the same path or above. (An empty object takes nothing away.) */
static bool is_alive(const model *m, const write *w)
{
    for (const write *x = m->writes; x < m->writes + m->count; x++)
        if (!is_empty_object(x->value) && is_within(w->path, x->path) && is_later(x->rank, w->rank)) return false;
    return w->value != NULL;
}

/* Visible: alive, and of a leaf, nothing alive makes an object of its place. */
static bool is_visible(const model *m, const write *w)
{
    if (!is_alive(m, w)) return false;
    for (const write *x = m->writes; x < m->writes + m->count; x++)
        if (is_within(x->path, w->path) && (strlen(x->path) > strlen(w->path) || is_empty_object(x->value)) &&
            !is_empty_object(w->value) && is_alive(m, x))
            return false;
    return true;
}

static void put(json_t *tree, const char *path, const json_t *value)
{
    for (;;) {
        const char *name = path + 1;
        path = name + strcspn(name, "\x1F");
        const char *key = arena_strndup(t, name, (size_t)(path - name));
        json_t *member = json_object_get(tree, key);
        if (!*path && json_is_object(value) && json_is_object(member)) return;
        if (!*path) json_object_set_new(tree, key, json_deep_copy(value));
        if (!*path) return;
        if (!json_is_object(member)) json_object_set_new(tree, key, json_object());
        tree = json_object_get(tree, key);
    }
}

static const char *canonical(const json_t *tree, int64_t edited, int64_t deleted)
{
    char *text = json_dumps(tree, JSON_SORT_KEYS | JSON_COMPACT);
    const char *all = arena_printf(t, "%s, edited %lld, deleted %lld", text, (long long)edited, (long long)deleted);
    free(text);
    return all;
}

static const char *oracle(const steps *s)
{
    model *m = arena_alloc(t, sizeof *m);
    m->edited.at = m->deleted.at = MERGE_NEVER;
    size_t request = 0;
    for (size_t i = 0; i < s->count; i++) {
        const merge_edit *e = s->list[i].edit;
        rank r = {e->at, request, i}, *latest = e->type == MERGE_DELETE ? &m->deleted : &m->edited;
        if (is_later(r, *latest)) *latest = r;
        if (e->type == MERGE_REPLACE) m->writes[m->count++] = (write){"", NULL, r};
        if (e->type != MERGE_DELETE) model_add(m, "", e->data, r);
        if (s->list[i].store) request++;
    }
    json_t *tree = keep(t, json_object());
    for (const write *w = m->writes; w < m->writes + m->count; w++)
        if (is_visible(m, w)) put(tree, w->path, w->value);
    bool deleted = m->deleted.at != MERGE_NEVER && is_later(m->deleted, m->edited);
    return canonical(tree, m->edited.at, deleted ? m->deleted.at : MERGE_NEVER);
}

/* Running */

static json_t *parse(const char *text)
{
    json_fault fault;
    json_t *value = json_read(t, text, strlen(text), 64, &fault);
    if (!value) ck_abort_msg("%s: %s", text, fault.message);
    return value;
}

static const char *tree_of(const merge_state *s)
{
    strbuf out = STRBUF(t);
    merge_write(s, &out);
    return out.data;
}

static const char *stored(const merge_state *s, merge_row *row)
{
    strbuf marks = STRBUF(t);
    *row = (merge_row){NULL, NULL, merge_write_marks(s, &marks), merge_edited(s), merge_deleted(s)};
    row->marks = marks.data;
    row->data = tree_of(s);
    return arena_printf(t, "%s %s base %lld edited %lld deleted %lld", row->data, marks.data ? marks.data : "{}",
                        (long long)row->base, (long long)row->edited, (long long)row->deleted);
}

/* How many leaves of `data` the tree does not show. */
static size_t missing(const json_t *tree, const json_t *data)
{
    size_t count = 0;
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)data, name, value) {
        const json_t *there = json_object_get(tree, name);
        if (is_empty_object(value)) count += !json_is_object(there);
        else if (json_is_object(value)) count += missing(there, value);
        else count += !there || !json_equal(there, value);
    }
    return count;
}

static const char *effect_text(const merge_effect *e)
{
    return arena_printf(t, "applied %zu, lost %zu, differing %zu, late %d, changed %d", e->applied, e->lost,
                        e->differing, e->late, e->changed);
}

/* Applies one edit and holds its effect against what can be seen before and after; with `exact`, `changed` must not be
 * said in vain either. Returns a complaint or NULL. */
static const char *apply(merge_state *s, const merge_edit *edit, bool exact)
{
    merge_row before, after;
    const char *was = stored(s, &before);
    merge_effect foretold = merge_apply(s, edit, true);
    const char *is = stored(s, &after);
    if (strcmp(was, is) != 0) return arena_printf(t, "a dry run changes\n  %s\nto\n  %s", was, is);
    merge_effect effect = merge_apply(s, edit, false);
    is = stored(s, &after);
    const char *told = effect_text(&effect);
    if (strcmp(told, effect_text(&foretold)) != 0)
        return arena_printf(t, "a dry run says %s, but it is %s", effect_text(&foretold), told);
    bool changed = strcmp(was, is) != 0;
    if (changed ? !effect.changed : effect.changed && exact) return arena_printf(t, "%s: %s\n  was %s", told, is, was);
    if (effect.late != (merge_is_deleted(s) != (edit->type == MERGE_DELETE)))
        return arena_printf(t, "%s: %s", told, is);
    if (edit->type == MERGE_DELETE) return NULL;
    if (effect.lost != missing(parse(after.data), edit->data)) return arena_printf(t, "%s: %s", told, is);
    if (effect.differing != missing(parse(before.data), edit->data)) return arena_printf(t, "%s: was %s", told, was);
    return NULL;
}

/* Returns a complaint, or NULL when all is as it should be. */
static const char *run(const steps *s)
{
    arena_reset(t);
    merge_state *m = merge_new(t);
    size_t begin = 0; /* of the request */
    for (size_t i = 0; i < s->count; i++) {
        bool exact = true; /* no other edit of this time in the request */
        for (size_t j = begin; j < i; j++) exact = exact && s->list[j].edit->at != s->list[i].edit->at;
        const char *complaint = apply(m, s->list[i].edit, exact);
        if (complaint) return arena_printf(t, "edit %zu: %s", i, complaint);
        if (!s->list[i].store) continue;
        begin = i + 1;
        merge_row row;
        const char *was = stored(m, &row);
        m = merge_load(t, &row);
        const char *is = stored(m, &row);
        if (!merge_is(m, parse(row.data))) return arena_printf(t, "edit %zu: what is loaded is not\n  %s", i, row.data);
        if (strcmp(was, is) != 0) return arena_printf(t, "edit %zu: storing changes\n  %s\nto\n  %s", i, was, is);
    }
    const char *is = canonical(parse(tree_of(m)), merge_edited(m), merge_deleted(m)), *should = oracle(s);
    return strcmp(is, should) == 0 ? NULL : arena_printf(t, "there is\n  %s\nand should be\n  %s", is, should);
}

/* Shrinking */

/* Removes the member number *n, counted through the whole tree. */
static bool remove_member(json_t *object, size_t *n)
{
    const char *name;
    json_t *value;
    json_object_foreach (object, name, value) {
        if ((*n)-- == 0) return json_object_del(object, name) == 0;
        if (remove_member(value, n)) return true;
    }
    return false;
}

/* Tries the steps without step number `n`, then with one member less in its edit. */
static bool shrink_at(steps *s, size_t n)
{
    steps fewer = *s;
    memmove(fewer.list + n, fewer.list + n + 1, (--fewer.count - n) * sizeof *fewer.list);
    if (run(&fewer)) return *s = fewer, true;
    for (size_t member = 0; s->list[n].edit->data; member++) {
        size_t at = member;
        merge_edit *edit = arena_alloc(a, sizeof *edit);
        json_t *data = keep(a, json_deep_copy(s->list[n].edit->data));
        if (!remove_member(data, &at)) return false;
        *edit = (merge_edit){s->list[n].edit->type, data, s->list[n].edit->at};
        fewer = *s;
        for (size_t i = 0; i < s->count; i++)
            if (s->list[i].edit == s->list[n].edit) fewer.list[i].edit = edit;
        if (run(&fewer)) return *s = fewer, true;
    }
    return false;
}

static void complain(steps s, const char *seed)
{
    for (size_t n = 0; n < s.count;) n = shrink_at(&s, n) ? 0 : n + 1;
    strbuf row = STRBUF(a);
    for (size_t i = 0; i < s.count; i++) {
        static const char *const types[] = {"patch ", "replace ", "delete"};
        const merge_edit *e = s.list[i].edit;
        strbuf_printf(&row, "  %lld %s", (long long)e->at, types[e->type]);
        if (e->data) json_write(&row, e->data);
        strbuf_puts(&row, s.list[i].store ? "\n  store\n" : "\n");
    }
    ck_abort_msg("%s:\n%s%s", seed, row.data, run(&s));
}

/* Histories */

static void shuffle(step *list, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = rnd() % i;
        step swapped = list[i - 1];
        list[i - 1] = list[j];
        list[j] = swapped;
    }
}

/* By time, backwards, then at random with repetitions; one request each, one for all, then at random. */
static steps random_steps(const merge_edit *edits, size_t count, int order)
{
    steps s = {0};
    unsigned stores = order < 2 ? 100 : order == 2 ? 0 : (unsigned)(rnd() % 101);
    for (size_t i = 0; i < count; i++) s.list[s.count++].edit = &edits[order == 1 ? count - 1 - i : i];
    for (size_t i = 0; order > 1 && i < count; i++)
        if (chance(30)) s.list[s.count++].edit = &edits[i];
    if (order > 1) shuffle(s.list, s.count);
    for (size_t i = 0; i < s.count; i++) s.list[i].store = chance(stores);
    return s;
}

static void run_histories(bool distinct)
{
    const char *set = getenv("BOOKY_SEED"), *length = getenv("BOOKY_HISTORIES");
    uint64_t seed = set ? strtoull(set, NULL, 10) : (uint64_t)clock_monotonic_us();
    long histories = length ? strtol(length, NULL, 10) : 4000;
    char text[64];
    snprintf(text, sizeof text, "BOOKY_SEED=%llu", (unsigned long long)seed);
    printf("merge_property, %s times: %s\n", distinct ? "distinct" : "equal", text);
    fflush(stdout);
    state = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1;
    a = arena_new();
    t = arena_new();
    for (long h = 0; h < histories; h++) {
        merge_edit edits[EDITS];
        size_t count = 2 + rnd() % (EDITS - 1);
        for (size_t i = 0; i < count; i++)
            edits[i] = random_edit(distinct ? 10 * (int64_t)(i + 1) : (int64_t)(1 + rnd() % 3));
        for (int order = 0; order < ORDERS; order++) {
            steps s = random_steps(edits, count, order);
            if (run(&s)) complain(s, text);
        }
        arena_reset(a);
    }
    arena_free(a);
    arena_free(t);
}

START_TEST(the_order_of_arrival_does_not_matter)
{
    run_histories(true);
}
END_TEST

/* Here it does, in the way that api.md says: the server's value stays; in one request the later edit wins. */
START_TEST(equal_times_are_settled_by_the_rule)
{
    run_histories(false);
}
END_TEST

Suite *suite_merge_property(void)
{
    Suite *s = suite_create("merge_property");
    TCase *c = tcase_create("merge_property");
    tcase_set_timeout(c, 600);
    tcase_add_test(c, the_order_of_arrival_does_not_matter);
    tcase_add_test(c, equal_times_are_settled_by_the_rule);
    suite_add_tcase(s, c);
    return s;
}
