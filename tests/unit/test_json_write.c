/* json_write.c: a value that was read is written without loss. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json_texts.h"

/* A text, and the text that is written after it was read. */
static const struct {
    const char *name, *in, *out;
} kept[] = {
    {"4.1 stays 4.1", "4.1", "4.1"},
    {"0.1 stays 0.1", "0.1", "0.1"},
    {"a sum that is not 0.3", "0.30000000000000004", "0.30000000000000004"},
    {"a third", "0.3333333333333333", "0.3333333333333333"},
    {"an integer that no double represents", "9007199254740993", "9007199254740993"},
    {"the largest integer", "9223372036854775807", "9223372036854775807"},
    {"the smallest integer", "-9223372036854775808", "-9223372036854775808"},
    {"zero", "0", "0"},
    {"a real zero stays real", "0.0", "0.0"},
    {"a negative zero", "-0.0", "-0.0"},
    {"a small number", "1e-7", "1e-7"},
    {"the smallest double", "5e-324", "5e-324"},
    {"the largest subnormal", "2.225073858507201e-308", "2.225073858507201e-308"},
    {"the smallest normal double", "2.2250738585072014e-308", "2.2250738585072014e-308"},
    {"the largest double", "1.7976931348623157e308", "1.7976931348623157e308"},
    {"1e22, the last power of ten that is exact", "1e22", "1e22"},
    {"1e23, the first that is not", "1e23", "1e23"},
    {"2^-44, whose nearest decimal of 16 digits reads as another number", "5.684341886080802e-14",
     "5.684341886080802e-14"},
    {"100.0 stays real", "100.0", "100.0"},
    {"a real of 15 digits stays plain", "123456789012345.0", "123456789012345.0"},
    {"a whole real of 16 digits reads back", "1234567890123456.0", "1234567890123456.0"},
    {"2^63 as a real", "9.223372036854775808e18", "9.223372036854776e18"},
    {"capital E and plus", "1E+3", "1000.0"},
    {"trailing zeros are not kept", "4.10", "4.1"},
    {"digits beyond a double are not kept", "0.1000000000000000055511151231257827", "0.1"},
    {"true, false and null", "[true,false,null]", "[true,false,null]"},
    {"empty containers", "{\"a\":{},\"b\":[]}", "{\"a\":{},\"b\":[]}"},
    {"members keep their order", "{\"z\":1,\"a\":2,\"m\":{\"y\":3,\"b\":4}}",
     "{\"z\":1,\"a\":2,\"m\":{\"y\":3,\"b\":4}}"},
    {"white space is removed", " [ 1 ,\t{ \"a\" :\r\n2 } ] ", "[1,{\"a\":2}]"},
    {"the empty string, as name and value", "{\"\":\"\"}", "{\"\":\"\"}"},
    {"short escapes", "\"\\\"\\\\\\b\\f\\n\\r\\t\"", "\"\\\"\\\\\\b\\f\\n\\r\\t\""},
    {"a slash needs no escape", "\"\\/\"", "\"/\""},
    {"other control characters", "\"\\u0001\\u001F\"", "\"\\u0001\\u001f\""},
    {"U+007F is not escaped", "\"\x7F\"", "\"\x7F\""},
    {"an escaped letter", "\"\\u0061\"", "\"a\""},
    {"two bytes", "\"\\u00e9\xC3\xA9\"", "\"\xC3\xA9\xC3\xA9\""},
    {"three bytes", "\"\\u20AC\xE2\x82\xAC\"", "\"\xE2\x82\xAC\xE2\x82\xAC\""},
    {"an emoji, raw and as a surrogate pair", "\"\xF0\x9F\x93\x9A\\ud83d\\uDCDA\"",
     "\"\xF0\x9F\x93\x9A\xF0\x9F\x93\x9A\""},
    {"the last character", "\"\\udbff\\udfff\"", "\"\xF4\x8F\xBF\xBF\""},
    {"the characters next to the surrogates", "\"\\ud7ff\\ue000\"", "\"\xED\x9F\xBF\xEE\x80\x80\""},
    {"U+2028, U+2029 and U+FEFF, special in JavaScript", "\"\xE2\x80\xA8\xE2\x80\xA9\xEF\xBB\xBF\"",
     "\"\xE2\x80\xA8\xE2\x80\xA9\xEF\xBB\xBF\""},
    {"combining and right-to-left marks", "\"e\xCC\x81\xE2\x80\xAE\"", "\"e\xCC\x81\xE2\x80\xAE\""},
    {"member names are escaped too", "{\"a\\\"\\n\xC3\xA9\":1}", "{\"a\\\"\\n\xC3\xA9\":1}"},
};

