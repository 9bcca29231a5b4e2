/* A database that is away. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness.h"

#include "base/clock.h"

/* A socket that accepts connections and closes them at once, as a database that is away. */
typedef struct closed_door {
    int fd;
    int knocks;
} closed_door;

static void *turn_away(void *argument)
{
    closed_door *door = argument;
    for (int fd; (fd = accept(door->fd, NULL, NULL)) >= 0; door->knocks++) close(fd);
    return NULL;
}

START_TEST(a_database_that_is_away_is_not_asked_all_the_time)
{
    enum { CALLS = 1000, KNOCKS = 50 };
    peer *p = peer_new();
    char folder[] = "/tmp/booky-XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    closed_door door = {.fd = socket(AF_UNIX, SOCK_STREAM, 0)};
    pthread_t thread;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.5432", folder);
    ck_assert_int_eq(bind(door.fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(door.fd, KNOCKS), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, turn_away, &door), 0);
    free((char *)p->conf.dsn);
    p->conf.dsn = strdup(peer_printf(p, "host=%s dbname=none", folder));
    db_free(p->db);
    p->db = db_new(&p->conf);
    for (int i = 0; i < CALLS; i++) ck_assert_int_eq(db_ready(p->db), RC_UNAVAILABLE);
    shutdown(door.fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(door.fd);
    unlink(address.sun_path);
    rmdir(folder);
    ck_assert_msg(door.knocks > 0 && door.knocks < KNOCKS, "%d connections", door.knocks);
    peer_free(p);
}
END_TEST

/* As Citus does when it loses a node meanwhile. */
START_TEST(a_commit_that_fails_for_an_unknown_reason_is_in_doubt)
{
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    json_t *reply;
    const char *operations[] = {peer_operation(p, "op", "create", "book", "b", "{\"title\":\"T\"}", clock_now())};
    const char *body = peer_body(p, operations, 1);
    if (!sql_on_citus(admin)) { /* which has no triggers */
        PQclear(sql_run(admin, "CREATE FUNCTION booky.unknown() RETURNS trigger LANGUAGE plpgsql"
                               " SET search_path = pg_catalog, pg_temp"
                               " AS $$ BEGIN RAISE 'unknown' USING ERRCODE = 'XX000'; END $$"));
        PQclear(sql_run(admin,
                        "CREATE CONSTRAINT TRIGGER unknown AFTER INSERT ON ledger DEFERRABLE INITIALLY DEFERRED"
                        " FOR EACH ROW WHEN (NEW.user_id = '%s') EXECUTE FUNCTION booky.unknown()",
                        p->user));
        rc code = peer_try(p, body, &reply);
        PQclear(sql_run(admin, "DROP FUNCTION booky.unknown CASCADE"));
        ck_assert_int_eq(code, RC_UNAVAILABLE);
        ck_assert(p->ctx.txn.in_doubt);
    }
    ck_assert_int_eq(peer_try(p, body, &reply), RC_OK);
    ck_assert(!p->ctx.txn.in_doubt);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

Suite *suite_away(void)
{
    Suite *s = suite_create("away");
    TCase *t = tcase_create("away");
    tcase_add_test(t, a_database_that_is_away_is_not_asked_all_the_time);
    tcase_add_test(t, a_commit_that_fails_for_an_unknown_reason_is_in_doubt);
    suite_add_tcase(s, t);
    return s;
}
