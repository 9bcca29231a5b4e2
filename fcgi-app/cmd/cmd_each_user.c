#include <err.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "cmd/cmd.h"

/*
 * Users are listed without locks, a page at a time, and each is handled in a transaction of its own. It holds the clock
 * of that user only and waits for no other: a user whose clock is locked is skipped, and handled at the end, when a
 * wait stops nobody.
 *
 * The commits do not wait for the disk, which would take milliseconds a user. The last one does, and makes all commits
 * before it durable.
 */

static const char durable_sql[] = "UPDATE migrations SET applied_at = applied_at WHERE version = 1";

static const char page_sql[] = "SELECT user_id FROM clocks WHERE user_id > $1 ORDER BY user_id LIMIT 1000";

enum { LOCK_TIMEOUT = 30 }; /* seconds; of the second pass, if requests have no time limit */

typedef struct skipped {
    arena *a;
    const char **users;
    size_t count, capacity;
} skipped;

static void add(skipped *later, const char *user)
{
    later->users = arena_grow_list(later->a, later->users, later->count, &later->capacity, sizeof *later->users);
    later->users[later->count++] = arena_strdup(later->a, user);
}

/* Handles the users of a page. Returns false on an error. */
static bool handle(const cmd_each_user *each, const PGresult *users, skipped *later)
{
    for (int i = 0; i < PQntuples(users); i++) {
        const char *user = PQgetvalue(users, i, 0);
        cmd_user_end end = each->handle(each->context, user, false);
        if (end == CMD_USER_FAILED) return false;
        if (end == CMD_USER_LOCKED) add(later, user);
    }
    return true;
}

/* Returns the number of users of the page, or -1 on an error. `last` moves on. */
static int run_page(const cmd_each_user *each, char last[CMD_USER_SIZE], skipped *later)
{
    const char *after[] = {last};
    PGresult *page = cmd_sql(each->conn, page_sql, 1, after), *some = NULL;
    int count = page ? PQntuples(page) : -1;
    bool ok = page != NULL;
    if (count > 0) {
        const char *values[CMD_EACH_USER_PARAMS + 2] = {PQgetvalue(page, 0, 0), PQgetvalue(page, count - 1, 0)};
        for (int i = 0; i < each->count; i++) values[2 + i] = each->values[i];
        snprintf(last, CMD_USER_SIZE, "%s", values[1]);
        if (each->select) ok = (some = cmd_sql(each->conn, each->select, 2 + each->count, values)) != NULL;
        if (ok) ok = handle(each, each->select ? some : page, later);
    }
    PQclear(some);
    PQclear(page);
    return ok ? count : -1;
}

/* The second pass: waits for each user alone. Counts those that stay locked. */
static bool handle_skipped(const cmd_each_user *each, const skipped *later, int *locked)
{
    for (size_t i = 0; i < later->count; i++) {
        cmd_user_end end = each->handle(each->context, later->users[i], true);
        if (end == CMD_USER_FAILED) return false;
        *locked += end == CMD_USER_LOCKED;
    }
    return true;
}

cmd_user_end cmd_user_exec(PGconn *conn, const char *name, int count, const char *const *values, PGresult **result)
{
    PGresult *r = PQexecPrepared(conn, name, count, values, NULL, NULL, 0);
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    *result = PQresultStatus(r) == PGRES_TUPLES_OK ? r : NULL;
    if (*result) return CMD_USER_DONE;
    bool locked = state && strcmp(state, "55P03") == 0; /* lock_not_available: lock_timeout has passed */
    if (!locked) cmd_sql_failed(conn, "database");
    PQclear(r);
    return locked ? CMD_USER_LOCKED : CMD_USER_FAILED;
}

/* Prepared, because planning would take longer than running. */
static bool prepare(const cmd_each_user *each)
{
    const char *const statements[][2] = {{CMD_USER_TRY, each->sql}, {CMD_USER_WAIT, each->wait_sql}};
    bool ok = true;
    for (int i = 0; ok && i < 2; i++) {
        PGresult *r = PQprepare(each->conn, statements[i][0], statements[i][1], 0, NULL);
        ok = PQresultStatus(r) == PGRES_COMMAND_OK || cmd_sql_failed(each->conn, "database");
        PQclear(r);
    }
    return ok;
}

bool cmd_each_user_run(const cmd_each_user *each, const conf *settings)
{
    char last[CMD_USER_SIZE] = "", settings_sql[160];
    skipped later = {.a = arena_new()};
    int count = 1, locked = 0;
    long long seconds = settings->request_timeout > 0 ? settings->request_timeout : LOCK_TIMEOUT;
    snprintf(settings_sql, sizeof settings_sql,
             "SET lock_timeout = '%llds'; SET synchronous_commit = off; SET plan_cache_mode = %s", seconds,
             conf_is_distributed(settings) ? "auto" : "force_generic_plan");
    PGresult *r = PQexec(each->conn, settings_sql);
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK ? prepare(each) : cmd_sql_failed(each->conn, "database");
    PQclear(r);
    if (each->only) add(&later, each->only);
    while (ok && count > 0 && !each->only) ok = (count = run_page(each, last, &later)) >= 0;
    if (ok) ok = handle_skipped(each, &later, &locked);
    if (ok)
        ok = cmd_exec(each->conn, "SET synchronous_commit = on", 0, NULL) && cmd_exec(each->conn, durable_sql, 0, NULL);
    if (locked > 0) warnx("%d users were locked all the time; run it again", locked);
    arena_free(later.a);
    return ok && locked == 0;
}
