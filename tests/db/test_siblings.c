/* Many entities of one key: what a request loads and holds in memory is bounded by its own size, and the rule between
 * the entities holds however many there are. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "engine/kind.h"
#include "engine/readings.h"
#include "harness.h"
#include "store/sql.h"

/* Stores `count` ratings of each of the books b1…`books`, of which the last one is live, with `members` further members
 * of about 12 bytes each. */
static void store_ratings(PGconn *admin, const peer *p, int books, int count, int members)
{
    PQclear(
        sql_run(admin,
                "INSERT INTO entities (user_id, kind, entity_id, updated_at, created_at, edited_at, superseded_at,"
                " base_at, status, key, data) SELECT '%1$s', 'rating', 'b' || b || '-' || n, 1000 + b * %3$d + n, n,"
                " n, CASE WHEN n < %3$d THEN %3$d END, n, CASE WHEN n < %3$d THEN 'deleted' ELSE 'live' END,"
                " 'b' || b, ('{\"bookId\":\"b' || b || '\",\"stars\":3' || m.text || '}')::json FROM"
                " (SELECT coalesce(string_agg(',\"k' || i || '\":' || i, ''), '') AS text"
                " FROM generate_series(1, %4$d) AS i) AS m,"
                " generate_series(1, %2$d) AS b, generate_series(1, %3$d) AS n",
                p->user, books, count, members));
}

static long long live_ratings(PGconn *admin, const peer *p)
{
    return sql_number(admin, "SELECT count(*) FROM entities WHERE user_id = '%s' AND status = 'live'", p->user);
}

/* The most memory that this process ever had, in KiB. */
static long memory_peak(void)
{
    char line[256];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && kib < 0 && fgets(line, sizeof line, f)) sscanf(line, "VmHWM: %ld", &kib);
    if (f) fclose(f);
    return kib;
}

