/* The listening sockets of the pool and of the push process. */
#ifndef BOOKY_LISTEN_H
#define BOOKY_LISTEN_H

#include <stddef.h>

#include "base/conf.h"

/* Of the pool; non-blocking, -1: none. */
typedef struct listeners {
    int requests; /* server.socket, or the first socket that systemd passed */
    int status;   /* server.status_socket, or the second */
} listeners;

/* Of the push process; likewise. */
typedef struct push_sockets {
    int streams; /* push.socket, or the first socket that systemd passed */
    int pokes;   /* push.pokes_socket, or the second; datagrams */
} push_sockets;

/* Opens the sockets, or takes those that systemd (or this process before execv) passed. Returns false with a line in
 * `fault`. */
bool listen_open(const conf *c, listeners *out, char *fault, size_t fault_size);

bool listen_open_push(const conf *c, push_sockets *out, char *fault, size_t fault_size);

/* Passes the sockets to the program that this process executes next, as systemd would. */
void listen_pass(const listeners *l);

#endif
