/* What is written to a stream: events, pings, and the end. */
#ifndef BOOKY_STREAM_WRITER_H
#define BOOKY_STREAM_WRITER_H

#include "push/push_state.h"

/* Writes what waits for the stream, which can be written to now. Returns 0, or -1 to close the connection. */
int stream_write(push *p, connection *c);

#endif
