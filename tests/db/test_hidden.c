/* What is dropped when quota.hidden is exceeded, in which order, and that no device misses a deletion. */
#include "counters.h"

#include <string.h>

#include "sync/full.h"

static const int64_t now = 1700000000000;

/* What may be dropped, in this order. */
typedef struct hidden {
    long long conflicts, snapshots, contents, tombstones;
} hidden;

static hidden read_hidden(PGconn *c, const char *user)
{
    static const char deleted[] = "SELECT count(*) FROM entities WHERE user_id = '%s' AND status = 'deleted'%s";
    return (hidden){
        sql_number(c, "SELECT count(*) FROM conflicts WHERE user_id = '%s' AND status = 'resolved'", user),
        sql_number(c, "SELECT count(*) FROM snapshots WHERE user_id = '%s'", user),
        sql_number(c, deleted, user, " AND deleted_at IS NOT NULL AND data::text <> '{}'"),
        sql_number(c, deleted, user, ""),
    };
}

static void put_book(peer *p, const char *id, const char *data, int64_t at)
{
    static int number;
    const char *op =
        peer_operation(p, peer_printf(p, "b-%d", ++number), data ? "update" : "delete", "book", id, data, at);
    peer_post(p, peer_body(p, &op, 1));
}

static const char *cursor_of(peer *p)
{
    return text_of(peer_pull_all(p), "cursor");
}

static rc pull_from(peer *p, const char *cursor)
{
    strbuf text;
    sync_ctx *ctx = peer_ctx(p, &text);
    ck_assert_int_eq(db_ready(p->db), RC_OK);
    return pull_run(ctx, &(pull_query){.cursor = cursor});
}

static void fill_hidden(peer *p)
{
    const char *long_title = "{\"title\":\"a title that takes some bytes, a title that takes some bytes\"}";
    const full_options options = {0};
    const char *library = "{\"mode\":\"replace\",\"tags\":[{\"id\":\"t\",\"name\":\"n\"}]}";
    for (int i = 0; i < 12; i++) put_book(p, peer_printf(p, "e%d", i), long_title, now);
    for (int i = 0; i < 4; i++) put_book(p, peer_printf(p, "e%d", i), "{\"title\":\"late\"}", now - 1000);
    for (int i = 0; i < 3; i++) {
        strbuf streamed, reply = STRBUF(p->a);
        sync_ctx *ctx = peer_ctx(p, &streamed);
        const char *body =
            peer_printf(p, "%.*s,{\"id\":\"t%d\",\"name\":\"n%d\"}]}", (int)strlen(library) - 2, library, i, i);
        ck_assert_int_eq(full_run(ctx, body, strlen(body), &options, &reply), RC_OK);
    }
    for (int i = 0; i < 6; i++) put_book(p, peer_printf(p, "e%d", i), NULL, now + 1000);
}

START_TEST(hidden_rows_are_dropped_in_their_order_and_no_device_misses_a_deletion)
{
    peer *p = peer_new();
    PGconn *c = sql_open_admin();
    fill_hidden(p);
    hidden last = read_hidden(c, p->user);
    ck_assert(last.conflicts >= 4 && last.snapshots >= 2 && last.contents >= 6 && last.tombstones >= 6);
    const char *cursor = cursor_of(p);
    for (int i = 0; i < 6; i++) put_book(p, peer_printf(p, "e%d", 6 + i), NULL, now + 2000); /* after the cursor */
    last = read_hidden(c, p->user);
    long long tombstones = last.tombstones;
    for (int i = 0; last.tombstones > 0; i++) {
        ck_assert_int_lt(i, 400);
        p->conf.quota_hidden = 1 + most(check_counters(p, c, "a drop").hidden - 100, 0);
        put_book(p, "kept", peer_printf(p, "{\"title\":\"%d\"}", i), now + 3000 + i);
        hidden present = read_hidden(c, p->user);
        ck_assert(present.snapshots == last.snapshots || present.conflicts == 0);
        ck_assert(present.snapshots >= last.snapshots - 1); /* bounded work */
        ck_assert(present.contents == last.contents || present.snapshots == 0);
        ck_assert(present.tombstones == last.tombstones || present.contents == 0);
        /* The cursor is from before six deletions: it holds as long as all of them are there. */
        long long reported = 0;
        if (pull_from(p, cursor) == RC_OK)
            reported = sql_number(c,
                                  "SELECT count(*) FROM entities WHERE user_id = '%s' AND status = 'deleted' AND"
                                  " entity_id IN ('e6', 'e7', 'e8', 'e9', 'e10', 'e11')",
                                  p->user);
        else
            ck_assert_int_eq(pull_from(p, cursor), RC_RESYNC);
        ck_assert(reported == 6 || pull_from(p, cursor) == RC_RESYNC);
        if (present.tombstones == tombstones) ck_assert_int_eq(reported, 6);
        last = present;
    }
    ck_assert_int_eq(pull_from(p, cursor), RC_RESYNC);
    ck_assert_int_eq(pull_from(p, cursor_of(p)), RC_OK);
    check_counters(p, c, "the last drop");
    PQfinish(c);
    peer_free(p);
}
END_TEST

