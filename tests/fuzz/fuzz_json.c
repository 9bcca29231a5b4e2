/* json.h: an accepted text is written without loss, and splitting and checking agree with reading, as does reading
 * without Jansson with Jansson. */
#include "base/json_scan.h"
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

/* An object or an array is split into its members. */
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

/* A text that was refused cannot be split into parts that are all valid. */
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

/* Whatever can be read is JSON, and a syntax fault of one is a fault of the other. */
static void check_checker(const char *text, size_t len, bool read, const json_fault *fault)
{
    json_fault other;
    bool checked = json_check(a, text, len, &other);
    REQUIRE(checked || (other.path && other.message));
    REQUIRE(checked || !read);
    REQUIRE(!checked || read || fault->kind != JSON_FAULT_SYNTAX);
}

/* What is read without Jansson is what Jansson reads, with the members in the same order. */
static void check_quick(const char *text, size_t len)
{
    size_t quick_len, judged_len;
    json_t *quick = json_read_quick(text, len);
    if (!quick) return;
    json_t *judged = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    REQUIRE(judged);
    REQUIRE(json_equal(quick, judged)); /* 1 and 1.0 differ */
    const char *quick_text = written(quick, &quick_len), *judged_text = written(judged, &judged_len);
    REQUIRE(quick_len == judged_len && memcmp(quick_text, judged_text, quick_len) == 0);
    json_decref(quick);
    json_decref(judged);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_fault fault = {0};
    a = arena_new();
    char *text = fuzz_copy(data, size);
    json_t *value = json_read(a, text, size, 64, &fault);
    check_quick(text, size);
    check_checker(text, size, value, &fault);
    if (value) {
        check_round_trip(value);
        check_parts(text, size, value);
    } else {
        REQUIRE(fault.path && fault.message);
        strbuf path = STRBUF(a);
        json_write_string(&path, fault.path, strlen(fault.path)); /* the path becomes part of the reply */
        REQUIRE(fuzz_is_json(a, path.data, path.len));
        check_refused(text, size, '{');
        check_refused(text, size, '[');
    }
    free(text);
    arena_free(a);
    return 0;
}
