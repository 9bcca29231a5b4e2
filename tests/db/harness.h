/*
 * What the database tests share: a peer (a worker's connection that speaks for one user), and plain SQL connections.
 * BOOKY_TEST_DSN is a worker's login role, BOOKY_TEST_ADMIN_DSN the owner. Every test makes fresh random users, so runs
 * do not disturb each other. Failures end the test (ck_abort_msg).
 */
#ifndef BOOKY_TESTS_HARNESS_H
#define BOOKY_TESTS_HARNESS_H

#include <check.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/conf.h"
#include "base/rc.h"
#include "dice.h"
#include "store/db.h"
#include "sync/ctx.h"
#include "sync/pull.h"

/* A worker's connection that speaks for one user. What it returns lives until peer_free or peer_become. */
typedef struct peer {
    arena *a;
    conf conf;
    db *db;
    char user[64];
    sync_ctx ctx; /* of the last request */
} peer;

peer *peer_new(void); /* for a fresh random user */
peer *peer_new_for(const char *user);
void peer_free(peer *p);
void peer_become(peer *p, const char *user); /* NULL: a fresh random one */

/* A call that is ready to run, with the connection made; `to` collects what is streamed. */
sync_ctx *peer_ctx(peer *p, strbuf *to);

/* POST /operations: the code, and the reply in *reply (NULL unless RC_OK). */
rc peer_try(peer *p, const char *body, json_t **reply);

/* The same; fails the test unless RC_OK. */
json_t *peer_post(peer *p, const char *body);

/* Result `i` of a reply. */
const json_t *result_of(const json_t *reply, size_t i);

/* GET /changes; fails the test unless RC_OK. */
json_t *peer_pull(peer *p, const pull_query *q);

/* GET /changes from the beginning. */
json_t *peer_pull_all(peer *p);

/* printf into the peer's memory. */
const char *peer_printf(peer *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One operation as JSON text, in the peer's memory; `data` is JSON text, NULL for a deletion, `at` milliseconds. */
const char *peer_operation(peer *p, const char *id, const char *type, const char *kind, const char *entity_id,
                           const char *data, int64_t at);

/* {"operations":[…]} around such texts. */
const char *peer_body(peer *p, const char *const *operations, size_t count);

/* A string member, failing the test when it is not there. */
const char *text_of(const json_t *object, const char *name);

/* Fills `out` with the id of a user that nobody has used. */
void user_new(char out[64]);

/* Plain SQL. */
PGconn *sql_open_admin(void);
PGconn *sql_open_planner(void); /* the owner's, with the planner's settings of the workers */
PGconn *sql_open_worker(void);
PGresult *sql_run(PGconn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* must succeed */
long long sql_number(PGconn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The SQLSTATE of a statement, "" when it succeeds. */
const char *sql_state(PGconn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Names the user of the transaction, as the product does. */
void sql_identify(PGconn *c, const char *user);

/* Whether the database is a Citus cluster, and not only the texts for one are tested (BOOKY_DATABASE_DISTRIBUTED). */
bool sql_on_citus(PGconn *c);

/* Begins a transaction that holds the user's commit clock (as the owner), and returns its stamp. */
int64_t sql_hold_clock(PGconn *c, const char *user);

/* Waits until `count` connections wait for a lock that `holder` has; fails the test after 20 seconds. */
void sql_await_waiters(PGconn *watcher, PGconn *holder, int count);

#endif
