/*
 * Pokes to and from the other hosts, through the database: each push process holds one connection that listens, and
 * sends the pokes that it collected in 50 ms with one NOTIFY. Rejected: a NOTIFY in the transaction of each write.
 * PostgreSQL takes a lock on the whole cluster for it, which costs two thirds of the write throughput.
 *
 * libpq can block, for example while it resolves a name or waits for a host that is down. So this is a thread of its
 * own, connected to the main thread by a pair of datagram sockets.
 */
#ifndef BOOKY_PUSH_PEERS_H
#define BOOKY_PUSH_PEERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/conf.h"

typedef struct peers_counts {
    _Atomic int64_t up;               /* 1: the connection listens */
    _Atomic int64_t notified, failed; /* NOTIFYs sent, NOTIFYs that failed */
} peers_counts;

enum { PEERS_REPORT = '!' }; /* first byte of a message for the log, before the level as a digit; never of a poke */

/* Starts the thread. Returns a socket, one datagram per message: read from it the pokes of other hosts and messages for
 * the log, write to it the pokes of this host. -1: the thread cannot be started. `c` and `counts` must live as long as
 * the process, because the thread ends with it. */
int peers_start(const conf *c, peers_counts *counts);

#endif
