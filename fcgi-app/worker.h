/* A worker: one process, one request at a time, one database connection. */
#ifndef BOOKY_WORKER_H
#define BOOKY_WORKER_H

#include "board.h"
#include "conf.h"
#include "token.h"

/* Serves requests from `listen_fd` until it is told to stop (SIGTERM or SIGQUIT: after the current request). Returns the
 * exit code of the process. */
int worker_run(const conf *c, const token_keys *keys, int listen_fd, board_slot *slot);

#endif
