/*
 * Memory that runs out at every point of a request. The real loop of a worker runs in this process, with its sockets,
 * its database and its libraries. A request is sent again and again, and each time a later allocation fails: the first,
 * the second, … until it passes without a failure. Then again with all that follow failing too, from every fifth on.
 *
 * Whatever fails, the client gets a whole answer that is no success unless everything was done, the database is as it
 * was before or after, and the next request of the same worker succeeds. Leaks and misuse are the sanitizers' to find.
 *
 * Left out: what libfcgi allocates when it accepts a connection. It aborts when it gets none, and the pool replaces the
 * worker (docs/operations.md).
 *
 * BOOKY_MEMORY_SCENARIO=NAME runs one of them; BOOKY_MEMORY_STEP=N looks at every Nth allocation only,
 * BOOKY_MEMORY_FROM and BOOKY_MEMORY_TO bound them.
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
#include "board.h"
#include "clock.h"
#include "fail.h"
#include "json.h"
#include "log.h"
#include "token.h"
#include "worker.h"

enum { REPLY = 1 << 20, SETUPS = 4, RETRIES = 100, LIMIT = 600, REST_STEP = 5 };

/* Instants begin with the digits of ERA, which become an hour ago. A "*" in the address becomes the id of the user's
 * open conflict, else of the snapshot. */
typedef struct sent {
    const char *method, *uri, *body;
    bool gzip;
} sent;

/* A request, and what is sent before it. */
typedef struct scenario {
    const char *name;
    sent before[SETUPS];
    sent request;
    bool streamed; /* its answer may break off */
    bool cut;      /* the connection to the database is gone, so that it begins with connecting */
    int step;      /* every how many-th allocation is looked at, where each takes long; 0: every one */
} scenario;

#define ERA "1700000"

#define GET(path)                                                                                                      \
    {                                                                                                                  \
        .method = "GET", .uri = "/api/sync" path                                                                       \
    }
#define POST(path, text)                                                                                               \
    {                                                                                                                  \
        .method = "POST", .uri = "/api/sync" path, .body = text                                                        \
    }
#define OPERATIONS(list) POST("/operations", "{\"operations\":[" list "],\"deviceId\":\"phone\"}")
#define OPERATION(op, type, kind, id, at, more)                                                                        \
    "{\"id\":\"" op "\",\"type\":\"" type "\",\"entity\":\"" kind "\",\"entityId\":\"" id "\",\"timestamp\":" at more  \
    "}"
#define UPDATE(op, at, members) OPERATION(op, "update", "book", "b", at, ",\"data\":{" members "}")

#define A_BOOK                                                                                                         \
    OPERATIONS(OPERATION(                                                                                              \
        "c", "create", "book", "b", "1700000005000",                                                                   \
        ",\"data\":{\"title\":\"T\",\"extra\":{\"a\":[1,2.5,\"x\"],\"b\":{}}}") "," OPERATION("r", "create", "rating", \
                                                                                              "r1", "1700000005000",   \
                                                                                              ",\"data\":{\"bookId\":" \
                                                                                              "\"b\",\"stars\":4.5}"))
#define A_CONFLICT                                                                                                     \
    OPERATIONS(UPDATE("o1", "1700000001000", "\"title\":\"Older\",\"pageCount\":12") "," UPDATE(                       \
        "o2", "1700000009000", "\"extra\":{\"a\":null,\"c\":{\"d\":\"\\u00e9\"}}"))
#define A_QUESTION                                                                                                     \
    OPERATIONS(OPERATION("o3", "update", "book", "b", "1700000001000",                                                 \
                         ",\"conflictResolution\":\"manual\",\"data\":{\"title\":\"Older\"}"))
#define QUEUED POST("/queue", UPDATE("q1", "1700000009000", "\"title\":\"Queued\",\"x\":[1,{\"y\":2}]"))
#define FULL                                                                                                           \
    POST("/full", "{\"books\":[{\"id\":\"b\",\"title\":\"F\"},{\"id\":\"n\",\"title\":\"New\",\"tags\":[\"x\"]}],"     \
                  "\"ratings\":[]}")
#define PACKED                                                                                                         \
    {                                                                                                                  \
        .method = "POST", .uri = "/api/sync/queue", .body = UPDATE("q2", "1700000009000", "\"title\":\"Packed\""),     \
        .gzip = true                                                                                                   \
    }
