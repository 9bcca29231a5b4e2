/*
 * Memory that runs out at every point of a request. The real loop of a worker runs in this process, with its sockets,
 * its database and its libraries. A request is sent again and again, and each time a later allocation fails: the first,
 * the second and so on, until the request succeeds without a failure. Then the same with all later allocations failing
 * too, for every fifth allocation.
 *
 * Whatever fails, the client gets a complete reply. The reply is a success only if everything was done. The database is
 * in the state before the request or after it, and the next request of the same worker succeeds. Leaks and invalid
 * accesses are left to the sanitizers.
 *
 * Not tested: the allocations of libfcgi when it accepts a connection. It aborts when one fails, and the pool replaces
 * the worker (docs/operations.md).
 *
 * `memtest --list` prints the names of the scenarios; CK_RUN_CASE=NAME runs one of them. BOOKY_MEMORY_STEP=N tests
 * every Nth allocation only, BOOKY_MEMORY_FROM and BOOKY_MEMORY_TO limit the range.
 */
#include <fcgiapp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "../db/harness.h"
#include "base/clock.h"
#include "base/log.h"
#include "fail.h"
#include "fastcgi.h"
#include "scenarios.h"
#include "serve/board.h"
#include "serve/worker.h"
#include "token/mint.h"

enum { RETRIES = 100, TIME_LIMIT = 600 /* seconds */, REST_STEP = 5 };

/* The state of the test. The worker drives it: when it accepts a connection, and when it has answered. */
static struct {
    const scenario *s;
    arena *a; /* of the round */
    conf conf;
    token_keys *keys;
    PGconn *admin;
    struct sockaddr_un address;
    socklen_t address_len;
    int listener, client;
    char user[64], era[16];
    char dir[32], journal[64]; /* a folder, and the journal of erasures in it */
    size_t sent;               /* requests of this round so far */
    size_t setups;             /* requests that precede the tested one */
    long nth;                  /* the allocation that fails; 0: none, this round is the reference */
    bool rest;                 /* all later allocations fail, too */
    int retries;
    char *before, *after, *body; /* of the reference: the states of the database, and the reply */
    long failures;               /* in the tested request */
    long rounds;
} d;

/* A reply without the parts that differ between runs: instants, stamps and cursors. */
static char *normal(const char *text)
{
    strbuf out = STRBUF(d.a);
    strbuf_puts(&out, "");
    for (const char *p = text; *p;) {
        size_t digits = strspn(p, "0123456789-:TZ."),
               cursor = strncmp(p, "\"cursor\":\"", 10) == 0 ? 10 + strcspn(p + 10, "\"") : 0;
        if (digits < 10 && !cursor)
            strbuf_putc(&out, *p++);
        else
            p += cursor ? cursor : digits;
    }
    return strdup(out.data);
}

/* ---- The rounds ---- */

static char *state_now(void)
{
    PGresult *r =
        sql_run(d.admin,
                "SELECT coalesce(string_agg(x, E'\n' ORDER BY x), '') FROM ("
                "SELECT concat_ws(' ', 'entity', kind, entity_id, status, data, edited_at < %2$s010000) FROM entities"
                " WHERE user_id = '%1$s' UNION ALL"
                " SELECT concat_ws(' ', 'operation', operation_id) FROM ledger WHERE user_id = '%1$s' UNION ALL"
                " SELECT concat_ws(' ', 'queue', operation_id, data, synced_at IS NULL, attempts) FROM queue"
                " WHERE user_id = '%1$s' UNION ALL"
                " SELECT concat_ws(' ', 'conflict', n, entity_id, reason, status, resolution) FROM conflicts"
                " WHERE user_id = '%1$s' UNION ALL"
                " SELECT concat_ws(' ', 'snapshot', kind, entity_id, data) FROM snapshot_entities"
                " WHERE user_id = '%1$s') AS rows (x)",
                d.user, d.era);
    char *text = strdup(PQgetvalue(r, 0, 0));
    PQclear(r);
    return text;
}

/* The id of the open conflict of the user, otherwise of the snapshot. */
static const char *latest_id(void)
{
    PGresult *r = sql_run(
        d.admin,
        "SELECT coalesce((SELECT stamp || '-' || n FROM conflicts WHERE user_id = '%1$s' ORDER BY status LIMIT 1),"
        " (SELECT min(stamp)::text FROM snapshots WHERE user_id = '%1$s'))",
        d.user);
    const char *id = arena_strdup(d.a, PQgetvalue(r, 0, 0));
    PQclear(r);
    return id;
}

/* The body with instants of an hour ago. */
static char *set_era(const char *body)
{
    if (!body) return NULL;
    char *text = arena_strdup(d.a, body);
    for (char *p = text; (p = strstr(p, ERA)); p += strlen(ERA)) memcpy(p, d.era, strlen(ERA));
    return text;
}

static const char *compress_body(const char *body, size_t *len)
{
    unsigned char *out = arena_alloc(d.a, *len + 100);
    z_stream z = {.next_in = (unsigned char *)body,
                  .avail_in = (unsigned)*len,
                  .next_out = out,
                  .avail_out = (unsigned)*len + 100};
    ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    *len = *len + 100 - z.avail_out;
    deflateEnd(&z);
    return (const char *)out;
}

