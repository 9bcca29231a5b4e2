/*
 * Pokes for and from the other hosts, through the database: each push process holds one connection that listens, and
 * tells what was collected in 50 ms by one NOTIFY. Not a NOTIFY in each write's transaction: PostgreSQL takes a lock of
 * the whole cluster for it, which costs two thirds of the writes.
 *
 * libpq waits, for a name to be resolved or a host that is gone; so this is a thread of its own, at the other end of a
 * pair of datagram sockets.
 */
#ifndef BOOKY_PUSH_PEERS_H
#define BOOKY_PUSH_PEERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "conf.h"

typedef struct peers_counts {
    _Atomic int64_t up;               /* whether the connection listens */
    _Atomic int64_t notified, failed; /* NOTIFYs that were sent, and that could not be */
} peers_counts;

enum { PEERS_REPORT = '!' }; /* begins a line for the log, with the level as a digit; no poke begins so */

/* Starts the thread. Returns the socket on which pokes come from other hosts, and to which those of this host are
 * written, each a datagram; the log's lines come there too. -1: it cannot be started. The thread ends with the
 * process. */
int peers_start(const conf *c, peers_counts *counts);

#endif
