/*
 * recent.[ch]: the list of leaves in a row, and the patch that is made of it. The group `deltas` of
 * tests/contract/vectors.json runs here against the engine: each row says what a client that holds `at_cursor` gets
 * after the operations `then`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "fixture.h"
#include "recent_server.h"
#include "unit.h"

static json_t *json(const char *text)
{
    strbuf strict = STRBUF(a);
    for (; *text; text++) strbuf_putc(&strict, *text == '\'' ? '"' : *text);
    json_t *value = json_parse(a, strict.data, strict.len, NULL);
    ck_assert_msg(value != NULL, "%s", strict.data);
    return value;
}

/* The text after `data` was written at `stamp` to the row of `version` with the text `before`; NULL: all of it is new.
 */
static const char *noted(const char *before, int64_t version, int64_t stamp, const char *data)
{
    recent r = {.text = before};
    strbuf out = STRBUF(a);
    recent_note(&r, a, &kind_book, json(data));
    recent_write(&r, version, stamp, &out);
    return out.data;
}

/* The patch for a client that holds the entity as of `base`, or "whole". */
static const char *patch(const char *text, int64_t version, int64_t base, const char *data)
{
    strbuf out = STRBUF(a);
    return recent_patch(a, text, version, base, data, &out) ? out.data : "whole";
}

START_TEST(each_leaf_gets_the_stamp_of_its_request)
{
    const char *first = noted(NULL, MERGE_NEVER, 10, "{'title':'T'}");
    ck_assert_ptr_null(first); /* a new entity comes whole */
    const char *second = noted(first, 10, 20, "{'title':'U','o':{'x':1,'y':{'z':[1,{'a':1}]}}}");
    ck_assert_str_eq(second, "[20,10,20,\"/title\",\"/o/x\",\"/o/y/z\"]");
    const char *third = noted(second, 20, 30, "{'notes':null,'o':{'x':2},'e':{}}");
    ck_assert_str_eq(third, "[30,10,20,\"/title\",\"/o/y/z\",30,\"/notes\",\"/o/x\",\"/e\"]");
    ck_assert_str_eq(noted(third, 30, 40, "{}"), "[40,10,20,\"/title\",\"/o/y/z\",30,\"/notes\",\"/o/x\",\"/e\"]");
}
END_TEST

START_TEST(names_are_escaped_in_the_pointer_and_in_the_text)
{
    const char *text = noted("[1,1]", 1, 2, "{'a/b~c':{'\\'':1,'':2,'é':3}}");
    ck_assert_str_eq(text, "[2,1,2,\"/a~1b~0c/\\\"\",\"/a~1b~0c/\",\"/a~1b~0c/é\"]");
    ck_assert_str_eq(patch(text, 2, 1, "{\"a\":0,\"a/b~c\":{\"\":2,\"é\":3,\"\\\"\":1,\"z\":9}}"),
                     "{\"a/b~c\":{\"\\\"\":1,\"\":2,\"é\":3}}");
}
END_TEST

START_TEST(a_text_of_another_version_counts_as_unknown)
{
    static const char *const texts[] = {NULL,
                                        "[9,1,5,\"/a\"]",
                                        "{}",
                                        "[",
                                        "7",
                                        "[10]",
                                        "[10,\"x\"]",
                                        "[10,1,\"/a\"]",
                                        "[10,1,5,null]",
                                        "[10,5,5,\"/a\"]",
                                        "[10,1,11,\"/a\"]"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        ck_assert_str_eq(noted(texts[i], 10, 20, "{'b':1}"), "[20,10,20,\"/b\"]");
        ck_assert_str_eq(patch(texts[i], 10, 9, "{\"a\":1}"), "whole");
    }
}
END_TEST

START_TEST(after_an_edit_that_waits_for_a_person_the_next_version_is_whole)
{
    ck_assert_str_eq(patch(RECENT_WHOLE, 10, 9, "{}"), "whole");
    ck_assert_str_eq(patch(RECENT_WHOLE, 10, 10, "{}"), "whole");
    ck_assert_ptr_null(noted(RECENT_WHOLE, 10, 20, "{'b':1}"));
}
END_TEST

