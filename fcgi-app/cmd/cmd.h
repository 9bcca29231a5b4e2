/* The subcommands of booky-sync and what they share. Each command has its file; main.c has the table. */
#ifndef BOOKY_CMD_H
#define BOOKY_CMD_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "base/conf.h"
#include "cmd/cmdline.h"
#include "sync/ctx.h"
#include "token/keys.h"

#ifndef PKGDATADIR
#define PKGDATADIR "/usr/share/booky-sync"
#endif
#define CMD_MIGRATIONS PKGDATADIR "/migrations"
#define CMD_NGINX "/etc/nginx/booky-sync"

enum { CMD_USER_SIZE = 1100 }; /* buffer for a user's name from the database; the API accepts 255 bytes */

int cmd_serve(const cmdline *line, const conf *settings);
int cmd_push(const cmdline *line, const conf *settings);
int cmd_check_config(const cmdline *line, const conf *settings);
int cmd_migrate(const cmdline *line, const conf *settings);
int cmd_token_mint(const cmdline *line, const conf *settings);
int cmd_token_inspect(const cmdline *line, const conf *settings);
int cmd_status(const cmdline *line, const conf *settings);
int cmd_user_list(const cmdline *line, const conf *settings);
int cmd_user_show(const cmdline *line, const conf *settings);
int cmd_user_export(const cmdline *line, const conf *settings);
int cmd_user_import(const cmdline *line, const conf *settings);
int cmd_user_erase(const cmdline *line, const conf *settings);
int cmd_queue_list(const cmdline *line, const conf *settings);
int cmd_snapshots_list(const cmdline *line, const conf *settings);
int cmd_snapshots_restore(const cmdline *line, const conf *settings);
int cmd_conflicts_list(const cmdline *line, const conf *settings);
int cmd_conflicts_resolve(const cmdline *line, const conf *settings);
int cmd_purge(const cmdline *line, const conf *settings);
int cmd_resync(const cmdline *line, const conf *settings);
int cmd_replay(const cmdline *line, const conf *settings);

/* Compares the settings with the limits in nginx's files in `dir`; prints a line for each fault. `asked`: it is a fault
 * if they are not there. */
bool cmd_check_nginx(const conf *settings, const char *dir, bool asked);

/* All functions below print one line to standard error when they fail. */

/* Reads the settings from line->config or, if that is NULL, from the installed file, which line->config then names; if
 * there is none, the defaults apply. false: the program exits with CMD_CONFIG. */
bool cmd_load_conf(cmdline *line, conf *settings);

/* The keys of auth.keys_dir, to be released with token_keys_free. NULL: the command exits with CMD_CONFIG. */
token_keys *cmd_load_keys(const conf *settings);

/* Prepares `ctx` for calling a capability as `user`: its own arena and a database connection, streamed replies go to
 * standard output. Release with cmd_ctx_finish or cmd_ctx_end. */
bool cmd_ctx_begin(sync_ctx *ctx, const conf *settings, const char *user);
void cmd_ctx_end(sync_ctx *ctx);

/* The same for a user who has written something; of any other user it says so. */
bool cmd_ctx_begin_known(sync_ctx *ctx, const conf *settings, const char *user);

/* Prints why a capability refused; returns CMD_FAILED. */
int cmd_ctx_failed(const sync_ctx *ctx, rc code);

/* Ends a command that was one call of a capability: prints its reply or why it refused, calls cmd_ctx_end and returns
 * the exit code. */
int cmd_ctx_finish(sync_ctx *ctx, rc code, const strbuf *reply);

/* The body of a page of the pool (/pool, /metrics), or of the push process (/metrics, and /user about `user`, else
 * NULL). NULL: it does not answer within five seconds. */
const char *cmd_pool_page(arena *a, const conf *settings, const char *uri);
const char *cmd_push_page(arena *a, const conf *settings, const char *path, const char *user);

