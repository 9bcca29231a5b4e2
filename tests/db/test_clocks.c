/*
 * The commit clock: stamp order is commit order, no two write requests of a user share a stamp, no stamp is before a
 * timestamp that was accepted, and a poller that asks for what came after the last stamp it saw never misses a change,
 * whatever commits meanwhile.
 */
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

static int64_t instant_of(const json_t *object, const char *name)
{
    int64_t ms;
    if (!clock_parse(text_of(object, name), &ms)) ck_abort_msg("%s: %s", name, text_of(object, name));
    return ms;
}

/* One request in a thread of its own. */
typedef struct sender {
    pthread_t thread;
    peer *p;
    const char *body;
    json_t *reply;
    atomic_bool done;
} sender;

static void *send_body(void *arg)
{
    sender *s = arg;
    s->reply = peer_post(s->p, s->body);
    atomic_store(&s->done, true);
    return NULL;
}

static void sender_start(sender *s, const char *user, const char *operation)
{
    *s = (sender){.p = peer_new_for(user)};
    s->body = peer_body(s->p, &operation, 1);
    pthread_create(&s->thread, NULL, send_body, s);
}

static const json_t *sender_result(sender *s)
{
    pthread_join(s->thread, NULL);
    return result_of(s->reply, 0);
}

static bool is_duplicate(const json_t *result)
{
    return json_is_true(json_object_get(result, "duplicate"));
}

/* Two writers and two pollers */

enum { REQUESTS = 60, WRITERS = 2 };

typedef struct request_log {
    int64_t stamp, began_us, ended_us;
} request_log;

typedef struct writer {
    pthread_t thread;
    peer *p;
    dice d;
    int number;
    request_log requests[REQUESTS];
} writer;

static atomic_llong next_at;
static atomic_int writers_left;

/* Each request writes the same title to two books at once, and something to a third entity. */
static void *write_requests(void *arg)
{
    static const char *const kinds[] = {"book", "tag", "rating", "readingLog"};
    static const char *const data[] = {
        "{\"title\":\"T\",\"name\":\"N\",\"bookId\":\"b\",\"stars\":1,\"status\":\"read\"}", "{\"x\":1}",
        "{\"x\":2,\"name\":\"M\"}"};
    writer *w = arg;
    for (int i = 0; i < REQUESTS; i++) {
        const char *pair = peer_printf(w->p, "{\"title\":\"%d-%d\"}", w->number, i), *ops[3];
        const char *type = dice_chance(&w->d, 30) ? "delete" : "update";
        int64_t at = atomic_fetch_add(&next_at, 1);
        if (dice_chance(&w->d, 10)) at = clock_now() + (int64_t)dice_below(&w->d, 290000); /* a clock that is ahead */
        const char *which = DICE_PICK(&w->d, kinds);
        for (int k = 0; k < 3; k++)
            ops[k] = peer_operation(w->p, peer_printf(w->p, "%d-%d-%d", w->number, i, k), k < 2 ? "update" : type,
                                    k < 2 ? "book" : which,
                                    k == 0   ? "left"
                                    : k == 1 ? "right"
                                             : peer_printf(w->p, "e%zu", dice_below(&w->d, 6)),
                                    k < 2          ? pair
                                    : *type == 'd' ? NULL
                                                   : DICE_PICK(&w->d, data),
                                    at);
        request_log *log = &w->requests[i];
        log->began_us = clock_monotonic_us();
        log->stamp = instant_of(peer_post(w->p, peer_body(w->p, ops, 3)), "syncedAt");
        log->ended_us = clock_monotonic_us();
        ck_assert_msg(log->stamp >= at, "the stamp %lld is before the timestamp %lld", (long long)log->stamp,
                      (long long)at);
    }
    atomic_fetch_sub(&writers_left, 1);
    return NULL;
}

/* Follows with the opaque cursor, or with the last updatedAt it has seen. */
typedef struct poller {
    peer *p;
    bool by_cursor;
    char position[2100];
    json_t *seen; /* "kind id" → the last change */
    int64_t last;
    int pulls;
} poller;

