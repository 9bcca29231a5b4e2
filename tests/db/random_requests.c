#include "random_requests.h"

#include <string.h>

static const int64_t now = 1700000000000;

static const char *random_text(peer *p, dice *d)
{
    size_t len = dice_chance(d, 20) ? 400 + dice_below(d, 400) : dice_below(d, 30);
    char *text = arena_alloc(p->a, len + 1);
    memset(text, 'x', len);
    text[len] = '\0';
    return text;
}

static const char *random_data(peer *p, dice *d, const char *kind, bool whole)
{
    if (strcmp(kind, "book") == 0)
        return peer_printf(p, "{%s\"x%d\":\"%s\"}", whole || dice_chance(d, 60) ? "\"title\":\"t\"," : "",
                           (int)dice_below(d, 3), random_text(p, d));
    if (strcmp(kind, "readingLog") == 0)
        return peer_printf(p, "{\"bookId\":\"b%d\",\"status\":\"read\",\"startedAt\":\"2024-01-0%d\"%s,\"x\":\"%s\"}",
                           (int)dice_below(d, 2), 1 + (int)dice_below(d, 3),
                           dice_chance(d, 50) ? ",\"finishedAt\":\"2024-02-02\"" : "", random_text(p, d));
    if (strcmp(kind, "tag") == 0)
        return peer_printf(p, "{\"name\":\"n%d\",\"x\":\"%s\"}", (int)dice_below(d, 2), random_text(p, d));
    return peer_printf(p,
                       whole || dice_chance(d, 70) ? "{\"bookId\":\"b%d\",\"stars\":%d,\"x\":\"%s\"}"
                                                   : "{\"bookId\":\"b%d\",\"y\":%d,\"x\":\"%s\"}",
                       (int)dice_below(d, 2), 1 + (int)dice_below(d, 5), random_text(p, d));
}

static const char *const kinds_used[] = {"book", "book", "rating", "tag", "readingLog"};

const char *random_operation(peer *p, dice *d, int number)
{
    static const char *const types[] = {"create", "update", "update", "delete"};
    static const char *const policies[] = {"merge", "merge", "merge", "local", "server", "manual"};
    const char *kind = DICE_PICK(d, kinds_used), *type = DICE_PICK(d, types);
    const char *data = strcmp(type, "delete") == 0 ? "{}" : random_data(p, d, kind, strcmp(type, "create") == 0);
    return peer_printf(p,
                       "{\"id\":\"op-%d\",\"type\":\"%s\",\"entity\":\"%s\",\"entityId\":\"e%d\",\"timestamp\":%lld,"
                       "\"conflictResolution\":\"%s\",\"data\":%s}",
                       number, type, kind, (int)dice_below(d, 6),
                       (long long)(now + number * 10 - (int)dice_below(d, 80)), DICE_PICK(d, policies), data);
}

const char *random_library(peer *p, dice *d)
{
    strbuf body = STRBUF(p->a);
    strbuf_printf(&body, "{\"mode\":\"%s\",\"books\":[", dice_chance(d, 50) ? "merge" : "replace");
    for (int i = 0, n = 0; i < 6; i++)
        if (dice_chance(d, 50))
            strbuf_printf(&body, "%s{\"id\":\"e%d\",\"title\":\"t\",\"x\":\"%s\"}", n++ ? "," : "", i,
                          random_text(p, d));
    strbuf_puts(&body, "],\"ratings\":[");
    for (int i = 0, n = 0; i < 4; i++)
        if (dice_chance(d, 50))
            strbuf_printf(&body, "%s{\"id\":\"e%d\",\"bookId\":\"b%d\",\"stars\":4}", n++ ? "," : "", i,
                          (int)dice_below(d, 2));
    strbuf_puts(&body, "]}");
    return body.data;
}

/* A state with the time `at`, as a pull or an export gives it; `deleted`: as a deletion, with or without what it hides.
 */
static const char *random_state(peer *p, dice *d, const char *kind, const char *id, int64_t at, bool deleted)
{
    const char *data = random_data(p, d, kind, true);
    if (!deleted)
        return peer_printf(p, "{\"id\":\"%s\",\"createdAt\":%lld,\"updatedAt\":%lld,%s", id, (long long)at,
                           (long long)at, data + 1);
    const char *gone =
        peer_printf(p, "\"deleted\":true,\"data\":{\"id\":\"%s\",\"deletedAt\":%lld}", id, (long long)at);
    if (dice_chance(d, 50)) return gone;
    return peer_printf(p, "%s,\"beneath\":{\"id\":\"%s\",%s,\"times\":{\"base\":%lld,\"edited\":%lld,\"%s\":%lld}",
                       gone, id, data + 1, (long long)at - 50, (long long)at - 50,
                       dice_chance(d, 50) ? "deleted" : "superseded", (long long)at);
}

const char *random_changes(peer *p, dice *d, const char *items[RANDOM_CHANGES], int number)
{
    strbuf body = STRBUF(p->a);
    strbuf_puts(&body, "{\"mode\":\"merge\",\"changes\":[");
    for (int i = 0; i < RANDOM_CHANGES; i++) {
        const char *kind = DICE_PICK(d, kinds_used);
        bool deleted = dice_chance(d, 30);
        const char *state =
            random_state(p, d, kind, peer_printf(p, "e%d", i), now + number * 10 - (int)dice_below(d, 80), deleted);
        items[i] = peer_printf(p, "{\"type\":\"%s\",%s%s}", kind, deleted ? "" : "\"data\":", state);
        strbuf_printf(&body, "%s%s", i > 0 ? "," : "", items[i]);
    }
    strbuf_puts(&body, "]}");
    return body.data;
}

const char *random_export(peer *p, dice *d, int number)
{
    static const char *const lists[][2] = {
        {"books", "book"}, {"ratings", "rating"}, {"readingLogs", "readingLog"}, {"deleted", "rating"}};
    strbuf text = STRBUF(p->a);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        bool deleted = i == 3;
        strbuf_printf(&text, "%s\"%s\":[", i > 0 ? "]," : "{", lists[i][0]);
        for (int n = 0; n < 3; n++) {
            const char *state = random_state(p, d, lists[i][1], peer_printf(p, "e%d", 2 * n + deleted),
                                             now + number * 10 - (int)dice_below(d, 80), deleted);
            strbuf_printf(&text, deleted ? "%s{\"type\":\"rating\",%s}" : "%s%s", n > 0 ? "," : "", state);
        }
    }
    strbuf_puts(&text, "]}");
    return text.data;
}
