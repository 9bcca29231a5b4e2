/* json_read.c, json_quick.c, json_scan.c: texts that are refused, with their paths; depth; memory that runs out. */
#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "json_texts.h"

/* A text that is refused, with the kind and the path of the fault. */
static const struct {
    const char *name, *text;
    size_t len;
    int kind;
    const char *path;
} refused[] = {
    {"U+0000 in a value", TEXT("{\"a\":\"x\\u0000\"}"), JSON_FAULT_LOSSY, ".a"},
    {"U+0000 in a name", TEXT("{\"a\":{\"\\u0000\":1}}"), JSON_FAULT_LOSSY, ".a.\\u0000"},
    {"a lone high surrogate", TEXT("{\"a\":[1,\"\\ud800\"]}"), JSON_FAULT_LOSSY, ".a[1]"},
    {"a high surrogate before a letter", TEXT("[\"\\uDBFFx\"]"), JSON_FAULT_LOSSY, "[0]"},
    {"a high surrogate before another escape", TEXT("[\"\\ud800\\u0041\"]"), JSON_FAULT_LOSSY, "[0]"},
    {"a high surrogate twice", TEXT("[\"\\ud83d\\ud83d\\ude00\"]"), JSON_FAULT_LOSSY, "[0]"},
    {"a lone low surrogate", TEXT("{\"a\":{\"b\":\"\\udc00\"}}"), JSON_FAULT_LOSSY, ".a.b"},
    {"the low surrogate first", TEXT("[\"\\ude00\\ud83d\"]"), JSON_FAULT_LOSSY, "[0]"},
    {"a lone surrogate in a name", TEXT("{\"\\uDfFf\":1}"), JSON_FAULT_LOSSY, ".\\uDfFf"},
    {"a number above the largest double", TEXT("{\"a\":1e400}"), JSON_FAULT_LOSSY, ".a"},
    {"the same, negative", TEXT("[0,-1e400,0]"), JSON_FAULT_LOSSY, "[1]"},
    {"a number that would become 0", TEXT("{\"a\":1e-400}"), JSON_FAULT_LOSSY, ".a"},
    {"the same, negative, after a true 0", TEXT("[0.0,\"1e-400\",0e-400,-0.0,[-12E-999]]"), JSON_FAULT_LOSSY, "[4][0]"},
    {"just below half of the smallest double", TEXT("2.4703282292062327e-324"), JSON_FAULT_LOSSY, ""},
    {"just above the largest double", TEXT("1.7976931348623159e308"), JSON_FAULT_LOSSY, ""},
    {"an integer beyond 64 bits", TEXT("{\"a\":9223372036854775808}"), JSON_FAULT_LOSSY, ".a"},
    {"the same, negative", TEXT("{\"a\":{\"b\":-9223372036854775809}}"), JSON_FAULT_LOSSY, ".a.b"},
    {"an overlong NUL", TEXT("[\"\xC0\x80\"]"), JSON_FAULT_LOSSY, "[0]"},
    {"an overlong slash of three bytes", TEXT("[\"\xE0\x80\xAF\"]"), JSON_FAULT_LOSSY, "[0]"},
    {"an overlong euro of four bytes", TEXT("[\"\xF0\x82\x82\xAC\"]"), JSON_FAULT_LOSSY, "[0]"},
    {"a surrogate in UTF-8", TEXT("[\"\xED\xA0\x80\"]"), JSON_FAULT_LOSSY, "[0]"},
    {"after the last code point", TEXT("[\"\xF4\x90\x80\x80\"]"), JSON_FAULT_LOSSY, "[0]"},
    {"the byte FF in a value", TEXT("{\"a\":\"x\xFF\"}"), JSON_FAULT_LOSSY, ".a"},
    {"the byte FF in a name", TEXT("{\"a\xFF\":1}"), JSON_FAULT_LOSSY, ".a?"},
    {"Latin-1", TEXT("{\"a\":\"caf\xE9\"}"), JSON_FAULT_LOSSY, ".a"},
    {"a lone continuation byte", TEXT("{\"a\":\"\x80\"}"), JSON_FAULT_LOSSY, ".a"},
    {"a character truncated by the end of the text", TEXT("[\"\xE2\x82"), JSON_FAULT_LOSSY, "[0]"},
    {"an invalid byte after a comma", TEXT("[1,\xFF]"), JSON_FAULT_LOSSY, "[1]"},
    {"an invalid byte in place of a name", TEXT("{\"a\":1,\xFF}"), JSON_FAULT_LOSSY, ""},
    {"a name twice", TEXT("{\"a\":1,\"a\":1}"), JSON_FAULT_LOSSY, ".a"},
    {"a name twice, once escaped", TEXT("{\"a\":1,\"\\u0061\":2}"), JSON_FAULT_LOSSY, ".\\u0061"},
    {"a name twice, nested", TEXT("{\"x\":[{},{\"b\":1,\"c\":[],\"b\":2}]}"), JSON_FAULT_LOSSY, ".x[1].b"},
    {"the empty name twice", TEXT("{\"\":1,\"\":2}"), JSON_FAULT_LOSSY, "."},
    {"the path skips closed containers", TEXT("[{\"a\":1},{\"b\":2,\"c\":[[0],[1e400]]}]"), JSON_FAULT_LOSSY,
     "[1].c[1][0]"},
    {"punctuation in strings is ignored", TEXT("{\"a,b\":[\"x,y\",\"]}\\\"\",1e400]}"), JSON_FAULT_LOSSY, ".a,b[2]"},
    {"a path shows ASCII only", TEXT("{\"na\xC3\xAFve\":1e400}"), JSON_FAULT_LOSSY, ".na??ve"},

    {"an empty text", TEXT(""), JSON_FAULT_SYNTAX, ""},
    {"white space only", TEXT(" \n"), JSON_FAULT_SYNTAX, ""},
    {"a word", TEXT("nul"), JSON_FAULT_SYNTAX, ""},
    {"a capital word", TEXT("True"), JSON_FAULT_SYNTAX, ""},
    {"NaN", TEXT("NaN"), JSON_FAULT_SYNTAX, ""},
    {"Infinity", TEXT("-Infinity"), JSON_FAULT_SYNTAX, ""},
    {"a leading zero", TEXT("01"), JSON_FAULT_SYNTAX, ""},
    {"a plus sign", TEXT("+1"), JSON_FAULT_SYNTAX, ""},
    {"no digit after the point", TEXT("1."), JSON_FAULT_SYNTAX, ""},
    {"no digit before the point", TEXT(".5"), JSON_FAULT_SYNTAX, ""},
    {"no exponent", TEXT("1e"), JSON_FAULT_SYNTAX, ""},
    {"hexadecimal", TEXT("0x10"), JSON_FAULT_SYNTAX, ""},
    {"a minus only", TEXT("-"), JSON_FAULT_SYNTAX, ""},
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
    {"one bracket too many", TEXT("[]]"), JSON_FAULT_SYNTAX, ""},
    {"two values", TEXT("{} {}"), JSON_FAULT_SYNTAX, ""},
    {"an unknown escape", TEXT("[\"\\x41\"]"), JSON_FAULT_SYNTAX, "[0]"},
    {"an escape of three digits", TEXT("[\"\\u12g4\"]"), JSON_FAULT_SYNTAX, "[0]"},
    {"a raw tab in a string", TEXT("[\"\t\"]"), JSON_FAULT_SYNTAX, "[0]"},
    {"a raw newline in a string", TEXT("[\"\n\"]"), JSON_FAULT_SYNTAX, "[0]"},
    {"a NUL byte in a string", TEXT("[\"a\0b\"]"), JSON_FAULT_SYNTAX, "[0]"},
    {"a NUL byte after a number", TEXT("[0\000]"), JSON_FAULT_SYNTAX, "[0]"},
    {"a NUL byte after the value", TEXT("{}\0"), JSON_FAULT_SYNTAX, ""},
    {"a byte order mark", TEXT("\xEF\xBB\xBF{}"), JSON_FAULT_SYNTAX, ""},
    {"an error that quotes the message of another", TEXT("[\"a\" \"invalid Unicode '\"]"), JSON_FAULT_SYNTAX, "[0]"},
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

/* `levels` nested arrays or objects. */
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
    {"the limit of Jansson", 2048, 2048, true},
    {"one over the limit of Jansson", 2049, 100000, false},
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
        ck_assert_msg(fault.kind == JSON_FAULT_LOSSY, "%s: kind %d", depths[_i].name, (int)fault.kind);
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

/* Texts, and whether they are read without Jansson as a whole. */
static const struct {
    bool quick;
    const char *text;
    size_t len;
} quick_texts[] = {
    {true, TEXT(" {\"a\" : [ 1 , -2, 3.5e1, true,false ,null ] ,\"\":{} , \"b\":[],\"c\":\"\"}\r\n\t")},
    {true, TEXT("\"\xF0\x9F\xA6\x8A \xC3\xA9\"")},
    {true, TEXT("{\"a\":\"\\u00e9\\n\\\"\"}")},
    {true, TEXT("999999999999999999")},
    {true, TEXT("-99999999999999999")},
    {true, TEXT("[0.5,-0.25,1e5,1E+5,1.5e-5,123456789012345678.5]")},
    {true, TEXT("0.00000000000000000000000000000000000000000000000000000000000000000000000001")},
    {false, TEXT("9999999999999999999")},
    {false, TEXT("1e400")},
    {false, TEXT("-1e400")},
    {false, TEXT("[.5]")},
    {false, TEXT("[1.]")},
    {false, TEXT("[1e]")},
    {false, TEXT("[1e+]")},
    {false, TEXT("[-]")},
    {false, TEXT("[01]")},
    {false, TEXT("[-01]")},
    {false, TEXT("[+1]")},
    {true, TEXT("[9223372036854775807,-9223372036854775808,-0,0,0.0,-0.0]")},
    {true, TEXT("1e-400")}, /* what is too small for a double is found later */
    {false, TEXT("{\"\\u0061\":1}")},
    {false, TEXT("{\"a\":1,\"a\":1}")},
    {false, TEXT("[1,]")},
    {false, TEXT("{\"a\":1,}")},
    {false, TEXT("[1 2]")},
    {false, TEXT("[,1]")},
    {false, TEXT("{,}")},
    {false, TEXT("[1}")},
    {false, TEXT("{\"a\":1]")},
    {false, TEXT("{\"a\"}")},
    {false, TEXT("{\"a\" 1}")},
    {false, TEXT("[\"a\nb\"]")},
    {false, TEXT("[1-2]")},
    {false, TEXT("1 2")},
    {false, TEXT("\0")},
    {false, TEXT("1\0")},
};

START_TEST(plain_text_is_read_as_Jansson_reads_it)
{
    size_t len = quick_texts[_i].len;
    char *copy = copy_exact(quick_texts[_i].text, len);
    json_t *quick = json_read_quick(copy, len);
    json_t *judged = json_loadb(copy, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    free(copy);
    ck_assert_int_eq(quick != NULL, quick_texts[_i].quick);
    if (quick) ck_assert_str_eq(written(quick), written(judged));
    json_decref(quick);
    json_decref(judged);
}
END_TEST

START_TEST(deep_nesting_is_left_to_Jansson)
{
    for (size_t levels = 1; levels <= 64; levels++) {
        const char *text = nested(levels, levels % 2);
        json_t *quick = json_read_quick(text, strlen(text));
        ck_assert_int_eq(quick != NULL, levels <= 32);
        json_decref(quick);
    }
}
END_TEST

/* An allocator for Jansson in which one call fails. Jansson then reports a fault of the text, or reads on without a
 * byte of it. */
static size_t calls, failing;

static void *scarce(size_t size)
{
    if (++calls != failing) return malloc(size);
    errno = ENOMEM;
    return NULL;
}

START_TEST(without_memory_a_text_is_neither_refused_nor_misread)
{
    static const char text[] =
        "{\"a\":[1.25,true],\"a name of more than sixteen bytes\":{\"b\":\"\\u00e9 and more than that\"}}";
    volatile size_t unwound = 0;
    json_fault fault;
    jmp_buf point;
    json_set_alloc_funcs(scarce, free);
    arena_guard(a, &point);
    if (setjmp(point) != 0) unwound++;
    arena_reset(a);
    calls = 0;
    failing = unwound + 1;
    json_t *value = json_read(a, TEXT(text), DEPTH, &fault); /* unwinds once for each call, until none fails */
    ck_assert_ptr_nonnull(value);
    ck_assert_uint_gt(unwound, 10);
    ck_assert_uint_eq(unwound, calls);
    ck_assert_str_eq(
        json_string_value(json_object_get(json_object_get(value, "a name of more than sixteen bytes"), "b")),
        "\u00e9 and more than that");
    arena_reset(a);
    arena_guard(a, NULL);
    json_set_alloc_funcs(malloc, free);
}
END_TEST

/* Texts as json_write writes them. */
static const char *const stored[] = {
    "{}",
    "{\"title\":\"T\",\"notes\":\"\",\"n\":null,\"x\":[1,2.5,{\"a\":\"b\"}],\"y\":{\"z\":true}}",
    "{\"title\":\"a \\\"b\\\" \\\\ \\n\",\"\\\"k\\u0001\":\"\xC3\xA9\",\"\":-1,\"end\":\"\\\\\"}",
    "{\"brackets\":\"}],{[\",\"u\":\"\xF0\x9F\xA6\x8A\"}",
};

START_TEST(a_stored_text_is_read_as_any_other)
{
    json_fault fault;
    size_t len = strlen(stored[_i]);
    char *copy = copy_exact(stored[_i], len);
    const json_t *value = json_read_stored(a, copy, len);
    free(copy);
    ck_assert(json_equal(value, json_read(a, stored[_i], len, DEPTH, &fault)));
    ck_assert_str_eq(written(value), stored[_i]);
}
END_TEST

START_TEST(a_stored_text_of_many_members_is_read_as_any_other)
{
    strbuf text = STRBUF(a);
    for (int i = 0; i < 200; i++) strbuf_printf(&text, "%c\"m%d\":\"v%d\"", i > 0 ? ',' : '{', i, i);
    strbuf_putc(&text, '}');
    ck_assert_str_eq(written(json_read_stored(a, text.data, text.len)), text.data);
}
END_TEST

Suite *suite_json_read(void);

Suite *suite_json_read(void)
{
    Suite *s = suite_create("json_read");
    TCase *c = tcase_create("json_read");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, a_text_is_refused, 0, COUNT(refused));
    tcase_add_loop_test(c, nesting_ends_at_the_limit, 0, COUNT(depths));
    tcase_add_test(c, a_scalar_has_no_depth);
    tcase_add_loop_test(c, plain_text_is_read_as_Jansson_reads_it, 0, COUNT(quick_texts));
    tcase_add_test(c, deep_nesting_is_left_to_Jansson);
    tcase_add_loop_test(c, a_stored_text_is_read_as_any_other, 0, COUNT(stored));
    tcase_add_test(c, a_stored_text_of_many_members_is_read_as_any_other);
    tcase_add_test(c, without_memory_a_text_is_neither_refused_nor_misread);
    suite_add_tcase(s, c);
    return s;
}
