#include "streams.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* The bound shortens the minute where more users than that are poked in one; what it bridges are milliseconds. */
enum { RECENT_SECONDS = 60, RECENT_MAX = 20000 };

struct streams {
    void *users; /* a tree (tsearch) of listeners by name */
    struct stream_list all;
    size_t count;
    TAILQ_HEAD(, listener) recent; /* poked less than a minute ago, the longest ago first */
    size_t recent_count;
};

/* The key is what the tree points to: the listener's name. */
static listener *listener_of(void *key)
{
    return (listener *)((char *)key - offsetof(listener, name));
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

streams *streams_new(void)
{
    streams *s = calloc(1, sizeof *s);
    if (!s) abort();
    TAILQ_INIT(&s->all);
    TAILQ_INIT(&s->recent);
    return s;
}

static listener *find(streams *s, const char *name)
{
    void **found = tfind(name, &s->users, compare);
    if (found) return listener_of(*found);
    size_t size = strlen(name) + 1;
    listener *u = calloc(1, sizeof *u + size);
    if (!u) return NULL;
    memcpy(u->name, name, size);
    TAILQ_INIT(&u->streams);
    if (tsearch(u->name, &s->users, compare)) return u;
    free(u);
    return NULL;
}

static void forget(streams *s, listener *u)
{
    if (u->count > 0 || u->is_recent) return;
    tdelete(u->name, &s->users, compare);
    free(u->cursor);
    free(u);
}

static void recent_remove(streams *s, listener *u)
{
    if (!u->is_recent) return;
    TAILQ_REMOVE(&s->recent, u, recent);
    s->recent_count--;
    u->is_recent = false;
}

/* Takes `p` for the newest cursor unless it is known to be older: pokes of several hosts can overtake each other. */
static bool advance(listener *u, const poke *p)
{
    if (u->cursor && u->epoch == p->epoch && u->stamp >= p->stamp) return true;
    char *copy = strdup(p->cursor);
    if (!copy) return false;
    free(u->cursor);
    u->cursor = copy;
    u->epoch = p->epoch;
    u->stamp = p->stamp;
    return true;
}

const struct stream_list *streams_all(const streams *s)
{
    return &s->all;
}

size_t streams_count(const streams *s)
{
    return s->count;
}

bool streams_add(streams *s, stream *st, const ticket *t, int64_t now)
{
    listener *u = find(s, t->at.user);
    if (!u) return false;
    if (!advance(u, &t->at)) return forget(s, u), false;
    st->user = u;
    st->device = t->at.device;
    st->expires = t->expires;
    st->opened = now;
    st->poked = strcmp(t->last, u->cursor) != 0;
    TAILQ_INSERT_TAIL(&u->streams, st, of_user);
    TAILQ_INSERT_TAIL(&s->all, st, of_all);
    u->count++;
    s->count++;
    return true;
}

void streams_remove(streams *s, stream *st)
{
    listener *u = st->user;
    if (!u) return;
    TAILQ_REMOVE(&u->streams, st, of_user);
    TAILQ_REMOVE(&s->all, st, of_all);
    u->count--;
    s->count--;
    st->user = NULL;
    forget(s, u);
}

size_t streams_poke(streams *s, const poke *p, int64_t now, void (*wake)(stream *st))
{
    size_t coalesced = 0;
    stream *st;
    listener *u = find(s, p->user);
    if (!u) return 0;
    if (!advance(u, p)) return forget(s, u), 0;
    recent_remove(s, u);
    u->poked_at = now;
    u->is_recent = true;
    TAILQ_INSERT_TAIL(&s->recent, u, recent);
    s->recent_count++;
    TAILQ_FOREACH(st, &u->streams, of_user)
    {
        if (st->ending || (p->device && p->device == st->device)) continue;
        coalesced += st->poked;
        st->poked = true;
        wake(st);
    }
    if (s->recent_count > RECENT_MAX) streams_sweep(s, now);
    return coalesced;
}

void streams_sweep(streams *s, int64_t now)
{
    for (listener *u;
         (u = TAILQ_FIRST(&s->recent)) && (u->poked_at <= now - RECENT_SECONDS || s->recent_count > RECENT_MAX);) {
        recent_remove(s, u);
        forget(s, u);
    }
}

void streams_free(streams *s)
{
    streams_sweep(s, INT64_MAX);
    free(s);
}
