/*
 * json.[ch]: what goes in comes out, or is refused with its place.
 *
 * Every text is copied into memory of exactly its size before it is read, and that memory is freed before the result is
 * looked at: a sanitizer sees both a read beyond the end and a result that points into its source.
 */
#include <check.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json.h"

#define TEXT(literal) literal, sizeof literal - 1 /* may hold NUL */
#define COUNT(rows) (sizeof rows / sizeof *rows)

/* In loops: ck_assert_msg would tell the parent process about every pass. */
#define HOLDS(condition, ...) ((condition) ? (void)0 : ck_abort_msg(__VA_ARGS__))

enum { OK = -1, DEPTH = 64 };

static arena *a;

static void setup(void)
{
    a = arena_new();
}

static void teardown(void)
{
    arena_free(a);
}

static char *exact(const char *text, size_t len)
{
    char *copy = malloc(len);
    return len > 0 ? memcpy(copy, text, len) : copy;
}

static json_t *read_exact(const char *text, size_t len, size_t depth, json_fault *fault)
{
    char *copy = exact(text, len);
    json_t *value = json_read(a, copy, len, depth, fault);
    free(copy);
    return value;
}

static const char *written(const json_t *value)
{
    strbuf out = STRBUF(a);
    json_write(&out, value);
    return out.data;
}

/* A text and how it comes back. */
static const struct {
    const char *name, *in, *out;
} kept[] = {
    {"4.1 stays 4.1", "4.1", "4.1"},
    {"0.1 stays 0.1", "0.1", "0.1"},
    {"a sum that is not 0.3", "0.30000000000000004", "0.30000000000000004"},
    {"a third", "0.3333333333333333", "0.3333333333333333"},
    {"an integer that no double holds", "9007199254740993", "9007199254740993"},
    {"the largest integer", "9223372036854775807", "9223372036854775807"},
    {"the smallest integer", "-9223372036854775808", "-9223372036854775808"},
    {"zero", "0", "0"},
    {"a real zero stays real", "0.0", "0.0"},
    {"a negative zero", "-0.0", "-0.0"},
    {"a small one", "1e-7", "1e-7"},
    {"the smallest double", "5e-324", "5e-324"},
    {"the largest subnormal", "2.225073858507201e-308", "2.225073858507201e-308"},
    {"the smallest normal", "2.2250738585072014e-308", "2.2250738585072014e-308"},
    {"the largest double", "1.7976931348623157e308", "1.7976931348623157e308"},
    {"1e22, the last power of ten that is exact", "1e22", "1e22"},
    {"1e23, the first that is not", "1e23", "1e23"},
    {"100.0 stays real", "100.0", "100.0"},
    {"a real of 15 digits stays plain", "123456789012345.0", "123456789012345.0"},
    {"a whole real of 16 digits reads back", "1234567890123456.0", "1234567890123456.0"},
    {"2^63 as a real", "9.223372036854775808e18", "9.223372036854776e18"},
    {"capital E and plus", "1E+3", "1000.0"},
    {"zeros behind are not kept", "4.10", "4.1"},
    {"digits that no double holds are not kept", "0.1000000000000000055511151231257827", "0.1"},
    {"true, false and null", "[true,false,null]", "[true,false,null]"},
    {"empty containers", "{\"a\":{},\"b\":[]}", "{\"a\":{},\"b\":[]}"},
    {"members keep their order", "{\"z\":1,\"a\":2,\"m\":{\"y\":3,\"b\":4}}",
     "{\"z\":1,\"a\":2,\"m\":{\"y\":3,\"b\":4}}"},
    {"white space goes", " [ 1 ,\t{ \"a\" :\r\n2 } ] ", "[1,{\"a\":2}]"},
    {"the empty string, as name and value", "{\"\":\"\"}", "{\"\":\"\"}"},
    {"short escapes", "\"\\\"\\\\\\b\\f\\n\\r\\t\"", "\"\\\"\\\\\\b\\f\\n\\r\\t\""},
    {"a slash needs no escape", "\"\\/\"", "\"/\""},
    {"other control characters", "\"\\u0001\\u001F\"", "\"\\u0001\\u001f\""},
    {"U+007F comes as it is", "\"\x7F\"", "\"\x7F\""},
    {"an escaped letter", "\"\\u0061\"", "\"a\""},
    {"two bytes", "\"\\u00e9\xC3\xA9\"", "\"\xC3\xA9\xC3\xA9\""},
    {"three bytes", "\"\\u20AC\xE2\x82\xAC\"", "\"\xE2\x82\xAC\xE2\x82\xAC\""},
    {"an emoji, raw and as a surrogate pair", "\"\xF0\x9F\x93\x9A\\ud83d\\uDCDA\"",
     "\"\xF0\x9F\x93\x9A\xF0\x9F\x93\x9A\""},
    {"the last character", "\"\\udbff\\udfff\"", "\"\xF4\x8F\xBF\xBF\""},
    {"characters beside the surrogates", "\"\\ud7ff\\ue000\"", "\"\xED\x9F\xBF\xEE\x80\x80\""},
    {"what browsers' scripts trip over", "\"\xE2\x80\xA8\xE2\x80\xA9\xEF\xBB\xBF\"",
     "\"\xE2\x80\xA8\xE2\x80\xA9\xEF\xBB\xBF\""},
    {"combining and right-to-left marks", "\"e\xCC\x81\xE2\x80\xAE\"", "\"e\xCC\x81\xE2\x80\xAE\""},
    {"names are escaped too", "{\"a\\\"\\n\xC3\xA9\":1}", "{\"a\\\"\\n\xC3\xA9\":1}"},
};