#define MERGED POST("/conflicts/*/resolve", "{\"resolution\":\"merge\",\"mergedData\":{\"title\":\"Both\"}}")

static const scenario scenarios[] = {
    {.name = "operations with conflicts", .before = {A_BOOK}, .request = A_CONFLICT},
    {.name = "operations repeated", .before = {A_BOOK, A_CONFLICT}, .request = A_CONFLICT},
    {.name = "changes",
     .before = {A_BOOK, A_CONFLICT},
     .request = GET("/changes?since=0&limit=10&entities=book,rating"),
     .streamed = true},
    {.name = "full", .before = {A_BOOK}, .request = FULL},
    {.name = "queue", .before = {A_BOOK}, .request = QUEUED},
    {.name = "queue, compressed", .before = {A_BOOK}, .request = PACKED},
    {.name = "pending", .before = {A_BOOK, QUEUED}, .request = GET("/pending")},
    {.name = "pending applied", .before = {A_BOOK, QUEUED}, .request = POST("/pending/apply", NULL)},
    {.name = "marked", .before = {QUEUED}, .request = POST("/mark-synced", "{\"operationIds\":[\"q1\",\"none\"]}")},
    {.name = "conflicts", .before = {A_BOOK, A_CONFLICT, A_QUESTION}, .request = GET("/conflicts?limit=5")},
    {.name = "conflict resolved", .before = {A_BOOK, A_QUESTION}, .request = MERGED},
    {.name = "snapshot restored", .before = {A_BOOK, FULL}, .request = POST("/snapshots/*/restore", NULL)},
    {.name = "status", .before = {A_BOOK}, .request = GET("/status")},
    {.name = "export", .before = {A_BOOK, A_CONFLICT}, .request = GET("/export"), .streamed = true},
    {.name = "erasure", .before = {A_BOOK}, .request = {.method = "DELETE", .uri = "/api/sync/account"}},
    {.name = "connecting", .before = {A_BOOK}, .request = GET("/status"), .cut = true, .step = 23},
};

/* The test as it goes on: the worker calls it when it takes a connection and when it has answered. */
static struct drive {
    const scenario *s;
    arena *a; /* of the round */
    conf conf;
    token_keys *keys;
    PGconn *admin;
    struct sockaddr_un address;
    socklen_t address_len;
    int listener, client;
    char user[64], era[16];
    size_t sent; /* requests of this round so far */
    size_t setups;
    long nth; /* the allocation that fails; 0: none, this round is the reference */
    bool rest;
    int retries;
    char *before, *after, *body; /* what the reference found: states, and the reply */
    long failures, rounds;
} d;

/* ---- FastCGI, as nginx speaks it ---- */

static void put_record(strbuf *out, int type, const char *bytes, size_t len)
{
    const char head[] = {1, (char)type, 0, 1, (char)(len >> 8), (char)len, 0, 0};
    strbuf_add(out, head, sizeof head);
    if (len > 0) strbuf_add(out, bytes, len);
}

static void put_param(strbuf *out, const char *name, const char *value)
{
    size_t lengths[] = {strlen(name), strlen(value)};
    for (int i = 0; i < 2; i++) {
        const char four[] = {(char)(lengths[i] >> 24 | 0x80), (char)(lengths[i] >> 16), (char)(lengths[i] >> 8),
                             (char)lengths[i]};
        strbuf_add(out, four, sizeof four);
    }
    strbuf_puts(out, name);
    strbuf_puts(out, value);
}

static void put_request(strbuf *out, const sent *r, const char *uri, const char *token, const char *body, size_t len)
{
    strbuf params = STRBUF(out->a);
    put_param(&params, "REQUEST_METHOD", r->method);
    put_param(&params, "REQUEST_URI", uri);
    put_param(&params, "HTTP_AUTHORIZATION", arena_printf(out->a, "Bearer %s", token));
    if (r->gzip) put_param(&params, "HTTP_CONTENT_ENCODING", "gzip");
    if (body) put_param(&params, "CONTENT_LENGTH", arena_printf(out->a, "%zu", len));
    put_record(out, 1, "\0\1\0\0\0\0\0", 8);
    put_record(out, 4, params.data, params.len);
    put_record(out, 4, NULL, 0);
    if (body) put_record(out, 5, body, len);
    put_record(out, 5, NULL, 0);
}

