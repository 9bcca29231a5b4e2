/* What a request costs in round trips, and what becomes of it when the connection to the database breaks. */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "store/replica.h"
#include "sync/status.h"

static const char *books(peer *p, int first, int count)
{
    const char **ops = arena_alloc(p->a, (size_t)count * sizeof *ops);
    static int64_t at; /* the same when asked again */
    if (at == 0) at = clock_now() - CLOCK_DAY;
    for (int i = 0; i < count; i++)
        ops[i] = peer_operation(p, peer_printf(p, "op-%d", first + i), "create", "book",
                                peer_printf(p, "b%d", first + i), "{\"title\":\"T\"}", at + i);
    return peer_body(p, ops, (size_t)count);
}

static void post_status(peer *p)
{
    strbuf streamed, reply = STRBUF(p->a);
    ck_assert_int_eq(status_run(peer_ctx(p, &streamed), &reply), RC_OK);
}

static uint64_t trips_since(const peer *p, uint64_t *before)
{
    uint64_t now = db_round_trips(p->db), trips = now - *before;
    *before = now;
    return trips;
}

START_TEST(a_request_costs_the_same_round_trips_however_large_it_is)
{
    static const int sizes[] = {1, 10, 500};
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    ck_assert_int_eq(db_ready(p->db), RC_OK);
    uint64_t before = db_round_trips(p->db);
    for (int repeat = 0; repeat < 2; repeat++) /* the second time all are known already */
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            long long clock = repeat ? sql_number(admin, "SELECT clock FROM clocks WHERE user_id = '%s'", p->user) : 0;
            json_t *reply = peer_post(p, books(p, 1000 * sizes[i], sizes[i]));
            /* A user's first write starts a clock; that of a distributed database is right at once. */
            ck_assert_int_eq(trips_since(p, &before), repeat || i || conf_is_distributed(&p->conf) ? 2 : 3);
            ck_assert_int_eq(json_array_size(json_object_get(reply, "results")), sizes[i]);
            ck_assert_int_eq(json_is_true(json_object_get(result_of(reply, 0), "duplicate")), repeat);
            if (repeat) /* nothing changed, not even the clock */
                ck_assert_int_eq(sql_number(admin, "SELECT clock FROM clocks WHERE user_id = '%s'", p->user), clock);
        }
    json_t *whole = peer_pull_all(p);
    ck_assert_int_eq(json_array_size(json_object_get(whole, "changes")), 511);
    ck_assert_int_eq(trips_since(p, &before), 1);
    peer_pull(p, &(pull_query){.cursor = text_of(whole, "cursor"), .limit = "10"});
    ck_assert_int_eq(trips_since(p, &before), 1);
    post_status(p);
    ck_assert_int_eq(trips_since(p, &before), 1);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* Connects so that the connection can be found in pg_stat_activity, by the peer's user. */
static void peer_connect_traced(peer *p)
{
    setenv("PGAPPNAME", p->user, 1);
    ck_assert_int_eq(db_ready(p->db), RC_OK);
    unsetenv("PGAPPNAME");
}

static peer *peer_new_traced(void)
{
    peer *p = peer_new();
    peer_connect_traced(p);
    return p;
}

static void terminate(PGconn *admin, const peer *p)
{
    ck_assert_int_eq(sql_number(admin,
                                "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
                                " WHERE application_name = '%s'",
                                p->user),
                     1);
}

static long long applied(PGconn *admin, const peer *p)
{
    return sql_number(admin, "SELECT count(*) FROM ledger JOIN entities USING (user_id) WHERE user_id = '%s'", p->user);
}

/* A request that waits in a thread of its own. */
typedef struct waiting {
    pthread_t thread;
    peer *p;
    const char *body;
    rc code;
} waiting;

static void *post_waiting(void *arg)
{
    waiting *w = arg;
    json_t *reply;
    w->code = peer_try(w->p, w->body, &reply);
    return NULL;
}

/* Makes the write of operation op-0 wait, when the COMMIT is already sent behind it. */
static void sql_hold_ledger(PGconn *holder, const char *user)
{
    PQclear(sql_run(holder,
                    "BEGIN; INSERT INTO ledger (user_id, operation_id, processed_at, hash, result)"
                    " VALUES ('%s', 'op-0', 0, '', '{}')",
                    user));
}

