#include "push/push_state.h"

void push_wake(stream *st)
{
    lws_callback_on_writable(((connection *)st)->wsi);
}

void push_end_stream(push *p, stream *st, int reason)
{
    if (st->ending) return;
    st->ending = true;
    p->counts.endings[reason]++;
    push_wake(st);
}

void push_end_if_done(push *p)
{
    bool done = streams_count(p->streams) == 0 || p->ticks >= p->stop_deadline;
    if (p->stop_deadline && done) ev_break(p->loop, EVBREAK_ALL);
}