START_TEST(a_text_comes_back_as)
{
    json_fault fault;
    json_t *value = read_exact(kept[_i].in, strlen(kept[_i].in), DEPTH, &fault);
    ck_assert_msg(value != NULL, "%s: refused", kept[_i].name);
    const char *out = written(value);
    ck_assert_msg(strcmp(out, kept[_i].out) == 0, "%s: %s came back as %s", kept[_i].name, kept[_i].in, out);
    json_t *again = read_exact(out, strlen(out), DEPTH, &fault);
    ck_assert_msg(again && json_equal(value, again), "%s: %s reads as something else", kept[_i].name, out);
}
END_TEST

/* A text that is refused: why, and where. */
static const struct {
    const char *name, *text;
    size_t len;
    int kind;
    const char *path;
} refused[] = {
    {"U+0000 in a value", TEXT("{\"a\":\"x\\u0000\"}"), JSON_FAULT_UNKEEPABLE, ".a"},
    {"U+0000 in a name", TEXT("{\"a\":{\"\\u0000\":1}}"), JSON_FAULT_UNKEEPABLE, ".a.\\u0000"},
    {"the first half of a surrogate pair alone", TEXT("{\"a\":[1,\"\\ud800\"]}"), JSON_FAULT_UNKEEPABLE, ".a[1]"},
    {"the first half before a letter", TEXT("[\"\\uDBFFx\"]"), JSON_FAULT_UNKEEPABLE, "[0]"},
    {"the first half before another escape", TEXT("[\"\\ud800\\u0041\"]"), JSON_FAULT_UNKEEPABLE, "[0]"},
    {"the first half twice", TEXT("[\"\\ud83d\\ud83d\\ude00\"]"), JSON_FAULT_UNKEEPABLE, "[0]"},
    {"the second half alone", TEXT("{\"a\":{\"b\":\"\\udc00\"}}"), JSON_FAULT_UNKEEPABLE, ".a.b"},
    {"the second half first", TEXT("[\"\\ude00\\ud83d\"]"), JSON_FAULT_UNKEEPABLE, "[0]"},
    {"a lone surrogate in a name", TEXT("{\"\\uDfFf\":1}"), JSON_FAULT_UNKEEPABLE, ".\\uDfFf"},
    {"a number beyond the doubles", TEXT("{\"a\":1e400}"), JSON_FAULT_UNKEEPABLE, ".a"},
    {"the same below zero", TEXT("[0,-1e400,0]"), JSON_FAULT_UNKEEPABLE, "[1]"},
    {"just beyond the largest double", TEXT("1.7976931348623159e308"), JSON_FAULT_UNKEEPABLE, ""},
    {"an integer beyond 64 bits", TEXT("{\"a\":9223372036854775808}"), JSON_FAULT_UNKEEPABLE, ".a"},
    {"the same below zero", TEXT("{\"a\":{\"b\":-9223372036854775809}}"), JSON_FAULT_UNKEEPABLE, ".a.b"},
    {"an overlong NUL", TEXT("[\"\xC0\x80\"]"), JSON_FAULT_UNKEEPABLE, "[0]"},
    {"an overlong slash of three bytes", TEXT("[\"\xE0\x80\xAF\"]"), JSON_FAULT_UNKEEPABLE, "[0]"},
    {"an overlong euro of four bytes", TEXT("[\"\xF0\x82\x82\xAC\"]"), JSON_FAULT_UNKEEPABLE, "[0]"},
    {"a surrogate in UTF-8", TEXT("[\"\xED\xA0\x80\"]"), JSON_FAULT_UNKEEPABLE, "[0]"},
    {"behind the last character", TEXT("[\"\xF4\x90\x80\x80\"]"), JSON_FAULT_UNKEEPABLE, "[0]"},
    {"the byte FF in a value", TEXT("{\"a\":\"x\xFF\"}"), JSON_FAULT_UNKEEPABLE, ".a"},
    {"the byte FF in a name", TEXT("{\"a\xFF\":1}"), JSON_FAULT_UNKEEPABLE, ".a?"},
    {"Latin-1", TEXT("{\"a\":\"caf\xE9\"}"), JSON_FAULT_UNKEEPABLE, ".a"},
    {"a continuation byte alone", TEXT("{\"a\":\"\x80\"}"), JSON_FAULT_UNKEEPABLE, ".a"},
    {"a character cut by the end of the text", TEXT("[\"\xE2\x82"), JSON_FAULT_UNKEEPABLE, "[0]"},
    {"a bad byte behind a comma", TEXT("[1,\xFF]"), JSON_FAULT_UNKEEPABLE, "[1]"},
    {"a bad byte where a name should be", TEXT("{\"a\":1,\xFF}"), JSON_FAULT_UNKEEPABLE, ""},
    {"a name twice", TEXT("{\"a\":1,\"a\":1}"), JSON_FAULT_UNKEEPABLE, ".a"},
    {"a name twice, once escaped", TEXT("{\"a\":1,\"\\u0061\":2}"), JSON_FAULT_UNKEEPABLE, ".\\u0061"},
    {"a name twice, deep down", TEXT("{\"x\":[{},{\"b\":1,\"c\":[],\"b\":2}]}"), JSON_FAULT_UNKEEPABLE, ".x[1].b"},
    {"the empty name twice", TEXT("{\"\":1,\"\":2}"), JSON_FAULT_UNKEEPABLE, "."},
    {"the path skips what was closed", TEXT("[{\"a\":1},{\"b\":2,\"c\":[[0],[1e400]]}]"), JSON_FAULT_UNKEEPABLE,
     "[1].c[1][0]"},
    {"punctuation in strings does not lead astray", TEXT("{\"a,b\":[\"x,y\",\"]}\\\"\",1e400]}"), JSON_FAULT_UNKEEPABLE,
     ".a,b[2]"},
    {"a path shows ASCII only", TEXT("{\"na\xC3\xAFve\":1e400}"), JSON_FAULT_UNKEEPABLE, ".na??ve"},

    {"nothing", TEXT(""), JSON_FAULT_SYNTAX, ""},
    {"white space alone", TEXT(" \n"), JSON_FAULT_SYNTAX, ""},
    {"a word", TEXT("nul"), JSON_FAULT_SYNTAX, ""},
    {"a capital word", TEXT("True"), JSON_FAULT_SYNTAX, ""},
    {"NaN", TEXT("NaN"), JSON_FAULT_SYNTAX, ""},
    {"Infinity", TEXT("-Infinity"), JSON_FAULT_SYNTAX, ""},
    {"a leading zero", TEXT("01"), JSON_FAULT_SYNTAX, ""},
    {"a plus sign", TEXT("+1"), JSON_FAULT_SYNTAX, ""},
    {"no digit behind the point", TEXT("1."), JSON_FAULT_SYNTAX, ""},
    {"no digit before the point", TEXT(".5"), JSON_FAULT_SYNTAX, ""},
    {"no exponent", TEXT("1e"), JSON_FAULT_SYNTAX, ""},
    {"hexadecimal", TEXT("0x10"), JSON_FAULT_SYNTAX, ""},
    {"a minus alone", TEXT("-"), JSON_FAULT_SYNTAX, ""},
    {"a comma before the end of an array", TEXT("[1,]"), JSON_FAULT_SYNTAX, ""},
    {"a comma before the end of an object", TEXT("{\"a\":1,}"), JSON_FAULT_SYNTAX, ""},
    {"no comma", TEXT("[1 2]"), JSON_FAULT_SYNTAX, "[0]"},
    {"no colon", TEXT("{\"a\" 1}"), JSON_FAULT_SYNTAX, ".a"},
    {"no value", TEXT("{\"a\":}"), JSON_FAULT_SYNTAX, ""},
    {"a name without quotes", TEXT("{a:1}"), JSON_FAULT_SYNTAX, ""},
    {"single quotes", TEXT("['a']"), JSON_FAULT_SYNTAX, "[0]"},
    {"a comment", TEXT("[1 /* one */]"), JSON_FAULT_SYNTAX, "[0]"},
    {"an array that does not end", TEXT("{\"a\":[1,2"), JSON_FAULT_SYNTAX, ".a[1]"},
    {"an object that does not end", TEXT("{\"a\":1"), JSON_FAULT_SYNTAX, ".a"},
    {"a string that does not end", TEXT("[\"a"), JSON_FAULT_SYNTAX, "[0]"},
    {"a string that ends in a backslash", TEXT("[\"a\\"), JSON_FAULT_SYNTAX, "[0]"},
    {"the wrong bracket", TEXT("[1}"), JSON_FAULT_SYNTAX, ""},
    {"a bracket too many", TEXT("[]]"), JSON_FAULT_SYNTAX, ""},
    {"two values", TEXT("{} {}"), JSON_FAULT_SYNTAX, ""},
    {"an unknown escape", TEXT("[\"\\x41\"]"), JSON_FAULT_SYNTAX, "[0]"},
    {"an escape of three digits", TEXT("[\"\\u12g4\"]"), JSON_FAULT_SYNTAX, "[0]"},
    {"a raw tab in a string", TEXT("[\"\t\"]"), JSON_FAULT_SYNTAX, "[0]"},
    {"a raw newline in a string", TEXT("[\"\n\"]"), JSON_FAULT_SYNTAX, "[0]"},
    {"a NUL byte in a string", TEXT("[\"a\0b\"]"), JSON_FAULT_SYNTAX, "[0]"},
    {"a NUL byte behind a number", TEXT("[0\000]"), JSON_FAULT_SYNTAX, "[0]"},
    {"a NUL byte behind the value", TEXT("{}\0"), JSON_FAULT_SYNTAX, ""},
    {"a byte order mark", TEXT("\xEF\xBB\xBF{}"), JSON_FAULT_SYNTAX, ""},
    {"an error that quotes another", TEXT("[\"a\" \"invalid Unicode '\"]"), JSON_FAULT_SYNTAX, "[0]"},
};