START_TEST(a_text_is_written_again)
{
    json_fault fault;
    json_t *value = read_exact(kept[_i].in, strlen(kept[_i].in), DEPTH, &fault);
    ck_assert_msg(value != NULL, "%s: refused", kept[_i].name);
    const char *out = written(value);
    ck_assert_msg(strcmp(out, kept[_i].out) == 0, "%s: %s was written as %s", kept[_i].name, kept[_i].in, out);
    json_t *again = read_exact(out, strlen(out), DEPTH, &fault);
    ck_assert_msg(again && json_equal(value, again), "%s: %s reads as something else", kept[_i].name, out);
}
END_TEST

/* Checks that no decimal of `digits` digits reads back as `x`: neither the nearest one nor those beside it. */
static void check_none(double x, int digits, const char *text)
{
    char nearest[40], tried[60];
    snprintf(nearest, sizeof nearest, "%.*e", digits - 1, fabs(x));
    long long whole = nearest[0] - '0';
    const char *c = nearest + 1;
    for (; *c != 'e'; c++)
        if (*c != '.') whole = 10 * whole + *c - '0';
    for (long long n = whole - 1; n <= whole + 1; n++) {
        snprintf(tried, sizeof tried, "%lldE%d", n, atoi(c + 1) - digits + 1);
        ASSERT_IN_LOOP(strtod(tried, NULL) != fabs(x), "%a is written %s, not %s", x, text, tried);
    }
}

static void check_double(double x)
{
    json_t *value = json_real(x);
    const char *text = written(value);
    json_decref(value);
    ASSERT_IN_LOOP(strtod(text, NULL) == x, "%a is written %s", x, text);
    ASSERT_IN_LOOP(strpbrk(text, ".e") && !strchr(text, '+') && !strstr(text, "e0") && !strstr(text, "e-0"),
                   "%a is written %s", x, text);
    int digits = 0, zeros = 0;
    for (const char *c = text; *c && *c != 'e'; c++) {
        if (*c < '0' || *c > '9' || (digits == 0 && *c == '0')) continue;
        digits++;
        zeros = *c == '0' ? zeros + 1 : 0; /* trailing zeros are not significant */
    }
    if (digits - zeros >= 2) check_none(x, digits - zeros - 1, text);
}

START_TEST(powers_of_two_are_written_shortest)
{
    for (int exponent = -1074; exponent < 1024; exponent++) {
        double x = ldexp(1, exponent);
        check_double(x);
        check_double(-x);
        check_double(nextafter(x, 0));
        check_double(nextafter(x, INFINITY));
    }
}
END_TEST

/* The hash of an operation is stored; an upgrade must not change it. */
START_TEST(the_text_for_a_hash_is_that_of_version_1)
{
    json_fault fault;
    const char *in = "{\"b\":[5.684341886080802e-14,0.1,1e2],\"a\":-7.120236347223045e-307}";
    json_t *value = read_exact(in, strlen(in), DEPTH, &fault);
    strbuf out = STRBUF(a);
    json_write_sorted(&out, value);
    ck_assert_str_eq(out.data, "{\"a\":-7.1202363472230444e-307,\"b\":[5.6843418860808015e-14,0.1,100.0]}");
    ck_assert_str_eq(written(value), "{\"b\":[5.684341886080802e-14,0.1,100.0],\"a\":-7.120236347223045e-307}");
}
END_TEST

START_TEST(a_number_grows_by_a_bounded_factor)
{
    json_fault fault;
    for (int exponent = -20; exponent < 30; exponent++) {
        strbuf text = STRBUF(a);
        for (int i = 0; i < 100; i++) strbuf_printf(&text, "%c1e%d", i == 0 ? '[' : ',', exponent);
        strbuf_putc(&text, ']');
        json_t *value = read_exact(text.data, text.len, DEPTH, &fault);
        size_t len = strlen(written(value));
        ASSERT_IN_LOOP(len <= text.len * JSON_WRITE_GROWTH, "1e%d: %zu bytes for %zu", exponent, len, text.len);
    }
}
END_TEST

