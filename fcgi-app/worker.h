/* A worker: one process, one request at a time, one database connection. */
#ifndef BOOKY_WORKER_H
#define BOOKY_WORKER_H

#include "board.h"
#include "conf.h"
#include "token.h"

struct FCGX_Request;

/* Accepts FastCGI requests on `listen_fd` and hands each to `handle` until it returns false or the process is told to stop
 * (SIGTERM or SIGQUIT, after the current request). `slot` shows that it is at work from the moment a connection is there, also
 * while the request is being read; NULL: nobody looks. */
void worker_loop(int listen_fd, board_slot *slot, bool (*handle)(struct FCGX_Request *fcgi, void *context), void *context);

/* Serves requests until it is told to stop or has served its share. With `patient` it is ready only once it has a database
 * connection: another generation still serves. Returns the exit code of the process. */
int worker_run(const conf *c, const token_keys *keys, int listen_fd, board *b, board_slot *slot, bool patient);

#endif