START_TEST(a_connection_that_was_lost_between_requests_is_made_again)
{
    peer *p = peer_new_traced();
    PGconn *admin = sql_open_admin();
    json_t *reply;
    terminate(admin, p);
    const char *body = books(p, 0, 1);
    ck_assert_int_eq(peer_try(p, body, &reply), RC_UNAVAILABLE);
    ck_assert(db_lost(p->db) && !p->ctx.txn.in_doubt); /* so a worker tries once more */
    ck_assert_int_eq(peer_try(p, body, &reply), RC_OK);
    ck_assert_ptr_null(json_object_get(result_of(reply, 0), "duplicate"));
    ck_assert_int_eq(db_connects(p->db), 2);
    ck_assert_int_eq(applied(admin, p), 1);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* The connection is cut while the request waits for a lock: for the clock, when nothing was written yet, or for the
 * ledger, when COMMIT is already sent. Where the server reports the cut, nothing is in doubt: the reported statement
 * stands before COMMIT. Where the worker gives up by itself, nobody knows. */
static const struct {
    bool late, reported, in_doubt;
} cuts[] = {{false, true, false}, {true, true, false}, {false, false, false}, {true, false, true}};

static volatile sig_atomic_t interrupted;

START_TEST(a_request_that_is_cut_off_leaves_nothing_and_its_retry_applies_once)
{
    bool late = cuts[_i].late;
    waiting w = {.p = peer_new_traced()};
    PGconn *holder = sql_open_admin(), *admin = sql_open_admin();
    json_t *reply;
    w.body = books(w.p, 0, 1);
    db_interrupt(w.p->db, &interrupted);
    if (late)
        sql_hold_ledger(holder, w.p->user);
    else
        sql_hold_clock(holder, w.p->user);
    pthread_create(&w.thread, NULL, post_waiting, &w);
    sql_await_waiters(admin, holder, 1);
    if (cuts[_i].reported)
        terminate(admin, w.p);
    else
        interrupted = 1;
    pthread_join(w.thread, NULL);
    interrupted = 0;
    ck_assert_int_eq(w.code, RC_UNAVAILABLE);
    ck_assert(db_lost(w.p->db));
    ck_assert_int_eq(w.p->ctx.txn.in_doubt, cuts[_i].in_doubt);
    PQclear(sql_run(holder, "ROLLBACK"));
    ck_assert_int_eq(applied(admin, w.p), 0);
    ck_assert_int_eq(peer_try(w.p, w.body, &reply), RC_OK);
    ck_assert_int_eq(applied(admin, w.p), 1);
    PQfinish(holder);
    PQfinish(admin);
    peer_free(w.p);
}
END_TEST

/* In milliseconds: what no other statement of these tests takes, on a busy machine and on Citus neither. */
enum { SHORT_TIMEOUT = 3000 };

START_TEST(a_statement_that_takes_too_long_is_cancelled_and_the_connection_stays)
{
    peer *p = peer_new();
    PGconn *holder = sql_open_admin(), *admin = sql_open_admin();
    json_t *reply;
    p->conf.statement_timeout = SHORT_TIMEOUT;
    const char *body = books(p, 0, 1);
    if (_i == 0)
        sql_hold_clock(holder, p->user);
    else
        sql_hold_ledger(holder, p->user);
    ck_assert_int_eq(peer_try(p, body, &reply), RC_UNAVAILABLE);
    ck_assert(!db_lost(p->db) && !p->ctx.txn.in_doubt);
    peer_pull_all(p); /* reads wait for nobody */
    PQclear(sql_run(holder, "ROLLBACK"));
    ck_assert_int_eq(applied(admin, p), 0);
    ck_assert_int_eq(peer_try(p, body, &reply), RC_OK);
    ck_assert_int_eq(applied(admin, p), 1);
    ck_assert_int_eq(db_connects(p->db), 1);
    PQfinish(holder);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

START_TEST(a_write_that_waits_too_long_for_a_lock_is_refused_and_not_in_doubt)
{
    peer *p = peer_new();
    PGconn *holder = sql_open_admin(), *admin = sql_open_admin();
    json_t *reply;
    p->conf.lock_timeout = 100;
    if (_i / 2 == 1) { /* through a pooler */
        free((char *)p->conf.pooler);
        p->conf.pooler = strdup("transaction");
    }
    db_free(p->db);
    p->db = db_new(&p->conf);
    const char *body = books(p, 0, 1);
    if (_i % 2 == 0)
        sql_hold_clock(holder, p->user);
    else
        sql_hold_ledger(holder, p->user); /* the wait is in the round trip with COMMIT */
    ck_assert_int_eq(peer_try(p, body, &reply), RC_UNAVAILABLE);
    ck_assert(db_locked(p->db) && !db_lost(p->db) && !p->ctx.txn.in_doubt);
    PQclear(sql_run(holder, "ROLLBACK"));
    ck_assert_int_eq(applied(admin, p), 0);
    ck_assert_int_eq(peer_try(p, body, &reply), RC_OK);
    ck_assert(!db_locked(p->db));
    ck_assert_int_eq(applied(admin, p), 1);
    ck_assert_int_eq(db_connects(p->db), 1);
    PQfinish(holder);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* Gets a pull's bytes, and at the first of them does something to the rest. */
typedef struct cutter {
    const peer *p;
    PGconn *admin;
    strbuf text;
} cutter;

static void cut(void *to, const char *bytes, size_t len)
{
    cutter *c = to;
    if (c->text.len == 0) terminate(c->admin, c->p);
    strbuf_add(&c->text, bytes, len);
}

static void stall(void *to, const char *bytes, size_t len)
{
    cutter *c = to;
    int64_t ms = 2 * c->p->conf.statement_timeout;
    if (c->text.len == 0) nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
    strbuf_add(&c->text, bytes, len);
}

START_TEST(a_pull_that_is_cut_off_does_not_look_whole_and_the_next_one_is)
{
    bool lost = _i == 1; /* the connection, else the statement takes too long */
    peer *p = peer_new();
    cutter c = {.p = p, .admin = sql_open_admin(), .text = STRBUF(p->a)};
    if (!lost) p->conf.statement_timeout = SHORT_TIMEOUT;
    peer_connect_traced(p);
    peer_post(p, books(p, 0, 1));
    PQclear(sql_run(
        c.admin,
        "INSERT INTO entities (user_id, kind, entity_id, updated_at, created_at, edited_at, base_at, status, data)"
        " SELECT '%s', 'book', 'x' || n, 1, 1, 1, 1, 'live', json_build_object('title', repeat('x', 1000))"
        " FROM generate_series(1, 20000) AS n",
        p->user));
    strbuf unused;
    sync_ctx *ctx = peer_ctx(p, &unused);
    ctx->write = lost ? cut : stall;
    ctx->to = &c;
    ck_assert_int_eq(pull_run(ctx, &(pull_query){.since = "0000-01-01T00:00:00Z"}), RC_UNAVAILABLE);
    ck_assert(c.text.len < 20000 * 1000);
    ck_assert(c.text.len > 0 || sql_on_citus(c.admin)); /* which sends nothing before it has everything */
    ck_assert_ptr_null(json_loadb(c.text.data, c.text.len, 0, NULL));
    PQclear(sql_run(c.admin, "DELETE FROM entities WHERE user_id = '%s'", p->user));
    peer_pull_all(p);
    ck_assert_int_eq(db_connects(p->db), lost ? 2 : 1);
    PQfinish(c.admin);
    peer_free(p);
}
END_TEST

/* A database that would take part in everything as a replica; its clock is what the peer makes of it. */
static rc pull_from(peer *p, db *from, strbuf *out)
{
    sync_ctx *ctx = peer_ctx(p, out);
    ctx->db = from;
    return pull_run(ctx, &(pull_query){.since = "0000-01-01T00:00:00Z"});
}

START_TEST(a_replica_answers_only_where_the_primary_stands)
{
    peer *p = peer_new();
    strbuf out, whole;
    free((char *)p->conf.replica_dsn);
    p->conf.replica_dsn = strdup(p->conf.dsn);
    db *replica = db_new_replica(&p->conf);
    PGconn *admin = sql_open_admin();
    ck_assert(!replica_prepare(p->a, p->db, replica, p->user)); /* who has written nothing has nothing there */
    peer_post(p, books(p, 0, 3));
    ck_assert(replica_prepare(p->a, p->db, replica, p->user));
    ck_assert_int_eq(pull_from(p, replica, &out), RC_OK);
    ck_assert_int_eq(pull_from(p, p->db, &whole), RC_OK);
    ck_assert_str_eq(out.data, whole.data);

    long long clock = sql_number(admin, "SELECT clock FROM clocks WHERE user_id = '%s'", p->user);
    long long epoch = sql_number(admin, "SELECT epoch FROM clocks WHERE user_id = '%s'", p->user);
    const struct {
        long long clock, epoch;
        bool behind;
    } rows[] = {{clock, epoch, false}, {clock - 1, epoch, true}, {clock + 1, epoch, true}, {clock, epoch + 1, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        replica_require(replica, p->user, rows[i].clock, rows[i].epoch);
        ck_assert_int_eq(pull_from(p, replica, &out), rows[i].behind ? RC_UNAVAILABLE : RC_OK);
        ck_assert_int_eq(replica_is_behind(replica), rows[i].behind);
        ck_assert_int_eq(out.len == 0, rows[i].behind); /* not a byte was sent */
    }
    replica_require(replica, "", 0, 0); /* of another user: what stands there is nobody's */
    ck_assert_int_eq(pull_from(p, replica, &out), RC_UNAVAILABLE);
    db_free(replica);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* Without a pooler, too: what it would give to another client between two transactions is not missed. */
START_TEST(through_a_pooler_nothing_outlives_a_transaction)
{
    peer *p = peer_new();
    PGresult *set;
    db_param user = db_text(p->user);
    db_free(p->db);
    free((char *)p->conf.pooler);
    p->conf.pooler = strdup("transaction");
    p->db = db_new(&p->conf);
    ck_assert_int_eq(db_ready(p->db), RC_OK);
    ck_assert_int_eq(DB_RUN(p->db, p->a, {.id = SQL_BEGIN_READ}, {.id = SQL_IDENTIFY, .params = &user, .result = &set},
                            {.id = SQL_COMMIT}),
                     RC_OK);
    /* What other connections have as options, and what they have for the transaction anyway. */
    strbuf settings = STRBUF(p->a);
    for (int i = 0; i < PQnfields(set); i++) strbuf_printf(&settings, " %s", PQgetvalue(set, 0, i));
    ck_assert_str_eq(settings.data,
                     conf_is_distributed(&p->conf)
                         ? "  f booky 15s 3s 15s off 0 off off off force_generic_plan auto "
                         : peer_printf(p, " %s f booky 15s 3s 15s off 0 off off off force_generic_plan", p->user));
    peer_post(p, books(p, 0, 3)); /* finds its tables and statements all the same */
    ck_assert_int_eq(json_array_size(json_object_get(peer_pull_all(p), "changes")), 3);
    peer_free(p);
}
END_TEST

Suite *suite_connection(void)
{
    Suite *s = suite_create("connection");
    TCase *t = tcase_create("connection");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_request_costs_the_same_round_trips_however_large_it_is);
    tcase_add_test(t, a_connection_that_was_lost_between_requests_is_made_again);
    tcase_add_loop_test(t, a_request_that_is_cut_off_leaves_nothing_and_its_retry_applies_once, 0, 4);
    tcase_add_loop_test(t, a_statement_that_takes_too_long_is_cancelled_and_the_connection_stays, 0, 2);
    tcase_add_loop_test(t, a_write_that_waits_too_long_for_a_lock_is_refused_and_not_in_doubt, 0, 4);
    tcase_add_loop_test(t, a_pull_that_is_cut_off_does_not_look_whole_and_the_next_one_is, 0, 2);
    tcase_add_test(t, a_replica_answers_only_where_the_primary_stands);
    tcase_add_test(t, through_a_pooler_nothing_outlives_a_transaction);
    suite_add_tcase(s, t);
    return s;
}