START_TEST(random_doubles_are_written_shortest)
{
    for (int i = 0; i < 50000; i++) {
        uint64_t bits = unit_random("json_write");
        if (i % 8 == 0) bits &= UINT64_C(0x800FFFFFFFFFFFFF); /* subnormal */
        double x;
        memcpy(&x, &bits, sizeof x);
        if (isfinite(x)) check_double(x);
        check_double((double)(int64_t)(unit_random("json_write") % 2000001 - 1000000) / 100); /* prices, ratings */
        if (i % 1000 == 0) arena_reset(a);
    }
    const double edges[] = {DBL_MIN,         DBL_MAX,  DBL_TRUE_MIN, DBL_EPSILON, nextafter(DBL_MIN, 0),
                            nextafter(1, 2), 0.1 + 0.2};
    for (size_t i = 0; i < COUNT(edges); i++) check_double(edges[i]);
}
END_TEST

START_TEST(every_character_is_written_byte_for_byte)
{
    json_fault fault;
    for (unsigned c = 1; c <= 0x10FFFF; c += 0x100) {
        strbuf in = STRBUF(a), out = STRBUF(a);
        for (unsigned u = c; u < c + 0x100 && u <= 0x10FFFF; u++) {
            if (u >= 0xD800 && u < 0xE000) continue;
            if (u < 0x80)
                strbuf_putc(&in, (char)u);
            else if (u < 0x800)
                strbuf_printf(&in, "%c%c", 0xC0 | u >> 6, 0x80 | (u & 63));
            else if (u < 0x10000)
                strbuf_printf(&in, "%c%c%c", 0xE0 | u >> 12, 0x80 | (u >> 6 & 63), 0x80 | (u & 63));
            else
                strbuf_printf(&in, "%c%c%c%c", 0xF0 | u >> 18, 0x80 | (u >> 12 & 63), 0x80 | (u >> 6 & 63),
                              0x80 | (u & 63));
        }
        if (in.len == 0) continue;
        json_write_string(&out, in.data, in.len);
        json_t *value = read_exact(out.data, out.len, DEPTH, &fault);
        ASSERT_IN_LOOP(value != NULL, "U+%04X: %s", c, out.data);
        ck_assert_uint_eq(json_string_length(value), in.len);
        ck_assert_mem_eq(json_string_value(value), in.data, in.len);
        ck_assert_str_eq(written(value), out.data);
        arena_reset(a);
    }
}
END_TEST

START_TEST(a_long_string_is_written_again)
{
    json_fault fault;
    strbuf text = STRBUF(a);
    strbuf_putc(&text, '"');
    while (text.len < 3000000)
        strbuf_puts(&text, "b\xC3\xBC"
                           "ch\\n \xF0\x9F\x93\x9A \\\" ");
    strbuf_putc(&text, '"');
    json_t *value = read_exact(text.data, text.len, DEPTH, &fault);
    ck_assert_ptr_nonnull(value);
    ck_assert_str_eq(written(value), text.data);
}
END_TEST

START_TEST(members_are_written_with_their_commas)
{
    strbuf b = STRBUF(a);
    strbuf_puts(&b, "{");
    json_write_member(&b, "a\"", "x\n");
    json_write_member(&b, "none", NULL);
    json_write_int(&b, "n", INT64_MIN);
    json_write_bool(&b, "yes", true);
    json_write_name(&b, "list");
    strbuf_puts(&b, "[{");
    json_write_bool(&b, "no", false);
    strbuf_puts(&b, "}]");
    json_write_instant(&b, "at", 0);
    json_write_member(&b, "brace", "{");
    json_write_member(&b, "last", "");
    strbuf_puts(&b, "}");
    ck_assert_str_eq(
        b.data, "{\"a\\\"\":\"x\\n\",\"none\":null,\"n\":-9223372036854775808,\"yes\":true,\"list\":[{\"no\":false}],"
                "\"at\":\"1970-01-01T00:00:00.000Z\",\"brace\":\"{\",\"last\":\"\"}");
}
END_TEST

Suite *suite_json_write(void);

Suite *suite_json_write(void)
{
    Suite *s = suite_create("json_write");
    TCase *c = tcase_create("json_write");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, a_text_is_written_again, 0, COUNT(kept));
    tcase_add_test(c, powers_of_two_are_written_shortest);
    tcase_add_test(c, the_text_for_a_hash_is_that_of_version_1);
    tcase_add_test(c, a_number_grows_by_a_bounded_factor);
    tcase_add_test(c, random_doubles_are_written_shortest);
    tcase_add_test(c, every_character_is_written_byte_for_byte);
    tcase_add_test(c, a_long_string_is_written_again);
    tcase_add_test(c, members_are_written_with_their_commas);
    suite_add_tcase(s, c);
    return s;
}