static void poll_once(poller *o)
{
    size_t i;
    json_t *change;
    int64_t before = o->last;
    bool whole = !o->by_cursor || o->pulls++ % 2;
    json_t *reply = peer_pull(o->p, &(pull_query){.cursor = o->by_cursor && *o->position ? o->position : NULL,
                                                  .since = *o->position ? o->position : "1970-01-01T00:00:00Z",
                                                  .limit = whole ? NULL : "3"});
    json_array_foreach(json_object_get(reply, "changes"), i, change)
    {
        json_t *data = json_object_get(change, "data");
        int64_t at = instant_of(data, "updatedAt");
        ck_assert_msg(at > before || o->by_cursor, "a pull returns what came before its position");
        ck_assert_msg(at >= o->last, "changes are not in order");
        o->last = at;
        json_object_set(o->seen, peer_printf(o->p, "%s %s", text_of(change, "type"), text_of(data, "id")), change);
        if (!o->by_cursor) snprintf(o->position, sizeof o->position, "%s", text_of(data, "updatedAt"));
    }
    if (o->by_cursor) snprintf(o->position, sizeof o->position, "%s", text_of(reply, "cursor"));
    if (json_is_true(json_object_get(reply, "hasMore"))) return;
    /* A transaction is seen whole or not at all. */
    json_t *left = json_object_get(json_object_get(o->seen, "book left"), "data");
    json_t *right = json_object_get(json_object_get(o->seen, "book right"), "data");
    if (left) ck_assert_str_eq(text_of(left, "title"), text_of(right, "title"));
}

static void check_seen(poller *o, PGconn *admin, const char *user)
{
    PGresult *r = sql_run(admin, "SELECT kind, entity_id, updated_at, status FROM entities WHERE user_id = '%s'", user);
    for (int i = 0; i < PQntuples(r); i++) {
        const char *name = peer_printf(o->p, "%s %s", PQgetvalue(r, i, 0), PQgetvalue(r, i, 1));
        const json_t *change = json_object_get(o->seen, name);
        if (strcmp(PQgetvalue(r, i, 3), "incomplete") == 0) continue;
        ck_assert_msg(change, "%s was never seen", name);
        ck_assert_msg(instant_of(json_object_get(change, "data"), "updatedAt") == atoll(PQgetvalue(r, i, 2)),
                      "the last state of %s was not seen", name);
        ck_assert_int_eq(json_is_true(json_object_get(change, "deleted")), strcmp(PQgetvalue(r, i, 3), "deleted") == 0);
    }
    PQclear(r);
}

static void check_stamps(const writer *writers)
{
    for (int i = 0; i < WRITERS * REQUESTS; i++)
        for (int j = 0; j < WRITERS * REQUESTS; j++) {
            const request_log *x = &writers[i / REQUESTS].requests[i % REQUESTS];
            const request_log *y = &writers[j / REQUESTS].requests[j % REQUESTS];
            ck_assert_msg(i == j || x->stamp != y->stamp, "two requests share a stamp");
            if (x->ended_us < y->began_us) ck_assert_msg(x->stamp < y->stamp, "a later request has an earlier stamp");
        }
}

START_TEST(a_poller_misses_nothing_while_two_writers_write)
{
    dice d = dice_new("poller");
    peer *first = peer_new();
    PGconn *admin = sql_open_admin();
    writer writers[WRITERS] = {0};
    poller pollers[] = {{.p = peer_new_for(first->user), .by_cursor = true, .seen = json_object()},
                        {.p = peer_new_for(first->user), .seen = json_object()}};
    atomic_store(&next_at, clock_now() - CLOCK_DAY);
    atomic_store(&writers_left, WRITERS);
    const char *op =
        peer_operation(first, "0", "create", "tag", "t", "{\"name\":\"T\"}", atomic_fetch_add(&next_at, 1));
    peer_post(first, peer_body(first, &op, 1));
    for (int i = 0; i < 2; i++) poll_once(&pollers[i]);
    for (int i = 0; i < WRITERS; i++) {
        writers[i].p = peer_new_for(first->user);
        writers[i].d = (dice){dice_throw(&d)};
        writers[i].number = i;
        pthread_create(&writers[i].thread, NULL, write_requests, &writers[i]);
    }
    while (atomic_load(&writers_left) > 0)
        for (int i = 0; i < 2; i++) poll_once(&pollers[i]);
    for (int i = 0; i < WRITERS; i++) pthread_join(writers[i].thread, NULL);
    for (int i = 0; i < 200; i++) poll_once(&pollers[i % 2]); /* pages of three come to an end too */
    for (int i = 0; i < 2; i++) {
        check_seen(&pollers[i], admin, first->user);
        json_decref(pollers[i].seen);
        peer_free(pollers[i].p);
    }
    check_stamps(writers);
    for (int i = 0; i < WRITERS; i++) peer_free(writers[i].p);
    PQfinish(admin);
    peer_free(first);
}
END_TEST

