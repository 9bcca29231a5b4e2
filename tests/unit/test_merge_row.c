/* merge_row.c: a state is stored and loaded. */
#include <string.h>

#include "merge_cases.h"

/* Names with a meaning in a JSON pointer or in the marks. */
static const char *const names[] = {"",    "~",   "/",  "~0",       "~1", "/~", "~/",   "//",
                                    "a/b", "a~b", "~~", "\xC3\xA9", "{",  "[",  "\\\"", "\\u0001"};

START_TEST(a_row_is_loaded)
{
    static const char *const forms[] = {
        /* as version 1 wrote it; the last two have no effect */
        "{'/o/b':20,'/o/~':15,'/o':5,'/gone':30,'/gone/b/~':30}",
        "{'/o':{'':5,'/~':15,'/b':20},'/gone':{'':5,'/b':6}}",
        "{'/gone':{'/x':{'/y':1},'/z':'}'},'/o/~':15,'/o':{'/b':20,'':5}}",
        " { \n'\\u002fo' : {'': 5 , '\\/~' :15,'/b':20}, '/o/b':[1,'x'], '/e':null, '/a':'7', 'a':99, 'o/b':99 } ",
        /* only the tail cannot be read */
        "{'/o':{'':5,'/~':15,'/b':20},'/a'",
        "{'/o':{'':5,'/~':15,'/b':20},'/a':",
        "{'/o':{'':5,'/~':15,'/b':20},'/a\\",
        "{'/o':{'':5,'/~':15,'/b':20,",
    };
    const char *tree = unquote("{'a':1,'e':{},'o':{'b':2}}"), *marks = unquote("{'/o':5,'/o/~':15,'/o/b':20}");
    merge_row row = {.data = tree, .base = 10, .edited = 20, .deleted = MERGE_NEVER};
    row.marks = unquote(forms[_i]);
    merge_state *s = merge_load(a, &row);
    const char *expected = arena_printf(a, "%s %s base 10 edited 20 deleted %lld", tree, marks, (long long)MERGE_NEVER);
    ck_assert_str_eq(stored(s), expected);
    ck_assert_uint_eq(edit_apply(s, "10 patch {'a':2,'e':2}").lost, 2);
    ck_assert_uint_eq(edit_apply(s, "19 patch {'o':{'b':2,'c':2}}").applied, 1);
    ck_assert_uint_eq(edit_apply(s, "5 patch {'o':{'d':2}}").lost, 1);
    ck_assert_uint_eq(edit_apply(s, "25 patch {'gone':2}").applied, 1);
}
END_TEST

static json_t *leaves(int first, int count)
{
    json_t *object = json_new_object(a);
    for (int i = first; i < first + count; i++) json_put(a, object, arena_printf(a, "%d", i), json_integer(i));
    return object;
}

static size_t marks_size(merge_state *s)
{
    strbuf out = STRBUF(a);
    merge_write_marks(s, &out);
    return out.len;
}

static const char *long_name(char letter, size_t len)
{
    char *name = arena_alloc(a, len + 1);
    memset(name, letter, len);
    return name;
}

/* Both inputs had marks of more than 5 MB in the form of version 1. */
START_TEST(marks_are_written_once_for_each_name)
{
    enum { LEAVES = 200, LEVELS = 50, NAME = 2000 };
    const char *name = long_name('K', 50000);
    merge_state *s = merge_new(a);
    for (int i = 0; i < 2; i++) {
        json_t *data = json_new_object(a);
        json_put(a, data, name, json_incref(leaves(i * LEAVES, LEAVES)));
        merge_apply(s, &(merge_edit){MERGE_PATCH, data, 10 + i}, false);
    }
    ck_assert_uint_lt(marks_size(s), strlen(name) + LEAVES * strlen("'/199':10,") + 20);
    ck_assert_uint_lt(marks_size(store_and_load(s)), 60000);

    s = merge_new(a);
    for (int i = 0; i < 2; i++) {
        json_t *data = leaves(i, 1);
        for (int level = 0; level < LEVELS; level++) {
            json_t *above = leaves(i, 1);
            json_put(a, above, long_name('a', NAME), json_incref(data));
            data = above;
        }
        merge_apply(s, &(merge_edit){MERGE_PATCH, data, 10 + i}, false);
    }
    ck_assert_uint_lt(marks_size(s), LEVELS * (NAME + 30));
    ck_assert_uint_lt(marks_size(store_and_load(s)), LEVELS * (NAME + 30));
}
END_TEST

