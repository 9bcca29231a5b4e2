/* The subcommands of booky-sync. Each has its file; main.c has the table. */
#ifndef BOOKY_CMD_H
#define BOOKY_CMD_H

#include <stdbool.h>

#include "conf.h"

/* Exit codes; the last two as in sysexits.h. */
enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 64, CMD_CONFIG = 78 };

/* Each gets its own name as argv[0] and returns an exit code. */
int cmd_serve(int argc, char **argv);
int cmd_migrate(int argc, char **argv);
int cmd_check_config(int argc, char **argv);
int cmd_token(int argc, char **argv);

/* Reads the settings from `path`, or from the installed file when it is NULL (and there is one). On a fault prints one
 * line to standard error and returns false; the command then exits with CMD_CONFIG. */
bool cmd_load_conf(const char *path, conf *c);

#endif