START_TEST(the_oldest_stamps_go_whole_when_the_list_is_full)
{
    const char *text = "[1,1]";
    for (int64_t stamp = 2; stamp < 200; stamp++) {
        const char *data = arena_printf(a, "{'member %lld':1,'other %lld':2}", (long long)stamp, (long long)stamp);
        text = noted(text, stamp - 1, stamp, data);
        ck_assert_uint_le(strlen(text), RECENT_MAX);
        const json_t *list = json(text);
        int64_t from = json_integer_value(json_array_get(list, 1)), first = json_integer_value(json_array_get(list, 2));
        ck_assert_int_eq(first, from + 1); /* both leaves of a stamp are there, or `from` says that they are not */
        ck_assert_str_eq(json_string_value(json_array_get(list, 3)), arena_printf(a, "/member %lld", (long long)first));
        ck_assert_uint_eq(json_array_size(list), 2 + 3 * (size_t)(stamp - from));
    }
    ck_assert_uint_gt(strlen(text), RECENT_MAX / 2);
}
END_TEST

START_TEST(a_request_that_does_not_fit_alone_comes_whole)
{
    strbuf data = STRBUF(a);
    for (int i = 0; i < 100000; i++) strbuf_printf(&data, "%c'member %d':{'x':%d}", i == 0 ? '{' : ',', i, i);
    strbuf_puts(&data, "}");
    ck_assert_ptr_null(noted("[1,1]", 1, 2, data.data));
    strbuf name = STRBUF(a);
    for (int i = 0; i < 600; i++) strbuf_putc(&name, 'n');
    ck_assert_ptr_null(noted("[1,1]", 1, 2, arena_printf(a, "{'%s':{'x':1}}", name.data)));
    /* Short as bytes, long as JSON text: each control character has six. */
    strbuf odd = STRBUF(a);
    for (int i = 0; i < 100; i++) strbuf_puts(&odd, "\\u0001");
    ck_assert_ptr_null(noted("[1,1]", 1, 2, arena_printf(a, "{'%s':1}", odd.data)));
}
END_TEST

