/* merge_join.c, merge_set_join.c: two states of one entity, which the server and a device hold, are joined. Random
 * histories are joined by test_merge_property.c. In the JSON below ' stands for ". */
#include <string.h>

#include "engine/times.h"
#include "merge_cases.h"

static const char *const sets[] = {"s", NULL};

static const struct {
    const char *name, *here[4], *there[4], *tree, *marks;
} cases[] = {
    {"each has an addition",
     {"10 patch {'s':['a']}", "30 patch {'s':{'$add':['c']}}"},
     {"10 patch {'s':['a']}", "20 patch {'s':{'$add':['b']}}"},
     "{'s':['a','b','c']}",
     "{'/s':{'':10,'add':[[20,1],[30,1]]}}"},
    {"a removal, and the list that it is about",
     {"10 patch {'s':['a','b','a']}", "20 patch {'s':{'$remove':['a']}}"},
     {"10 patch {'s':['a','b','a']}"},
     "{'s':['b']}",
     "{'/s':{'':10,'remove':[[20,'a']]}}"},
    {"only changes are known",
     {"20 patch {'s':{'$remove':['a','b']}}"},
     {"10 patch {'s':{'$add':['a','x']}}", "30 patch {'s':{'$add':['b']}}"},
     "{'s':['x','b']}",
     "{'/s':{'add':[[10,1],[30,1]],'remove':[[20,'a']]}}"},
    {"the other one is new here",
     {"10 patch {'t':1}"},
     {"10 patch {'s':['a']}", "20 patch {'s':{'$add':['b']}}"},
     "{'t':1,'s':['a','b']}",
     "{'/s':{'':10,'add':[[20,1]]}}"},
    {"a later whole list without times",
     {"10 patch {'s':['a']}", "20 patch {'s':{'$add':['b'],'$remove':['a']}}"},
     {"30 patch {'s':['c']}"},
     "{'s':['c']}",
     ""},
    {"a later whole list, and an edit that is later still",
     {"10 patch {'s':['a']}", "40 patch {'s':{'$remove':['c']}}"},
     {"30 patch {'s':['c','d']}"},
     "{'s':['d']}",
     "{'/s':{'':30,'remove':[[40,'c']]}}"},
    {"whole lists with edits of their own",
     {"10 patch {'s':['a','b']}", "20 patch {'s':{'$remove':['a']}}", "50 patch {'s':{'$add':['z']}}"},
     {"30 patch {'s':['a','c']}", "40 patch {'s':{'$add':['d'],'$remove':['c']}}"},
     "{'s':['a','d','z']}",
     "{'/s':{'':30,'add':[[40,1],[50,1]],'remove':[[40,'c']]}}"},
    {"a replacement without the list",
     {"10 patch {'s':['a']}", "20 patch {'s':{'$add':['b']}}", "40 patch {'s':{'$add':['c']}}"},
     {"30 replace {'t':1}"},
     "{'s':['c'],'t':1}",
     "{'':30,'/s':{'add':[[40,1]]}}"},
    {"null, and an addition that was removed",
     {"10 patch {'s':null}", "20 patch {'s':{'$add':['a']}}"},
     {"10 patch {'s':null}", "30 patch {'s':{'$remove':['a']}}"},
     "{'s':null}",
     "{'/s':{'':10,'null':true,'remove':[[30,'a']]}}"},
    {"an empty change",
     {"10 patch {'s':['a']}"},
     {"10 patch {'s':['a']}", "20 patch {'s':{'$add':[]}}"},
     "{'s':['a']}",
     "{'/s':{'':10,'at':20}}"},
    {"equal elements, which are written in several ways",
     {"10 patch {'s':[1,{'x':1,'y':2},'\\u00e9']}", "20 patch {'s':{'$remove':[{'y':2,'x':1.0}]}}"},
     {"10 patch {'s':[1,{'x':1,'y':2},'\\u00e9']}", "30 patch {'s':{'$add':[1.0,'\\u00e9']}}"},
     "{'s':[1.0,'\xC3\xA9']}",
     "{'/s':{'':10,'add':[[30,2]],'remove':[[20,{'y':2,'x':1.0}]]}}"},
    {"a value that is no list",
     {"10 patch {'s':'text'}"},
     {"10 patch {'s':'text'}", "20 patch {'s':{'$add':['a']}}"},
     "{'s':['a']}",
     "{'/s':{'':10,'add':[[20,1]]}}"},
};