START_TEST(typical_marks_are_those_of_version_1)
{
    merge_state *s = merge_new(a);
    edit_apply(s, "10 patch {'title':'T','stars':4,'in':{'h':1,'w':2,'unit':{'name':'cm'}},'c':{'d':{'e':1}}}");
    edit_apply(s, "20 patch {'title':'U','c':{'d':{'e':2}}}");
    edit_apply(s, "30 patch {'in':{'h':2}}");
    const char *marks = unquote("{'/title':20,'/in/h':30,'/c/d/e':20}");
    ck_assert_ptr_nonnull(strstr(stored(s), marks));
    ck_assert_ptr_nonnull(strstr(stored(store_and_load(s)), marks));
}
END_TEST

/* Two short leaves are more than one with a long name, but the long name must not get into the marks. */
START_TEST(the_base_spares_long_names)
{
    merge_state *s = merge_new(a);
    edit_apply(s, arena_printf(a, "10 patch {'%s':1,'a':1,'b':1}", long_name('K', 1000)));
    s = store_and_load(s);
    edit_apply(s, "20 patch {'a':2,'b':2}");
    ck_assert_uint_lt(marks_size(s), 30);
    ck_assert_uint_eq(edit_apply(store_and_load(s), "15 patch {'a':3,'b':3}").lost, 2);
}
END_TEST

START_TEST(a_loaded_value_is_compared)
{
    static const struct {
        const char *loaded, *sent;
        bool same;
    } rows[] = {
        {"{'a':'x','b':1}", "{'b':1,'a':'x'}", true},
        {"{ 'a' : 'x' , 'o' : { 'p' : [ 1, 2 ] } }", "{'o':{'p':[1,2]},'a':'x'}", true},
        {"{'a':'x'}", "{'a':'y'}", false},
        {"{'a':'x'}", "{'a':'xy'}", false},
        {"{'a':'xy'}", "{'a':'x'}", false},
        {"{'a':''}", "{'a':''}", true},
        {"{'a':''}", "{'a':null}", false},
        {"{'a':'\\u00e9\\/'}", "{'a':'\u00e9/'}", true}, /* other escapes of the same string */
        {"{'a':'b\\\\n'}", "{'a':'b\\\\n'}", true},
        {"{'a':'b\\n'}", "{'a':'b\\\\n'}", false}, /* a newline, and a backslash before an n */
        {"{'a':'b\\\\n'}", "{'a':'b\\n'}", false},
        {"{'a':'1'}", "{'a':1}", false},
        {"{'a':1}", "{'a':1.0}", true},
        {"{'a':1e2}", "{'a':100}", true},
        {"{'a':[]}", "{'a':{}}", false},
        {"{'a':{}}", "{'a':{}}", true},
        {"{'a':{}}", "{'a':{'b':1}}", false},
        {"{'a':{'b':1}}", "{'a':{}}", false},
        {"{'a':{'b':1}}", "{'a':1}", false},
        {"{'a':1}", "{'a':{'b':1}}", false},
        {"{'a':1}", "{'a':1,'b':2}", false},
        {"{'a':1,'b':2}", "{'a':1}", false},
        {"{'a':1}", "{'b':1}", false},
        {"{}", "{}", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text = unquote(rows[i].loaded);
        const json_t *sent = parse(unquote(rows[i].sent));
        merge_row row = {.data = text, .base = 10, .edited = 10, .deleted = MERGE_NEVER};
        merge_state *s = merge_load(a, &row);
        ck_assert_msg(merge_is(s, sent) == rows[i].same, "%s, %s", rows[i].loaded, rows[i].sent);
        ck_assert_msg(merge_is(s, sent) == rows[i].same, "%s, %s, again", rows[i].loaded, rows[i].sent);
    }
}
END_TEST

START_TEST(a_row_that_is_not_an_object_is_empty)
{
    static const char *const texts[] = {"[1]", "1", "", "{", "{'a':1,'a':2}", "{'a'}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        merge_row row = {
            .data = unquote(texts[i]), .marks = unquote("[1]"), .base = 10, .edited = 10, .deleted = MERGE_NEVER};
        merge_state *s = merge_load(a, &row);
        ck_assert_str_eq(tree_of(s), "{}");
        ck_assert_uint_eq(edit_apply(s, "20 patch {'a':2}").applied, 1);
    }
    /* PostgreSQL can store a number that a double cannot. It stays unaltered until an edit replaces it. */
    merge_row row = {.data = unquote("{'a':1e999,'b':1}"), .base = 10, .edited = 10, .deleted = MERGE_NEVER};
    merge_state *s = merge_load(a, &row);
    ck_assert_uint_eq(edit_apply(s, "20 patch {'b':2}").applied, 1);
    ck_assert_str_eq(tree_of(s), unquote("{'a':1e999,'b':2}"));
    ck_assert_uint_eq(edit_apply(s, "20 patch {'a':2}").applied, 1);
    ck_assert_str_eq(tree_of(s), unquote("{'a':2,'b':2}"));
}
END_TEST