/* An instant, the number of milliseconds `ms`, as text in a statement. */
#define CMD_INSTANT(ms) "to_char(instant(" ms ") AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"

/* A connection as the owner (database.admin_dsn), or NULL. The caller calls PQfinish. */
PGconn *cmd_admin(const conf *settings);

/* Prints the error of the last statement, which was about `what`; returns false. */
bool cmd_sql_failed(const PGconn *conn, const char *what);

/* Runs a statement and returns its result, or NULL. The caller calls PQclear. */
PGresult *cmd_sql(PGconn *conn, const char *sql, int count, const char *const *values);

/* The same for a statement that returns nothing of interest. */
bool cmd_exec(PGconn *conn, const char *sql, int count, const char *const *values);

/* Whether a statement returns true. */
bool cmd_sql_bool(PGconn *conn, const char *sql);

/* The same as cmd_sql in a connection of its own, as the owner. */
PGresult *cmd_query(const conf *settings, const char *sql, int count, const char *const *values);

/* Repeats the erasures of a journal (sync/journal.h; "-": standard input) after a restore. */
bool cmd_erase_again(const char *path, const conf *settings);

/* Brings the times of a user that are later than `now` (milliseconds) back to it, in their order. Within a transaction
 * that has locked the user's clock. */
bool cmd_restamp(PGconn *conn, const char *user, const char *now);

/* The next statement of *text, without the semicolon that ends it; moves *text behind it. NULL: there is none. */
char *cmd_next_statement(arena *a, const char **text);

/* For migrate, where the database is distributed: checks that it can be, and prepares the connection. */
bool cmd_distribute_begin(PGconn *conn);

/* Distributes the tables that are not, the first one with that many shards; with `status` only lists them. Adds their
 * number to *pending. */
bool cmd_distribute(PGconn *conn, const char *shards, bool status, int *pending);

/* How the handling of one user ended. */
typedef enum cmd_user_end { CMD_USER_DONE, CMD_USER_LOCKED, CMD_USER_FAILED } cmd_user_end;

enum { CMD_EACH_USER_PARAMS = 4 };

/* What to do with the users. */
typedef struct cmd_each_user {
    PGconn *conn;
    const char *only;   /* the only user; NULL: all */
    const char *select; /* a query that selects users from $1 to $2, with the values from $3 on; NULL: all users */
    const char *values[CMD_EACH_USER_PARAMS];
    int count; /* of values */
    /* Two statements that handle the user $1 in one transaction: one skips a user whose clock is locked, one waits. */
    const char *sql, *wait_sql;
    /* Handles one user with cmd_user_exec. Without `wait`, a locked user is CMD_USER_LOCKED at once. */
    cmd_user_end (*handle)(void *context, const char *user, bool wait);
    void *context;
} cmd_each_user;

/* Handles the users one after the other; waits for locked ones at the end, at most pool.request_timeout for each.
 * false: an error, or some stayed locked. */
bool cmd_each_user_run(const cmd_each_user *each, const conf *settings);

/* The names of the two prepared statements. */
#define CMD_USER_TRY "user_try"
#define CMD_USER_WAIT "user_wait"

/* Runs one of them. *result: its rows, which the caller clears, or NULL. */
cmd_user_end cmd_user_exec(PGconn *conn, const char *name, int count, const char *const *values, PGresult **result);

/* Prints rows: as a table with the columns' names, or with `json` as an array of objects (numbers stay numbers). */
void cmd_print_rows(const PGresult *r, bool json);

/* Appends the columns of a row as members of a JSON object, without its braces; all rows as an array of objects. */
void cmd_write_row(strbuf *out, const PGresult *r, int row);
void cmd_write_rows(strbuf *out, const PGresult *r);

/* cmd_query and cmd_print_rows; returns the exit code. */
int cmd_list(const conf *settings, const char *sql, int count, const char *const *values, bool json);

#endif
