/*
 * The counters behind the quota, against the rows: after random requests of every kind they must equal what a plain
 * query over the tables counts, whatever was refused, dropped or counted late. And an operation that the quota refuses
 * must leave no trace: the user has what a request without it gives.
 */
#include "counters.h"
#include "random_requests.h"

#include <stdlib.h>
#include <string.h>

#include "sync/batch.h"
#include "sync/decision.h"
#include "sync/full.h"
#include "sync/import.h"
#include "sync/queue.h"
#include "sync/snapshot.h"

static const int64_t now = 1700000000000;

/* Random requests */

static rc send_operations(peer *p, dice *d, int *number)
{
    const char *ops[8];
    size_t count = 1 + dice_below(d, 8);
    json_t *reply;
    for (size_t i = 0; i < count; i++) ops[i] = random_operation(p, d, dice_chance(d, 90) ? ++*number : *number);
    const char *body = peer_body(p, ops, count);
    if (dice_chance(d, 10)) body = peer_printf(p, "{\"atomic\":true,%s", body + 1);
    return peer_try(p, body, &reply);
}

static rc resolve_one(sync_ctx *ctx, PGconn *c, dice *d, strbuf *reply)
{
    static const char *const choices[] = {"keep_local", "keep_server"};
    PGresult *r = sql_run(c, "SELECT stamp || '-' || n FROM conflicts WHERE user_id = '%s' AND status = 'open' LIMIT 1",
                          ctx->user);
    const char *id = PQntuples(r) ? arena_strdup(ctx->a, PQgetvalue(r, 0, 0)) : "1-0";
    PQclear(r);
    const char *body = arena_printf(ctx->a, "{\"resolution\":\"%s\"}", DICE_PICK(d, choices));
    return decision_run(ctx, id, body, strlen(body), reply);
}

static rc restore_one(sync_ctx *ctx, PGconn *c, strbuf *reply)
{
    PGresult *r = sql_run(c, "SELECT stamp FROM snapshots WHERE user_id = '%s' ORDER BY stamp LIMIT 1", ctx->user);
    const char *id = PQntuples(r) ? arena_strdup(ctx->a, PQgetvalue(r, 0, 0)) : "1";
    PQclear(r);
    return snapshot_restore(ctx, id, reply);
}

static const char *random_request(peer *p, PGconn *c, dice *d, int *number)
{
    enum { REQUESTS = 10 };
    static const char *const names[REQUESTS] = {"operations", "full",    "queue",   "apply",   "mark",
                                                "clear",      "resolve", "restore", "changes", "import"};
    strbuf streamed, reply = STRBUF(p->a);
    size_t which = dice_below(d, 2 * REQUESTS), failed = 0;
    const char *body, *name = which < REQUESTS ? names[which] : "operations";
    sync_ctx *ctx = peer_ctx(p, &streamed);
    bool created;
    ck_assert_int_eq(db_ready(p->db), RC_OK);
    if (strcmp(name, "full") == 0) {
        const full_options options = {.dry_run = dice_chance(d, 20)};
        body = random_library(p, d);
        full_run(ctx, body, strlen(body), &options, &reply);
    } else if (strcmp(name, "changes") == 0) {
        const full_options options = {.dry_run = dice_chance(d, 20)};
        const char *items[RANDOM_CHANGES];
        body = random_changes(p, d, items, *number);
        full_run(ctx, body, strlen(body), &options, &reply);
    } else if (strcmp(name, "import") == 0) {
        body = random_export(p, d, *number);
        ck_assert_int_eq(import_run(ctx, body, strlen(body), &reply, &failed), RC_OK);
    } else if (strcmp(name, "queue") == 0) {
        body = random_operation(p, d, ++*number);
        queue_add(ctx, body, strlen(body), &created, &reply);
    } else if (strcmp(name, "apply") == 0) {
        queue_apply(ctx, &reply);
    } else if (strcmp(name, "mark") == 0) {
        body = peer_printf(p, "{\"operationIds\":[\"op-%d\",\"op-%d\"]}", *number, *number - 1);
        queue_mark(ctx, body, strlen(body), &reply);
    } else if (strcmp(name, "clear") == 0) {
        queue_clear(ctx, &reply);
    } else if (strcmp(name, "resolve") == 0) {
        resolve_one(ctx, c, d, &reply);
    } else if (strcmp(name, "restore") == 0) {
        restore_one(ctx, c, &reply);
    } else {
        send_operations(p, d, number);
    }
    return name;
}