/* Every request has a token of its own, so that no token is in the cache. */
static void send_request(const api_request *r)
{
    char fault[256];
    strbuf bytes = STRBUF(d.a);
    const char *star = strchr(r->uri, '*'), *uri = r->uri, *body = set_era(r->body);
    size_t len = body ? strlen(body) : 0;
    if (star) uri = arena_printf(d.a, "%.*s%s%s", (int)(star - uri), uri, latest_id(), star + 1);
    if (r->gzip) body = compress_body(body, &len);
    const char *token = token_mint(d.keys, d.a, NULL, d.user, 3600 + (int64_t)d.sent, clock_now(), fault, sizeof fault);
    ck_assert_ptr_nonnull(token);
    fastcgi_put_request(&bytes, r, uri, token, body, len);
    d.client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(d.client, (struct sockaddr *)&d.address, d.address_len), 0);
    ck_assert_int_eq(send(d.client, bytes.data, bytes.len, 0), (ssize_t)bytes.len);
    shutdown(d.client, SHUT_WR); /* libfcgi waits for this when it closes the connection */
}

static const char *where(void)
{
    static char text[128];
    snprintf(text, sizeof text, "%s: allocation %ld%s", d.s->name, d.nth, d.rest ? " and all later ones" : "");
    return text;
}

static void begin_round(void)
{
    arena_reset(d.a);
    user_new(d.user);
    d.sent = 0;
    d.retries = 0;
    d.rounds++;
    send_request(d.setups ? &d.s->before[0] : &d.s->request);
}

/* Whether the tested request is the next one, or is running. */
static bool at_request(void)
{
    return d.sent == d.setups;
}

static void close_connection(void)
{
    PQclear(sql_run(
        d.admin,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'booky-memory-%d'",
        (int)getpid()));
}

static bool is_success(const fastcgi_reply *reply)
{
    return (reply->status == 200 || reply->status == 201) && reply->ended && reply->json &&
           json_is_true(json_object_get(reply->json, "success"));
}

/* Compares the reply of a request in which memory ran out with the state of the database. */
static void check_outcome(const fastcgi_reply *reply, const char *now)
{
    bool is_before = strcmp(now, d.before) == 0, is_after = strcmp(now, d.after) == 0;
    if (!is_before && !is_after) ck_abort_msg("%s: status %d, partly applied:\n%s", where(), reply->status, now);
    if (is_success(reply)) {
        char *body = normal(reply->body);
        if (!is_after || strcmp(body, d.body) != 0)
            ck_abort_msg("%s: a wrong success:\n%s\n%s\n%s", where(), reply->body, d.body, now);
        free(body);
    } else if (reply->status == 200 && d.s->streamed && !reply->ended) {
        return; /* the client sees that it is broken off */
    } else if ((reply->status == 500 || reply->status == 503) && reply->ended && reply->json) {
        if (reply->status == 500 && !is_before)
            ck_abort_msg("%s: the reply says that nothing was applied, but it was: %s", where(), reply->body);
    } else {
        ck_abort_msg("%s: status %d, %s: %.500s", where(), reply->status, reply->ended ? "ended" : "broken off",
                     reply->body ? reply->body : "nothing");
    }
}

static void end_request(const fastcgi_reply *reply)
{
    char *now = state_now();
    if (d.nth == 0) {
        if (!is_success(reply)) ck_abort_msg("%s: the reference failed: %d %s", d.s->name, reply->status, reply->body);
        d.after = now;
        d.body = normal(reply->body);
    } else {
        check_outcome(reply, now);
        free(now);
    }
}

static void end_repeat(const fastcgi_reply *reply)
{
    if (reply->status == 503 && d.retries++ < RETRIES) { /* the worker waits before it connects again */
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        return;
    }
    if (!is_success(reply))
        ck_abort_msg("%s: the next request failed: %d %s", where(), reply->status,
                     reply->body ? reply->body : "nothing");
    char *now = state_now();
    if (strcmp(now, d.after) != 0)
        ck_abort_msg("%s: the state after the next request is\n%s\ninstead of\n%s", where(), now, d.after);
    free(now);
    d.sent++;
}

static long bound(const char *name, long fallback)
{
    return getenv(name) ? strtol(getenv(name), NULL, 10) : fallback;
}

/* Chooses the next allocation. Returns whether there is one. */
static bool next_round(void)
{
    long step = bound("BOOKY_MEMORY_STEP", d.s->step ? d.s->step : 1);
    if (d.rest && !d.s->step) step *= REST_STEP;
    bool done = d.nth > 0 && (d.failures == 0 || d.nth > bound("BOOKY_MEMORY_TO", LONG_MAX));
    if (done && d.rest) return false;
    if (done) {
        printf("%s: %ld allocations\n", d.s->name, d.nth - 1);
        d.rest = true;
        d.nth = 0;
    }
    d.nth = d.nth == 0 ? bound("BOOKY_MEMORY_FROM", 1) : d.nth + step;
    return true;
}

