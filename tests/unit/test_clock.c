/* clock.[ch]: RFC 3339 in, UTC with milliseconds out. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "unit.h"

/* A text, and the instant in the form of the server; NULL: the text is refused. */
static const struct {
    const char *name, *text, *utc;
} texts[] = {
    {"the server's own form", "2024-01-15T10:30:00.000Z", "2024-01-15T10:30:00.000Z"},
    {"no fractions", "2024-01-15T10:30:00Z", "2024-01-15T10:30:00.000Z"},
    {"small letters", "2024-01-15t10:30:00z", "2024-01-15T10:30:00.000Z"},
    {"one digit of fractions is tenths", "2024-01-15T10:30:00.5Z", "2024-01-15T10:30:00.500Z"},
    {"two digits are hundredths", "2024-01-15T10:30:00.25Z", "2024-01-15T10:30:00.250Z"},
    {"microseconds are cut off, not rounded", "2024-01-15T10:30:00.123999Z", "2024-01-15T10:30:00.123Z"},
    {"nanoseconds", "2024-01-15T10:30:00.999999999Z", "2024-01-15T10:30:00.999Z"},
    {"more digits than an int has", "2024-01-15T10:30:00.00199999999999999999999Z", "2024-01-15T10:30:00.001Z"},
    {"an offset ahead of UTC", "2024-01-15T12:30:00+02:00", "2024-01-15T10:30:00.000Z"},
    {"an offset behind UTC", "2024-01-15T05:30:00-05:00", "2024-01-15T10:30:00.000Z"},
    {"half an hour", "2024-01-15T16:00:00.7+05:30", "2024-01-15T10:30:00.700Z"},
    {"three quarters of an hour", "2024-01-15T16:15:00+05:45", "2024-01-15T10:30:00.000Z"},
    {"an unknown local offset", "2024-01-15T10:30:00-00:00", "2024-01-15T10:30:00.000Z"},
    {"the largest offset", "2024-01-15T10:30:00+23:59", "2024-01-14T10:31:00.000Z"},
    {"an offset into the next year", "2023-12-31T23:30:00-01:00", "2024-01-01T00:30:00.000Z"},
    {"an offset into the previous year", "2024-01-01T00:30:00+01:00", "2023-12-31T23:30:00.000Z"},
    {"a leap day", "2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"},
    {"a leap day of a century that has one", "2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000Z"},
    {"a leap day of the year 0", "0000-02-29T00:00:00Z", "0000-02-29T00:00:00.000Z"},
    {"a leap second is the next minute", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"},
    {"a leap second before the epoch", "1969-12-31T23:59:60.25Z", "1970-01-01T00:00:00.250Z"},
    {"a leap second with fractions and offset", "2017-01-01T00:59:60.5+01:00", "2017-01-01T00:00:00.500Z"},
    {"the epoch", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"},
    {"one millisecond before the epoch", "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"},
    {"the first instant", "0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z"},
    {"the last instant", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"},
    {"inside the bounds by its offset", "9999-12-31T23:59:59-00:00", "9999-12-31T23:59:59.000Z"},

    {"before the bounds by its offset", "0000-01-01T00:00:00+00:01", NULL},
    {"after the bounds by its offset", "9999-12-31T23:59:59-00:01", NULL},
    {"after the bounds by its leap second", "9999-12-31T23:59:60Z", NULL},
    {"an empty text", "", NULL},
    {"a date only", "2024-01-15", NULL},
    {"a second of 60 within a day", "2024-01-15T10:30:60Z", NULL},
    {"a second of 60 at the end of an hour", "2024-01-15T22:59:60Z", NULL},
    {"a second of 60 at the end of a day that is none in UTC", "2024-01-15T23:59:60+01:00", NULL},
    {"a second of 60 at the end of another minute of the last hour", "2024-01-15T23:58:60.5Z", NULL},
    {"no zone", "2024-01-15T10:30:00", NULL},
    {"no seconds", "2024-01-15T10:30Z", NULL},
    {"a space in place of the T", "2024-01-15 10:30:00Z", NULL},
    {"basic format", "20240115T103000Z", NULL},
    {"epoch milliseconds as text", "1705314600000", NULL},
    {"a browser's Date.toString()", "Mon Jan 15 2024 10:30:00 GMT+0000", NULL},
    {"two digits of year", "24-01-15T10:30:00Z", NULL},
    {"five digits of year", "12024-01-15T10:30:00Z", NULL},
    {"a sign before the year", "-001-01-15T10:30:00Z", NULL},
    {"one digit of month", "2024-1-15T10:30:00Z", NULL},
    {"month 0", "2024-00-15T10:30:00Z", NULL},
    {"month 13", "2024-13-15T10:30:00Z", NULL},
    {"day 0", "2024-01-00T10:30:00Z", NULL},
    {"day 32", "2024-01-32T10:30:00Z", NULL},
    {"31 April", "2024-04-31T10:30:00Z", NULL},
    {"29 February of a common year", "2023-02-29T10:30:00Z", NULL},
    {"29 February of a common century", "1900-02-29T10:30:00Z", NULL},
    {"30 February", "2024-02-30T10:30:00Z", NULL},
    {"hour 24", "2024-01-15T24:00:00Z", NULL},
    {"minute 60", "2024-01-15T10:60:00Z", NULL},
    {"second 61", "2024-01-15T10:30:61Z", NULL},
    {"a dot without digits", "2024-01-15T10:30:00.Z", NULL},
    {"a comma in place of the dot", "2024-01-15T10:30:00,5Z", NULL},
    {"fractions without a zone", "2024-01-15T10:30:00.500", NULL},
    {"an offset without a colon", "2024-01-15T10:30:00+0200", NULL},
    {"an offset of hours only", "2024-01-15T10:30:00+02", NULL},
    {"an offset of 24 hours", "2024-01-15T10:30:00+24:00", NULL},
    {"an offset of 60 minutes", "2024-01-15T10:30:00+01:60", NULL},
    {"an offset without a sign", "2024-01-15T10:30:00 02:00", NULL},
    {"a space before", " 2024-01-15T10:30:00Z", NULL},
    {"a space after", "2024-01-15T10:30:00Z ", NULL},
    {"a zone twice", "2024-01-15T10:30:00ZZ", NULL},
    {"an offset after the Z", "2024-01-15T10:30:00Z+00:00", NULL},
    {"a letter in place of a digit", "2024-01-15T1O:30:00Z", NULL},
};

START_TEST(a_date_is_read_as_its_begin_or_refused)
{
    static const struct {
        const char *text, *utc;
    } dates[] = {
        {"2024-01-15", "2024-01-15T00:00:00.000Z"},
        {"2024-02-29", "2024-02-29T00:00:00.000Z"},
        {"0000-01-01", "0000-01-01T00:00:00.000Z"},
        {"9999-12-31", "9999-12-31T00:00:00.000Z"},
        {"2023-02-29", NULL},
        {"2024-13-01", NULL},
        {"2024-1-15", NULL},
        {"", NULL},
        {"2024-01-15 ", NULL},
        {"2024-01-15T10:30:00Z", NULL},
        {"12024-01-15", NULL},
        {"20240115", NULL},
    };
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        int64_t ms = 4711;
        char out[CLOCK_TEXT];
        bool read = clock_parse_date(dates[i].text, &ms);
        ck_assert_msg(read == (dates[i].utc != NULL), "%s", dates[i].text);
        if (read)
            ck_assert_str_eq(clock_format(ms, out), dates[i].utc);
        else
            ck_assert_int_eq(ms, 4711);
    }
}
END_TEST

START_TEST(a_text_is_read_or_refused)
{
    int64_t ms = 4711;
    char out[CLOCK_TEXT];
    bool read = clock_parse(texts[_i].text, &ms);
    if (!texts[_i].utc) {
        ck_assert_msg(!read, "%s: %s was accepted", texts[_i].name, texts[_i].text);
        ck_assert_msg(ms == 4711, "%s: a refused text changed the result", texts[_i].name);
        return;
    }
    ck_assert_msg(read, "%s: %s was refused", texts[_i].name, texts[_i].text);
    ck_assert_msg(strcmp(clock_format(ms, out), texts[_i].utc) == 0, "%s: %s", texts[_i].name, out);
}
END_TEST

static const struct {
    const char *name;
    int64_t ms;
    const char *utc;
} instants[] = {
    {"the epoch", 0, "1970-01-01T00:00:00.000Z"},
    {"the example of the contract", INT64_C(1705314600000), "2024-01-15T10:30:00.000Z"},
    {"one millisecond before the epoch", -1, "1969-12-31T23:59:59.999Z"},
    {"2^31 seconds", INT64_C(2147483648000), "2038-01-19T03:14:08.000Z"},
    {"the lower bound", CLOCK_MIN, "0000-01-01T00:00:00.000Z"},
    {"the upper bound", CLOCK_MAX, "9999-12-31T23:59:59.999Z"},
    {"below the lower bound is clamped", CLOCK_MIN - 1, "0000-01-01T00:00:00.000Z"},
    {"above the upper bound is clamped", CLOCK_MAX + 1, "9999-12-31T23:59:59.999Z"},
    {"the smallest integer is clamped", INT64_MIN, "0000-01-01T00:00:00.000Z"},
    {"the largest integer is clamped", INT64_MAX, "9999-12-31T23:59:59.999Z"},
};

START_TEST(an_instant_is_written_as)
{
    char out[CLOCK_TEXT];
    ck_assert_msg(strcmp(clock_format(instants[_i].ms, out), instants[_i].utc) == 0, "%s: %s", instants[_i].name, out);
}
END_TEST

START_TEST(random_instants_agree_with_the_system_and_read_back)
{
    for (int i = 0; i < 200000; i++) {
        int64_t ms = CLOCK_MIN + (int64_t)(unit_random("clock") % (uint64_t)(CLOCK_MAX - CLOCK_MIN + 1)), back = 0;
        int64_t milli = (ms % 1000 + 1000) % 1000;
        time_t seconds = (ms - milli) / 1000;
        struct tm t;
        gmtime_r(&seconds, &t);
        char out[CLOCK_TEXT], system[128];
        snprintf(system, sizeof system, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.tm_year + 1900, t.tm_mon + 1,
                 t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, (int)milli);
        ASSERT_IN_LOOP(strcmp(clock_format(ms, out), system) == 0, "%s, the system writes %s", out, system);
        ASSERT_IN_LOOP(clock_parse(out, &back) && back == ms, "%s reads as %lld", out, (long long)back);
        ASSERT_IN_LOOP(back == (int64_t)timegm(&t) * 1000 + milli, "%s reads as %lld", out, (long long)back);
    }
}
END_TEST

START_TEST(every_day_of_400_years_reads_back)
{
    for (int64_t ms = INT64_C(-2208988800000), end = ms + 146097 * CLOCK_DAY, back = 0; ms < end; ms += CLOCK_DAY) {
        char out[CLOCK_TEXT];
        ASSERT_IN_LOOP(clock_parse(clock_format(ms, out), &back) && back == ms, "%s reads as %lld", out,
                       (long long)back);
    }
}
END_TEST

START_TEST(the_clocks_advance)
{
    int64_t wall = clock_now(), mono = clock_monotonic_us();
    ck_assert_int_le(llabs(wall / 1000 - (int64_t)time(NULL)), 1);
    ck_assert_int_ge(clock_monotonic_us(), mono);
}
END_TEST

Suite *suite_clock(void)
{
    Suite *s = suite_create("clock");
    TCase *c = tcase_create("clock");
    tcase_set_timeout(c, 30);
    tcase_add_test(c, a_date_is_read_as_its_begin_or_refused);
    tcase_add_loop_test(c, a_text_is_read_or_refused, 0, COUNT(texts));
    tcase_add_loop_test(c, an_instant_is_written_as, 0, COUNT(instants));
    tcase_add_test(c, random_instants_agree_with_the_system_and_read_back);
    tcase_add_test(c, every_day_of_400_years_reads_back);
    tcase_add_test(c, the_clocks_advance);
    suite_add_tcase(s, c);
    return s;
}