static const char *marks_of(merge_state *s)
{
    strbuf out = STRBUF(a);
    merge_write_marks(s, &out);
    return out.data ? out.data : "";
}

static merge_state *reloaded(merge_state *s)
{
    merge_row row = {.edited = merge_edited(s), .deleted = merge_deleted(s), .sets = sets};
    strbuf marks = STRBUF(a);
    row.base = merge_write_marks(s, &marks);
    row.marks = marks.data;
    row.data = tree_of(s);
    return merge_load(a, &row);
}

static merge_state *state_of(const char *const edits[4])
{
    merge_state *s = merge_new_with(a, sets);
    for (int i = 0; i < 4 && edits[i]; i++) {
        edit_apply(s, edits[i]);
        s = reloaded(s);
    }
    return s;
}

/* In both directions; also once more, and with a copy, which nothing changes. */
START_TEST(joined_states)
{
    for (int i = 0; i < 2; i++) {
        const char *const *to = i == 0 ? cases[_i].here : cases[_i].there;
        const char *const *from = i == 0 ? cases[_i].there : cases[_i].here;
        merge_state *s = state_of(to), *with = state_of(from), *copy = merge_copy(a, s);
        const char *before = stored(s), *other = stored(with);
        merge_join(copy, with, INT64_MAX, 0);
        ck_assert_str_eq(stored(s), before);
        ck_assert_str_eq(stored(with), other);
        bool changed = merge_join(s, with, INT64_MAX, 0);
        ck_assert_str_eq(stored(s), stored(copy));
        ck_assert_str_eq(stored(with), other);
        ck_assert_msg(changed == (strcmp(stored(s), before) != 0), "%s: %d: %s", cases[_i].name, i, stored(s));
        json_t *tree = parse(tree_of(s)), *expected = parse(unquote(cases[_i].tree));
        ck_assert_msg(json_equal(tree, expected), "%s: %d: %s", cases[_i].name, i, tree_of(s));
        const char *marks = marks_of(s);
        if (strcmp(cases[_i].name, "the other one is new here") != 0 || i == 0)
            ck_assert_msg(strcmp(marks, unquote(cases[_i].marks)) == 0, "%s: %d: %s", cases[_i].name, i, marks);
        s = reloaded(s);
        ck_assert_msg(!merge_join(s, with, INT64_MAX, 0) && !merge_join(s, state_of(from), INT64_MAX, 0) &&
                          !merge_join(s, reloaded(s), INT64_MAX, 0),
                      "%s: %d: changed again: %s", cases[_i].name, i, stored(s));
    }
}
END_TEST

START_TEST(times_ahead_count_as_now)
{
    static const char *const here[4] = {"10 patch {'s':['a']}"};
    static const char *const ahead[4] = {"70 patch {'s':['b']}", "80 patch {'s':{'$add':['c','d']}}",
                                         "90 patch {'s':{'$remove':['d'],'$add':['e']}}"};
    merge_state *s = state_of(here);
    ck_assert(merge_join(s, state_of(ahead), 60, 50));
    ck_assert_str_eq(tree_of(s), unquote("{'s':['b','c','e']}"));
    ck_assert_str_eq(marks_of(s), unquote("{'/s':{'':50,'add':[[50,2]],'remove':[[50,'d']]}}"));
    edit_apply(s, "51 patch {'s':{'$remove':['c']}}");
    ck_assert_str_eq(tree_of(s), unquote("{'s':['b','e']}"));
}
END_TEST

