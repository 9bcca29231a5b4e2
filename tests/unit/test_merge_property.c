/*
 * The promise of merge.h, tested with thousands of random histories: the outcome does not depend on the order in which
 * edits arrive, on how often they are repeated or on how they are batched.
 *
 * A history is a few edits of random trees over few names, so that they collide. It runs in several random orders, with
 * repetitions, in requests of random size. Between requests the state is written as text and loaded again, sometimes
 * from the form that version 1 wrote. The outcome must be that of the oracle.
 *
 * BOOKY_SEED repeats a run, BOOKY_HISTORIES makes it longer. A failure is reduced and printed like a case of
 * merge_cases.h.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "engine/merge.h"
#include "merge_oracle.h"
#include "merge_random.h"

enum { ORDERS = 6 };

static arena *history_arena; /* the edits of one history */
static arena *run_arena;     /* one run of it */

/* Running */

static json_t *parse(const char *text)
{
    json_fault fault;
    json_t *value = json_read(run_arena, text, strlen(text), 64, &fault);
    if (!value) ck_abort_msg("%s: %s", text, fault.message);
    return value;
}

static const char *tree_of(const merge_state *s)
{
    strbuf out = STRBUF(run_arena);
    merge_write(s, &out);
    return out.data;
}

static const char *stored(merge_state *s, merge_row *row)
{
    strbuf marks = STRBUF(run_arena);
    *row = (merge_row){.sets = oracle_sets,
                       .base = merge_write_marks(s, &marks),
                       .edited = merge_edited(s),
                       .deleted = merge_deleted(s)};
    row->marks = marks.data;
    row->data = tree_of(s);
    return arena_printf(run_arena, "%s %s base %lld edited %lld deleted %lld", row->data,
                        marks.data ? marks.data : "{}", (long long)row->base, (long long)row->edited,
                        (long long)row->deleted);
}

/* The number of leaves of `data` that the tree does not have. */
static size_t missing(const json_t *tree, const json_t *data)
{
    size_t count = 0;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)data, name, value)
    {
        const json_t *found = json_object_get(tree, name);
        if (is_oracle_set(name)) continue; /* see told_of_sets */
        if (is_empty_object(value))
            count += !json_is_object(found);
        else if (json_is_object(value))
            count += missing(found, value);
        else
            count += !found || !json_equal(found, value);
    }
    return count;
}

static bool has_sets(const json_t *data)
{
    for (const char *const *name = oracle_sets; *name; name++)
        if (json_object_get(data, *name)) return true;
    return false;
}

/* Whether the effect of an edit on sets is reported: if nothing is lost or unlike, each set shows what the sender makes
 * of the version before. */
static bool told_of_sets(const json_t *before, const json_t *after, const merge_edit *edit, const merge_effect *effect)
{
    if (effect->lost > 0 || effect->unlike) return true;
    for (const char *const *name = oracle_sets; *name; name++) {
        json_t *sent = json_object_get(edit->data, *name), *was = json_object_get(before, *name);
        if (!sent) continue;
        bool change = edit->type == MERGE_PATCH && json_is_object(sent) &&
                      (json_object_get(sent, "$add") || json_object_get(sent, "$remove"));
        json_t *believed = keep(run_arena, change ? oracle_change(was, sent) : json_incref(sent));
        const json_t *is = json_object_get(after, *name);
        if (!is || !json_same(is, believed)) return false;
    }
    return true;
}

static const char *effect_text(const merge_effect *e)
{
    return arena_printf(run_arena, "applied %zu, lost %zu, differing %zu of %zu, unlike %d, late %d, changed %d",
                        e->applied, e->lost, e->overwritten, e->differing, e->unlike, e->late, e->changed);
}

/* Applies one edit and compares its effect with the states before and after it. With `exact`, `changed` must also be
 * false when nothing changed. Returns a complaint or NULL. */
