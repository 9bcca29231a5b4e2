/* The master: forks the workers, replaces those that die, and stops them. It serves no request itself. */
#ifndef BOOKY_POOL_H
#define BOOKY_POOL_H

#include "conf.h"
#include "token.h"

/* Runs the pool on `listen_fd` until SIGTERM or SIGQUIT (graceful) or SIGINT (at once). Returns an exit code. */
int pool_run(const conf *c, const token_keys *keys, int listen_fd);

#endif
