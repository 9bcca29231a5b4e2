/*
 * tests/contract/vectors.json, which the tests of the client (client/test/vectors.test.mjs) run too: what edits do to
 * an entity, and how instants are written. The edits of a row are made one second after the other.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "merge.h"

static arena *a;
static const json_t *vectors;

static void setup(void)
{
    char path[4096];
    const char *srcdir = getenv("srcdir"); /* automake's */
    json_fault fault;
    strbuf text = STRBUF(a = arena_new());
    snprintf(path, sizeof path, "%s/tests/contract/vectors.json", srcdir ? srcdir : ".");
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s: cannot be read; srcdir must name the source tree", path);
    for (int c; (c = getc(f)) != EOF;) strbuf_putc(&text, (char)c);
    fclose(f);
    vectors = json_read(a, text.data, text.len, 64, &fault);
    ck_assert_msg(vectors != NULL, "%s: %s", fault.path, fault.message);
}

static void teardown(void)
{
    arena_free(a);
}

static const char *text_of(const json_t *value)
{
    strbuf out = STRBUF(a);
    json_write(&out, value);
    return out.data;
}

/* What is there after the edits: an object, or null when the entity is deleted. */
static const json_t *outcome(const json_t *row, const char *list)
{
    merge_state *s = merge_new(a);
    const json_t *state = json_object_get(row, "state");
    merge_edit edit = {MERGE_PATCH, state, 0};
    if (json_is_object(state)) merge_apply(s, &edit, false);
    size_t i;
    json_t *made;
    json_array_foreach(json_object_get(row, list), i, made)
    {
        bool deletes = strcmp(json_string_value(json_object_get(made, "type")), "delete") == 0;
        edit =
            (merge_edit){deletes ? MERGE_DELETE : MERGE_PATCH, json_object_get(made, "data"), (int64_t)(i + 1) * 1000};
        merge_apply(s, &edit, false);
    }
    if (merge_is_deleted(s)) return json_null();
    json_fault fault;
    strbuf out = STRBUF(a);
    merge_write(s, &out);
    const json_t *tree = json_read(a, out.data, out.len, 64, &fault);
    ck_assert_msg(tree != NULL, "%s: %s", out.data, fault.message);
    return tree;
}

START_TEST(edits_and_what_the_client_makes_of_them)
{
    static const char *const lists[] = {"edits", "sent"};
    const json_t *rows = json_object_get(vectors, "edits");
    size_t i;
    json_t *row;
    ck_assert_uint_gt(json_array_size(rows), 0);
    json_array_foreach(rows, i, row)
    {
        const json_t *expected = json_object_get(row, "result");
        for (int j = 0; j < 2; j++) {
            const json_t *found = outcome(row, lists[j]);
            ck_assert_msg(json_same(found, expected), "%s: after `%s` %s, not %s",
                          json_string_value(json_object_get(row, "name")), lists[j], text_of(found), text_of(expected));
        }
    }
}
END_TEST

START_TEST(instants)
{
    const json_t *rows = json_object_get(vectors, "instants");
    size_t i;
    json_t *row;
    ck_assert_uint_gt(json_array_size(rows), 0);
    json_array_foreach(rows, i, row)
    {
        char out[CLOCK_TEXT];
        const char *text = json_string_value(json_object_get(row, "text"));
        int64_t ms = json_integer_value(json_object_get(row, "ms")), back = 0;
        ck_assert_str_eq(clock_format(ms, out), text);
        ck_assert_msg(clock_parse(text, &back) && back == ms, "%s reads as %lld", text, (long long)back);
    }
}
END_TEST

Suite *suite_vectors(void)
{
    Suite *s = suite_create("vectors");
    TCase *c = tcase_create("vectors");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, edits_and_what_the_client_makes_of_them);
    tcase_add_test(c, instants);
    suite_add_tcase(s, c);
    return s;
}
