/* json_split.c: an object or array is split into parts without parsing them. */
#include <stdlib.h>
#include <string.h>

#include "json_texts.h"

/* A text and its parts. */
static const struct {
    const char *name;
    char type;
    const char *text;
    size_t len, max;
    int kind;
    const char *result; /* the parts as "name=text|…" or "text|…", or the path of the fault */
} rows[] = {
    {"an empty object", '{', TEXT("{}"), 9, OK, ""},
    {"an empty array", '[', TEXT("[]"), 9, OK, ""},
    {"empty with white space", '[', TEXT(" \n[ \t] \r"), 9, OK, ""},
    {"empty, and no part allowed", '[', TEXT("[]"), 0, OK, ""},
    {"one member", '{', TEXT("{\"a\":1}"), 9, OK, "a=1|"},
    {"one element", '[', TEXT("[1]"), 9, OK, "1|"},
    {"members", '{', TEXT("{\"a\":1,\"b\":\"x\",\"\":null}"), 9, OK, "a=1|b=\"x\"|=null|"},
    {"white space everywhere", '{', TEXT(" { \"a\" : 1 ,\n\"b\"\t: [ 2 , 3 ] } "), 9, OK, "a=1|b=[ 2 , 3 ]|"},
    {"white space in an array", '[', TEXT("[ 1 , {\"a\" : 2} ]"), 9, OK, "1|{\"a\" : 2}|"},
    {"nested values stay whole", '[', TEXT("[[1,[2]],{\"a\":{\"b\":[]}},[]]"), 9, OK, "[1,[2]]|{\"a\":{\"b\":[]}}|[]|"},
    {"punctuation in strings", '{', TEXT("{\"a,}\":\"]},{\\\"\",\"b\\\\\":\"\\\\\"}"), 9, OK,
     "a,}=\"]},{\\\"\"|b\\=\"\\\\\"|"},
    {"an escaped name is decoded", '{', TEXT("{\"\\u0061\\n\":1}"), 9, OK, "a\n=1|"},
    {"the parts are not parsed", '[', TEXT("[1e400,\"\\u0000\",{x},\"\xFF\",1 2]"), 9, OK,
     "1e400|\"\\u0000\"|{x}|\"\xFF\"|1 2|"},
    {"as many as allowed", '[', TEXT("[1,2,3]"), 3, OK, "1|2|3|"},

    {"one more than allowed", '[', TEXT("[1,2,3,4]"), 3, JSON_FAULT_COUNT, ""},
    {"one member more than allowed", '{', TEXT("{\"a\":1,\"b\":2}"), 1, JSON_FAULT_COUNT, ""},
    {"an array for an object", '{', TEXT("[]"), 9, JSON_FAULT_TYPE, ""},
    {"an object for an array", '[', TEXT(" {}"), 9, JSON_FAULT_TYPE, ""},
    {"a string for an object", '{', TEXT("\"{}\""), 9, JSON_FAULT_TYPE, ""},
    {"null for an array", '[', TEXT("null"), 9, JSON_FAULT_TYPE, ""},
    {"a name twice", '{', TEXT("{\"a\":1,\"b\":2,\"a\":3}"), 9, JSON_FAULT_LOSSY, ".a"},
    {"a name twice, once escaped", '{', TEXT("{\"a\":1,\"\\u0061\":2}"), 9, JSON_FAULT_LOSSY, ".\\u0061"},
    {"the empty name twice", '{', TEXT("{\"\":1,\"\":2}"), 9, JSON_FAULT_LOSSY, "."},
    {"U+0000 in a name", '{', TEXT("{\"a\\u0000\":1}"), 9, JSON_FAULT_LOSSY, ".a\\u0000"},
    {"a lone surrogate in a name", '{', TEXT("{\"\\ud800\":1}"), 9, JSON_FAULT_LOSSY, ".\\ud800"},
    {"invalid UTF-8 in a name", '{', TEXT("{\"a\xFF\":1}"), 9, JSON_FAULT_LOSSY, ".a?"},
    {"an empty text", '{', TEXT(""), 9, JSON_FAULT_SYNTAX, ""},
    {"white space only", '[', TEXT(" \n "), 9, JSON_FAULT_SYNTAX, ""},
    {"a comma before the end", '[', TEXT("[1,]"), 9, JSON_FAULT_SYNTAX, ""},
    {"a comma before the end of an object", '{', TEXT("{\"a\":1,}"), 9, JSON_FAULT_SYNTAX, ""},
    {"a comma first", '[', TEXT("[ ,1]"), 9, JSON_FAULT_SYNTAX, ""},
    {"two commas", '[', TEXT("[1, ,2]"), 9, JSON_FAULT_SYNTAX, ""},
    {"no colon", '{', TEXT("{\"a\" 1}"), 9, JSON_FAULT_SYNTAX, ""},
    {"no value", '{', TEXT("{\"a\":}"), 9, JSON_FAULT_SYNTAX, ""},
    {"no value before a comma", '{', TEXT("{\"a\": ,\"b\":1}"), 9, JSON_FAULT_SYNTAX, ""},
    {"a name without quotes", '{', TEXT("{a:1}"), 9, JSON_FAULT_SYNTAX, ""},
    {"a number for a name", '{', TEXT("{1:1}"), 9, JSON_FAULT_SYNTAX, ""},
    {"an invalid escape in a name", '{', TEXT("{\"\\x\":1}"), 9, JSON_FAULT_SYNTAX, ""},
    {"a raw newline in a name", '{', TEXT("{\"a\n\":1}"), 9, JSON_FAULT_SYNTAX, ""},
    {"the wrong bracket", '[', TEXT("[1}"), 9, JSON_FAULT_SYNTAX, ""},
    {"the wrong bracket of an object", '{', TEXT("{\"a\":1]"), 9, JSON_FAULT_SYNTAX, ""},
    {"the wrong bracket of an empty object", '{', TEXT("{]"), 9, JSON_FAULT_SYNTAX, ""},
    {"an opening bracket only", '[', TEXT("["), 9, JSON_FAULT_SYNTAX, ""},
    {"an opening bracket and white space", '[', TEXT("[  "), 9, JSON_FAULT_SYNTAX, ""},
    {"an opening brace only", '{', TEXT("{"), 9, JSON_FAULT_SYNTAX, ""},
    {"truncated in a name", '{', TEXT("{\"a"), 9, JSON_FAULT_SYNTAX, ""},
    {"truncated after a backslash", '{', TEXT("{\"a\\"), 9, JSON_FAULT_SYNTAX, ""},
    {"truncated after a name", '{', TEXT("{\"a\""), 9, JSON_FAULT_SYNTAX, ""},
    {"truncated after a colon", '{', TEXT("{\"a\":"), 9, JSON_FAULT_SYNTAX, ""},
    {"truncated in a value", '{', TEXT("{\"a\":[1,{"), 9, JSON_FAULT_SYNTAX, ""},
    {"truncated in a string", '[', TEXT("[\"a\\\""), 9, JSON_FAULT_SYNTAX, ""},
    {"truncated after a value", '[', TEXT("[1"), 9, JSON_FAULT_SYNTAX, ""},
    {"truncated after a comma", '[', TEXT("[1,"), 9, JSON_FAULT_SYNTAX, ""},
    {"text after the end", '[', TEXT("[1] x"), 9, JSON_FAULT_SYNTAX, ""},
    {"text after an empty array", '[', TEXT("[]]"), 9, JSON_FAULT_SYNTAX, ""},
    {"two objects", '{', TEXT("{\"a\":1}{\"b\":2}"), 9, JSON_FAULT_SYNTAX, ""},
};

