/* The master of the pool: starts the workers, replaces those that end, reloads, and stops them. Serves no request. */
#ifndef BOOKY_POOL_H
#define BOOKY_POOL_H

#include "base/conf.h"
#include "serve/listen.h"
#include "token/keys.h"

/* Runs the pool until SIGTERM or SIGQUIT (requests are finished) or SIGINT (they are not). Takes over `c` and `keys`.
 * Reads `conf_path` again on SIGHUP; executes the program with `argv` on SIGUSR2 or after too many crashes. Returns an
 * exit code. */
int pool_run(conf *c, token_keys *keys, const listeners *l, const char *conf_path, char *const *argv);

#endif