START_TEST(a_text_is_refused)
{
    json_fault fault = {.kind = 99};
    json_t *value = read_exact(refused[_i].text, refused[_i].len, DEPTH, &fault);
    ck_assert_msg(value == NULL, "%s: accepted", refused[_i].name);
    ck_assert_msg((int)fault.kind == refused[_i].kind, "%s: kind %d", refused[_i].name, (int)fault.kind);
    ck_assert_msg(strcmp(fault.path, refused[_i].path) == 0, "%s: path \"%s\"", refused[_i].name, fault.path);
    ck_assert_msg(fault.message && *fault.message && fault.message[strlen(fault.message) - 1] != '.',
                  "%s: message \"%s\"", refused[_i].name, fault.message);
}
END_TEST

/* `levels` arrays or objects in each other. */
static char *nested(size_t levels, bool objects)
{
    strbuf b = STRBUF(a);
    for (size_t i = 0; i < levels; i++) strbuf_puts(&b, !objects ? "[" : i + 1 < levels ? "{\"a\":" : "{");
    for (size_t i = 0; i < levels; i++) strbuf_puts(&b, objects ? "}" : "]");
    return b.data;
}

static const struct {
    const char *name;
    size_t levels, depth;
    bool kept;
} depths[] = {
    {"at the limit", 64, 64, true},
    {"one over the limit", 65, 64, false},
    {"the smallest limit", 1, 1, true},
    {"one over the smallest limit", 2, 1, false},
    {"no level allowed", 1, 0, false},
    {"what Jansson itself can do", 2048, 2048, true},
    {"more than Jansson itself can do", 2049, 100000, false},
    {"a bomb", 1000000, 64, false},
};

