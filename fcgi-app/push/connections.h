/* The connections from nginx: requests for a stream (Server-Sent Events or WebSocket) and for /metrics. */
#ifndef BOOKY_CONNECTIONS_H
#define BOOKY_CONNECTIONS_H

#include "push/push_state.h"

/* Table for the library, with the callback that opens, writes and closes connections. */
extern const struct lws_protocols connections_protocols[];

/* Hands a connection that was accepted to the library. */
void connections_add(push *p, int fd);

#endif
