/*
 * Who listens: the users with open streams, and those that were poked a moment ago. Knows nothing of sockets or HTTP.
 *
 * A commit can fall between the moment a worker reads where a user stands and the moment the stream is here. So the
 * last cursor of each user is kept for a minute, also when nobody listens, and a new stream is held against it: nothing
 * is missed.
 */
#ifndef BOOKY_STREAMS_H
#define BOOKY_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "poke.h"

typedef struct listener listener;
typedef struct streams streams;

/* A user's open streams share one cursor: a stream that could not be written to for a while gets the newest and no
 * other. */
typedef struct stream {
    TAILQ_ENTRY(stream) of_user, of_all;
    listener *user;
    uint64_t device; /* whose own writes are not told; 0: all are */
    int64_t expires; /* seconds since 1970 */
    int64_t opened;  /* ticks of the daemon's clock */
    int64_t waits;   /* since when something is to be written that could not be; 0: nothing is */
    bool poked;      /* the cursor is to be written */
    bool pinged;     /* a ping is to be written */
    bool started;    /* something was written */
    bool websocket;
    bool ending;
} stream;

TAILQ_HEAD(stream_list, stream);

struct listener {
    TAILQ_ENTRY(listener) recent;
    struct stream_list streams; /* oldest first */
    int count;
    bool is_recent;
    int64_t poked_at; /* seconds of the daemon's clock */
    int64_t epoch, stamp;
    char *cursor; /* the newest known */
    char name[];
};

streams *streams_new(void);
void streams_free(streams *s);

/* All of them, oldest first, and how many. */
const struct stream_list *streams_all(const streams *s);
size_t streams_count(const streams *s);

/* Adds a stream, whose memory is the caller's, for the holder of `t`; it is marked as poked when the client does not
 * know the newest cursor. False: there is no memory. */
bool streams_add(streams *s, stream *st, const ticket *t, int64_t now);

/* Takes it out again; nothing happens to one that was not added. */
void streams_remove(streams *s, stream *st);

/* Marks the user's streams but those of the writing device, and calls `wake` for each. Returns how many had a poke
 * waiting already, which this one takes the place of. */
size_t streams_poke(streams *s, const poke *p, int64_t now, void (*wake)(stream *st));

/* Forgets who was poked a minute ago and does not listen. */
void streams_sweep(streams *s, int64_t now);

#endif