/* An edit at `at`: the form with `name` for N and `value` for V. */
static const char *fill(int at, const char *form, const char *name, int value)
{
    strbuf b = STRBUF(a);
    strbuf_printf(&b, "%d patch ", at);
    for (; *form; form++) {
        if (*form == 'N')
            strbuf_puts(&b, name);
        else if (*form == 'V')
            strbuf_printf(&b, "%d", value);
        else
            strbuf_putc(&b, *form);
    }
    return b.data;
}

START_TEST(any_name_can_be_stored)
{
    static const char *const forms[] = {"{'N':V}", "{'N':[V]}", "{'x':{'N':V}}", "{'N':{'N':V}}",
                                        "{'N':{'x':{'N':V}}}"};
    for (size_t i = 0; i < COUNT(forms); i++) {
        merge_state *s = merge_new(a);
        edit_apply(s, "10 patch {'m':1,'k':1}");
        edit_apply(s, fill(20, forms[i], names[_i], 2));
        s = store_and_load(s);
        merge_effect older = edit_apply(s, fill(19, forms[i], names[_i], 3));
        ck_assert_msg(older.lost == 1 && older.applied == 0, "\"%s\" in %s: its time is lost", names[_i], forms[i]);
        merge_effect later = edit_apply(s, fill(21, forms[i], names[_i], 4));
        ck_assert_msg(later.lost == 0 && later.applied == 1, "\"%s\" in %s: its time differs", names[_i], forms[i]);
        edit_apply(s, fill(30, "{'N':{}}", names[_i], 0));
        s = store_and_load(s);
        older = edit_apply(s, fill(29, "{'N':V}", names[_i], 5));
        ck_assert_msg(older.lost == 1, "\"%s\" in %s: the time of its object is lost", names[_i], forms[i]);
        store_and_load(s);
    }
}
END_TEST

START_TEST(deep_trees)
{
    strbuf text = STRBUF(a);
    for (int i = 0; i < 500; i++) strbuf_puts(&text, "{\"a\":");
    strbuf_puts(&text, "1");
    for (int i = 0; i < 500; i++) strbuf_puts(&text, "}");
    merge_state *s = merge_new(a);
    edit_apply(s, arena_printf(a, "10 patch %s", text.data));
    s = store_and_load(s);
    ck_assert_str_eq(tree_of(s), text.data);
    edit_apply(s, arena_printf(a, "20 patch %s", text.data));
    s = store_and_load(s);
    edit_apply(s, "30 patch {'a':1}");
    ck_assert_str_eq(tree_of(s), "{\"a\":1}");
}
END_TEST

Suite *suite_merge_row(void);

Suite *suite_merge_row(void)
{
    Suite *s = suite_create("merge_row");
    TCase *c = tcase_create("merge_row");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, a_row_is_loaded, 0, 8);
    tcase_add_test(c, marks_are_written_once_for_each_name);
    tcase_add_test(c, typical_marks_are_those_of_version_1);
    tcase_add_test(c, the_base_spares_long_names);
    tcase_add_test(c, a_loaded_value_is_compared);
    tcase_add_test(c, a_row_that_is_not_an_object_is_empty);
    tcase_add_loop_test(c, any_name_can_be_stored, 0, COUNT(names));
    tcase_add_test(c, deep_trees);
    suite_add_tcase(s, c);
    return s;
}
