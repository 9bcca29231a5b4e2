/* merge_set.c, merge_set_row.c: the effect of edits of a set, the form in which it is stored, and the cost. The order
 * of arrival is tested by test_merge_property.c and by the vectors. In the JSON below ' stands for ". */
#include <string.h>
#include <time.h>

#include "merge_cases.h"

static const char *const sets[] = {"s", NULL};

/* Edits of the set `s`, each in a request of its own, and what they come to. */
static const struct {
    const char *name, *edits[CASE_EDITS], *tree, *marks, *effect; /* the effect of the last edit; NULL: not checked */
} cases[] = {
    {"an addition to a list",
     {"10 patch {'s':['a']}", "20 patch {'s':{'$add':['b','c']}}"},
     "{'s':['a','b','c']}",
     "{'/s':{'':10,'add':[[20,2]]}}",
     "applied 2, lost 0, changed"},
    {"additions at several times",
     {"20 patch {'s':{'$add':['b']}}", "10 patch {'s':{'$add':['c','d']}}"},
     "{'s':['c','d','b']}",
     "{'/s':{'add':[[10,2],[20,1]]}}",
     "applied 2, lost 0, unlike, changed"},
    {"removals are kept",
     {"10 patch {'s':['a','b']}", "20 patch {'s':{'$remove':['b','x',{'y':1}]}}"},
     "{'s':['a']}",
     "{'/s':{'':10,'remove':[[20,'b','x',{'y':1}]]}}",
     "applied 3, lost 0, changed"},
    {"an edit later than a removal refuses it",
     {"20 patch {'s':{'$add':['a']}}", "10 patch {'s':{'$remove':['a']}}"},
     "{'s':['a']}",
     "{'/s':{'add':[[20,1]]}}",
     "applied 0, lost 1"},
    {"one of two elements",
     {"20 patch {'s':{'$remove':['a']}}", "10 patch {'s':{'$add':['a','b']}}"},
     "{'s':['b']}",
     "{'/s':{'add':[[10,1]],'remove':[[20,'a']]}}",
     "applied 1, lost 1, unlike, changed"},
    {"the same addition, earlier: it stands where the later one put it",
     {"20 patch {'s':{'$add':['a']}}", "10 patch {'s':{'$add':['a']}}"},
     "{'s':['a']}",
     "{'/s':{'add':[[20,1]]}}",
     "applied 0, lost 0, unlike"},
    {"a later whole write says otherwise",
     {"20 patch {'s':['b']}", "10 patch {'s':{'$add':['a']}}"},
     "{'s':['b']}",
     "",
     "applied 0, lost 1, unlike"},
    {"a later whole write says the same",
     {"20 patch {'s':['b']}", "10 patch {'s':{'$remove':['a']}}"},
     "{'s':['b']}",
     "",
     "applied 0, lost 0"},
    {"a whole write takes earlier edits away",
     {"10 patch {'s':{'$add':['a'],'$remove':['b']}}", "20 patch {'s':['b']}"},
     "{'s':['b']}",
     "",
     "applied 1, lost 0, changed"},
    {"a whole write that disagrees with a later addition",
     {"20 patch {'s':{'$add':['a']}}", "10 patch {'s':['b']}"},
     "{'s':['b','a']}",
     "{'/s':{'':10,'add':[[20,1]]}}",
     "applied 1, lost 1, unlike, changed"},
    {"a whole write that disagrees with a later removal",
     {"20 patch {'s':{'$remove':['a']}}", "10 patch {'s':['a','b']}"},
     "{'s':['b']}",
     "{'/s':{'':10,'remove':[[20,'a']]}}",
     "applied 1, lost 1, unlike, changed"},
    {"a whole write that agrees with later edits",
     {"20 patch {'s':{'$add':['a'],'$remove':['x']}}", "10 patch {'s':['a','b']}"},
     "{'s':['b','a']}",
     "{'/s':{'':10,'add':[[20,1]],'remove':[[20,'x']]}}",
     "applied 1, lost 0, unlike, changed"},
    {"null, added and removed: null, which its sender cannot know",
     {"10 patch {'s':null}", "20 patch {'s':{'$add':['a']}}", "30 patch {'s':{'$remove':['a']}}"},
     "{'s':null}",
     "{'/s':{'':10,'null':true,'remove':[[30,'a']]}}",
     "applied 1, lost 0, unlike, changed"},
    {"an empty change", {"10 patch {'s':{'$add':[]}}"}, "{'s':[]}", "{'/s':{'at':10}}", "applied 1, lost 0, changed"},
    {"an empty change later than the others",
     {"10 patch {'s':{'$add':['a']}}", "20 patch {'s':{'$remove':[]}}"},
     "{'s':['a']}",
     "{'/s':{'at':20,'add':[[10,1]]}}",
     "applied 1, lost 0, changed"},
    {"copies in a change count once",
     {"10 patch {'s':{'$add':['a','a',1,1.0]}}"},
     "{'s':['a',1]}",
     "{'/s':{'add':[[10,2]]}}",
     "applied 2, lost 0, changed"},
    {"a later edit writes the element anew",
     {"10 patch {'s':[{'x':1,'y':2},1,'z']}", "20 patch {'s':{'$add':[{'y':2.0,'x':1.0},1.0]}}"},
     "{'s':['z',{'y':2.0,'x':1.0},1.0]}",
     "{'/s':{'':10,'add':[[20,2]]}}",
     "applied 2, lost 0, changed"},
    {"elsewhere the form is data like any other",
     {"10 patch {'o':{'s':{'$add':['a']}}}", "20 patch {'o':{'s':{'$add':['b']}}}"},
     "{'o':{'s':{'$add':['b']}}}",
     "",
     "applied 1, lost 0, changed"},
    {"and so it is in a replacement",
     {"10 replace {'s':{'$add':['a']}}"},
     "{'s':{'$add':['a']}}",
     "{'':10}",
     "applied 1, lost 0, changed"},
};

