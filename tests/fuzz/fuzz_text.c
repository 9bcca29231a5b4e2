/* The small languages: instants, cursors, and the numbers of the query. */
#include "clock.h"
#include "cursor.h"
#include "fuzz.h"

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
    REQUIRE(p->epoch == again.epoch && p->stamp == again.stamp && p->bound == again.bound);
    REQUIRE(strcmp(p->kind, again.kind) == 0 && strcmp(p->id, again.id) == 0);
}

static void check_cursor(arena *a, const char *text)
{
    position p;
    const char *inside = cursor_unwrap(a, text);
    if (inside) REQUIRE(strcmp(cursor_wrap(a, inside), text) == 0);
    /* The text as what is inside: a fuzzer does not find base64 that means something. */
    const char *cursor = cursor_wrap(a, text);
    inside = cursor_unwrap(a, cursor);
    if (inside) REQUIRE(strcmp(inside, text) == 0);
    if (position_read(a, text, &p)) check_position(a, &p);
    if (position_read(a, cursor, &p)) check_position(a, &p);
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
    check_any_instant(number);
    check_cursor(a, text);
    call c = {.a = a, .conf = fuzz_conf()};
    if (limit_read(&c, text, &limit) == RC_OK)
        REQUIRE(limit >= 1 && limit <= LIMIT_MAX);
    else
        REQUIRE(limit == 7 && c.message);
    free(text);
    arena_free(a);
    return 0;
}