START_TEST(a_small_operation_does_not_load_the_large_ratings_of_its_book)
{
    enum { RATINGS = 36, MEMBERS = 64000, SIZE = 900 * 1000 };
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    store_ratings(admin, p, 1, RATINGS, MEMBERS);
    const char *op = peer_operation(p, "op", "create", "rating", "new", "{\"bookId\":\"b1\",\"stars\":4}", clock_now());
    const char *older =
        peer_operation(p, "old", "create", "rating", "old", "{\"bookId\":\"b1\",\"stars\":2}", clock_now() - CLOCK_DAY);
    long before = memory_peak();
    json_t *reply = peer_post(p, peer_body(p, &op, 1));
    json_t *second = peer_post(p, peer_body(p, &older, 1));
    long grown = memory_peak() - before;
    ck_assert_msg(grown < 16 * 1024, "the process grew by %ld KiB", grown);
    ck_assert_int_eq(live_ratings(admin, p), 1);
    const json_t *side = json_object_get(json_object_get(result_of(reply, 0), "conflict"), "serverData");
    ck_assert_str_eq(text_of(side, "id"), "b1-36");
    ck_assert_str_eq(text_of(side, "bookId"), "b1");
    ck_assert_ptr_null(json_object_get(side, "stars")); /* it is too large to be shown */
    side = json_object_get(json_object_get(result_of(second, 0), "conflict"), "serverData");
    ck_assert_int_eq(json_integer_value(json_object_get(side, "stars")), 4);
    /* The content of what was superseded is still there. */
    ck_assert_int_eq(sql_number(admin,
                                "SELECT count(*) FROM entities WHERE user_id = '%s' AND entity_id LIKE 'b1-%%'"
                                " AND status = 'deleted' AND superseded_at IS NOT NULL AND length(data::text) > %d",
                                p->user, SIZE),
                     RATINGS);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* The number of rows that SQL_ENTITIES_READ returns for ratings of new ids of the books b1…`books`. */
static int rows_loaded(PGconn *c, const peer *p, int books, int operations)
{
    PQclear(sql_run(c, "PREPARE x AS %s", sql_statements[SQL_ENTITIES_READ].text));
    PGresult *arrays = sql_run(c,
                               "SELECT array_fill('rating'::text, ARRAY[%2$d]), array_agg('new' || n),"
                               " array_agg('b' || n %% %1$d + 1) FROM generate_series(1, %2$d) AS n",
                               books, operations);
    const char *kinds = PQgetvalue(arrays, 0, 0);
    PGresult *r = sql_run(c, "EXECUTE x ('%s', '%s', '%s', '%s', '%s', 1000000)", p->user, kinds,
                          PQgetvalue(arrays, 0, 1), kinds, PQgetvalue(arrays, 0, 2));
    int rows = PQntuples(r);
    PQclear(arrays);
    PQclear(r);
    PQclear(sql_run(c, "DEALLOCATE x"));
    return rows;
}

START_TEST(a_request_loads_one_rating_for_each_book_however_many_there_are)
{
    enum { BOOKS = 50, RATINGS = 200, OPERATIONS = 1000 };
    const char *ops[OPERATIONS];
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    store_ratings(admin, p, BOOKS, RATINGS, 0);
    ck_assert_int_eq(rows_loaded(admin, p, BOOKS, OPERATIONS), BOOKS);
    int64_t at = clock_now() - CLOCK_DAY;
    for (int i = 0; i < OPERATIONS; i++)
        ops[i] = peer_operation(p, peer_printf(p, "op%d", i), "create", "rating", peer_printf(p, "new%d", i),
                                peer_printf(p, "{\"bookId\":\"b%d\",\"stars\":4}", i % BOOKS + 1), at + i);
    peer_post(p, peer_body(p, ops, OPERATIONS));
    ck_assert_int_eq(live_ratings(admin, p), BOOKS);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* The bound of what is loaded must not depend on limits.operations: any number of holders may leave in one request. */
START_TEST(any_number_of_ratings_can_leave_a_book_in_one_request)
{
    const int leaving = _i == 0 ? 1000 : 2500;
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    p->conf.operations = leaving;
    store_ratings(admin, p, 1, leaving + 2, 0);
    const char **ops = arena_alloc(p->a, (size_t)leaving * sizeof *ops);
    for (int i = 0; i < leaving; i++) /* all but b1-1 and b1-2 */
        ops[i] =
            peer_operation(p, peer_printf(p, "op%d", i), "update", "rating", peer_printf(p, "b1-%d", leaving + 2 - i),
                           peer_printf(p, "{\"bookId\":\"other-%d\"}", i), 100000 + i);
    peer_post(p, peer_body(p, ops, (size_t)leaving));
    ck_assert_int_eq(live_ratings(admin, p), leaving + 1);
    ck_assert_int_eq(sql_number(admin,
                                "SELECT count(*) FROM entities WHERE user_id = '%s' AND status = 'live'"
                                " AND entity_id = 'b1-2' AND superseded_at IS NULL",
                                p->user),
                     1);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* A rating that was superseded comes back with its content, and every device gets it as a new version. */
START_TEST(a_rating_that_comes_back_has_its_content)
{
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    store_ratings(admin, p, 1, 2, 2000);
    const char *op =
        peer_operation(p, "op", "update", "rating", "b1-2", "{\"bookId\":\"other\"}", clock_now() - CLOCK_DAY);
    json_t *reply = peer_post(p, peer_body(p, &op, 1));
    ck_assert_int_eq(sql_number(admin,
                                "SELECT count(*) FROM entities WHERE user_id = '%s' AND entity_id = 'b1-1'"
                                " AND status = 'live' AND superseded_at IS NULL AND device IS NULL AND edited_at = 1"
                                " AND length(data::text) > 20000 AND updated_at = (SELECT clock FROM clocks"
                                " WHERE user_id = '%s')",
                                p->user, p->user),
                     1);
    ck_assert_str_eq(text_of(result_of(reply, 0), "status"), "success");
    PQfinish(admin);
    peer_free(p);
}
END_TEST

START_TEST(deleted_tags_of_a_name_do_not_hide_the_live_ones)
{
    enum { DELETED = 60 };
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    PQclear(
        sql_run(admin,
                "INSERT INTO entities (user_id, kind, entity_id, updated_at, created_at, edited_at, deleted_at,"
                " base_at, status, key, data) SELECT '%s', 'tag', 't' || n, n, n, n, CASE WHEN n > 1 THEN n + 1 END,"
                " n, CASE WHEN n > 1 THEN 'deleted' ELSE 'live' END, 'Fantasy', '{\"name\":\"Fantasy\"}'"
                " FROM generate_series(1, %d) AS n",
                p->user, DELETED));
    const char *op = peer_operation(p, "op", "create", "tag", "new", "{\"name\":\"Fantasy\"}", clock_now());
    const json_t *conflict = json_object_get(result_of(peer_post(p, peer_body(p, &op, 1)), 0), "conflict");
    ck_assert_str_eq(text_of(conflict, "reason"), "same_name");
    ck_assert_str_eq(text_of(conflict, "otherId"), "t1");
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* SQL_ENTITIES_READ decides in SQL whether a deleted entity has all required members. */
START_TEST(the_statement_knows_the_kinds_with_one_entity_per_key)
{
    const char *text = sql_statements[SQL_ENTITIES_READ].text;
    for (const kind *const *k = kinds; *k; k++) {
        const char *required = NULL;
        char name[64];
        if ((*k)->rule != KIND_ONE_PER_KEY && (*k)->rule != KIND_READINGS) continue;
        for (const field *f = (*k)->fields; f->name; f++) {
            if (!f->required || strcmp(f->name, (*k)->key) == 0) continue;
            ck_assert_msg(!required, "%s: one more required member: %s", (*k)->name, f->name);
            required = f->name;
        }
        snprintf(name, sizeof name, "'%s'", (*k)->name);
        ck_assert_msg(strstr(text, name), "%s", name);
        ck_assert_ptr_nonnull(required);
        snprintf(name, sizeof name, "'%s'", required ? required : "");
        ck_assert_msg(strstr(text, name), "%s: %s", (*k)->name, name);
    }
}
END_TEST

/* It also names the members that decide whether a reading log stands. */
START_TEST(the_statement_knows_the_facts_of_a_reading_log)
{
    const char *text = sql_statements[SQL_ENTITIES_READ].text;
    for (const char *const *name = reading_members; *name; name++) {
        char quoted[64];
        snprintf(quoted, sizeof quoted, "'%s'", *name);
        ck_assert_msg(strstr(text, quoted), "%s", quoted);
        snprintf(quoted, sizeof quoted, "'/%s'", *name);
        ck_assert_msg(strstr(text, quoted), "%s", quoted);
    }
}
END_TEST

/* Stores `count` finished logs of each of the books b1…`books`, on different days, with `bytes` bytes of notes. The log
 * of a higher number was edited later, and finished earlier: log `count` in 2000. */
static void store_logs(PGconn *admin, const peer *p, int books, int count, int bytes)
{
    PQclear(sql_run(admin,
                    "INSERT INTO entities (user_id, kind, entity_id, updated_at, created_at, edited_at, base_at,"
                    " status, key, data) SELECT '%1$s', 'readingLog', 'b' || b || '-' || n, 1000 + b * %3$d + n, n, n,"
                    " n, 'live', 'b' || b, ('{\"bookId\":\"b' || b || '\",\"status\":\"read\",\"finishedAt\":'"
                    " || (10957 + %3$d - n) * 86400000::bigint || ',\"notes\":\"' || repeat(md5(n::text), %4$d / 32)"
                    " || '\"}')::json FROM generate_series(1, %2$d) AS b, generate_series(1, %3$d) AS n",
                    p->user, books, count, bytes));
}

static long long count_logs(PGconn *admin, const peer *p, const char *condition)
{
    return sql_number(admin, "SELECT count(*) FROM entities WHERE user_id = '%s' AND kind = 'readingLog' AND %s",
                      p->user, condition);
}

/* A new log of the book is compared with the 200 others that were edited last. The others stay as they are. */
START_TEST(of_many_logs_a_request_meets_those_that_were_edited_last)
{
    enum { LOGS = 20000 };
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    store_logs(admin, p, 1, LOGS, 64);
    const char *op =
        peer_operation(p, "op", "create", "readingLog", "new",
                       "{\"bookId\":\"b1\",\"status\":\"read\",\"finishedAt\":\"2000-01-11T05:00:00Z\"}", clock_now());
    long before = memory_peak();
    const json_t *conflict = json_object_get(result_of(peer_post(p, peer_body(p, &op, 1)), 0), "conflict");
    ck_assert_int_lt(memory_peak() - before, 16 * 1024);
    ck_assert_str_eq(text_of(conflict, "otherId"), "b1-19990"); /* finished on that day */
    ck_assert_int_eq(count_logs(admin, p, "status = 'live'"), LOGS);
    op = peer_operation(p, "op2", "create", "readingLog", "new2",
                        "{\"bookId\":\"b1\",\"status\":\"read\",\"finishedAt\":\"2000-10-28T05:00:00Z\"}", clock_now());
    ck_assert_ptr_null(json_object_get(result_of(peer_post(p, peer_body(p, &op, 1)), 0), "conflict"));
    ck_assert_int_eq(count_logs(admin, p, "status = 'live'"), LOGS + 1);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* A full request on one book that has many logs: each operation meets all that are loaded. */
START_TEST(a_full_request_on_a_book_with_many_logs_ends_in_time)
{
    enum { LOGS = 20000, OPERATIONS = 1000 };
    const char *ops[OPERATIONS];
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    store_logs(admin, p, 1, LOGS, 64);
    for (int i = 0; i < OPERATIONS; i++)
        ops[i] = peer_operation(
            p, peer_printf(p, "op%d", i), "create", "readingLog", peer_printf(p, "new%d", i),
            peer_printf(p, "{\"bookId\":\"b1\",\"status\":\"read\",\"finishedAt\":1700000000%03d}", i % 200),
            clock_now() + i);
    peer_post(p, peer_body(p, ops, OPERATIONS)); /* asserts 200: the statements and the request have time limits */
    ck_assert_int_eq(count_logs(admin, p, "status = 'live' AND entity_id LIKE 'new%'"), 1); /* all of one day */
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* What one request loads is bounded: one with too many books of many logs must be split. */
START_TEST(a_request_that_meets_too_many_logs_must_be_split)
{
    enum { BOOKS = 120, LOGS = 100 };
    const char *ops[BOOKS];
    json_t *reply;
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    store_logs(admin, p, BOOKS, LOGS, 32);
    for (int i = 0; i < BOOKS; i++)
        ops[i] = peer_operation(
            p, peer_printf(p, "op%d", i), "create", "readingLog", peer_printf(p, "new%d", i),
            peer_printf(p, "{\"bookId\":\"b%d\",\"status\":\"read\",\"finishedAt\":\"2000-01-01\"}", i + 1),
            clock_now());
    ck_assert_int_eq(peer_try(p, peer_body(p, ops, BOOKS), &reply), RC_TOO_LARGE);
    ck_assert_msg(strstr(p->ctx.message, "at most 60"), "%s", p->ctx.message);
    ck_assert_int_eq(count_logs(admin, p, "superseded_at IS NOT NULL"), 0);
    peer_post(p, peer_body(p, ops, 60));
    peer_post(p, peer_body(p, ops + 60, 60));
    ck_assert_int_eq(count_logs(admin, p, "superseded_at IS NOT NULL AND entity_id LIKE '%-100'"), BOOKS);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* The logs of a book may be large. A single operation still goes on: it meets as many as are read. */
START_TEST(an_operation_on_a_book_with_large_logs_is_applied)
{
    enum { LOGS = 30, SIZE = 900 * 1000 };
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    store_logs(admin, p, 1, LOGS, SIZE);
    const char *op =
        peer_operation(p, "op", "create", "readingLog", "new",
                       "{\"bookId\":\"b1\",\"status\":\"read\",\"finishedAt\":\"2000-01-01\"}", clock_now());
    long before = memory_peak();
    peer_post(p, peer_body(p, &op, 1));
    ck_assert_int_lt(memory_peak() - before, 16 * 1024);
    ck_assert_int_eq(count_logs(admin, p, "superseded_at IS NOT NULL AND entity_id = 'b1-30'"), 1);
    ck_assert_int_eq(count_logs(admin, p, "superseded_at IS NULL AND status = 'live'"), LOGS);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* The word of a sibling is read from its marks: a note on the unfinished log does not bring it back. */
START_TEST(a_later_note_on_a_log_is_no_word)
{
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    int64_t at = clock_now() - CLOCK_DAY;
    const char *ops[] = {
        peer_operation(p, "1", "create", "readingLog", "now",
                       "{\"bookId\":\"b\",\"status\":\"currently_reading\",\"startedAt\":\"2000-01-02\"}", at),
        peer_operation(p, "2", "update", "readingLog", "now", "{\"notes\":\"p. 90\",\"mood\":{\"a\":1,\"b\":2}}",
                       at + 50),
        peer_operation(p, "3", "create", "readingLog", "read",
                       "{\"bookId\":\"b\",\"status\":\"read\",\"startedAt\":\"2000-01-02T01:00:00Z\","
                       "\"finishedAt\":\"2000-01-11\"}",
                       at + 20)};
    for (int i = 0; i < 3; i++) peer_post(p, peer_body(p, &ops[i], 1));
    ck_assert_int_eq(count_logs(admin, p, "entity_id = 'now' AND status = 'deleted'"), 1);
    ck_assert_int_eq(
        sql_number(admin, "SELECT superseded_at FROM entities WHERE user_id = '%s' AND entity_id = 'now'", p->user),
        at + 20);
    /* A log that comes back has its content. */
    const char *moved = peer_operation(p, "4", "update", "readingLog", "read", "{\"bookId\":\"x\"}", at + 90);
    peer_post(p, peer_body(p, &moved, 1));
    ck_assert_int_eq(count_logs(admin, p, "status = 'live' AND superseded_at IS NULL"), 2);
    ck_assert_int_eq(count_logs(admin, p, "entity_id = 'now' AND data ->> 'notes' = 'p. 90'"), 1);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

Suite *suite_siblings(void)
{
    Suite *s = suite_create("siblings");
    TCase *t = tcase_create("siblings");
    tcase_add_test(t, a_small_operation_does_not_load_the_large_ratings_of_its_book);
    tcase_add_test(t, a_request_loads_one_rating_for_each_book_however_many_there_are);
    tcase_add_loop_test(t, any_number_of_ratings_can_leave_a_book_in_one_request, 0, 2);
    tcase_add_test(t, a_rating_that_comes_back_has_its_content);
    tcase_add_test(t, deleted_tags_of_a_name_do_not_hide_the_live_ones);
    tcase_add_test(t, the_statement_knows_the_kinds_with_one_entity_per_key);
    tcase_add_test(t, the_statement_knows_the_facts_of_a_reading_log);
    tcase_add_test(t, of_many_logs_a_request_meets_those_that_were_edited_last);
    tcase_add_test(t, a_full_request_on_a_book_with_many_logs_ends_in_time);
    tcase_add_test(t, a_request_that_meets_too_many_logs_must_be_split);
    tcase_add_test(t, an_operation_on_a_book_with_large_logs_is_applied);
    tcase_add_test(t, a_later_note_on_a_log_is_no_word);
    suite_add_tcase(s, t);
    return s;
}
