/* poke.[ch] and streams.[ch]: pokes and tickets as text, and the streams that a poke reaches. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cursor.h"
#include "push/streams.h"
#include "sync/poke.h"

static const origin here = {9223372036854775807, 3};

static arena *a;
static streams *all;
static int woken;

static void setup(void)
{
    a = arena_new();
    all = streams_new();
    woken = 0;
}

static void teardown(void)
{
    streams_free(all);
    arena_free(a);
}

static void wake(stream *st)
{
    (void)st;
    woken++;
}

static poke poke_of(const char *user, int64_t stamp, const char *device)
{
    poke p;
    const char *text = poke_write(a, user, cursor_at(a, here, 7, stamp), poke_device(device));
    ck_assert(strlen(text) <= POKE_MAX);
    ck_assert(poke_read(a, text, strlen(text), &p));
    return p;
}

static ticket ticket_of(const char *user, int64_t stamp, const char *device, const char *last)
{
    ticket t;
    const char *poke = poke_write(a, user, cursor_at(a, here, 7, stamp), poke_device(device));
    const char *text = ticket_write(a, poke, 2000000000, last);
    ck_assert(ticket_read(a, text, strlen(text), &t));
    return t;
}

START_TEST(a_poke_reads_as_it_was_written)
{
    char longest[256];
    memset(longest, 0xC3, 255);
    longest[255] = '\0';
    const char *const users[] = {"u", "two words", "line\nbreak", "Zoë \xF0\x9F\x93\x9A; \"'", longest};
    for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
        poke p = poke_of(users[i], 1700000000000, "phone");
        ck_assert_str_eq(p.user, cursor_wrap(a, users[i]));
        ck_assert_str_eq(p.cursor, cursor_at(a, here, 7, 1700000000000));
        ck_assert_int_eq(p.epoch, 7);
        ck_assert_int_eq(p.stamp, 1700000000000);
        ck_assert(p.device == poke_device("phone") && p.device != poke_device("laptop"));
    }
    ck_assert(poke_of("u", 1, NULL).device == 0 && poke_device("") != 0);
}
END_TEST

START_TEST(a_ticket_reads_as_it_was_written)
{
    const char *known = cursor_at(a, here, 7, 5);
    ticket t = ticket_of("u", 6, NULL, known);
    ck_assert_int_eq(t.expires, 2000000000);
    ck_assert_str_eq(t.last, known);
    ck_assert_str_eq(ticket_of("u", 6, NULL, NULL).last, "-");
    ck_assert_str_eq(ticket_of("u", 6, NULL, "x y\r\nz").last, "-");
    ck_assert_str_eq(ticket_of("u", 0, NULL, cursor_at(a, here, 0, 0)).last, cursor_at(a, here, 0, 0));
}
END_TEST

START_TEST(any_other_text_is_refused)
{
    const char *c = cursor_at(a, here, 7, 5);
    const char *const texts[] = {"",
                                 " ",
                                 "u",
                                 "u x 0000000000000000",
                                 arena_printf(a, "u %s", c),
                                 arena_printf(a, "u %s ", c),
                                 arena_printf(a, " %s 0000000000000000", c),
                                 arena_printf(a, "u  %s 0000000000000000", c),
                                 arena_printf(a, "u %s 0000000000000000 ", c),
                                 arena_printf(a, "u %s 0000000000000000 1", c),
                                 arena_printf(a, "u %s 00000000000000000", c),
                                 arena_printf(a, "u %s -1", c),
                                 arena_printf(a, "u %s xyz", c),
                                 arena_printf(a, "u; %s 0000000000000000", c)};
    poke p;
    ticket t;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_assert_msg(!poke_read(a, texts[i], strlen(texts[i]), &p), "accepted: \"%s\"", texts[i]);
    const char *good = arena_printf(a, "u %s 0000000000000000", c);
    ck_assert(poke_read(a, good, strlen(good), &p) && !poke_read(a, good, strlen(good) + 1, &p));
    ck_assert(!ticket_read(a, good, strlen(good), &t));
    ck_assert(ticket_read(a, arena_printf(a, "%s 5 -", good), strlen(good) + 4, &t));
    ck_assert(!ticket_read(a, arena_printf(a, "%s x -", good), strlen(good) + 4, &t));
}
END_TEST

START_TEST(a_send_without_receiver_fails_at_once)
{
    ck_assert(!poke_send("", "x"));
    ck_assert(!poke_send("/nonexistent/booky", "x"));
}
END_TEST

START_TEST(a_new_stream_that_is_behind_is_poked)
{
    struct row {
        int64_t known, now, poked_before;
        bool poked;
        int64_t newest;
    } rows[] = {{5, 5, 0, false, 5},
                {4, 5, 0, true, 5},
                {5, 5, 6, true, 6}, /* committed after the worker read the clock */
                {6, 5, 6, false, 6},
                {5, 5, 4, false, 5}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        stream st = {0};
        const char *user = arena_printf(a, "user %zu", i);
        if (rows[i].poked_before) {
            poke p = poke_of(user, rows[i].poked_before, NULL);
            streams_poke(all, &p, 10, wake);
        }
        ticket t = ticket_of(user, rows[i].now, NULL, cursor_at(a, here, 7, rows[i].known));
        ck_assert(streams_add(all, &st, &t, 20));
        ck_assert_msg(st.poked == rows[i].poked, "row %zu", i);
        ck_assert_str_eq(st.user->cursor, cursor_at(a, here, 7, rows[i].newest));
        streams_remove(all, &st);
    }
    ck_assert_int_eq(woken, 0);
}
END_TEST

