/* The process that holds the open streams and pokes them. */
#ifndef BOOKY_PUSH_H
#define BOOKY_PUSH_H

#include "conf.h"
#include "listen.h"

/* Serves until SIGTERM, SIGQUIT or SIGINT; returns an exit code. */
int push_run(const conf *c, const push_sockets *sockets);

#endif
