/* json_check.c: a text is checked without parsing it. */
#include <stdlib.h>
#include <string.h>

#include "json_texts.h"

/* A text, and the path and message of the fault; no message: it is JSON. */
static const struct {
    const char *text;
    size_t len;
    const char *path, *message;
} rows[] = {
    {TEXT("{}"), "", NULL},
    {TEXT(" [ 1 , -0.5e+3 , true , { \"a\" : [ ] , \"b\" : null } ] "), "", NULL},
    {TEXT("\"\\u0000 \\\" \\\\ \\/ \\b\\f\\n\\r\\t \\ud800 \xC3\xA9\""), "", NULL}, /* JSON, though it cannot be kept */
    {TEXT("1e400"), "", NULL},
    {TEXT("99999999999999999999999"), "", NULL},
    {TEXT("{\"a\":1,\"a\":2}"), "", NULL},
    {TEXT(""), "", "not JSON at byte 0"},
    {TEXT("  "), "", "not JSON at byte 2"},
    {TEXT(":\"b\""), "", "not JSON at byte 0"},
    {TEXT("{\"a\"::\"b\"}"), ".a", "not JSON at byte 5"},
    {TEXT("{\"a\":1,}"), ".a", "not JSON at byte 7"},
    {TEXT("[1,]"), "[0]", "not JSON at byte 3"},
    {TEXT("[1 2]"), "[0]", "not JSON at byte 3"},
    {TEXT("[1}"), "[0]", "not JSON at byte 2"},
    {TEXT("{\"a\":{\"b\":[0,{\"c\":tru}]}}"), ".a.b[1].c", "not JSON at byte 18"},
    {TEXT("[1] 2"), "", "not JSON at byte 4"},
    {TEXT("1 1"), "", "not JSON at byte 2"},
    {TEXT("{\"a\"}"), ".a", "not JSON at byte 4"},
    {TEXT("{1:2}"), "", "not JSON at byte 1"},
    {TEXT("01"), "", "not JSON at byte 1"},
    {TEXT("-"), "", "not JSON at byte 1"},
    {TEXT("1."), "", "not JSON at byte 2"},
    {TEXT(".5"), "", "not JSON at byte 0"},
    {TEXT("1e"), "", "not JSON at byte 2"},
    {TEXT("+1"), "", "not JSON at byte 0"},
    {TEXT("NaN"), "", "not JSON at byte 0"},
    {TEXT("nul"), "", "not JSON at byte 0"},
    {TEXT("True"), "", "not JSON at byte 0"},
    {TEXT("\"a"), "", "not JSON at byte 2"},
    {TEXT("\"\\x\""), "", "not JSON at byte 2"},
    {TEXT("\"\\u12g4\""), "", "not JSON at byte 5"},
    {TEXT("\"\\"), "", "not JSON at byte 2"},
    {TEXT("\"\n\""), "", "not JSON at byte 1"},
    {TEXT("'a'"), "", "not JSON at byte 0"},
    {TEXT("1\0"), "", "not JSON at byte 1"},
    {TEXT("\"\\\0\""), "", "not JSON at byte 2"},
    {TEXT("\"\0\""), "", "not JSON at byte 1"},
    {TEXT("{\"a\":\"\xC0\xAF\"}"), ".a", "not valid UTF-8"},
    {TEXT("\"\xED\xA0\x80\""), "", "not valid UTF-8"},
    {TEXT("\"\xE2\x82"), "", "not valid UTF-8"},
    {TEXT("\xEF\xBB\xBF{}"), "", "not JSON at byte 0"},
};

START_TEST(a_text_is_checked)
{
    json_fault fault = {0};
    char *copy = copy_exact(rows[_i].text, rows[_i].len);
    bool ok = json_check(a, copy, rows[_i].len, &fault);
    free(copy);
    ck_assert_msg(ok == !rows[_i].message, "%s: %s", rows[_i].text, ok ? "accepted" : fault.message);
    if (ok) return;
    ck_assert_msg(strcmp(fault.message, rows[_i].message) == 0, "%s: %s", rows[_i].text, fault.message);
    ck_assert_msg(strcmp(fault.path, rows[_i].path) == 0, "%s: at %s", rows[_i].text, fault.path);
}
END_TEST

START_TEST(nesting_is_bounded_as_when_reading)
{
    json_fault fault;
    enum { MOST = JSON_PARSER_MAX_DEPTH };
    char *text = malloc(2 * (MOST + 1));
    for (int depth = MOST; depth <= MOST + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        ck_assert_int_eq(json_check(a, text, (size_t)depth * 2, &fault), depth == MOST);
        ck_assert_int_eq(json_read(a, text, (size_t)depth * 2, SIZE_MAX, &fault) != NULL, depth == MOST);
    }
    ck_assert_str_eq(fault.message, "nested too deeply");
    free(text);
}
END_TEST

/* Whatever can be read is JSON, and what cannot be read because of its syntax is not. */
START_TEST(checking_and_reading_agree_on_random_texts)
{
    static const char *const pieces[] = {"{", "}",  "[",    "]",    "\"a\"", "\"b\":", ",",    ":",     "1",
                                         "0", "-",  ".",    "e",    "+",     "\"",     "\\",   "\\u00", "61",
                                         " ", "\n", "true", "null", "\xC3",  "\xA9",   "\x1F", "\"c\":"};
    for (int i = 0, whole = 0; i < 500000 || whole < 1000; i++) {
        char text[64] = "";
        json_fault fault, other;
        for (size_t n = unit_random("json_check") % 9; n > 0; n--)
            strcat(text, pieces[unit_random("json_check") % COUNT(pieces)]);
        bool read = json_read(a, text, strlen(text), DEPTH, &fault),
             checked = json_check(a, text, strlen(text), &other);
        bool syntax = !read && fault.kind == JSON_FAULT_SYNTAX;
        ASSERT_IN_LOOP(!(read && !checked) && !(syntax && checked), "%s is %s, but reading says %s", text,
                       checked ? "accepted" : "refused", read ? "it is JSON" : fault.message);
        whole += read;
        if (i % 100 == 0) arena_reset(a);
    }
}
END_TEST

Suite *suite_json_check(void);

Suite *suite_json_check(void)
{
    Suite *s = suite_create("json_check");
    TCase *c = tcase_create("json_check");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, a_text_is_checked, 0, COUNT(rows));
    tcase_add_test(c, nesting_is_bounded_as_when_reading);
    tcase_add_test(c, checking_and_reading_agree_on_random_texts);
    suite_add_tcase(s, c);
    return s;
}