/* data: NULL: deletes the log. */
static void put_log(peer *p, int book, const char *id, const char *data, int64_t at)
{
    static int number;
    if (data) data = peer_printf(p, "{\"bookId\":\"b%d\",\"status\":\"read\",%s}", book, data);
    const char *op = peer_operation(p, peer_printf(p, "l-%d", ++number), data ? "update" : "delete", "readingLog",
                                    peer_printf(p, "%s%d", id, book), data, at);
    json_t *reply = peer_post(p, peer_body(p, &op, 1));
    ck_assert_str_eq(text_of(result_of(reply, 0), "status"), "success");
}

/* Displaced logs of which no other log of the book is left that displaces them. */
static long long orphans(PGconn *c, const char *user)
{
    return sql_number(
        c,
        "SELECT count(*) FROM entities s WHERE user_id = '%s' AND superseded_at IS NOT NULL AND NOT EXISTS"
        " (SELECT FROM entities d WHERE d.user_id = s.user_id AND d.kind = s.kind AND d.key = s.key"
        " AND d.superseded_at IS NULL AND d.data ->> 'finishedAt' IS NOT NULL)",
        user);
}

START_TEST(a_deleted_log_is_dropped_only_with_those_that_it_displaces)
{
    enum { BOOKS = 8 };
    static const char finished[] = "\"finishedAt\":\"2024-01-01\"";
    peer *p = peer_new();
    PGconn *c = sql_open_admin();
    for (int i = 0; i < BOOKS; i++) {
        put_log(p, i, "displaced", finished, now);
        put_log(p, i, "deleted", finished, now + 1000);
    }
    for (int i = 0; i < BOOKS; i++) put_log(p, i, "deleted", NULL, now + 2000);
    for (int i = 0; i < BOOKS; i += 2) put_log(p, i, "displaced", "\"notes\":\"later\"", now + 500);
    hidden last = read_hidden(c, p->user);
    ck_assert_int_eq(last.tombstones, 2 * BOOKS);
    ck_assert_int_eq(orphans(c, p->user), 0);
    for (int i = 0; last.tombstones > 0; i++) {
        ck_assert_int_lt(i, 400);
        p->conf.quota_hidden = 1 + most(check_counters(p, c, "a drop").hidden - 100, 0);
        put_book(p, "kept", peer_printf(p, "{\"title\":\"%d\"}", i), now + 3000 + i);
        last = read_hidden(c, p->user);
        ck_assert_int_eq(orphans(c, p->user), 0);
    }
    /* Nothing comes back. */
    for (int i = 0; i < BOOKS; i++) put_log(p, i, "unfinished", "\"startedAt\":\"2024-03-01\"", now + 4000);
    ck_assert_int_eq(sql_number(c, "SELECT count(*) FROM entities WHERE user_id = '%s' AND status = 'live'", p->user),
                     BOOKS + 1);
    check_counters(p, c, "the last drop");
    PQfinish(c);
    peer_free(p);
}
END_TEST

START_TEST(a_full_sync_keeps_its_own_snapshot)
{
    peer *p = peer_new();
    PGconn *c = sql_open_admin();
    p->conf.quota_hidden = 1;
    fill_hidden(p);
    ck_assert_int_le(read_hidden(c, p->user).snapshots, 1);
    strbuf streamed, reply = STRBUF(p->a);
    sync_ctx *ctx = peer_ctx(p, &streamed);
    const char body[] = "{\"mode\":\"replace\",\"tags\":[]}";
    ck_assert_int_eq(full_run(ctx, body, strlen(body), &(full_options){0}, &reply), RC_OK);
    ck_assert_ptr_nonnull(strstr(reply.data, "\"snapshot\""));
    ck_assert_int_ge(sql_number(c,
                                "SELECT count(*) FROM snapshots s JOIN clocks c USING (user_id)"
                                " WHERE user_id = '%s' AND stamp = clock",
                                p->user),
                     1);
    check_counters(p, c, "a full sync");
    PQfinish(c);
    peer_free(p);
}
END_TEST

Suite *suite_hidden(void)
{
    Suite *s = suite_create("hidden");
    TCase *t = tcase_create("hidden");
    tcase_add_test(t, hidden_rows_are_dropped_in_their_order_and_no_device_misses_a_deletion);
    tcase_add_test(t, a_deleted_log_is_dropped_only_with_those_that_it_displaces);
    tcase_add_test(t, a_full_sync_keeps_its_own_snapshot);
    suite_add_tcase(s, t);
    return s;
}
