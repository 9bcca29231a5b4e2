/* json.h: what is accepted comes out again, and taking a text apart agrees with reading it whole. */
#include "fuzz.h"

static arena *a;

static const char *written(const json_t *value, size_t *len)
{
    strbuf out = STRBUF(a);
    json_write(&out, value);
    *len = out.len;
    return out.data;
}

static void check_round_trip(const json_t *value)
{
    json_fault fault;
    size_t len, again_len;
    const char *text = written(value, &len);
    json_t *again = json_read(a, text, len, 64, &fault);
    REQUIRE(again);
    REQUIRE(json_equal(value, again)); /* Jansson's comparison: 1 and 1.0 differ */
    REQUIRE(json_same(value, again));
    const char *second = written(again, &again_len);
    REQUIRE(len == again_len && memcmp(text, second, len) == 0);
}

/* What is an object or an array falls into as many parts as it has members, each of them the member. */
static void check_parts(const char *text, size_t len, const json_t *value)
{
    json_slice *parts;
    size_t count;
    json_fault fault;
    char type = json_is_object(value) ? '{' : '[';
    bool split = json_split(a, type, text, len, SIZE_MAX, &parts, &count, &fault);
    REQUIRE(split == (json_is_object(value) || json_is_array(value)));
    if (!split) return;
    REQUIRE(count == (type == '{' ? json_object_size(value) : json_array_size(value)));
    for (size_t i = 0; i < count; i++) {
        const json_t *part = json_read(a, parts[i].text, parts[i].len, 64, &fault);
        REQUIRE(part);
        REQUIRE(json_equal(part, type == '{' ? json_object_get(value, parts[i].key) : json_array_get(value, i)));
    }
}

/* What falls into parts that can all be read can be read whole. */
static void check_refused(const char *text, size_t len, char type)
{
    json_slice *parts;
    size_t count;
    json_fault fault;
    if (!json_split(a, type, text, len, SIZE_MAX, &parts, &count, &fault)) {
        REQUIRE(fault.path && fault.message);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (!json_read(a, parts[i].text, parts[i].len, 63, &fault)) return;
    REQUIRE(count == 0 && false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_fault fault = {0};
    a = arena_new();
    char *text = fuzz_copy(data, size);
    json_t *value = json_read(a, text, size, 64, &fault);
    if (value) {
        check_round_trip(value);
        check_parts(text, size, value);
    } else {
        REQUIRE(fault.path && fault.message);
        strbuf path = STRBUF(a);
        json_write_string(&path, fault.path, strlen(fault.path)); /* both go into the reply */
        REQUIRE(fuzz_is_json(a, path.data, path.len));
        check_refused(text, size, '{');
        check_refused(text, size, '[');
    }
    free(text);
    arena_free(a);
    return 0;
}