typedef struct answer {
    int status; /* 0: there was none */
    bool ended; /* FastCGI's own end came */
    const char *body;
    json_t *json; /* NULL: the body is not whole JSON */
} answer;

static answer read_answer(int fd)
{
    static char bytes[REPLY];
    size_t used = 0, at = 0;
    strbuf out = STRBUF(d.a);
    answer x = {0};
    for (ssize_t n; (n = recv(fd, bytes + used, sizeof bytes - used, 0)) > 0;) used += (size_t)n;
    strbuf_puts(&out, "");
    while (at + 8 <= used) {
        size_t len = (size_t)(unsigned char)bytes[at + 4] << 8 | (unsigned char)bytes[at + 5];
        if (bytes[at + 1] == 6) strbuf_add(&out, bytes + at + 8, len);
        x.ended |= bytes[at + 1] == 3;
        at += 8 + len + (unsigned char)bytes[at + 6];
    }
    const char *body = strstr(out.data, "\r\n\r\n"), *length = strstr(out.data, "\r\nContent-Length: ");
    if (!body || sscanf(out.data, "Status: %d", &x.status) != 1) return x;
    json_fault fault;
    x.body = body + 4;
    size_t len = strlen(x.body);
    if (!length || length > body || strtoul(length + 18, NULL, 10) == len)
        x.json = json_read(d.a, x.body, len, 100, &fault);
    return x;
}

/* A reply without what differs from run to run: instants, stamps and what is made of them. */
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

static const char *made_id(void)
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

/* The body with instants of today. */
static char *dated(const char *body)
{
    if (!body) return NULL;
    char *text = arena_strdup(d.a, body);
    for (char *p = text; (p = strstr(p, ERA)); p += strlen(ERA)) memcpy(p, d.era, strlen(ERA));
    return text;
}

static const char *packed(const char *body, size_t *len)
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

/* Each with a token of its own, so that none was verified before. */
static void send_request(const sent *r)
{
    char fault[256];
    strbuf bytes = STRBUF(d.a);
    const char *star = strchr(r->uri, '*'), *uri = r->uri, *body = dated(r->body);
    size_t len = body ? strlen(body) : 0;
    if (star) uri = arena_printf(d.a, "%.*s%s%s", (int)(star - uri), uri, made_id(), star + 1);
    if (r->gzip) body = packed(body, &len);
    const char *token = token_mint(d.keys, d.a, NULL, d.user, 3600 + (int64_t)d.sent, clock_now(), fault, sizeof fault);
    ck_assert_ptr_nonnull(token);
    put_request(&bytes, r, uri, token, body, len);
    d.client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(d.client, (struct sockaddr *)&d.address, d.address_len), 0);
    ck_assert_int_eq(send(d.client, bytes.data, bytes.len, 0), (ssize_t)bytes.len);
    shutdown(d.client, SHUT_WR); /* libfcgi waits for that when it closes */
}

