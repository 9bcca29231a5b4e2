/* Statements that PostgreSQL cannot take are refused before they are sent. */
#include <string.h>

#include "harness.h"

static long long clock_of(PGconn *admin, const char *user)
{
    return sql_number(admin, "SELECT coalesce(max(clock), 0) FROM clocks WHERE user_id = '%s'", user);
}

/* Parameters for SQL_CONFLICTS_CLOSE, of which the arrays have these sizes. Their bytes are not read. */
static const db_param *arrays_of(peer *p, const size_t sizes[3])
{
    db_param *params = arena_alloc(p->a, 5 * sizeof *params);
    params[0] = db_text(p->user);
    params[1] = db_int(p->a, 1);
    for (int i = 0; i < 3; i++) {
        db_array empty = db_array_new(p->a, DB_TEXT);
        params[2 + i] = db_array_param(&empty);
        if (sizes[i]) params[2 + i] = (db_param){"", sizes[i], true};
    }
    return params;
}

/* One array of more than 4 GiB, whose length does not fit an int; one that is too large; three that are too large
 * together. */
static const size_t sizes[][3] = {
    {0, ((size_t)4 << 30) + 20, 0}, {DB_PARAMS_MAX + (size_t)1, 0, 0}, {400000000, 400000000, 400000000}};

START_TEST(a_write_that_is_too_large_is_refused_as_a_whole)
{
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    peer_post(p, peer_body(p, (const char *[]){peer_operation(p, "1", "delete", "book", "b", NULL, 1)}, 1));
    long long clock = clock_of(admin, p->user);
    txn t = {0};
    ck_assert_int_eq(txn_begin(&t, p->db, p->a, p->user, NULL, 0), RC_OK);
    txn_send(&t, SQL_CONFLICTS_CLOSE, arrays_of(p, (size_t[3]){0}));
    txn_send(&t, SQL_CONFLICTS_CLOSE, arrays_of(p, sizes[_i]));
    txn_send(&t, SQL_CONFLICTS_CLOSE, arrays_of(p, (size_t[3]){0}));
    ck_assert_int_eq(txn_commit(&t), RC_TOO_LARGE);
    ck_assert(!t.in_doubt && !db_lost(p->db));
    ck_assert_int_eq(clock_of(admin, p->user), clock); /* rolled back */

    /* The same alone in its round trip, and then the transaction is given up. */
    ck_assert_int_eq(txn_begin(&t, p->db, p->a, p->user, NULL, 0), RC_OK);
    txn_send(&t, SQL_CONFLICTS_CLOSE, arrays_of(p, sizes[_i]));
    ck_assert_int_eq(txn_flush(&t), RC_TOO_LARGE);
    ck_assert_int_eq(txn_rollback(&t, RC_TOO_LARGE), RC_TOO_LARGE);
    ck_assert_int_eq(clock_of(admin, p->user), clock);

    uint64_t connects = db_connects(p->db);
    peer_post(p, peer_body(p, (const char *[]){peer_operation(p, "2", "delete", "book", "b", NULL, 2)}, 1));
    ck_assert_int_gt(clock_of(admin, p->user), clock);
    ck_assert_uint_eq(db_connects(p->db), connects);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

START_TEST(an_array_counts_what_does_not_fit)
{
    peer *p = peer_new();
    static const size_t elements[][2] = {{1, (size_t)4 << 30}, {DB_PARAMS_MAX, 1}, {1, SIZE_MAX}, {SIZE_MAX, SIZE_MAX}};
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++) {
        db_array x = db_array_new(p->a, DB_TEXT);
        db_array_text(&x, "text");
        for (int n = 0; n < 2; n++)
            if (elements[i][n] > 1) db_array_add(&x, "", elements[i][n]); /* dropped: its bytes are not read */
        db_array_text(&x, "text");
        ck_assert_uint_gt(db_array_param(&x).len, DB_PARAMS_MAX);
    }
    db_array x = db_array_new(p->a, DB_TEXT);
    db_array_text(&x, "text");
    db_array_text(&x, NULL);
    ck_assert_uint_eq(db_array_param(&x).len, 20 + 4 + 4 + 4);
    peer_free(p);
}
END_TEST

Suite *suite_large(void);

Suite *suite_large(void)
{
    Suite *s = suite_create("large");
    TCase *t = tcase_create("large");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_write_that_is_too_large_is_refused_as_a_whole, 0, sizeof sizes / sizeof *sizes);
    tcase_add_test(t, an_array_counts_what_does_not_fit);
    suite_add_tcase(s, t);
    return s;
}