START_TEST(a_text_is_split)
{
    json_slice *parts;
    size_t count;
    json_fault fault = {.kind = 99};
    char *text = copy_exact(rows[_i].text, rows[_i].len);
    bool whole = json_split(a, rows[_i].type, text, rows[_i].len, rows[_i].max, &parts, &count, &fault);
    strbuf result = STRBUF(a);
    strbuf_puts(&result, whole ? "" : fault.path);
    for (size_t i = 0; whole && i < count; i++) {
        if (parts[i].key) strbuf_printf(&result, "%s=", parts[i].key);
        strbuf_add(&result, parts[i].text, parts[i].len);
        strbuf_putc(&result, '|');
    }
    free(text);
    ck_assert_msg((whole ? OK : (int)fault.kind) == rows[_i].kind, "%s: %s", rows[_i].name,
                  whole ? result.data : fault.message);
    ck_assert_msg(strcmp(result.data, rows[_i].result) == 0, "%s: %s", rows[_i].name, result.data);
}
END_TEST

/* Whether `text` can be split and all its parts can be read. */
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

START_TEST(splitting_and_reading_agree_on_random_texts)
{
    static const char *const pieces[] = {
        "{", "}", "[", "]", "\"", "\"a\"", "\"b\"", "\"a\":", "\"b\":", ",", ":", "1", " ", "\\", "\\u0061"};
    for (int i = 0, whole = 0; i < 500000 || whole < 1000; i++) {
        char text[64] = "";
        bool object = unit_random("json_split") % 2;
        strcat(text, object ? "{" : "[");
        for (size_t n = unit_random("json_split") % 8; n > 0; n--)
            strcat(text, pieces[unit_random("json_split") % COUNT(pieces)]);
        if (unit_random("json_split") % 8) strcat(text, object ? "}" : "]");
        json_fault fault;
        bool read = json_read(a, text, strlen(text), DEPTH, &fault), parts = reads_in_parts(text, strlen(text));
        ASSERT_IN_LOOP(read == parts, "%s is %sJSON, but its parts are %svalid", text, read ? "" : "not ",
                       parts ? "" : "not ");
        whole += read;
        if (i % 100 == 0) arena_reset(a);
    }
}
END_TEST

START_TEST(a_text_of_many_parts_is_split)
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

Suite *suite_json_split(void);

Suite *suite_json_split(void)
{
    Suite *s = suite_create("json_split");
    TCase *c = tcase_create("json_split");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, a_text_is_split, 0, COUNT(rows));
    tcase_add_test(c, splitting_and_reading_agree_on_random_texts);
    tcase_add_test(c, a_text_of_many_parts_is_split);
    suite_add_tcase(s, c);
    return s;
}