START_TEST(a_poke_reaches_all_streams_of_the_user_except_the_writers)
{
    stream st[4] = {0};
    const ticket t[] = {
        ticket_of("u", 5, "phone", cursor_at(a, here, 7, 5)), ticket_of("u", 5, "laptop", cursor_at(a, here, 7, 5)),
        ticket_of("u", 5, NULL, cursor_at(a, here, 7, 5)), ticket_of("other", 5, "laptop", cursor_at(a, here, 7, 5))};
    for (int i = 0; i < 4; i++) ck_assert(streams_add(all, &st[i], &t[i], 0));
    poke p = poke_of("u", 6, "phone");
    ck_assert_uint_eq(streams_poke(all, &p, 0, wake), 0);
    ck_assert_int_eq(woken, 2);
    ck_assert(!st[0].poked && st[1].poked && st[2].poked && !st[3].poked);
    p = poke_of("u", 8, NULL);
    ck_assert_uint_eq(streams_poke(all, &p, 0, wake), 2);
    p = poke_of("u", 7, "laptop"); /* late, from another host: the newest position is sent */
    ck_assert_uint_eq(streams_poke(all, &p, 0, wake), 2);
    ck_assert_str_eq(st[0].user->cursor, cursor_at(a, here, 7, 8));
    ck_assert_uint_eq(streams_count(all), 4);
    for (int i = 0; i < 4; i++) streams_remove(all, &st[i]);
    streams_remove(all, &st[0]);
    ck_assert_uint_eq(streams_count(all), 0);
}
END_TEST

START_TEST(a_poke_is_remembered_for_a_minute)
{
    const ticket t = ticket_of("u", 5, NULL, cursor_at(a, here, 7, 5));
    for (int64_t after = 59; after <= 60; after++) {
        stream st = {0};
        poke p = poke_of("u", 6, NULL);
        streams_poke(all, &p, 100, wake);
        streams_sweep(all, 100 + after);
        ck_assert(streams_add(all, &st, &t, 100 + after));
        ck_assert(st.poked == (after < 60));
        streams_remove(all, &st);
    }
    for (int i = 0; i < 50000; i++) { /* the number of remembered pokes is bounded */
        poke p = poke_of(arena_printf(a, "user %d", i), 6, NULL);
        streams_poke(all, &p, 200, wake);
    }
}
END_TEST

Suite *suite_poke(void)
{
    Suite *s = suite_create("poke");
    TCase *c = tcase_create("poke");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_poke_reads_as_it_was_written);
    tcase_add_test(c, a_ticket_reads_as_it_was_written);
    tcase_add_test(c, any_other_text_is_refused);
    tcase_add_test(c, a_send_without_receiver_fails_at_once);
    tcase_add_test(c, a_new_stream_that_is_behind_is_poked);
    tcase_add_test(c, a_poke_reaches_all_streams_of_the_user_except_the_writers);
    tcase_add_test(c, a_poke_is_remembered_for_a_minute);
    suite_add_tcase(s, c);
    return s;
}