/* Two at once */

START_TEST(two_devices_write_for_a_brand_new_user_at_once)
{
    PGconn *holder = sql_open_admin(), *watcher = sql_open_admin();
    for (int round = 0; round < 12; round++) {
        char user[64];
        sender s[2];
        user_new(user);
        peer *p = peer_new_for(user);
        bool held = round % 3 == 0, kept = round % 2; /* held: both wait for a third, that commits or goes away */
        if (held) sql_hold_clock(holder, user);
        for (int i = 0; i < 2; i++)
            sender_start(&s[i], user,
                         peer_operation(p, peer_printf(p, "op-%d", i), "create", "tag", peer_printf(p, "t%d", i),
                                        "{\"name\":\"T\"}", clock_now() - i));
        if (held) {
            sql_await_waiters(watcher, holder, 2);
            PQclear(sql_run(holder, kept ? "COMMIT" : "ROLLBACK"));
        }
        for (int i = 0; i < 2; i++) ck_assert_str_eq(text_of(sender_result(&s[i]), "status"), "success");
        ck_assert_str_ne(text_of(s[0].reply, "syncedAt"), text_of(s[1].reply, "syncedAt"));
        ck_assert_int_eq(sql_number(watcher, "SELECT count(*) FROM entities WHERE user_id = '%s'", user), 2);
        ck_assert_int_eq(
            sql_number(watcher, "SELECT count(*) FROM conflicts WHERE user_id = '%s' AND status = 'open'", user), 1);
        for (int i = 0; i < 2; i++) peer_free(s[i].p);
        peer_free(p);
    }
    PQfinish(holder);
    PQfinish(watcher);
}
END_TEST

START_TEST(two_copies_of_one_operation_in_flight_take_effect_once)
{
    PGconn *holder = sql_open_admin(), *watcher = sql_open_admin();
    for (int round = 0; round < 12; round++) {
        char user[64];
        sender s[2];
        user_new(user);
        peer *p = peer_new_for(user);
        bool held = round % 3 != 0, kept = round % 2;
        const char *op = peer_operation(p, "op", "create", "book", "b", "{\"title\":\"T\"}", clock_now());
        if (held) sql_hold_clock(holder, user);
        for (int i = 0; i < 2; i++) sender_start(&s[i], user, op);
        if (held) {
            sql_await_waiters(watcher, holder, 2);
            PQclear(sql_run(holder, kept ? "COMMIT" : "ROLLBACK"));
        }
        const json_t *x = sender_result(&s[0]), *y = sender_result(&s[1]);
        ck_assert_int_eq(is_duplicate(x) + is_duplicate(y), 1);
        ck_assert_str_eq(text_of(x, "updatedAt"), text_of(y, "updatedAt"));
        ck_assert_int_eq(sql_number(watcher,
                                    "SELECT e.updated_at - c.clock FROM entities e JOIN clocks c USING (user_id)"
                                    " WHERE user_id = '%s'",
                                    user),
                         0); /* the copy changed nothing, not even the clock */
        for (int i = 0; i < 2; i++) peer_free(s[i].p);
        peer_free(p);
    }
    PQfinish(holder);
    PQfinish(watcher);
}
END_TEST

START_TEST(a_fast_transaction_cannot_overtake_a_slow_one)
{
    peer *p = peer_new();
    PGconn *slow = sql_open_admin(), *watcher = sql_open_admin();
    const char *op = peer_operation(p, "0", "create", "book", "b0", "{\"title\":\"T\"}", clock_now());
    const char *since = text_of(peer_post(p, peer_body(p, &op, 1)), "syncedAt");
    const char *cursor = text_of(peer_pull_all(p), "cursor");
    int64_t stamp = sql_hold_clock(slow, p->user);
    PQclear(sql_run(
        slow,
        "INSERT INTO entities (user_id, kind, entity_id, updated_at, created_at, edited_at, base_at, status, data)"
        " VALUES ('%s', 'book', 'slow', %lld, 1, 1, 1, 'live', '{\"title\":\"S\"}')",
        p->user, (long long)stamp));
    sender fast;
    sender_start(&fast, p->user, peer_operation(p, "1", "create", "book", "fast", "{\"title\":\"F\"}", clock_now()));
    sql_await_waiters(watcher, slow, 1);

    /* A poller that comes between sees neither, is not held up, and has them both the next time. */
    json_t *between = peer_pull(p, &(pull_query){.cursor = cursor});
    ck_assert_int_eq(json_array_size(json_object_get(between, "changes")), 0);
    ck_assert(!atomic_load(&fast.done));
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    long long released = sql_number(
        watcher, "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"); /* the server's time */
    PQclear(sql_run(slow, "COMMIT"));
    sender_result(&fast);
    ck_assert_int_gt(instant_of(fast.reply, "syncedAt"), stamp);
    ck_assert_int_ge(instant_of(fast.reply, "syncedAt"), released); /* read when the clock was granted, not before */
    const pull_query later[] = {{.cursor = text_of(between, "cursor")}, {.since = since}};
    for (int i = 0; i < 2; i++) {
        json_t *changes = json_object_get(peer_pull(p, &later[i]), "changes");
        ck_assert_int_eq(json_array_size(changes), 2);
        ck_assert_str_eq(text_of(json_object_get(json_array_get(changes, 0), "data"), "id"), "slow");
        ck_assert_str_eq(text_of(json_object_get(json_array_get(changes, 1), "data"), "id"), "fast");
    }
    peer_free(fast.p);
    PQfinish(slow);
    PQfinish(watcher);
    peer_free(p);
}
END_TEST

