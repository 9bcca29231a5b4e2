#include <err.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

#include "cmd/cmd.h"

/*
 * A restored backup takes the server back in time, and so does the promotion of a replica that lagged: devices have
 * cursors of commits that are lost. The server can detect such a cursor only as long as it is ahead of its user's
 * clock. So after such an event every user gets a new epoch. The earlier one is remembered with the clock up to which
 * both histories are the same: a cursor up to there stays valid, a later one is refused, and its device is told what to
 * send again.
 *
 * A user who has written nothing has no epoch. The cursors of such users carry the generation.
 */

/* $1: the user; $2: the new epoch, never 0, which means "no epoch", and never the old one; $3: the end of the common
 * history, if it is earlier than the clock. Of the earlier epochs the latest 100 are kept (JOURNAL_EPOCHS); a device
 * with an older one sends more than it had to. */
#define RESYNC(lock)                                                                                                   \
    "WITH me AS MATERIALIZED (SELECT user_id, epoch, clock FROM clocks WHERE user_id = $1"                             \
    " AND epoch <> $2::bigint " lock "),"                                                                              \
    " gone AS (DELETE FROM epochs WHERE user_id = $1 AND EXISTS (SELECT FROM me) AND epoch IN"                         \
    " (SELECT epoch FROM epochs WHERE user_id = $1 ORDER BY until DESC OFFSET 99)),"                                   \
    " kept AS (INSERT INTO epochs (user_id, epoch, until, installation)"                                               \
    " SELECT user_id, epoch, least(clock, $3::bigint), id FROM me CROSS JOIN installation"                             \
    " ON CONFLICT (user_id, epoch) DO UPDATE SET until = least(epochs.until, excluded.until)),"                        \
    " renewed AS (UPDATE clocks c SET epoch = $2::bigint FROM me WHERE c.user_id = $1 RETURNING 1)"                    \
    " SELECT count(*) FROM renewed"

static const char resync_sql[] = RESYNC("FOR UPDATE SKIP LOCKED"), resync_wait_sql[] = RESYNC("FOR UPDATE");

static const char generation_sql[] = "UPDATE installation SET generation = generation + 1";

/* --restamp: a clock may be ahead by sync.clock_skew, because a device's is. $1 and $2: users; $3: the latest clock. */
static const char ahead_sql[] = "SELECT user_id FROM clocks WHERE user_id BETWEEN $1 AND $2"
                                " AND greatest(clock, horizon) > $3::bigint";
static const char now_sql[] = "SELECT t::text, (t + $1::bigint * 1000)::text"
                              " FROM (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS t) AS now";

typedef struct resync {
    PGconn *conn;
    const char *now; /* --restamp; else NULL */
    long long users;
} resync;

static bool new_epoch(char out[24])
{
    uint64_t epoch;
    do
        if (getrandom(&epoch, sizeof epoch, 0) != (ssize_t)sizeof epoch) return false;
    while ((epoch &= INT64_MAX) == 0);
    snprintf(out, 24, "%" PRIu64, epoch);
    return true;
}

static cmd_user_end resync_user(void *context, const char *user, bool wait)
{
    resync *r = context;
    char epoch[24];
    const char *values[] = {user, epoch, r->now};
    PGresult *renewed;
    if (!new_epoch(epoch)) {
        warn("getrandom");
        return CMD_USER_FAILED;
    }
    cmd_user_end end = cmd_user_exec(r->conn, wait ? CMD_USER_WAIT : CMD_USER_TRY, 3, values, &renewed);
    long long count = renewed ? db_column_int(renewed, 0, 0, 0) : 0;
    PQclear(renewed);
    r->users += count;
    return end == CMD_USER_DONE && count == 0 && !wait ? CMD_USER_LOCKED : end; /* or erased meanwhile */
}

/* The same in a transaction that restamps the user, too. */
static cmd_user_end restamp_user(void *context, const char *user, bool wait)
{
    resync *r = context;
    if (!cmd_exec(r->conn, "BEGIN", 0, NULL)) return CMD_USER_FAILED;
    long long users = r->users;
    cmd_user_end end = resync_user(context, user, wait);
    if (end == CMD_USER_DONE && r->users > users && !cmd_restamp(r->conn, user, r->now)) end = CMD_USER_FAILED;
    if (!cmd_exec(r->conn, end == CMD_USER_DONE ? "COMMIT" : "ROLLBACK", 0, NULL)) end = CMD_USER_FAILED;
    if (end != CMD_USER_DONE) r->users = users;
    return end;
}

static int restamp_all(const char *user, const conf *settings)
{
    char skew[24];
    const char *values[] = {skew};
    resync r = {.conn = cmd_admin(settings)};
    snprintf(skew, sizeof skew, "%lld", (long long)settings->clock_skew);
    PGresult *now = r.conn ? cmd_sql(r.conn, now_sql, 1, values) : NULL;
    bool ok = now != NULL;
    if (ok) {
        r.now = db_column(now, 0, 0);
        const cmd_each_user each = {.conn = r.conn,
                                    .only = user,
                                    .select = ahead_sql,
                                    .values = {db_column(now, 0, 1)},
                                    .count = 1,
                                    .sql = resync_sql,
                                    .wait_sql = resync_wait_sql,
                                    .handle = restamp_user,
                                    .context = &r};
        ok = cmd_each_user_run(&each, settings);
    }
    if (ok && user && r.users == 0) warnx("%s: no such user", user), ok = false;
    PQclear(now);
    PQfinish(r.conn);
    if (ok) printf("brought back to now: %lld users\n", r.users);
    return ok ? CMD_OK : CMD_FAILED;
}

static int resync_all(const char *user, const conf *settings)
{
    resync r = {.conn = cmd_admin(settings)};
    if (!r.conn) return CMD_FAILED;
    const cmd_each_user each = {.conn = r.conn,
                                .only = user,
                                .sql = resync_sql,
                                .wait_sql = resync_wait_sql,
                                .handle = resync_user,
                                .context = &r};
    bool ok = user || cmd_exec(r.conn, generation_sql, 0, NULL);
    if (ok) ok = cmd_each_user_run(&each, settings);
    PQfinish(r.conn);
    if (ok && user && r.users == 0) {
        warnx("%s: no such user", user);
        return CMD_FAILED;
    }
    printf("new epochs: %lld users\n", r.users);
    return ok ? CMD_OK : CMD_FAILED;
}

int cmd_resync(const cmdline *line, const conf *settings)
{
    const char *user = cmdline_get(line, "user"), *erased = cmdline_get(line, "erased");
    if (user && erased) return cmdline_refuse(line, "--erased is about all users; leave out --user");
    if (cmdline_get(line, "restamp")) {
        if (erased) return cmdline_refuse(line, "--restamp comes after --erased, in a run of its own");
        return restamp_all(user, settings);
    }
    /* First the erasures, by the epochs of before. If not all could be repeated, devices must not be let in. */
    if (erased && !cmd_erase_again(erased, settings)) return CMD_FAILED;
    return resync_all(user, settings);
}