START_TEST(nesting_ends_at_the_limit)
{
    for (int objects = 0; objects < 2; objects++) {
        json_fault fault = {.kind = 99};
        char *text = nested(depths[_i].levels, objects);
        json_t *value = read_exact(text, strlen(text), depths[_i].depth, &fault);
        ck_assert_msg((value != NULL) == depths[_i].kept, "%s: %s", depths[_i].name, value ? "accepted" : "refused");
        if (value) continue;
        ck_assert_msg(fault.kind == JSON_FAULT_UNKEEPABLE, "%s: kind %d", depths[_i].name, (int)fault.kind);
        ck_assert_msg(strncmp(fault.message, "nested ", 7) == 0, "%s: %s", depths[_i].name, fault.message);
        ck_assert_msg(strlen(fault.path) < 500, "%s: a path of %zu bytes", depths[_i].name, strlen(fault.path));
    }
}
END_TEST

START_TEST(a_scalar_has_no_depth)
{
    json_fault fault;
    ck_assert_ptr_nonnull(json_read(a, "1", 1, 0, &fault));
    ck_assert_ptr_null(json_read(a, "[[1]]", 5, 1, &fault));
    ck_assert_str_eq(fault.message, "nested deeper than 1 levels");
}
END_TEST

static uint64_t rnd(void)
{
    static uint64_t state;
    if (state == 0) {
        const char *seed = getenv("BOOKY_SEED");
        state = seed ? strtoull(seed, NULL, 10) : (uint64_t)clock_monotonic_us();
        printf("json: BOOKY_SEED=%llu\n", (unsigned long long)state);
        state |= 1;
    }
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

static void check_double(double x)
{
    char shorter[400];
    json_t *value = json_real(x);
    const char *text = written(value);
    json_decref(value);
    HOLDS(strtod(text, NULL) == x, "%a is written %s", x, text);
    HOLDS(strpbrk(text, ".e") && !strchr(text, '+') && !strstr(text, "e0") && !strstr(text, "e-0"), "%a is written %s",
          x, text);
    int digits = 0, zeros = 0;
    for (const char *c = text; *c && *c != 'e'; c++) {
        if (*c < '0' || *c > '9' || (digits == 0 && *c == '0')) continue;
        digits++;
        zeros = *c == '0' ? zeros + 1 : 0; /* at the end they are no significant digits */
    }
    if (digits - zeros < 2) return;
    snprintf(shorter, sizeof shorter, "%.*g", digits - zeros - 1, x);
    HOLDS(strtod(shorter, NULL) != x, "%a is written %s, not %s", x, text, shorter);
}

START_TEST(random_doubles_are_written_shortest)
{
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = rnd();
        if (i % 8 == 0) bits &= UINT64_C(0x800FFFFFFFFFFFFF); /* subnormal */
        double x;
        memcpy(&x, &bits, sizeof x);
        if (isfinite(x)) check_double(x);
        check_double((double)(int64_t)(rnd() % 2000001 - 1000000) / 100); /* prices, ratings */
        check_double(ldexp(1, (int)(rnd() % 2098) - 1074));
        if (i % 1000 == 0) arena_reset(a);
    }
    const double edges[] = {DBL_MIN,         DBL_MAX,  DBL_TRUE_MIN, DBL_EPSILON, nextafter(DBL_MIN, 0),
                            nextafter(1, 2), 0.1 + 0.2};
    for (size_t i = 0; i < COUNT(edges); i++) check_double(edges[i]);
}
END_TEST