/* Which quotas the loops below have. */
static const struct {
    long long entities, bytes, hidden;
} quotas[] = {{0, 0, 0}, {5, 0, 0}, {0, 3000, 0}, {6, 4000, 5000}, {0, 0, 3000}};

static void set_quota(peer *p, int which)
{
    p->conf.quota_entities = quotas[which].entities;
    p->conf.quota_bytes = quotas[which].bytes;
    p->conf.quota_hidden = quotas[which].hidden;
}

START_TEST(the_counters_equal_the_rows_after_random_requests)
{
    dice d = dice_new("usage");
    peer *p = peer_new();
    PGconn *c = sql_open_admin();
    for (int user = 0; user < 5; user++) {
        int number = 0;
        peer_become(p, NULL);
        set_quota(p, _i);
        peer_post(p, "{\"operations\":[{\"id\":\"first\",\"type\":\"create\",\"entity\":\"book\",\"entityId\":\"e0\","
                     "\"data\":{\"title\":\"t\"}}]}");
        counters before = check_counters(p, c, "the first request");
        for (int i = 0; i < 40; i++) {
            bool uncounted = dice_chance(&d, 5);
            if (uncounted) PQclear(sql_run(c, "UPDATE clocks SET used_bytes = NULL WHERE user_id = '%s'", p->user));
            const char *name = random_request(p, c, &d, &number);
            /* A user from before the counters is counted by the next write; here, a request may have been none. */
            if (sql_number(c, "SELECT count(*) FROM clocks WHERE user_id = '%s' AND used_bytes IS NULL", p->user) > 0) {
                PQclear(sql_run(c, "UPDATE clocks SET used_bytes = %lld WHERE user_id = '%s'", before.bytes, p->user));
            }
            counters after = check_counters(p, c, name);
            /* Every deletion is accepted, and may let a larger rating come back. A state may also move a deleted rating
             * to another book, so that one comes back and none goes. */
            enum { COMES_BACK = 900 };
            bool joins = strcmp(name, "changes") == 0 || strcmp(name, "import") == 0;
            if (p->conf.quota_entities > 0)
                ck_assert_int_le(after.entities,
                                 most(p->conf.quota_entities, before.entities) + (joins ? RANDOM_CHANGES : 0));
            if (p->conf.quota_bytes > 0)
                ck_assert_int_le(after.bytes,
                                 most(p->conf.quota_bytes, before.bytes) + (joins ? RANDOM_CHANGES : 1) * COMES_BACK);
            before = after;
        }
    }
    PQfinish(c);
    peer_free(p);
}
END_TEST

/* What operations have left of the users' entities and conflicts, without stamps. */
static const char state_sql[] =
    "SELECT coalesce((SELECT string_agg(format('%%s %%s %%s %%s %%s %%s %%s %%s %%s %%s', kind, entity_id, status,"
    " edited_at, deleted_at, superseded_at, base_at, key, marks, data), E'\\n' ORDER BY kind, entity_id) FROM entities"
    " WHERE user_id = '%1$s'), '') || E'\\n' || coalesce((SELECT string_agg(format('%%s %%s %%s %%s %%s %%s %%s', kind,"
    " entity_id, other_id, reason, status, resolution, operation_id), E'\\n' ORDER BY stamp, n) FROM conflicts"
    " WHERE user_id = '%1$s'), '')";

static const char *state_of(peer *p, PGconn *c)
{
    PGresult *r = sql_run(c, state_sql, p->user);
    const char *text = peer_printf(p, "%s", PQgetvalue(r, 0, 0));
    PQclear(r);
    return text;
}

