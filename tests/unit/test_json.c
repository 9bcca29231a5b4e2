/* json.[ch]: values are compared, read as instants, and measured. */
#include <string.h>

#include "base/clock.h"
#include "json_texts.h"

static const struct {
    const char *name, *x, *y;
    bool same;
} pairs[] = {
    {"an integer and the same real", "1", "1.0", true},
    {"zero and negative zero", "0", "-0.0", true},
    {"two integers", "1", "2", false},
    {"two reals", "4.1", "4.2", false},
    {"two notations of a real", "4.10", "41e-1", true},
    {"an integer and the nearest real", "9007199254740993", "9007199254740992.0", false},
    {"the largest integer and 2^63", "9223372036854775807", "9223372036854775808.0", false},
    {"the smallest integer and -2^63", "-9223372036854775808", "-9223372036854775808.0", true},
    {"the smallest integer and a huge real", "-9223372036854775808", "-1e300", false},
    {"the largest integer and a huge real", "9223372036854775807", "1e300", false},
    {"an integer and a fraction", "4", "4.5", false},
    {"an integer and a huge real", "4", "1e300", false},
    {"a number and its text", "1", "\"1\"", false},
    {"false and null", "false", "null", false},
    {"true and false", "true", "false", false},
    {"true and 1", "true", "1", false},
    {"null and null", "null", "null", true},
    {"strings", "\"a\\u00e9\"", "\"a\xC3\xA9\"", true},
    {"letters of different case", "\"a\"", "\"A\"", false},
    {"composed and combining", "\"\\u00e9\"", "\"e\\u0301\"", false},
    {"a prefix of a string", "\"ab\"", "\"abc\"", false},
    {"an empty string and null", "\"\"", "null", false},
    {"members in another order", "{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1.0}", true},
    {"one more member", "{\"a\":1}", "{\"a\":1,\"b\":2}", false},
    {"a null member and no member", "{\"a\":null}", "{}", false},
    {"another member", "{\"a\":1}", "{\"b\":1}", false},
    {"elements in another order", "[1,2]", "[2,1]", false},
    {"one more element", "[1]", "[1,2]", false},
    {"nested values", "{\"a\":[{\"b\":1}]}", "{\"a\":[{\"b\":2}]}", false},
    {"an empty array and an empty object", "[]", "{}", false},
};

START_TEST(two_values_are_the_same)
{
    json_fault fault;
    json_t *x = json_read(a, pairs[_i].x, strlen(pairs[_i].x), DEPTH, &fault);
    json_t *y = json_read(a, pairs[_i].y, strlen(pairs[_i].y), DEPTH, &fault);
    ck_assert_msg(json_same(x, y) == pairs[_i].same, "%s", pairs[_i].name);
    ck_assert_msg(json_same(y, x) == pairs[_i].same, "%s, swapped", pairs[_i].name);
    ck_assert_msg(json_same(x, x) && json_same(y, y), "%s, each with itself", pairs[_i].name);
}
END_TEST

static const struct {
    const char *name, *value, *utc; /* NULL: not an instant */
} instants[] = {
    {"an RFC 3339 string", "\"2024-01-15T12:30:00+02:00\"", "2024-01-15T10:30:00.000Z"},
    {"milliseconds", "1705314600000", "2024-01-15T10:30:00.000Z"},
    {"zero", "0", "1970-01-01T00:00:00.000Z"},
    {"before the epoch", "-1", "1969-12-31T23:59:59.999Z"},
    {"the last instant", "253402300799999", "9999-12-31T23:59:59.999Z"},
    {"after the last instant", "253402300800000", NULL},
    {"before the first instant", "-62167219200001", NULL},
    {"a fraction", "1705314600000.5", NULL},
    {"a whole real", "1705314600000.0", NULL},
    {"milliseconds as text", "\"1705314600000\"", NULL},
    {"an empty string", "\"\"", NULL},
    {"null", "null", NULL},
    {"a boolean", "true", NULL},
    {"an array", "[1705314600000]", NULL},
};

START_TEST(a_value_is_an_instant)
{
    json_fault fault;
    int64_t ms = 4711;
    char out[CLOCK_TEXT];
    json_t *value = json_read(a, instants[_i].value, strlen(instants[_i].value), DEPTH, &fault);
    bool is = json_instant(value, &ms);
    ck_assert_msg(is == (instants[_i].utc != NULL), "%s", instants[_i].name);
    if (is)
        ck_assert_msg(strcmp(clock_format(ms, out), instants[_i].utc) == 0, "%s: %s", instants[_i].name, out);
    else
        ck_assert_msg(ms == 4711, "%s: wrote its result", instants[_i].name);
}
END_TEST

START_TEST(characters_are_counted_not_bytes)
{
    static const struct {
        const char *text;
        size_t count;
    } rows[] = {{"", 0},          {"abc", 3},           {"\xC3\xA9", 1},
                {"e\xCC\x81", 2}, {"\xE2\x82\xAC!", 2}, {"\xF0\x9F\x93\x9A\x7F", 2}};
    for (size_t i = 0; i < COUNT(rows); i++)
        ck_assert_msg(json_characters(rows[i].text, strlen(rows[i].text)) == rows[i].count, "%s", rows[i].text);
}
END_TEST

Suite *suite_json(void);

Suite *suite_json(void)
{
    Suite *s = suite_create("json");
    TCase *c = tcase_create("json");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, two_values_are_the_same, 0, COUNT(pairs));
    tcase_add_loop_test(c, a_value_is_an_instant, 0, COUNT(instants));
    tcase_add_test(c, characters_are_counted_not_bytes);
    suite_add_tcase(s, c);
    return s;
}