START_TEST(every_character_comes_back_byte_for_byte)
{
    json_fault fault;
    for (unsigned c = 1; c <= 0x10FFFF; c += 0x100) {
        strbuf in = STRBUF(a), out = STRBUF(a);
        for (unsigned u = c; u < c + 0x100 && u <= 0x10FFFF; u++) {
            if (u >= 0xD800 && u < 0xE000) continue;
            if (u < 0x80)
                strbuf_putc(&in, (char)u);
            else if (u < 0x800)
                strbuf_printf(&in, "%c%c", 0xC0 | u >> 6, 0x80 | (u & 63));
            else if (u < 0x10000)
                strbuf_printf(&in, "%c%c%c", 0xE0 | u >> 12, 0x80 | (u >> 6 & 63), 0x80 | (u & 63));
            else
                strbuf_printf(&in, "%c%c%c%c", 0xF0 | u >> 18, 0x80 | (u >> 12 & 63), 0x80 | (u >> 6 & 63),
                              0x80 | (u & 63));
        }
        if (in.len == 0) continue;
        json_write_string(&out, in.data, in.len);
        json_t *value = read_exact(out.data, out.len, DEPTH, &fault);
        HOLDS(value != NULL, "U+%04X: %s", c, out.data);
        ck_assert_uint_eq(json_string_length(value), in.len);
        ck_assert_mem_eq(json_string_value(value), in.data, in.len);
        ck_assert_str_eq(written(value), out.data);
        arena_reset(a);
    }
}
END_TEST

START_TEST(a_long_string_comes_back)
{
    json_fault fault;
    strbuf text = STRBUF(a);
    strbuf_putc(&text, '"');
    while (text.len < 3000000) strbuf_puts(&text, "b\xC3\xBC" "ch\\n \xF0\x9F\x93\x9A \\\" ");
    strbuf_putc(&text, '"');
    json_t *value = read_exact(text.data, text.len, DEPTH, &fault);
    ck_assert_ptr_nonnull(value);
    ck_assert_str_eq(written(value), text.data);
}
END_TEST

/* How a text is taken apart: `parts` is "name=text|…" or "text|…". */
static const struct {
    const char *name;
    char type;
    const char *text;
    size_t len, max;
    int kind;
    const char *result; /* the parts, or the path of the fault */
} frames[] = {
    {"an empty object", '{', TEXT("{}"), 9, OK, ""},
    {"an empty array", '[', TEXT("[]"), 9, OK, ""},
    {"empty with white space", '[', TEXT(" \n[ \t] \r"), 9, OK, ""},
    {"empty, and none allowed", '[', TEXT("[]"), 0, OK, ""},
    {"one member", '{', TEXT("{\"a\":1}"), 9, OK, "a=1|"},
    {"one element", '[', TEXT("[1]"), 9, OK, "1|"},
    {"members", '{', TEXT("{\"a\":1,\"b\":\"x\",\"\":null}"), 9, OK, "a=1|b=\"x\"|=null|"},
    {"white space everywhere", '{', TEXT(" { \"a\" : 1 ,\n\"b\"\t: [ 2 , 3 ] } "), 9, OK, "a=1|b=[ 2 , 3 ]|"},
    {"white space in an array", '[', TEXT("[ 1 , {\"a\" : 2} ]"), 9, OK, "1|{\"a\" : 2}|"},
    {"nested values stay whole", '[', TEXT("[[1,[2]],{\"a\":{\"b\":[]}},[]]"), 9, OK, "[1,[2]]|{\"a\":{\"b\":[]}}|[]|"},
    {"punctuation in strings", '{', TEXT("{\"a,}\":\"]},{\\\"\",\"b\\\\\":\"\\\\\"}"), 9, OK,
     "a,}=\"]},{\\\"\"|b\\=\"\\\\\"|"},
    {"an escaped name is decoded", '{', TEXT("{\"\\u0061\\n\":1}"), 9, OK, "a\n=1|"},
    {"what the parts hold is not looked at", '[', TEXT("[1e400,\"\\u0000\",{x},\"\xFF\",1 2]"), 9, OK,
     "1e400|\"\\u0000\"|{x}|\"\xFF\"|1 2|"},
    {"as many as allowed", '[', TEXT("[1,2,3]"), 3, OK, "1|2|3|"},

    {"one more than allowed", '[', TEXT("[1,2,3,4]"), 3, JSON_FAULT_COUNT, ""},
    {"one member more than allowed", '{', TEXT("{\"a\":1,\"b\":2}"), 1, JSON_FAULT_COUNT, ""},
    {"an array for an object", '{', TEXT("[]"), 9, JSON_FAULT_TYPE, ""},
    {"an object for an array", '[', TEXT(" {}"), 9, JSON_FAULT_TYPE, ""},
    {"a string for an object", '{', TEXT("\"{}\""), 9, JSON_FAULT_TYPE, ""},
    {"null for an array", '[', TEXT("null"), 9, JSON_FAULT_TYPE, ""},
    {"a name twice", '{', TEXT("{\"a\":1,\"b\":2,\"a\":3}"), 9, JSON_FAULT_UNKEEPABLE, ".a"},
    {"a name twice, once escaped", '{', TEXT("{\"a\":1,\"\\u0061\":2}"), 9, JSON_FAULT_UNKEEPABLE, ".\\u0061"},
    {"the empty name twice", '{', TEXT("{\"\":1,\"\":2}"), 9, JSON_FAULT_UNKEEPABLE, "."},
    {"U+0000 in a name", '{', TEXT("{\"a\\u0000\":1}"), 9, JSON_FAULT_UNKEEPABLE, ".a\\u0000"},
    {"a lone surrogate in a name", '{', TEXT("{\"\\ud800\":1}"), 9, JSON_FAULT_UNKEEPABLE, ".\\ud800"},
    {"invalid UTF-8 in a name", '{', TEXT("{\"a\xFF\":1}"), 9, JSON_FAULT_UNKEEPABLE, ".a?"},
    {"nothing", '{', TEXT(""), 9, JSON_FAULT_SYNTAX, ""},
    {"white space alone", '[', TEXT(" \n "), 9, JSON_FAULT_SYNTAX, ""},
    {"a comma before the end", '[', TEXT("[1,]"), 9, JSON_FAULT_SYNTAX, ""},
    {"a comma before the end of an object", '{', TEXT("{\"a\":1,}"), 9, JSON_FAULT_SYNTAX, ""},
    {"a comma first", '[', TEXT("[ ,1]"), 9, JSON_FAULT_SYNTAX, ""},
    {"two commas", '[', TEXT("[1, ,2]"), 9, JSON_FAULT_SYNTAX, ""},
    {"no colon", '{', TEXT("{\"a\" 1}"), 9, JSON_FAULT_SYNTAX, ""},
    {"no value", '{', TEXT("{\"a\":}"), 9, JSON_FAULT_SYNTAX, ""},
    {"no value before a comma", '{', TEXT("{\"a\": ,\"b\":1}"), 9, JSON_FAULT_SYNTAX, ""},
    {"a name without quotes", '{', TEXT("{a:1}"), 9, JSON_FAULT_SYNTAX, ""},
    {"a number for a name", '{', TEXT("{1:1}"), 9, JSON_FAULT_SYNTAX, ""},
    {"a bad escape in a name", '{', TEXT("{\"\\x\":1}"), 9, JSON_FAULT_SYNTAX, ""},
    {"a raw newline in a name", '{', TEXT("{\"a\n\":1}"), 9, JSON_FAULT_SYNTAX, ""},
    {"the wrong end", '[', TEXT("[1}"), 9, JSON_FAULT_SYNTAX, ""},
    {"the wrong end of an object", '{', TEXT("{\"a\":1]"), 9, JSON_FAULT_SYNTAX, ""},
    {"the wrong end of an empty object", '{', TEXT("{]"), 9, JSON_FAULT_SYNTAX, ""},
    {"an opening alone", '[', TEXT("["), 9, JSON_FAULT_SYNTAX, ""},
    {"an opening and white space", '[', TEXT("[  "), 9, JSON_FAULT_SYNTAX, ""},
    {"an opening alone of an object", '{', TEXT("{"), 9, JSON_FAULT_SYNTAX, ""},
    {"cut in a name", '{', TEXT("{\"a"), 9, JSON_FAULT_SYNTAX, ""},
    {"cut behind a backslash", '{', TEXT("{\"a\\"), 9, JSON_FAULT_SYNTAX, ""},
    {"cut behind a name", '{', TEXT("{\"a\""), 9, JSON_FAULT_SYNTAX, ""},
    {"cut behind a colon", '{', TEXT("{\"a\":"), 9, JSON_FAULT_SYNTAX, ""},
    {"cut in a value", '{', TEXT("{\"a\":[1,{"), 9, JSON_FAULT_SYNTAX, ""},
    {"cut in a string", '[', TEXT("[\"a\\\""), 9, JSON_FAULT_SYNTAX, ""},
    {"cut behind a value", '[', TEXT("[1"), 9, JSON_FAULT_SYNTAX, ""},
    {"cut behind a comma", '[', TEXT("[1,"), 9, JSON_FAULT_SYNTAX, ""},
    {"something behind", '[', TEXT("[1] x"), 9, JSON_FAULT_SYNTAX, ""},
    {"something behind an empty array", '[', TEXT("[]]"), 9, JSON_FAULT_SYNTAX, ""},
    {"two objects", '{', TEXT("{\"a\":1}{\"b\":2}"), 9, JSON_FAULT_SYNTAX, ""},
};

