#include "base/utf8.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "unit.h"

static const struct {
    const char *text;
    bool valid;
} texts[] = {
    {"", true},
    {"plain \x01\x7f", true},
    {"\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf", true},
    {"\x80", false},             /* no first byte */
    {"\xbf", false},             /* no first byte */
    {"\xc3", false},             /* ends early */
    {"\xc3(", false},            /* no second byte */
    {"\xe2\x82", false},         /* ends early */
    {"\xe2\x82(", false},        /* no third byte */
    {"\xf0\x9f\x98", false},     /* ends early */
    {"\xc0\xaf", false},         /* overlong */
    {"\xc1\xbf", false},         /* overlong */
    {"\xe0\x9f\xbf", false},     /* overlong */
    {"\xf0\x8f\xbf\xbf", false}, /* overlong */
    {"\xed\xa0\x80", false},     /* half of a surrogate pair */
    {"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
    {"\xf5\x80\x80\x80", false},
    {"\xff\xfe", false},
};

START_TEST(a_text_is_utf8_or_not)
{
    ck_assert_msg(utf8_valid(texts[_i].text, strlen(texts[_i].text)) == texts[_i].valid, "text %d", _i);
}
END_TEST

/* Jansson checks UTF-8, too. */
START_TEST(every_pair_and_triple_of_bytes_agrees_with_jansson)
{
    for (unsigned first = 0x80; first < 0x100; first++)
        for (unsigned second = 0x70; second < 0x100; second++)
            for (unsigned third = 0x7E; third < 0xC2; third++) {
                const char text[] = {(char)first, (char)second, (char)third};
                json_t *string = json_stringn(text, sizeof text);
                ASSERT_IN_LOOP(utf8_valid(text, sizeof text) == (string != NULL), "%02x %02x %02x", first, second,
                               third);
                json_decref(string);
            }
}
END_TEST

START_TEST(a_line_of_the_log_is_json_whatever_the_string_holds)
{
    int ends[2], standard_error = dup(STDERR_FILENO);
    char line[8192];
    ck_assert_int_eq(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_event(LOG_LEVEL_ERROR, "test", "%s", "a\xe9\xc3\xbc\xff\"\n");
    dup2(standard_error, STDERR_FILENO);
    ssize_t n = read(ends[0], line, sizeof line - 1);
    ck_assert_int_gt(n, 3);
    line[n] = '\0';
    json_error_t error;
    json_t *event = json_loads(line + strlen("<3>"), 0, &error);
    ck_assert_msg(event != NULL, "%s: %s", error.text, line);
    ck_assert_str_eq(json_string_value(json_object_get(event, "message")), "a\xef\xbf\xbd\xc3\xbc\xef\xbf\xbd\"\n");
    json_decref(event);
}
END_TEST

Suite *suite_utf8(void)
{
    Suite *s = suite_create("utf8");
    TCase *c = tcase_create("utf8");
    tcase_set_timeout(c, 30);
    tcase_add_loop_test(c, a_text_is_utf8_or_not, 0, COUNT(texts));
    tcase_add_test(c, every_pair_and_triple_of_bytes_agrees_with_jansson);
    tcase_add_test(c, a_line_of_the_log_is_json_whatever_the_string_holds);
    suite_add_tcase(s, c);
    return s;
}