static const char *effect_text(const merge_effect *e)
{
    return arena_printf(a, "applied %zu, lost %zu%s%s", e->applied, e->lost, e->unlike ? ", unlike" : "",
                        e->changed ? ", changed" : "");
}

static merge_state *load(const char *data, const char *marks, int64_t base)
{
    const merge_row row = {.data = unquote(data),
                           .marks = marks ? unquote(marks) : NULL,
                           .base = base,
                           .edited = base,
                           .deleted = MERGE_NEVER,
                           .sets = sets};
    return merge_load(a, &row);
}

static const char *marks_of(merge_state *s)
{
    strbuf out = STRBUF(a);
    merge_write_marks(s, &out);
    return out.data ? out.data : "";
}

static merge_state *stored_and_loaded(merge_state *s)
{
    merge_row row = {.base = MERGE_NEVER, .edited = merge_edited(s), .deleted = merge_deleted(s), .sets = sets};
    strbuf marks = STRBUF(a);
    row.base = merge_write_marks(s, &marks);
    row.marks = marks.data;
    row.data = tree_of(s);
    merge_state *loaded = merge_load(a, &row);
    ck_assert_str_eq(stored(loaded), stored(s));
    return loaded;
}

START_TEST(edits_of_elements)
{
    merge_state *s = merge_new_with(a, sets);
    merge_effect effect = {0};
    for (int i = 0; i < CASE_EDITS && cases[_i].edits[i]; i++) {
        effect = edit_apply(s, cases[_i].edits[i]);
        s = stored_and_loaded(s);
    }
    ck_assert_msg(strcmp(tree_of(s), unquote(cases[_i].tree)) == 0, "%s: %s", cases[_i].name, tree_of(s));
    ck_assert_msg(strcmp(marks_of(s), unquote(cases[_i].marks)) == 0, "%s: %s", cases[_i].name, marks_of(s));
    ck_assert_msg(strcmp(effect_text(&effect), cases[_i].effect) == 0, "%s: %s", cases[_i].name, effect_text(&effect));
}
END_TEST