static const char *apply(merge_state *s, const merge_edit *edit, bool exact)
{
    merge_row before, after;
    const char *was = stored(s, &before);
    merge_effect dry = merge_apply(s, edit, true);
    const char *is = stored(s, &after);
    if (strcmp(was, is) != 0) return arena_printf(run_arena, "the dry run changes\n  %s\nto\n  %s", was, is);
    merge_effect effect = merge_apply(s, edit, false);
    is = stored(s, &after);
    const char *reported = effect_text(&effect);
    if (strcmp(reported, effect_text(&dry)) != 0)
        return arena_printf(run_arena, "the dry run reports %s, but the effect is %s", effect_text(&dry), reported);
    bool changed = strcmp(was, is) != 0;
    if (changed ? !effect.changed : effect.changed && exact)
        return arena_printf(run_arena, "%s: %s\n  was %s", reported, is, was);
    if (effect.late != (merge_is_deleted(s) != (edit->type == MERGE_DELETE)))
        return arena_printf(run_arena, "%s: %s", reported, is);
    if (edit->type == MERGE_DELETE) return NULL;
    if (!told_of_sets(parse(before.data), parse(after.data), edit, &effect))
        return arena_printf(run_arena, "%s: %s\n  was %s", reported, is, was);
    if (has_sets(edit->data)) return NULL; /* their elements count as leaves */
    if (effect.lost != missing(parse(after.data), edit->data)) return arena_printf(run_arena, "%s: %s", reported, is);
    if (effect.differing != missing(parse(before.data), edit->data))
        return arena_printf(run_arena, "%s: was %s", reported, was);
    return NULL;
}

static size_t text_size(const json_t *data)
{
    strbuf text = STRBUF(run_arena);
    if (data) json_write(&text, data);
    return text.len;
}

/* Returns a complaint, or NULL when the outcome is right. */
static const char *run(const steps *s)
{
    arena_reset(run_arena);
    merge_state *m = merge_new_with(run_arena, oracle_sets);
    size_t begin = 0; /* the first edit of the request */
    for (size_t i = 0; i < s->count; i++) {
        bool exact = true; /* no other edit of this time in the request */
        for (size_t j = begin; j < i; j++) exact = exact && s->list[j].edit->at != s->list[i].edit->at;
        const char *complaint = apply(m, s->list[i].edit, exact);
        if (complaint) return arena_printf(run_arena, "edit %zu: %s", i, complaint);
        if (!s->list[i].store) continue;
        begin = i + 1;
        merge_row row;
        const char *was = stored(m, &row);
        merge_row old = row;
        old.marks = flat_marks(run_arena, row.marks);
        size_t written = strlen(row.data);
        for (size_t j = 0; j <= i; j++) written += text_size(s->list[j].edit->data); /* removals are kept, too */
        if (row.marks && strlen(row.marks) > MERGE_MARKS_PER_BYTE * written + 32)
            return arena_printf(run_arena, "edit %zu: the marks are too large: %s", i, was);
        m = merge_load(run_arena, i % 2 ? &old : &row); /* a row of version 1, and one of this version */
        const char *is = stored(m, &row);
        if (!merge_is(m, parse(row.data)))
            return arena_printf(run_arena, "edit %zu: the loaded state is not\n  %s", i, row.data);
        if (strcmp(was, is) != 0)
            return arena_printf(run_arena, "edit %zu: storing changes\n  %s\nto\n  %s", i, was, is);
    }
    const char *is = canonical(run_arena, parse(tree_of(m)), merge_edited(m), merge_deleted(m));
    const char *expected = oracle(run_arena, s);
    return strcmp(is, expected) == 0 ? NULL
                                     : arena_printf(run_arena, "the outcome is\n  %s\nand not\n  %s", is, expected);
}

/* Two states that share the edits, joined in both directions, also from their stored form: the outcome is that of all
 * edits. With `late` some edits come after that. Returns a complaint or NULL. */
