/* A worker: a process that serves one request at a time with one database connection. */
#ifndef BOOKY_WORKER_H
#define BOOKY_WORKER_H

#include <stdbool.h>

#include "base/conf.h"
#include "serve/board.h"
#include "token/keys.h"

/* Serves requests until it is told to stop or has served pool.max_requests of them. With `wait_for_db` it leaves
 * STAGE_STARTING only once it has a database connection: for a reload, where the old workers serve until then. Returns
 * the exit code of the process. */
int worker_run(const conf *c, const token_keys *keys, int listen_fd, board *b, board_slot *slot, bool wait_for_db);

#endif
