#include "engine/usage.h"

void usage_add(usage *a, const usage *b, int n)
{
    a->entities += n * b->entities;
    a->bytes += n * b->bytes;
    a->hidden += n * b->hidden;
}

static bool exceeds(int64_t before, int64_t after, int64_t most)
{
    return most > 0 && after > most && after > before;
}

bool usage_exceeds(const usage *before, const usage *after, const conf *c)
{
    return exceeds(before->entities, after->entities, c->quota_entities) ||
           exceeds(before->bytes, after->bytes, c->quota_bytes);
}

const char *usage_excess(arena *a, const usage *before, const usage *after, const conf *c)
{
    if (exceeds(before->entities, after->entities, c->quota_entities))
        return arena_printf(a, "the library would have %lld entities, quota.entities is %lld",
                            (long long)after->entities, (long long)c->quota_entities);
    return arena_printf(a, "the library would have %lld bytes, quota.bytes is %lld", (long long)after->bytes,
                        (long long)c->quota_bytes);
}
