/* The queue of a listening socket: connections that no worker has accepted yet. */
#ifndef BOOKY_LISTEN_QUEUE_H
#define BOOKY_LISTEN_QUEUE_H

#include <stdint.h>

/* Reads how many connections wait on the listening socket `fd`, and how many may; -1 where that is not known. */
void listen_queue_read(int fd, int64_t *length, int64_t *limit);

#endif
