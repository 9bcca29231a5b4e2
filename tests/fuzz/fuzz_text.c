/* Small texts: instants, cursors, lists of changed members, and the limit of a query. */
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"
#include "engine/cursor.h"
#include "engine/recent.h"
#include "fuzz.h"
#include "sync/param.h"

static void check_instant(const char *text)
{
    int64_t at, again;
    char out[CLOCK_TEXT];
    if (!clock_parse(text, &at)) return;
    REQUIRE(at >= CLOCK_MIN && at <= CLOCK_MAX);
    clock_format(at, out);
    REQUIRE(strlen(out) == CLOCK_TEXT - 1);
    REQUIRE(clock_parse(out, &again) && again == at);
}

static void check_date(const char *text)
{
    int64_t at, again;
    char out[CLOCK_TEXT];
    if (!clock_parse_date(text, &at)) return;
    REQUIRE(strlen(text) == 10 && at % CLOCK_DAY == 0);
    REQUIRE(strncmp(clock_format(at, out), text, 10) == 0);
    REQUIRE(!clock_parse(text, &again));
}

static void check_any_instant(int64_t at)
{
    int64_t again;
    char out[CLOCK_TEXT];
    REQUIRE(clock_parse(clock_format(at, out), &again));
    REQUIRE(again == (at < CLOCK_MIN ? CLOCK_MIN : at > CLOCK_MAX ? CLOCK_MAX : at));
}

static void check_position(arena *a, const position *p)
{
    position again;
    REQUIRE(position_read(a, position_write(a, p), &again));
    REQUIRE(p->epoch == again.epoch && p->stamp == again.stamp && p->bound == again.bound && p->base == again.base);
    REQUIRE(p->from.installation == again.from.installation);
    REQUIRE(strcmp(p->kind, again.kind) == 0 && strcmp(p->id, again.id) == 0);
}

static void check_cursor(arena *a, const char *text)
{
    position p;
    const char *inside = cursor_unwrap(a, text);
    if (inside) REQUIRE(strcmp(cursor_wrap(a, inside), text) == 0);
    /* The text as the content of a cursor: a fuzzer does not find valid base64. */
    const char *cursor = cursor_wrap(a, text);
    inside = cursor_unwrap(a, cursor);
    if (inside) REQUIRE(strcmp(inside, text) == 0);
    if (position_read(a, text, &p)) check_position(a, &p);
    if (position_read(a, cursor, &p)) check_position(a, &p);
}

/* The first line as the list of a row with the stamp 30, the rest as the entity. */
static void check_recent(arena *a, const char *text)
{
    const char *end = strchr(text, '\n');
    recent r = {.text = arena_strndup(a, text, end ? (size_t)(end - text) : strlen(text))};
    strbuf next = STRBUF(a), patch = STRBUF(a);
    recent_write(&r, 30, 40, &next);
    REQUIRE(next.len == 0 || (next.len <= RECENT_MAX && json_parse(a, next.data, next.len, NULL)));
    const char *data = end ? end + 1 : "{}";
    if (!json_is_object(json_parse(a, data, strlen(data), NULL))) return;
    if (recent_patch(a, r.text, 30, 10, data, &patch)) REQUIRE(json_parse(a, patch.data, patch.len, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena *a = arena_new();
    int64_t number = 0, limit = 7;
    char *text = malloc(size + 1);
    if (size > 0) memcpy(text, data, size);
    text[size] = '\0';
    memcpy(&number, text, size < 8 ? size : 8);
    check_instant(text);
    check_date(text);
    check_any_instant(number);
    check_cursor(a, text);
    if (utf8_valid(text, strlen(text))) check_recent(a, text);
    sync_ctx ctx = {.a = a, .conf = fuzz_conf()};
    if (param_limit(&ctx, text, &limit) == RC_OK)
        REQUIRE(limit >= 1 && limit <= LIMIT_MAX);
    else
        REQUIRE(limit == 7 && ctx.message);
    free(text);
    arena_free(a);
    return 0;
}
