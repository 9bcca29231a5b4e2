/* What the parts of the push process share: its state, its connections, and how a stream is woken and ended. */
#ifndef BOOKY_PUSH_STATE_H
#define BOOKY_PUSH_STATE_H

#include <ev.h>
#include <libwebsockets.h>

#include "base/arena.h"
#include "base/conf.h"
#include "push/push_metrics.h"
#include "push/push_peers.h"
#include "push/streams.h"

/* One per process: the user data of the loop (ev_userdata) and of the context (lws_context_user). */
typedef struct push {
    const conf *conf;
    struct ev_loop *loop;
    struct lws_context *context;
    struct lws_vhost *vhost;
    int peers_fd; /* see push_peers.h; -1: there are no other hosts */
    arena *arena; /* of the current callback */
    streams *streams;
    push_counts counts;
    peers_counts peers;
    int64_t ticks;         /* seconds since the start */
    int64_t stop_deadline; /* tick at which the process ends at the latest; 0: it was not told to stop */
} push;

/* Memory that the library keeps for each connection. */
typedef struct connection {
    stream stream; /* first, so that a stream can be cast to its connection */
    struct lws *wsi;
    ev_io hangup; /* of a Server-Sent Events stream: the other end has closed */
    char *page;   /* of /metrics: LWS_PRE bytes for the library, then the body */
    size_t page_len;
} connection;

/* Asks the library to call back as soon as the stream can be written to. */
void push_wake(stream *st);

/* Ends a stream, for one of the reasons of push_metrics.h. */
void push_end_stream(push *p, stream *st, int reason);

/* Ends the loop if the process was told to stop and there is no stream left or the time is over. */
void push_end_if_done(push *p);

#endif