START_TEST(a_refused_operation_leaves_no_trace)
{
    dice d = dice_new("usage: undo");
    peer *p = peer_new(), *q = peer_new();
    PGconn *c = sql_open_admin();
    int refused = 0, number = 0;
    for (int round = 0; round < 60; round++) {
        const char *setup[8], *ops[24], *kept[24];
        size_t count = 0;
        peer_become(p, NULL);
        peer_become(q, NULL);
        p->conf.quota_entities = p->conf.quota_bytes = 0;
        for (int i = 0; i < 8; i++) setup[i] = random_operation(p, &d, ++number);
        for (int i = 0; i < 24; i++) ops[i] = random_operation(p, &d, ++number);
        peer_post(p, peer_body(p, setup, 8));
        peer_post(q, peer_body(p, setup, 8));
        counters before = check_counters(p, c, "the setup");
        if (dice_chance(&d, 50))
            p->conf.quota_entities = 1 + (int)dice_below(&d, 6);
        else
            p->conf.quota_bytes = 1 + before.bytes + (int)dice_below(&d, 1000);
        json_t *reply = peer_post(p, peer_body(p, ops, 24));
        for (size_t i = 0; i < 24; i++) {
            const char *error = json_string_value(json_object_get(result_of(reply, i), "error"));
            if (error && strcmp(error, "QUOTA_EXCEEDED") == 0) {
                ck_assert_str_eq(text_of(result_of(reply, i), "status"), "failed");
                ck_assert(json_is_false(json_object_get(result_of(reply, i), "retryable")));
                refused++;
            } else {
                kept[count++] = ops[i];
            }
        }
        if (count > 0) peer_post(q, peer_body(p, kept, count));
        if (count > 0) ck_assert_str_eq(state_of(p, c), state_of(q, c));
        check_counters(p, c, "refusals");
        check_counters(q, c, "no refusals");
    }
    ck_assert_int_gt(refused, 50);
    PQfinish(c);
    peer_free(q);
    peer_free(p);
}
END_TEST

static bool failed_alone(const json_t *reply, size_t index)
{
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(reply, "failed"), i,
                       row) if ((size_t)json_integer_value(json_object_get(row, "index")) == index)
    {
        ck_assert_msg(strcmp(text_of(row, "error"), "QUOTA_EXCEEDED") == 0, "%s", text_of(row, "message"));
        return true;
    }
    return false;
}

static json_t *upload(peer *p, const char *body)
{
    strbuf streamed, reply = STRBUF(p->a);
    sync_ctx *ctx = peer_ctx(p, &streamed);
    ck_assert_int_eq(db_ready(p->db), RC_OK);
    ck_assert_int_eq(full_run(ctx, body, strlen(body), &(full_options){0}, &reply), RC_OK);
    return json_loads(reply.data, 0, NULL);
}

START_TEST(a_refused_change_leaves_no_trace)
{
    dice d = dice_new("usage: changes");
    peer *p = peer_new(), *q = peer_new();
    PGconn *c = sql_open_admin();
    int refused = 0, number = 0;
    for (int round = 0; round < 60; round++) {
        const char *setup[8], *items[RANDOM_CHANGES];
        strbuf kept = STRBUF(p->a);
        peer_become(p, NULL);
        peer_become(q, NULL);
        p->conf.quota_entities = p->conf.quota_bytes = 0;
        for (int i = 0; i < 8; i++) setup[i] = random_operation(p, &d, ++number);
        peer_post(p, peer_body(p, setup, 8));
        peer_post(q, peer_body(p, setup, 8));
        counters before = check_counters(p, c, "the setup");
        if (dice_chance(&d, 50))
            p->conf.quota_entities = 1 + (int)dice_below(&d, 6);
        else
            p->conf.quota_bytes = 1 + before.bytes + (int)dice_below(&d, 1000);
        const char *body = random_changes(p, &d, items, number);
        json_t *reply = upload(p, body);
        kept = STRBUF(p->a);
        strbuf_puts(&kept, "{\"mode\":\"merge\",\"changes\":[");
        for (size_t i = 0, count = 0; i < RANDOM_CHANGES; i++) {
            if (failed_alone(reply, i))
                refused++;
            else
                strbuf_printf(&kept, "%s%s", count++ > 0 ? "," : "", items[i]);
        }
        strbuf_puts(&kept, "]}");
        json_decref(reply);
        json_decref(upload(q, kept.data));
        ck_assert_str_eq(state_of(p, c), state_of(q, c));
        check_counters(p, c, "refusals");
        check_counters(q, c, "no refusals");
    }
    ck_assert_int_gt(refused, 50);
    PQfinish(c);
    peer_free(q);
    peer_free(p);
}
END_TEST

