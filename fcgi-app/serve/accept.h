/* The loop of a process that serves FastCGI requests, one at a time; and its signals. */
#ifndef BOOKY_ACCEPT_H
#define BOOKY_ACCEPT_H

#include <signal.h>
#include <stdbool.h>

#include "http/progress.h"

struct FCGX_Request;

/* Set by SIGUSR1: the current request takes too long. The handler of a request clears it first. */
extern volatile sig_atomic_t accept_cancelled;

enum { ACCEPT_LIMIT_S = 1 }; /* seconds that a request may take in a process without `progress` */

/* Whether SIGTERM or SIGQUIT came. */
bool accept_stopping(void);

/* Accepts FastCGI requests on `listen_fd` and hands each to `handle` until that returns false or the process is told to
 * stop; a request that has begun is finished. Sets `p` to stage 0 as soon as there is a connection, so that a request
 * is timed while it is still being read, and to STAGE_IDLE after each request. `p` is NULL for
 * the reporter; then no read or write waits longer than ACCEPT_LIMIT_S. */
void accept_loop(int listen_fd, progress *p, bool (*handle)(struct FCGX_Request *fcgi, void *context), void *context);

#endif