static const char *run_joined(const steps *s, bool late)
{
    enum { SHARES = 4 }; /* of one state, of the other, of both, late */
    arena_reset(run_arena);
    merge_state *m[2] = {merge_new_with(run_arena, oracle_sets), merge_new_with(run_arena, oracle_sets)};
    merge_row rows[2];
    for (size_t i = 0; i < s->count; i++)
        for (size_t j = 0; j < 2; j++)
            if (i % SHARES == j || i % SHARES == 2 || (i % SHARES == 3 && !late))
                merge_apply(m[j], s->list[i].edit, false);
    for (size_t j = 0; j < 2; j++) stored(m[j], &rows[j]);
    const char *expected = oracle(run_arena, s);
    for (size_t j = 0; j < 2; j++) {
        merge_state *to = merge_load(run_arena, &rows[j]), *from = merge_load(run_arena, &rows[1 - j]);
        merge_join(to, from, INT64_MAX, 0);
        merge_row row;
        const char *was = stored(to, &row);
        for (size_t i = 3; late && i < s->count; i += SHARES) merge_apply(to, s->list[i].edit, false);
        const char *is = canonical(run_arena, parse(tree_of(to)), merge_edited(to), merge_deleted(to));
        if (strcmp(is, expected) != 0)
            return arena_printf(run_arena, "joined, the outcome is\n  %s\nand not\n  %s", is, expected);
        to = merge_load(run_arena, &row);
        if (merge_join(to, merge_load(run_arena, &rows[1 - j]), INT64_MAX, 0) || strcmp(was, stored(to, &row)) != 0)
            return arena_printf(run_arena, "joined again, %s becomes\n  %s", was, stored(to, &row));
    }
    return NULL;
}

/* Shrinking */

/* Removes member number *n, counted through the whole tree. */
static bool remove_member(json_t *object, size_t *n)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if ((*n)-- == 0) return json_object_del(object, name) == 0;
        if (remove_member(value, n)) return true;
    }
    return false;
}

/* Tries the steps without step `n`, then with one member less in its edit. Returns whether they still fail. */
static bool shrink_at(steps *s, size_t n)
{
    steps fewer = *s;
    memmove(fewer.list + n, fewer.list + n + 1, (--fewer.count - n) * sizeof *fewer.list);
    if (run(&fewer)) return *s = fewer, true;
    for (size_t member = 0; s->list[n].edit->data; member++) {
        size_t at = member;
        merge_edit *edit = arena_alloc(history_arena, sizeof *edit);
        json_t *data = keep(history_arena, json_deep_copy(s->list[n].edit->data));
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
    strbuf row = STRBUF(history_arena);
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

/* Order 0 is by time, order 1 is reversed, the others are random with repetitions. Orders 0 and 1 have one request for
 * each edit, order 2 has one request for all, the others have random requests. */
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
    const char *fixed = getenv("BOOKY_SEED"), *length = getenv("BOOKY_HISTORIES");
    uint64_t seed = fixed ? strtoull(fixed, NULL, 10) : (uint64_t)clock_monotonic_us();
    long histories = length ? strtol(length, NULL, 10) : 4000;
    char text[64];
    snprintf(text, sizeof text, "BOOKY_SEED=%llu", (unsigned long long)seed);
    printf("merge_property, %s times: %s\n", distinct ? "distinct" : "equal", text);
    fflush(stdout);
    random_seed(seed);
    history_arena = arena_new();
    run_arena = arena_new();
    for (long h = 0; h < histories; h++) {
        merge_edit edits[EDITS];
        size_t count = 2 + rnd() % (EDITS - 1);
        for (size_t i = 0; i < count; i++)
            edits[i] = random_edit(history_arena, distinct ? 10 * (int64_t)(i + 1) : (int64_t)(1 + rnd() % 3));
        for (int order = 0; order < ORDERS; order++) {
            steps s = random_steps(edits, count, order);
            if (run(&s)) complain(s, text);
            const char *complaint = distinct ? run_joined(&s, chance(50)) : NULL;
            if (complaint) ck_abort_msg("%s: %s", text, complaint);
        }
        arena_reset(history_arena);
    }
    arena_free(history_arena);
    arena_free(run_arena);
}

START_TEST(the_order_of_arrival_does_not_matter)
{
    run_histories(true);
}
END_TEST

/* Here the order matters, as docs/api.md says: the stored value stays, and within one request the later edit wins. */
START_TEST(equal_times_follow_the_rule)
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
    tcase_add_test(c, equal_times_follow_the_rule);
    suite_add_tcase(s, c);
    return s;
}
