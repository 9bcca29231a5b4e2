/* The sockets that nginx and the workers connect to, and the service manager. */
#ifndef BOOKY_LISTEN_H
#define BOOKY_LISTEN_H

#include <stddef.h>

#include "conf.h"

/* The listening sockets, non-blocking; -1: none. */
typedef struct listeners {
    int requests; /* server.socket, or the first that systemd passed */
    int status;   /* server.status_socket, or the second */
} listeners;

/* Those of the push process. */
typedef struct push_sockets {
    int streams; /* push.socket, or the first that systemd passed */
    int pokes;   /* push.pokes_socket, or the second; datagrams */
} push_sockets;

/* Opens them, or takes those that systemd (or the master before it became a new program) passed. Returns false with a line in
 * `fault`. */
bool listen_open(const conf *c, listeners *out, char *fault, size_t fault_size);

bool listen_open_push(const conf *c, push_sockets *out, char *fault, size_t fault_size);

/* Puts them where the program that is executed next in this process will look for them. */
void listen_pass(const listeners *l);

/* Tells the service manager `state` ("READY=1") if there is one (sd_notify(3)). */
void listen_notify(const char *state);

#endif