/* After every reply: checks it, and sends the next request. */
static void answered(void)
{
    fastcgi_reply reply = fastcgi_read_reply(d.a, d.client);
    close(d.client);
    bool was_request = at_request();
    if (d.sent < d.setups) {
        if (!is_success(&reply))
            ck_abort_msg("%s: a request before it failed: %d %s", where(), reply.status,
                         reply.body ? reply.body : "nothing");
        d.sent++;
    } else if (was_request) {
        end_request(&reply);
        d.sent++;
    } else {
        end_repeat(&reply);
    }
    if (at_request()) {
        if (d.nth == 0) d.before = state_now();
        if (d.s->disconnect) close_connection();
    }
    if (d.sent < d.setups)
        send_request(&d.s->before[d.sent]);
    else if (d.sent <= d.setups + 1)
        send_request(&d.s->request);
    else if (next_round())
        begin_round();
    else
        shutdown(d.listener, SHUT_RDWR);
}

/* ---- Wrappers around libfcgi, by the linker option --wrap ---- */

int __real_FCGX_Accept_r(FCGX_Request *request);
void __real_FCGX_Finish_r(FCGX_Request *request);
int __wrap_FCGX_Accept_r(FCGX_Request *request);
void __wrap_FCGX_Finish_r(FCGX_Request *request);

int __wrap_FCGX_Accept_r(FCGX_Request *request)
{
    int status = __real_FCGX_Accept_r(request);
    if (status == 0 && at_request() && d.nth > 0) fail_arm(d.nth, d.rest);
    return status;
}

void __wrap_FCGX_Finish_r(FCGX_Request *request)
{
    long failures = fail_disarm();
    if (at_request()) d.failures = failures;
    __real_FCGX_Finish_r(request);
    answered();
}

static void open_all(void)
{
    char path[64], fault[512], dsn[512];
    ck_assert(conf_load(&d.conf, NULL, fault, sizeof fault));
    snprintf(dsn, sizeof dsn, "%s application_name=booky-memory-%d", getenv("BOOKY_TEST_DSN"), (int)getpid());
    free((char *)d.conf.dsn);
    d.conf.dsn = strdup(dsn);
    d.conf.max_requests = 0;
    log_set_level(getenv("BOOKY_TEST_LOG") ? LOG_LEVEL_DEBUG : (log_level)0);
    snprintf(d.dir, sizeof d.dir, "/tmp/booky-memory-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(d.dir));
    snprintf(d.journal, sizeof d.journal, "%s/erasures", d.dir);
    free((char *)d.conf.erasure_journal);
    d.conf.erasure_journal = strdup(d.journal);
    snprintf(path, sizeof path, "%s/k.hmac", d.dir);
    FILE *f = fopen(path, "w");
    ck_assert(f && fputs("a secret of forty bytes for testing only", f) >= 0 && fclose(f) == 0);
    conf c = d.conf;
    c.keys_dir = d.dir;
    d.keys = token_keys_load(&c, fault, sizeof fault);
    ck_assert_msg(d.keys != NULL, "%s", fault);
    unlink(path);
    d.admin = sql_open_admin();
    d.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    d.address = (struct sockaddr_un){.sun_family = AF_UNIX};
    ck_assert_int_eq(bind(d.listener, (struct sockaddr *)&d.address, sizeof d.address.sun_family), 0);
    d.address_len = sizeof d.address;
    ck_assert_int_eq(getsockname(d.listener, (struct sockaddr *)&d.address, &d.address_len), 0);
    ck_assert_int_eq(listen(d.listener, 4), 0);
}

START_TEST(memory_that_runs_out_breaks_one_request_only)
{
    d.s = &scenarios[_i];
    d.a = arena_new();
    snprintf(d.era, sizeof d.era, "%lld", (long long)(clock_now() - 3600000) / 1000000);
    while (d.setups < SETUPS && d.s->before[d.setups].method) d.setups++;
    open_all();
    board *b = board_new();
    begin_round();
    alarm(TIME_LIMIT); /* the worker blocks the other signals that could end it */
    worker_run(&d.conf, d.keys, d.listener, b, &b->slots[0], true);
    printf("%s: %ld rounds\n", d.s->name, d.rounds);
    free(d.before), free(d.after), free(d.body);
    unlink(d.journal);
    rmdir(d.dir);
    token_keys_free(d.keys);
    conf_free(&d.conf);
    PQfinish(d.admin);
    close(d.listener);
    arena_free(d.a);
    munmap(b, sizeof *b);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < scenario_count; i++) puts(scenarios[i].name);
        return EXIT_SUCCESS;
    }
    Suite *s = suite_create("memory");
    for (size_t i = 0; i < scenario_count; i++) {
        TCase *t = tcase_create(scenarios[i].name);
        tcase_set_timeout(t, 600);
        tcase_add_loop_test(t, memory_that_runs_out_breaks_one_request_only, (int)i, (int)i + 1);
        suite_add_tcase(s, t);
    }
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