/* The erasure deletes the row of the clock, so the write that waits for it inserts one. */
START_TEST(a_write_that_waits_for_an_erasure_is_stamped_after_it)
{
    PGconn *erasure = sql_open_admin(), *watcher = sql_open_admin();
    peer *p = peer_new();
    const char *op = peer_operation(p, "0", "create", "book", "b0", "{\"title\":\"T\"}", clock_now());
    int64_t first = instant_of(peer_post(p, peer_body(p, &op, 1)), "syncedAt");
    for (int round = 0; round < 2; round++) { /* the second: for a first write that is rolled back */
        if (round == 1) peer_become(p, NULL);
        sql_hold_clock(erasure, p->user);
        if (round == 0) PQclear(sql_run(erasure, "DELETE FROM entities WHERE user_id = '%s'", p->user));
        if (round == 0) PQclear(sql_run(erasure, "DELETE FROM clocks WHERE user_id = '%s'", p->user));
        sender after;
        sender_start(&after, p->user, peer_operation(p, "1", "create", "book", "b1", "{\"title\":\"A\"}", first));
        sql_await_waiters(watcher, erasure, 1);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        long long erased = sql_number(erasure, "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint");
        PQclear(sql_run(erasure, round == 0 ? "COMMIT" : "ROLLBACK"));
        ck_assert_str_eq(text_of(sender_result(&after), "status"), "success");
        ck_assert_int_ge(instant_of(after.reply, "syncedAt"), erased);
        ck_assert_int_eq(sql_number(watcher,
                                    "SELECT count(*) FROM clocks c JOIN entities e USING (user_id)"
                                    " WHERE user_id = '%s' AND c.clock = c.started AND e.updated_at = c.clock",
                                    p->user),
                         1);
        peer_free(after.p);
    }
    PQfinish(erasure);
    PQfinish(watcher);
    peer_free(p);
}
END_TEST

START_TEST(stamps_grow_even_when_the_servers_time_is_set_back)
{
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    int64_t ahead = clock_now() + 3600000;
    for (int i = 0; i < 3; i++) {
        const char *op =
            peer_operation(p, peer_printf(p, "%d", i), "update", "book", "b", "{\"title\":\"T\"}", clock_now() + i);
        json_t *reply = peer_post(p, peer_body(p, &op, 1));
        if (i > 0)
            ck_assert_int_eq(instant_of(reply, "syncedAt"), ahead + i);
        else
            PQclear(sql_run(admin, "UPDATE clocks SET clock = %lld WHERE user_id = '%s'", (long long)ahead, p->user));
    }
    PQfinish(admin);
    peer_free(p);
}
END_TEST

Suite *suite_clocks(void)
{
    Suite *s = suite_create("clocks");
    TCase *t = tcase_create("clocks");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_poller_misses_nothing_while_two_writers_write);
    tcase_add_test(t, two_devices_write_for_a_brand_new_user_at_once);
    tcase_add_test(t, two_copies_of_one_operation_in_flight_take_effect_once);
    tcase_add_test(t, a_fast_transaction_cannot_overtake_a_slow_one);
    tcase_add_test(t, a_write_that_waits_for_an_erasure_is_stamped_after_it);
    tcase_add_test(t, stamps_grow_even_when_the_servers_time_is_set_back);
    suite_add_tcase(s, t);
    return s;
}
