/* The push process: holds the open event streams and writes pokes to them. */
#ifndef BOOKY_PUSH_H
#define BOOKY_PUSH_H

#include "base/conf.h"
#include "serve/listen.h"

/* Serves until SIGTERM, SIGQUIT or SIGINT; returns an exit code. `c` must live as long as the process (push_peers.h).
 */
int push_run(const conf *c, const push_sockets *sockets);

#endif