/* Rows from before the members were sets: nothing changes until an edit names the member. */
START_TEST(a_value_from_before_is_kept)
{
    static const struct {
        const char *data, *marks, *added, *removed;
    } rows[] = {
        {"{'s':['a','x'],'b':1}", "{'/s':5}", "{'s':['a','x','c'],'b':1}", "{'s':['a'],'b':1}"},
        {"{'s':'text'}", NULL, "{'s':['c']}", "{'s':[]}"},
        {"{'s':null}", NULL, "{'s':['c']}", "{'s':null}"},
        {"{'s':{'x':{'y':1}},'b':1}", "{'/s/x/y':15,'/s':5,'/s/x/~':3}", "{'s':['c'],'b':1}", "{'s':[],'b':1}"},
        {"{'s':{'x':1,'y':2}}", "{'/s':{'':5,'/x':6,'/y':15}}", "{'s':['c']}", "{'s':[]}"},
        {"{'s':{}}", "{'/s/~':5}", "{'s':['c']}", "{'s':[]}"},
        {"{'s':{'$add':['q']}}", NULL, "{'s':['c']}", "{'s':[]}"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        merge_state *s = load(rows[i].data, rows[i].marks, 10);
        ck_assert_str_eq(tree_of(s), unquote(rows[i].data));
        ck_assert(merge_is(s, parse(unquote(rows[i].data))));
        edit_apply(s, "20 patch {'n':1}");
        s = stored_and_loaded(s);
        ck_assert_ptr_nonnull(strstr(unquote(rows[i].data), "\"s\":"));
        s = load(rows[i].data, rows[i].marks, 10);
        edit_apply(s, "20 patch {'s':{'$add':['c']}}");
        ck_assert_str_eq(tree_of(stored_and_loaded(s)), unquote(rows[i].added));
        s = load(rows[i].data, rows[i].marks, 10);
        edit_apply(s, "20 patch {'s':{'$remove':['x']}}");
        ck_assert_str_eq(tree_of(stored_and_loaded(s)), unquote(rows[i].removed));
        s = load(rows[i].data, rows[i].marks, 10);
        edit_apply(s, "20 patch {'s':['n']}");
        ck_assert_ptr_nonnull(strstr(tree_of(stored_and_loaded(s)), "\"s\":[\"n\"]"));
    }
}
END_TEST

START_TEST(times_that_cannot_be_read_are_ignored)
{
    static const char *const marks[] = {
        "{'/s':{'add':[[20,3]]}}",         "{'/s':{'add':[[20,-1]],'remove':7}}",
        "{'/s':{'add':[20,'x',null,[]]}}", "{'/s':{'add':[[20]],'at':{}",
        "{'/s':{'remove':[[],[20],{}]}}",  "{'/s':{'':'x','null':1}}",
        "{'/s':{'add':[[20,1e9]]}}",       "{'/s':{'add':[[20,9223372036854775807],[20,9223372036854775807]]}}",
    };
    for (size_t i = 0; i < COUNT(marks); i++) {
        merge_state *s = load("{'s':['a','b']}", marks[i], 10);
        ck_assert_str_eq(tree_of(s), unquote("{'s':['a','b']}"));
        const json_t *data = parse(unquote("{'s':{'$add':['c'],'$remove':['b']}}"));
        merge_apply(s, &(merge_edit){MERGE_PATCH, data, 30}, false);
        ck_assert_str_eq(tree_of(stored_and_loaded(s)), unquote("{'s':['a','c']}"));
    }
}
END_TEST

START_TEST(old_times_are_forgotten)
{
    merge_state *s = merge_new_with(a, sets);
    edit_apply(s, "10 patch {'s':['a','b']}");
    edit_apply(s, "20 patch {'s':{'$add':['c'],'$remove':['a']}}");
    edit_apply(s, "30 patch {'s':{'$add':['d'],'$remove':['b']}}");
    merge_forget(s, 25);
    ck_assert_str_eq(tree_of(s), unquote("{'s':['c','d']}"));
    ck_assert_str_eq(marks_of(s), unquote("{'/s':{'':10,'add':[[30,1]],'remove':[[30,'b']]}}"));
    s = stored_and_loaded(s);
    merge_forget(s, 30);
    ck_assert_ptr_nonnull(strstr(marks_of(s), "remove"));
    merge_forget(s, 31);
    ck_assert_str_eq(tree_of(s), unquote("{'s':['c','d']}"));
    ck_assert_str_eq(marks_of(s), "");
    ck_assert_str_eq(tree_of(stored_and_loaded(s)), unquote("{'s':['c','d']}"));

    /* a list of which only changes are known gets the time of the last one */
    s = merge_new_with(a, sets);
    edit_apply(s, "20 patch {'s':{'$remove':['a']}}");
    edit_apply(s, "30 patch {'n':1}");
    merge_forget(s, 100);
    ck_assert_str_eq(marks_of(stored_and_loaded(s)), unquote("{'/s':20}"));
    ck_assert_uint_eq(edit_apply(s, "15 patch {'s':['x']}").lost, 1);
    ck_assert_str_eq(tree_of(s), unquote("{'s':[],'n':1}"));
}
END_TEST

/* Version 1, which may run on other hosts during an upgrade, reads the list, and the time of the whole write. */
START_TEST(version_1_reads_the_row)
{
    merge_state *s = merge_new_with(a, sets);
    edit_apply(s, "10 patch {'s':['a'],'n':1,'m':1}");
    edit_apply(s, "20 patch {'s':{'$add':['b'],'$remove':['x']}}");
    merge_row row = {.data = tree_of(s), .marks = marks_of(s), .base = 10, .edited = 20, .deleted = MERGE_NEVER};
    s = merge_load(a, &row);
    ck_assert_str_eq(tree_of(s), unquote("{'s':['a','b'],'n':1,'m':1}"));
    ck_assert_uint_eq(edit_apply(s, "9 patch {'s':['c']}").lost, 1);
    ck_assert_uint_eq(edit_apply(s, "21 patch {'s':['c']}").applied, 1);
}
END_TEST

static json_t *change(const char *name, int first, int count)
{
    json_t *list = json_array(), *object = json_new_object(a), *data = json_new_object(a);
    for (int i = first; i < first + count; i++)
        json_array_append_new(list, i % 3 ? json_string(arena_printf(a, "element %d", i)) : json_integer(i));
    json_put(a, object, name, list);
    json_put(a, data, "s", *name == '$' ? json_incref(object) : json_incref(list));
    return data;
}

static void apply(merge_state *s, const json_t *data, int64_t at)
{
    merge_apply(s, &(merge_edit){MERGE_PATCH, data, at}, true);
    merge_apply(s, &(merge_edit){MERGE_PATCH, data, at}, false);
}

/* The processor time of a list of `count` elements, half of them removed and added, with stores between. */
static double measure(int count)
{
    clock_t start = clock();
    merge_state *s = merge_new_with(a, sets);
    apply(s, change("list", 0, count), 10);
    apply(s, change("$remove", count / 2, count), 20);
    s = stored_and_loaded(s);
    apply(s, change("$add", count / 4, count), 30);
    apply(s, change("list", 0, count), 15);
    s = stored_and_loaded(s);
    ck_assert_uint_eq(json_array_size(json_object_get(parse(tree_of(s)), "s")), count + count / 4);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    arena_reset(a);
    return seconds;
}

START_TEST(large_lists_are_not_slow)
{
    unit_check_growth(measure, 2500);
}
END_TEST

/* 4,000 edits cost a few times what it costs to make the list. If each of them made it anew, it would be 4,000 times.
 */
START_TEST(many_edits_of_a_large_list_are_not_slow)
{
    enum { ELEMENTS = 50000, EDITS = 1000, FACTOR = 100 };
    clock_t start = clock();
    merge_state *s = merge_new_with(a, sets);
    apply(s, change("$add", 0, ELEMENTS), 5000);
    s = stored_and_loaded(s);
    clock_t made = clock();
    for (int i = 0; i < EDITS; i++) {
        apply(s, change("$remove", i, 1), 6000 + i);
        apply(s, change("$add", ELEMENTS + i, 1), i); /* before all others */
        apply(s, change("list", ELEMENTS, 1), i);     /* whole writes that change little */
        apply(s, change("$remove", i + 1, 1), 4000);  /* too late */
    }
    double making = (double)(made - start), editing = (double)(clock() - made);
    ck_assert_msg(editing < FACTOR * making, "%g and %g s", making / CLOCKS_PER_SEC, editing / CLOCKS_PER_SEC);
}
END_TEST

Suite *suite_merge_set(void);

Suite *suite_merge_set(void)
{
    Suite *s = suite_create("merge_set");
    TCase *c = tcase_create("merge_set");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, edits_of_elements, 0, COUNT(cases));
    tcase_add_test(c, a_value_from_before_is_kept);
    tcase_add_test(c, times_that_cannot_be_read_are_ignored);
    tcase_add_test(c, old_times_are_forgotten);
    tcase_add_test(c, version_1_reads_the_row);
    tcase_add_test(c, large_lists_are_not_slow);
    tcase_add_test(c, many_edits_of_a_large_list_are_not_slow);
    suite_add_tcase(s, c);
    return s;
}
