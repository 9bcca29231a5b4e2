/* The subcommands of booky-sync. Each has its file; main.c has the table. */
#ifndef BOOKY_CMD_H
#define BOOKY_CMD_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "call.h"
#include "conf.h"

/* Exit codes; the last two as in sysexits.h. */
enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 64, CMD_CONFIG = 78 };

/* Each gets its own name as argv[0] and returns an exit code. */
int cmd_serve(int argc, char **argv);
int cmd_push(int argc, char **argv);
int cmd_migrate(int argc, char **argv);
int cmd_check_config(int argc, char **argv);
int cmd_token(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_user(int argc, char **argv);
int cmd_conflicts(int argc, char **argv);
int cmd_purge(int argc, char **argv);
int cmd_resync(int argc, char **argv);
int cmd_replay(int argc, char **argv);

/* Reads the settings from *path, or when that is NULL from the installed file, if there is one, which *path then names. On a
 * fault prints one line to standard error and returns false; the command then exits with CMD_CONFIG. */
bool cmd_load_conf(const char **path, conf *c);

/* Prepares `c` for calling a capability from the command line as `user`: its own arena and a database connection, replies
 * streamed to standard output. On a fault prints one line and returns false. Release with cmd_call_end. */
bool cmd_call_begin(call *c, const conf *settings, const char *user);
void cmd_call_end(call *c);

/* Prints why a call was refused; returns CMD_FAILED. */
int cmd_call_failed(const call *c, rc code);

/* A connection as the owner (database.admin_dsn), or NULL with one line printed. */
PGconn *cmd_admin(const conf *settings);

/* Runs a statement; NULL with one line printed when it fails. The caller clears the result. */
PGresult *cmd_sql(PGconn *conn, const char *sql, int count, const char *const *values);

/* Prints rows: as a table with the columns' names, or with `json` as an array of objects (numbers stay numbers). */
void cmd_print_rows(const PGresult *r, bool json);

#endif
