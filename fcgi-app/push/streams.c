#include "push/streams.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* If more than RECENT_MAX users are poked within a minute, the oldest are removed earlier. That is safe: a stream opens
 * milliseconds after its ticket was written. */
enum { RECENT_SECONDS = 60, RECENT_MAX = 20000 };

struct streams {
    void *users; /* a tree (tsearch); the keys are the names of stream_user */
    struct stream_list all;
    size_t count;
    TAILQ_HEAD(, stream_user) recent; /* poked less than a minute ago, oldest poke first */
    size_t recent_count;
};

static stream_user *user_of_key(void *name)
{
    return (stream_user *)((char *)name - offsetof(stream_user, name));
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

static stream_user *find_or_add(streams *s, const char *name)
{
    void **found = tfind(name, &s->users, compare);
    if (found) return user_of_key(*found);
    size_t size = strlen(name) + 1;
    stream_user *u = calloc(1, sizeof *u + size);
    if (!u) return NULL;
    memcpy(u->name, name, size);
    TAILQ_INIT(&u->streams);
    if (tsearch(u->name, &s->users, compare)) return u;
    free(u);
    return NULL;
}

static void remove_if_unused(streams *s, stream_user *u)
{
    if (u->count > 0 || u->is_recent) return;
    tdelete(u->name, &s->users, compare);
    free(u->cursor);
    free(u);
}

static void recent_remove(streams *s, stream_user *u)
{
    if (!u->is_recent) return;
    TAILQ_REMOVE(&s->recent, u, recent_link);
    s->recent_count--;
    u->is_recent = false;
}

/* Keeps the cursor of `p` unless it is older than the one known: pokes of several hosts can overtake each other. False:
 * out of memory. */
static bool update_cursor(stream_user *u, const poke *p)
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

int streams_of(const streams *s, const char *name)
{
    void **found = tfind(name, &s->users, compare);
    return found ? user_of_key(*found)->count : 0;
}

bool streams_add(streams *s, stream *st, const ticket *t, int64_t now)
{
    stream_user *u = find_or_add(s, t->at.user);
    if (!u) return false;
    if (!update_cursor(u, &t->at)) {
        remove_if_unused(s, u);
        return false;
    }
    st->user = u;
    st->device = t->at.device;
    st->expires = t->expires;
    st->opened = now;
    st->poked = strcmp(t->last, u->cursor) != 0;
    TAILQ_INSERT_TAIL(&u->streams, st, user_link);
    TAILQ_INSERT_TAIL(&s->all, st, all_link);
    u->count++;
    s->count++;
    return true;
}

void streams_remove(streams *s, stream *st)
{
    stream_user *u = st->user;
    if (!u) return;
    TAILQ_REMOVE(&u->streams, st, user_link);
    TAILQ_REMOVE(&s->all, st, all_link);
    u->count--;
    s->count--;
    st->user = NULL;
    remove_if_unused(s, u);
}

size_t streams_poke(streams *s, const poke *p, int64_t now, void (*wake)(stream *st))
{
    size_t coalesced = 0;
    stream *st;
    stream_user *u = find_or_add(s, p->user);
    if (!u) return 0;
    if (!update_cursor(u, p)) {
        remove_if_unused(s, u);
        return 0;
    }
    recent_remove(s, u);
    u->poked_at = now;
    u->is_recent = true;
    TAILQ_INSERT_TAIL(&s->recent, u, recent_link);
    s->recent_count++;
    TAILQ_FOREACH(st, &u->streams, user_link)
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
    for (stream_user *u;
         (u = TAILQ_FIRST(&s->recent)) && (u->poked_at <= now - RECENT_SECONDS || s->recent_count > RECENT_MAX);) {
        recent_remove(s, u);
        remove_if_unused(s, u);
    }
}

void streams_free(streams *s)
{
    streams_sweep(s, INT64_MAX);
    free(s);
}