START_TEST(a_frame_is_taken_apart)
{
    json_slice *parts;
    size_t count;
    json_fault fault = {.kind = 99};
    char *text = exact(frames[_i].text, frames[_i].len);
    bool whole = json_split(a, frames[_i].type, text, frames[_i].len, frames[_i].max, &parts, &count, &fault);
    strbuf result = STRBUF(a);
    strbuf_puts(&result, whole ? "" : fault.path);
    for (size_t i = 0; whole && i < count; i++) {
        if (parts[i].key) strbuf_printf(&result, "%s=", parts[i].key);
        strbuf_add(&result, parts[i].text, parts[i].len);
        strbuf_putc(&result, '|');
    }
    free(text);
    ck_assert_msg((whole ? OK : (int)fault.kind) == frames[_i].kind, "%s: %s", frames[_i].name,
                  whole ? result.data : fault.message);
    ck_assert_msg(strcmp(result.data, frames[_i].result) == 0, "%s: %s", frames[_i].name, result.data);
}
END_TEST

/* Whether `text` can be taken apart and all its parts can be read. */
static bool reads_in_parts(const char *text, size_t len)
{
    json_slice *parts;
    size_t count, at = strspn(text, " ");
    json_fault fault;
    if (!json_split(a, text[at] == '[' ? '[' : '{', text, len, 99, &parts, &count, &fault)) return false;
    for (size_t i = 0; i < count; i++)
        if (!json_read(a, parts[i].text, parts[i].len, DEPTH, &fault)) return false;
    return true;
}