/* Of two ratings of a book the later one was deleted, and still hides the earlier one. A device knows that it was moved
 * to another book before it was deleted. To refuse that would let an older edit undo the deletion later. */
START_TEST(a_deletion_is_accepted_although_an_entity_comes_back)
{
    peer *p = peer_new();
    PGconn *c = sql_open_admin();
    const char *ops[] = {peer_operation(p, "1", "create", "rating", "a", "{\"bookId\":\"b1\",\"stars\":1}", now),
                         peer_operation(p, "2", "create", "rating", "b", "{\"bookId\":\"b1\",\"stars\":2}", now + 10),
                         peer_operation(p, "3", "delete", "rating", "b", NULL, now + 10),
                         peer_operation(p, "4", "create", "tag", "t", "{\"name\":\"n\"}", now)};
    peer_post(p, peer_body(p, ops, 4));
    ck_assert_int_eq(check_counters(p, c, "the operations").entities, 1);
    p->conf.quota_entities = 1;
    json_t *reply =
        upload(p, peer_printf(p,
                              "{\"mode\":\"merge\",\"changes\":[{\"type\":\"rating\",\"deleted\":true,"
                              "\"data\":{\"id\":\"b\",\"deletedAt\":%lld},"
                              "\"beneath\":{\"id\":\"b\",\"bookId\":\"b2\",\"stars\":2},"
                              "\"times\":{\"base\":%lld,\"edited\":%lld,\"deleted\":%lld}}]}",
                              (long long)now + 30, (long long)now + 20, (long long)now + 20, (long long)now + 30));
    ck_assert_int_eq(json_array_size(json_object_get(reply, "failed")), 0);
    json_decref(reply);
    ck_assert_int_eq(check_counters(p, c, "the change").entities, 2);
    PQfinish(c);
    peer_free(p);
}
END_TEST

START_TEST(a_user_from_before_the_counters_is_counted_at_the_next_write)
{
    peer *p = peer_new();
    PGconn *c = sql_open_admin();
    peer_post(p, "{\"operations\":[{\"id\":\"t\",\"type\":\"create\",\"entity\":\"tag\",\"entityId\":\"t\","
                 "\"data\":{\"name\":\"n\"}}]}");
    PQclear(sql_run(c,
                    "UPDATE clocks SET used_entities = NULL, used_bytes = NULL, hidden_bytes = NULL"
                    " WHERE user_id = '%s'",
                    p->user));
    p->conf.quota_entities = 1;
    const char *ops[] = {peer_operation(p, "over", "create", "book", "new", "{\"title\":\"t\"}", now),
                         peer_operation(p, "under", "delete", "tag", "t", NULL, now + 9999)};
    json_t *reply = peer_post(p, peer_body(p, ops, 2));
    ck_assert_str_eq(text_of(result_of(reply, 0), "error"), "QUOTA_EXCEEDED");
    ck_assert_str_eq(text_of(result_of(reply, 1), "status"), "success");
    check_counters(p, c, "the first write");
    PQfinish(c);
    peer_free(p);
}
END_TEST

Suite *suite_usage(void)
{
    Suite *s = suite_create("usage");
    TCase *t = tcase_create("usage");
    tcase_add_loop_test(t, the_counters_equal_the_rows_after_random_requests, 0, sizeof quotas / sizeof *quotas);
    tcase_add_test(t, a_refused_operation_leaves_no_trace);
    tcase_add_test(t, a_refused_change_leaves_no_trace);
    tcase_add_test(t, a_deletion_is_accepted_although_an_entity_comes_back);
    tcase_add_test(t, a_user_from_before_the_counters_is_counted_at_the_next_write);
    suite_add_tcase(s, t);
    return s;
}
