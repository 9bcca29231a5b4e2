/* The socket that nginx connects to. */
#ifndef BOOKY_LISTEN_H
#define BOOKY_LISTEN_H

#include <stddef.h>

#include "conf.h"

/* The listening socket, non-blocking: systemd's (descriptor 3) when it passed one, else a new one at server.socket. Returns
 * -1 with a line in `fault`. */
int listen_open(const conf *c, char *fault, size_t fault_size);

/* Tells the service manager `state` ("READY=1") if there is one (sd_notify(3)). */
void listen_notify(const char *state);

#endif