START_TEST(taking_apart_and_reading_agree_on_random_texts)
{
    static const char *const pieces[] = {
        "{", "}", "[", "]", "\"", "\"a\"", "\"b\"", "\"a\":", "\"b\":", ",", ":", "1", " ", "\\", "\\u0061"};
    for (int i = 0, whole = 0; i < 500000 || whole < 1000; i++) {
        char text[64] = "";
        bool object = rnd() % 2;
        strcat(text, object ? "{" : "[");
        for (size_t n = rnd() % 8; n > 0; n--) strcat(text, pieces[rnd() % COUNT(pieces)]);
        if (rnd() % 8) strcat(text, object ? "}" : "]");
        json_fault fault;
        bool read = json_read(a, text, strlen(text), DEPTH, &fault), parts = reads_in_parts(text, strlen(text));
        HOLDS(read == parts, "%s is %sJSON, but its parts are %s", text, read ? "" : "not ", parts ? "" : "not");
        whole += read;
        if (i % 100 == 0) arena_reset(a);
    }
}
END_TEST

START_TEST(a_frame_of_many_parts)
{
    json_slice *parts;
    size_t count;
    json_fault fault;
    strbuf object = STRBUF(a), array = STRBUF(a);
    for (int i = 0; i < 20000; i++) {
        strbuf_printf(&object, "%c\"k%d\":%d", i ? ',' : '{', i, i);
        strbuf_printf(&array, "%c%d", i ? ',' : '[', i);
    }
    strbuf_putc(&object, '}');
    strbuf_putc(&array, ']');
    ck_assert(json_split(a, '{', object.data, object.len, 20000, &parts, &count, &fault));
    ck_assert_uint_eq(count, 20000);
    ck_assert_str_eq(parts[19999].key, "k19999");
    ck_assert(json_split(a, '[', array.data, array.len, 20000, &parts, &count, &fault));
    ck_assert_uint_eq(count, 20000);
    ck_assert(!json_split(a, '[', array.data, array.len, 19999, &parts, &count, &fault));
    ck_assert_int_eq(fault.kind, JSON_FAULT_COUNT);
}
END_TEST

static const struct {
    const char *name, *x, *y;
    bool same;
} pairs[] = {
    {"an integer and the same real", "1", "1.0", true},
    {"zero and negative zero", "0", "-0.0", true},
    {"two integers", "1", "2", false},
    {"two reals", "4.1", "4.2", false},
    {"two spellings of a real", "4.10", "41e-1", true},
    {"an integer and the nearest real", "9007199254740993", "9007199254740992.0", false},
    {"the largest integer and 2^63", "9223372036854775807", "9223372036854775808.0", false},
    {"the smallest integer and -2^63", "-9223372036854775808", "-9223372036854775808.0", true},
    {"the smallest integer and a huge real", "-9223372036854775808", "-1e300", false},
    {"the largest integer and a huge real", "9223372036854775807", "1e300", false},
    {"an integer and a fraction", "4", "4.5", false},
    {"an integer and a huge real", "4", "1e300", false},
    {"a number and its text", "1", "\"1\"", false},
    {"false and null", "false", "null", false},
    {"true and false", "true", "false", false},
    {"true and 1", "true", "1", false},
    {"null and null", "null", "null", true},
    {"strings", "\"a\\u00e9\"", "\"a\xC3\xA9\"", true},
    {"letters by case", "\"a\"", "\"A\"", false},
    {"composed and combining", "\"\\u00e9\"", "\"e\\u0301\"", false},
    {"the beginning of a string", "\"ab\"", "\"abc\"", false},
    {"an empty string and null", "\"\"", "null", false},
    {"members in another order", "{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1.0}", true},
    {"a member more", "{\"a\":1}", "{\"a\":1,\"b\":2}", false},
    {"a member null and none", "{\"a\":null}", "{}", false},
    {"another member", "{\"a\":1}", "{\"b\":1}", false},
    {"elements in another order", "[1,2]", "[2,1]", false},
    {"an element more", "[1]", "[1,2]", false},
    {"deep down", "{\"a\":[{\"b\":1}]}", "{\"a\":[{\"b\":2}]}", false},
    {"an empty array and an empty object", "[]", "{}", false},
};

START_TEST(two_values_are_the_same)
{
    json_fault fault;
    json_t *x = json_read(a, pairs[_i].x, strlen(pairs[_i].x), DEPTH, &fault);
    json_t *y = json_read(a, pairs[_i].y, strlen(pairs[_i].y), DEPTH, &fault);
    ck_assert_msg(json_same(x, y) == pairs[_i].same, "%s", pairs[_i].name);
    ck_assert_msg(json_same(y, x) == pairs[_i].same, "%s, the other way round", pairs[_i].name);
    ck_assert_msg(json_same(x, x) && json_same(y, y), "%s, each with itself", pairs[_i].name);
}
END_TEST

static const struct {
    const char *name, *value, *utc; /* NULL: not an instant */
} instants[] = {
    {"an RFC 3339 string", "\"2024-01-15T12:30:00+02:00\"", "2024-01-15T10:30:00.000Z"},
    {"milliseconds", "1705314600000", "2024-01-15T10:30:00.000Z"},
    {"zero", "0", "1970-01-01T00:00:00.000Z"},
    {"before the epoch", "-1", "1969-12-31T23:59:59.999Z"},
    {"the last one", "253402300799999", "9999-12-31T23:59:59.999Z"},
    {"behind the last one", "253402300800000", NULL},
    {"before the first one", "-62167219200001", NULL},
    {"a fraction", "1705314600000.5", NULL},
    {"a real without one", "1705314600000.0", NULL},
    {"milliseconds as text", "\"1705314600000\"", NULL},
    {"an empty string", "\"\"", NULL},
    {"null", "null", NULL},
    {"a boolean", "true", NULL},
    {"an array", "[1705314600000]", NULL},
};