START_TEST(a_patch_holds_the_leaves_since_the_base)
{
    static const char data[] = "{\"title\":\"T\",\"o\":{\"x\":1,\"y\":{\"z\":[1,2]}},\"n\":null,\"s\":{}}";
    static const char text[] = "[40,10,20,\"/title\",30,\"/o/x\",\"/n\",40,\"/o/y/z\"]";
    static const struct {
        int64_t base;
        const char *patch;
    } rows[] = {
        {9, "whole"},
        {10, "{\"title\":\"T\",\"o\":{\"x\":1,\"y\":{\"z\":[1,2]}},\"n\":null}"},
        {20, "{\"o\":{\"x\":1,\"y\":{\"z\":[1,2]}},\"n\":null}"},
        {29, "{\"o\":{\"x\":1,\"y\":{\"z\":[1,2]}},\"n\":null}"},
        {30, "{\"o\":{\"y\":{\"z\":[1,2]}}}"},
        {40, "{}"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) ck_assert_str_eq(patch(text, 40, rows[i].base, data), rows[i].patch);
}
END_TEST

START_TEST(a_pointer_to_an_object_or_to_nothing_makes_it_whole)
{
    static const struct {
        const char *leaf, *data;
    } rows[] = {
        {"/o", "{\"o\":{\"x\":1}}"}, {"/o", "{\"o\":{}}"},         {"/o", "{}"},
        {"/o/x", "{\"o\":1}"},       {"/o/x", "{\"o\":{}}"},       {"/o/x", "{\"o\":{\"x\":{}}}"},
        {"/o/x", "{\"o\":[1]}"},     {"/o\",\"/o/x", "{\"o\":1}"}, {"/o\",\"/o/x", "{\"o\":{\"x\":1}}"},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        ck_assert_str_eq(patch(arena_printf(a, "[2,1,2,\"%s\"]", rows[i].leaf), 2, 1, rows[i].data), "whole");
}
END_TEST

/* The vectors */

static const json_t *vectors(const char *group)
{
    const char *srcdir = getenv("srcdir");
    json_error_t error;
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/contract/vectors.json", srcdir ? srcdir : ".");
    json_t *all = json_load_file(path, 0, &error);
    ck_assert_msg(all != NULL, "%s: %s", path, error.text);
    arena_defer(a, json_release, all);
    return json_object_get(all, group);
}

static const char *string(const json_t *row, const char *name)
{
    return json_string_value(json_object_get(row, name));
}

static void write_one(server *s, const json_t *item)
{
    const char *type = string(item, "type"), *id = string(item, "id");
    size_t row = id && strcmp(id, "y") == 0;
    json_t *data = json_object_get(item, "data");
    bool deletes = type && strcmp(type, "delete") == 0;
    const operation op = {.type = deletes ? OPERATION_DELETE : OPERATION_UPDATE,
                          .kind = &kind_book,
                          .entity_id = s->rows[row].id,
                          .stored_id = s->rows[row].id,
                          .data = data ? data : json_new_object(a),
                          .at = json_integer_value(json_object_get(item, "at")),
                          .created_at = MERGE_NEVER,
                          .base = MERGE_NEVER};
    ck_assert_int_ne(server_write(s, row, &op, false), OUTCOME_FAILED);
}

static void write_at(server *s, json_t *data, json_t *at)
{
    json_t *item = json_new_object(a);
    json_put(a, item, "data", json_incref(data));
    json_put(a, item, "at", json_incref(at));
    write_one(s, item);
}

/* A server with the state that the client holds. Its leaves were written at 1, and the title at `title_at`. */
static server *server_at_cursor(const json_t *row)
{
    server *s = server_new(a);
    json_t *first = json_new_object(a), *title_at = json_object_get(row, "title_at");
    json_object_update(first, json_object_get(row, "at_cursor"));
    if (!json_object_get(first, "title")) json_put(a, first, "title", json_string("a book must have one"));
    write_at(s, first, json("1"));
    if (title_at) write_at(s, first, title_at);
    return s;
}

START_TEST(vectors_deltas)
{
    const json_t *rows = vectors("deltas");
    size_t i, k;
    json_t *row, *item;
    ck_assert_uint_gt(json_array_size(rows), 0);
    json_array_foreach(rows, i, row)
    {
        server *s = server_at_cursor(row);
        client *c = client_new(a, true);
        while (client_pull(c, s, 1)) continue;
        json_array_foreach(json_object_get(row, "then"), k, item) write_one(s, item);
        if (json_object_get(row, "limit")) ck_assert(client_pull(c, s, 1)); /* a page without the entity */
        const server_row *stored = &s->rows[0];
        const char *found = patch(stored->recent, stored->updated, c->base, stored->data);
        const json_t *expected = json_object_get(row, "patch");
        if (expected)
            ck_assert_msg(json_same(json_parse(a, found, strlen(found), NULL), expected), "%s: %s", string(row, "name"),
                          found);
        else
            ck_assert_msg(strcmp(found, "whole") == 0, "%s: %s", string(row, "name"), found);
    }
}
END_TEST

Suite *suite_recent(void);

Suite *suite_recent(void)
{
    Suite *s = suite_create("recent");
    TCase *c = tcase_create("recent");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_add_test(c, each_leaf_gets_the_stamp_of_its_request);
    tcase_add_test(c, names_are_escaped_in_the_pointer_and_in_the_text);
    tcase_add_test(c, a_text_of_another_version_counts_as_unknown);
    tcase_add_test(c, after_an_edit_that_waits_for_a_person_the_next_version_is_whole);
    tcase_add_test(c, the_oldest_stamps_go_whole_when_the_list_is_full);
    tcase_add_test(c, a_request_that_does_not_fit_alone_comes_whole);
    tcase_add_test(c, a_patch_holds_the_leaves_since_the_base);
    tcase_add_test(c, a_pointer_to_an_object_or_to_nothing_makes_it_whole);
    tcase_add_test(c, vectors_deltas);
    suite_add_tcase(s, c);
    return s;
}
