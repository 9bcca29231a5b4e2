/* The master: starts the workers, replaces those that die or are done, reloads, and stops them. It serves no request. */
#ifndef BOOKY_POOL_H
#define BOOKY_POOL_H

#include "conf.h"
#include "listen.h"
#include "token.h"

/* Runs the pool until SIGTERM or SIGQUIT (graceful) or SIGINT (at once). `c` and `keys` become the pool's. `conf_path` is read
 * again at SIGHUP; `argv` starts the program anew at SIGUSR2 or in an emergency. Returns an exit code. */
int pool_run(conf *c, token_keys *keys, const listeners *l, const char *conf_path, char *const *argv);

#endif
