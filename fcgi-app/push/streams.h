/*
 * The open streams by user, and the users that were poked recently. Knows nothing of sockets or HTTP.
 *
 * A commit can happen after the worker has read the user's cursor for the ticket and before the stream is open here. So
 * the last cursor of each poked user is kept for a minute, even without an open stream, and a new stream is compared
 * with it: no change is missed.
 */
#ifndef BOOKY_STREAMS_H
#define BOOKY_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sync/poke.h"

typedef struct stream_user stream_user;
typedef struct streams streams;

/* All streams of a user share one cursor: a stream that could not be written to for a while gets only the newest. Ticks
 * are seconds since the process started. */
typedef struct stream {
    TAILQ_ENTRY(stream) user_link, all_link;
    stream_user *user;
    uint64_t device;       /* its own writes are not reported to it; 0: not known, all are reported */
    int64_t expires;       /* seconds since 1970 */
    int64_t opened;        /* tick */
    int64_t waiting_since; /* tick since when something waits to be written; 0: nothing */
    bool poked;            /* the cursor is to be written */
    bool pinged;           /* a ping is to be written */
    bool started;          /* something was written */
    bool websocket;
    bool ending; /* to be closed */
} stream;

TAILQ_HEAD(stream_list, stream);

struct stream_user {
    TAILQ_ENTRY(stream_user) recent_link;
    struct stream_list streams; /* oldest first */
    int count;                  /* of streams */
    bool is_recent;             /* was poked recently */
    int64_t poked_at;           /* tick */
    int64_t epoch, stamp;       /* of the cursor */
    char *cursor;               /* the newest known */
    char name[];
};

streams *streams_new(void);
void streams_free(streams *s);

/* All open streams, oldest first, and their number. */
const struct stream_list *streams_all(const streams *s);
size_t streams_count(const streams *s);

/* The number of open streams of the user `name`. */
int streams_of(const streams *s, const char *name);

/* Adds a stream for the holder of `t` at the tick `now`; the caller owns its memory. The stream is marked as poked
 * unless the client knows the newest cursor. False: out of memory. */
bool streams_add(streams *s, stream *st, const ticket *t, int64_t now);

/* Removes a stream; does nothing if it was not added. */
void streams_remove(streams *s, stream *st);

/* Marks the user's streams as poked, except those of the device that wrote, and calls `wake` for each. Returns how many
 * of them were marked already, so that this poke replaces an older one. */
size_t streams_poke(streams *s, const poke *p, int64_t now, void (*wake)(stream *st));

/* Removes users without streams that were last poked a minute ago or earlier. */
void streams_sweep(streams *s, int64_t now);

#endif