/* What a client sends as the times of a set, and what it can send instead. */
START_TEST(times_of_sets)
{
    static const struct {
        const char *marks;
        bool valid;
    } rows[] = {
        {"{'/s':{'':10,'at':40,'null':true,'add':[[20,2],[30,1]],'remove':[[25,'x',{'y':[null]}]]}}", true},
        {"{'/s':{'add':[],'remove':[]}}", true},
        {"{'/s':{'add':[[20,0]]}}", false},
        {"{'/s':{'add':[[20,1,2]]}}", false},
        {"{'/s':{'add':[[20]]}}", false},
        {"{'/s':{'add':[20]}}", false},
        {"{'/s':{'add':[['20',1]]}}", false},
        {"{'/s':{'add':'x'}}", false},
        {"{'/s':{'remove':[[20]]}}", false},
        {"{'/s':{'remove':[[1e20,'x']]}}", false},
        {"{'/s':{'remove':[[999999999999999,'x']]}}", false},
        {"{'/s':{'null':1}}", false},
        {"{'/s':{'at':true}}", false},
        {"{'/s':[20]}", false},
    };
    const conf c = {.entity = 1000000, .depth = 64};
    for (size_t i = 0; i < COUNT(rows); i++) {
        times out;
        times_fault fault = {0};
        const char *text = unquote(arena_printf(a, "{'base':10,'edited':40,'marks':%s}", rows[i].marks));
        const json_slice slice = {NULL, text, strlen(text)};
        bool valid = times_read(a, &c, &slice, &out, &fault);
        ck_assert_msg(valid == rows[i].valid, "%s: %s", rows[i].marks, valid ? "accepted" : fault.message);
        ck_assert_str_eq(valid ? out.marks : fault.path, valid ? unquote(rows[i].marks) : ".marks");
    }
}
END_TEST

/* The times of an element as deep as limits.depth allows, and of as many elements as limits.entity allows. */
START_TEST(times_of_large_elements)
{
    const conf c = {.entity = 1048576, .depth = 64};
    times out;
    times_fault fault = {0};
    strbuf text = STRBUF(a);
    strbuf_puts(&text, "{\"base\":10,\"edited\":40,\"marks\":{\"/s\":{\"remove\":[[20,");
    for (int i = 0; i < 62; i++) strbuf_putc(&text, '[');
    for (int i = 0; i < 62; i++) strbuf_putc(&text, ']');
    while (text.len < 1048570 - 10) strbuf_puts(&text, ",1");
    strbuf_puts(&text, "]]}}}");
    const json_slice slice = {NULL, text.data, text.len};
    ck_assert_msg(times_read(a, &c, &slice, &out, &fault), "%s: %s", fault.path, fault.message);
}
END_TEST

/* Times that do not fit the list come from a client that made them up: any outcome will do that can be stored. */
START_TEST(times_that_do_not_fit)
{
    static const char *const rows[][2] = {
        {"{'s':['a']}", "{'/s':{'':10,'add':[[20,2]]}}"},
        {"{'s':['a','a','b']}", "{'/s':{'':10,'add':[[20,3]],'remove':[[15,'a'],[25,'b']]}}"},
        {"{'s':['a','b']}", "{'/s':{'':30,'at':10,'add':[[20,1]],'remove':[[5,'a']]}}"},
        {"{'s':['a']}", "{'/s':{'null':true}}"},
        {"{'s':null}", "{'/s':{'null':false,'add':[[20,1]]}}"},
        {"{'s':'text'}", "{'/s':{'add':[[20,1]],'remove':[[20,'text']]}}"},
        {"{'s':['a']}", "{'/s':{'/x':5,'/~':7},'/s/y':{'':9}}"},
        {"{'t':1}", "{'/s':{'add':[[20,1]]},'/t':{'add':[[20,1]]}}"},
    };
    static const char *const here[][4] = {
        {NULL}, {"10 patch {'s':['a']}"}, {"10 patch {'s':['b']}", "25 patch {'s':{'$add':['a']}}"}};
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t j = 0; j < COUNT(here); j++) {
            const merge_row row = {.data = unquote(rows[i][0]),
                                   .marks = unquote(rows[i][1]),
                                   .base = 12,
                                   .edited = 30,
                                   .deleted = MERGE_NEVER,
                                   .sets = sets};
            merge_state *s = state_of(here[j]);
            merge_join(s, merge_load(a, &row), INT64_MAX, 0);
            const char *was = stored(s);
            s = reloaded(s);
            ck_assert_str_eq(stored(s), was);
            ck_assert(merge_is(s, parse(tree_of(s))));
        }
}
END_TEST

Suite *suite_merge_join(void);

Suite *suite_merge_join(void)
{
    Suite *s = suite_create("merge_join");
    TCase *c = tcase_create("merge_join");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_add_loop_test(c, joined_states, 0, COUNT(cases));
    tcase_add_test(c, times_ahead_count_as_now);
    tcase_add_test(c, times_of_sets);
    tcase_add_test(c, times_of_large_elements);
    tcase_add_test(c, times_that_do_not_fit);
    suite_add_tcase(s, c);
    return s;
}
