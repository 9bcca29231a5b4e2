/* Rules that span entities or requests, in the cases that random histories seldom meet. */
#include <string.h>

#include "base/clock.h"
#include "harness.h"

static long long live_ratings(PGconn *admin, const peer *p, const char *id)
{
    return sql_number(admin,
                      "SELECT count(*) FROM entities WHERE user_id = '%s' AND status = 'live' AND entity_id = '%s'",
                      p->user, id);
}

START_TEST(when_many_holders_leave_a_book_at_once_the_next_in_line_returns)
{
    enum { RATINGS = 40, LEAVING = 36 };
    const char *ops[RATINGS];
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    int64_t at = clock_now() - CLOCK_DAY;
    for (int i = 0; i < RATINGS; i++)
        ops[i] = peer_operation(p, peer_printf(p, "c%d", i), "create", "rating", peer_printf(p, "r%d", i),
                                "{\"bookId\":\"b\",\"stars\":3}", at + i);
    peer_post(p, peer_body(p, ops, RATINGS));
    for (int i = 0; i < LEAVING; i++)
        ops[i] = peer_operation(p, peer_printf(p, "u%d", i), "update", "rating", peer_printf(p, "r%d", RATINGS - 1 - i),
                                peer_printf(p, "{\"bookId\":\"other-%d\"}", i), at + 1000 + i);
    peer_post(p, peer_body(p, ops, LEAVING));
    for (int i = 0; i < RATINGS; i++) {
        const char *id = peer_printf(p, "r%d", i);
        ck_assert_msg(live_ratings(admin, p, id) == (i >= RATINGS - LEAVING - 1), "rating %s", id);
    }
    PQfinish(admin);
    peer_free(p);
}
END_TEST

START_TEST(incomplete_ratings_do_not_hide_who_holds_the_place)
{
    enum { INCOMPLETE = 40 };
    const char *ops[INCOMPLETE];
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    int64_t at = clock_now() - CLOCK_DAY;
    const char *first = peer_operation(p, "c", "create", "rating", "holder", "{\"bookId\":\"b\",\"stars\":3}", at);
    const char *last = peer_operation(p, "d", "create", "rating", "older", "{\"bookId\":\"b\",\"stars\":1}", at - 1);
    for (int i = 0; i < INCOMPLETE; i++)
        ops[i] = peer_operation(p, peer_printf(p, "u%d", i), "update", "rating", peer_printf(p, "r%d", i),
                                "{\"bookId\":\"b\"}", at + 1 + i);
    peer_post(p, peer_body(p, &first, 1));
    peer_post(p, peer_body(p, ops, INCOMPLETE));
    peer_post(p, peer_body(p, &last, 1));
    ck_assert_int_eq(live_ratings(admin, p, "holder"), 1);
    ck_assert_int_eq(live_ratings(admin, p, "older"), 0);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* At equal timestamps the server's value stays; within one request the later operation in the list wins. */
START_TEST(at_equal_timestamps_what_is_there_stays_and_the_later_in_one_request_wins)
{
    bool together = _i == 1;
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    int64_t at = clock_now();
    const char *ops[] = {
        peer_operation(p, "1", "create", "book", "b", "{\"title\":\"first\"}", at),
        peer_operation(p, "2", "create", "rating", "r1", "{\"bookId\":\"b\",\"stars\":1}", at),
        peer_operation(p, "3", "update", "book", "b", "{\"title\":\"second\"}", at),
        peer_operation(p, "4", "create", "rating", "r2", "{\"bookId\":\"b\",\"stars\":2}", at),
    };
    const json_t *last;
    if (together) {
        last = result_of(peer_post(p, peer_body(p, ops, 4)), 2);
    } else {
        peer_post(p, peer_body(p, ops, 2));
        last = result_of(peer_post(p, peer_body(p, ops + 2, 2)), 0);
    }
    const char *resolution = json_string_value(json_object_get(last, "resolution"));
    ck_assert_str_eq(resolution ? resolution : "none", together ? "none" : "server");
    ck_assert_int_eq(sql_number(admin, "SELECT count(*) FROM books WHERE user_id = '%s' AND title = '%s'", p->user,
                                together ? "second" : "first"),
                     1);
    ck_assert_int_eq(live_ratings(admin, p, "r1"), !together);
    ck_assert_int_eq(live_ratings(admin, p, "r2"), together);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* They get times of their own: when the last of them leaves the book, the one before it comes back. */
START_TEST(edits_that_win_by_policy_in_one_request_have_an_order)
{
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    int64_t at = clock_now() - CLOCK_DAY;
    static const char data[] = "{\"bookId\":\"b\",\"stars\":1},\"conflictResolution\":\"local\"";
    const char *ops[] = {
        peer_operation(p, "1", "create", "rating", "r1", data, at),
        peer_operation(p, "2", "create", "rating", "r2", data, at - 1),
        peer_operation(p, "3", "create", "rating", "r3", data, at - 2),
    };
    peer_post(p, peer_body(p, ops, 3));
    ck_assert_int_eq(live_ratings(admin, p, "r3"), 1);
    ops[0] = peer_operation(p, "4", "update", "rating", "r3", "{\"bookId\":\"other\"}", at + 1000);
    peer_post(p, peer_body(p, ops, 1));
    ck_assert_int_eq(live_ratings(admin, p, "r2"), 1);
    ck_assert_int_eq(live_ratings(admin, p, "r1"), 0);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

Suite *suite_rules(void)
{
    Suite *s = suite_create("rules");
    TCase *t = tcase_create("rules");
    tcase_add_test(t, when_many_holders_leave_a_book_at_once_the_next_in_line_returns);
    tcase_add_test(t, incomplete_ratings_do_not_hide_who_holds_the_place);
    tcase_add_loop_test(t, at_equal_timestamps_what_is_there_stays_and_the_later_in_one_request_wins, 0, 2);
    tcase_add_test(t, edits_that_win_by_policy_in_one_request_have_an_order);
    suite_add_tcase(s, t);
    return s;
}