static const char *where(void)
{
    static char text[128];
    snprintf(text, sizeof text, "%s: allocation %ld%s", d.s->name, d.nth, d.rest ? " and all that follow" : "");
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

static bool at_request(void)
{
    return d.sent == d.setups;
}

static void cut_connection(void)
{
    PQclear(sql_run(
        d.admin,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'booky-memory-%d'",
        (int)getpid()));
}

static bool is_success(const answer *x)
{
    return (x->status == 200 || x->status == 201) && x->ended && x->json &&
           json_is_true(json_object_get(x->json, "success"));
}

/* After the request in which memory ran out: is what the client was told what the database holds? */
static void judge(const answer *x, const char *now)
{
    bool is_before = strcmp(now, d.before) == 0, is_after = strcmp(now, d.after) == 0;
    if (!is_before && !is_after) ck_abort_msg("%s: status %d, half done:\n%s", where(), x->status, now);
    if (is_success(x)) {
        char *body = normal(x->body);
        if (!is_after || strcmp(body, d.body) != 0)
            ck_abort_msg("%s: a wrong success:\n%s\n%s\n%s", where(), x->body, d.body, now);
        free(body);
    } else if (x->status == 200 && d.s->streamed && !x->ended) {
        return; /* broken off, and it looks so */
    } else if ((x->status == 500 || x->status == 503) && x->ended && x->json) {
        if (x->status == 500 && !is_before)
            ck_abort_msg("%s: said nothing was applied, but it was: %s", where(), x->body);
    } else {
        ck_abort_msg("%s: status %d, %s: %.500s", where(), x->status, x->ended ? "ended" : "broken off",
                     x->body ? x->body : "nothing");
    }
}

static void end_request(const answer *x)
{
    char *now = state_now();
    if (d.nth == 0) {
        if (!is_success(x)) ck_abort_msg("%s: the reference failed: %d %s", d.s->name, x->status, x->body);
        d.after = now;
        d.body = normal(x->body);
    } else {
        judge(x, now);
        free(now);
    }
}

static void end_repeat(const answer *x)
{
    if (x->status == 503 && d.retries++ < RETRIES) { /* the database is not asked all the time */
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        return;
    }
    if (!is_success(x))
        ck_abort_msg("%s: and the next request failed: %d %s", where(), x->status, x->body ? x->body : "nothing");
    char *now = state_now();
    if (strcmp(now, d.after) != 0)
        ck_abort_msg("%s: and after the next request it is\n%s\ninstead of\n%s", where(), now, d.after);
    free(now);
    d.sent++;
}

static long bound(const char *name, long otherwise)
{
    return getenv(name) ? strtol(getenv(name), NULL, 10) : otherwise;
}

/* Whether there is another round. */
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

static void answered(void)
{
    answer x = read_answer(d.client);
    close(d.client);
    bool was_request = at_request();
    if (d.sent < d.setups) {
        if (!is_success(&x))
            ck_abort_msg("%s: what comes before failed: %d %s", where(), x.status, x.body ? x.body : "nothing");
        d.sent++;
    } else if (was_request) {
        end_request(&x);
        d.sent++;
    } else {
        end_repeat(&x);
    }
    if (at_request()) {
        if (d.nth == 0) d.before = state_now();
        if (d.s->cut) cut_connection();
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

/* ---- What stands between the worker and libfcgi; the linker puts it there ---- */

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
    char dir[] = "/tmp/booky-memory-XXXXXX", path[64], fault[512], dsn[512];
    ck_assert(conf_load(&d.conf, NULL, fault, sizeof fault));
    snprintf(dsn, sizeof dsn, "%s application_name=booky-memory-%d", getenv("BOOKY_TEST_DSN"), (int)getpid());
    free((char *)d.conf.dsn);
    d.conf.dsn = strdup(dsn);
    d.conf.max_requests = 0;
    log_set_level(getenv("BOOKY_TEST_LOG") ? LOG_LEVEL_DEBUG : (log_level)0);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/k.hmac", dir);
    FILE *f = fopen(path, "w");
    ck_assert(f && fputs("a secret of forty bytes for testing only", f) >= 0 && fclose(f) == 0);
    conf c = d.conf;
    c.keys_dir = dir;
    d.keys = token_keys_load(&c, fault, sizeof fault);
    ck_assert_msg(d.keys != NULL, "%s", fault);
    unlink(path);
    rmdir(dir);
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
    const char *only = getenv("BOOKY_MEMORY_SCENARIO");
    d.s = &scenarios[_i];
    if (only && strcmp(only, d.s->name) != 0) return;
    d.a = arena_new();
    snprintf(d.era, sizeof d.era, "%lld", (long long)(clock_now() - 3600000) / 1000000);
    while (d.setups < SETUPS && d.s->before[d.setups].method) d.setups++;
    open_all();
    board *b = board_new();
    begin_round();
    alarm(LIMIT); /* the worker blocks the polite signals */
    worker_run(&d.conf, d.keys, d.listener, b, &b->slots[0], true);
    printf("%s: %ld rounds\n", d.s->name, d.rounds);
    free(d.before), free(d.after), free(d.body);
    token_keys_free(d.keys);
    conf_free(&d.conf);
    PQfinish(d.admin);
    close(d.listener);
    arena_free(d.a);
    munmap(b, sizeof *b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("memory");
    TCase *t = tcase_create("memory");
    tcase_set_timeout(t, 600);
    tcase_add_loop_test(t, memory_that_runs_out_breaks_one_request_only, 0, sizeof scenarios / sizeof *scenarios);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