START_TEST(a_value_is_an_instant)
{
    json_fault fault;
    int64_t ms = 4711;
    char out[CLOCK_TEXT];
    json_t *value = json_read(a, instants[_i].value, strlen(instants[_i].value), DEPTH, &fault);
    bool is = json_instant(value, &ms);
    ck_assert_msg(is == (instants[_i].utc != NULL), "%s", instants[_i].name);
    if (is) ck_assert_msg(strcmp(clock_format(ms, out), instants[_i].utc) == 0, "%s: %s", instants[_i].name, out);
    else ck_assert_msg(ms == 4711, "%s: left its mark", instants[_i].name);
}
END_TEST

START_TEST(characters_are_counted_not_bytes)
{
    static const struct {
        const char *text;
        size_t count;
    } rows[] = {{"", 0},          {"abc", 3},           {"\xC3\xA9", 1},
                {"e\xCC\x81", 2}, {"\xE2\x82\xAC!", 2}, {"\xF0\x9F\x93\x9A\x7F", 2}};
    for (size_t i = 0; i < COUNT(rows); i++)
        ck_assert_msg(json_characters(rows[i].text, strlen(rows[i].text)) == rows[i].count, "%s", rows[i].text);
}
END_TEST

START_TEST(members_are_written_with_their_commas)
{
    strbuf b = STRBUF(a);
    strbuf_puts(&b, "{");
    json_write_member(&b, "a\"", "x\n");
    json_write_member(&b, "none", NULL);
    json_write_int(&b, "n", INT64_MIN);
    json_write_bool(&b, "yes", true);
    json_write_name(&b, "list");
    strbuf_puts(&b, "[{");
    json_write_bool(&b, "no", false);
    strbuf_puts(&b, "}]");
    json_write_instant(&b, "at", 0);
    json_write_member(&b, "brace", "{");
    json_write_member(&b, "last", "");
    strbuf_puts(&b, "}");
    ck_assert_str_eq(
        b.data, "{\"a\\\"\":\"x\\n\",\"none\":null,\"n\":-9223372036854775808,\"yes\":true,\"list\":[{\"no\":false}],"
                "\"at\":\"1970-01-01T00:00:00.000Z\",\"brace\":\"{\",\"last\":\"\"}");
}
END_TEST

/* Jansson's allocator, of which one call fails. It then finds faults in a text that has none, or reads on without the byte
 * that it had no room for. */
static size_t calls, failing;

static void *scarce(size_t size)
{
    if (++calls != failing) return malloc(size);
    errno = ENOMEM;
    return NULL;
}

START_TEST(a_text_that_memory_ran_out_on_is_neither_refused_nor_misread)
{
    static const char text[] = "{\"a\":[1.25,true],\"a name of more than sixteen bytes\":{\"b\":\"\\u00e9 and more than that\"}}";
    volatile size_t unwound = 0;
    json_fault fault;
    jmp_buf point;
    json_set_alloc_funcs(scarce, free);
    arena_guard(a, &point);
    if (setjmp(point) != 0) unwound++;
    arena_reset(a);
    calls = 0;
    failing = unwound + 1;
    json_t *value = json_read(a, TEXT(text), DEPTH, &fault); /* unwinds at each call in turn, until none fails */
    ck_assert_ptr_nonnull(value);
    ck_assert_uint_gt(unwound, 10);
    ck_assert_uint_eq(unwound, calls);
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(value, "a name of more than sixteen bytes"), "b")),
                     "\u00e9 and more than that");
    arena_reset(a);
    arena_guard(a, NULL);
    json_set_alloc_funcs(malloc, free);
}
END_TEST

Suite *suite_json(void)
{
    Suite *s = suite_create("json");
    TCase *c = tcase_create("json");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, a_text_comes_back_as, 0, COUNT(kept));
    tcase_add_loop_test(c, a_text_is_refused, 0, COUNT(refused));
    tcase_add_loop_test(c, nesting_ends_at_the_limit, 0, COUNT(depths));
    tcase_add_test(c, a_scalar_has_no_depth);
    tcase_add_test(c, random_doubles_are_written_shortest);
    tcase_add_test(c, every_character_comes_back_byte_for_byte);
    tcase_add_test(c, a_long_string_comes_back);
    tcase_add_loop_test(c, a_frame_is_taken_apart, 0, COUNT(frames));
    tcase_add_test(c, taking_apart_and_reading_agree_on_random_texts);
    tcase_add_test(c, a_frame_of_many_parts);
    tcase_add_loop_test(c, two_values_are_the_same, 0, COUNT(pairs));
    tcase_add_loop_test(c, a_value_is_an_instant, 0, COUNT(instants));
    tcase_add_test(c, characters_are_counted_not_bytes);
    tcase_add_test(c, members_are_written_with_their_commas);
    tcase_add_test(c, a_text_that_memory_ran_out_on_is_neither_refused_nor_misread);
    suite_add_tcase(s, c);
    return s;
}
