/*
 * The rows of tests/contract/vectors.json: the effect of edits on an entity, and the form of instants. The client runs
 * the same rows (client/test/vectors.test.mjs). Edits without a time are one second apart.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "engine/kind.h"
#include "engine/merge.h"
#include "engine/resync.h"

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

/* The entity after the edits: an object, or null when it is deleted. */
static const json_t *outcome(const json_t *row, const char *list)
{
    merge_state *s = merge_new(a);
    const json_t *state = json_object_get(row, "state");
    merge_edit edit = {MERGE_PATCH, state, 0};
    if (json_is_object(state)) merge_apply(s, &edit, false);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(row, list), i, item)
    {
        bool deletes = strcmp(json_string_value(json_object_get(item, "type")), "delete") == 0;
        edit =
            (merge_edit){deletes ? MERGE_DELETE : MERGE_PATCH, json_object_get(item, "data"), (int64_t)(i + 1) * 1000};
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

START_TEST(edits_and_the_operations_of_the_client)
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

/* Sets */

enum { EDITS_MAX = 6 };

static const char *const sets[] = {"tags", NULL};

static merge_edit edit_of(const json_t *item)
{
    const char *type = json_string_value(json_object_get(item, "type"));
    merge_type t = strcmp(type, "delete") == 0    ? MERGE_DELETE
                   : strcmp(type, "replace") == 0 ? MERGE_REPLACE
                                                  : MERGE_PATCH;
    return (merge_edit){t, json_object_get(item, "data"), json_integer_value(json_object_get(item, "at"))};
}

static merge_state *stored(merge_state *s)
{
    strbuf data = STRBUF(a), marks = STRBUF(a);
    merge_row row = {.base = merge_write_marks(s, &marks), .sets = sets};
    merge_write(s, &data);
    row.data = data.data;
    row.marks = marks.data;
    row.edited = merge_edited(s);
    row.deleted = merge_deleted(s);
    return merge_load(a, &row);
}

/* The state after the edits in this order. The bits of `repeated` say which come a second time, directly or at the
 * end; those of `batched` say after which the request goes on. */
static const json_t *shown(const json_t *row, const size_t *order, size_t count, unsigned repeated, unsigned batched)
{
    merge_state *s = merge_new_with(a, sets);
    for (size_t i = 0; i < 2 * count; i++) {
        size_t n = i % count;
        merge_edit edit = edit_of(json_array_get(json_object_get(row, "edits"), order[n]));
        if (i < count || (repeated & 1u << n)) merge_apply(s, &edit, false);
        if (repeated & 1u << (n + 1)) merge_apply(s, &edit, false);
        if (!(batched & 1u << n)) s = stored(s);
    }
    strbuf out = STRBUF(a);
    merge_write(s, &out);
    return json_parse(a, out.data, out.len, NULL);
}

static void check_orders(const json_t *row, size_t *order, size_t fixed, size_t count)
{
    for (size_t i = fixed; i < count; i++) {
        size_t swapped = order[i];
        order[i] = order[fixed];
        order[fixed] = swapped;
        check_orders(row, order, fixed + 1, count);
        order[fixed] = order[i];
        order[i] = swapped;
    }
    for (unsigned how = 0; fixed == count && how < 16; how++) {
        static const unsigned bits[] = {0, 5, 2, 63};
        const json_t *found = shown(row, order, count, bits[how / 4], bits[how % 4]);
        const json_t *expected = json_object_get(row, "result");
        ck_assert_msg(json_same(found, expected), "%s: %s, not %s", json_string_value(json_object_get(row, "name")),
                      text_of(found), text_of(expected));
    }
}

START_TEST(sets_in_every_order)
{
    const json_t *rows = json_object_get(vectors, "sets");
    size_t i;
    json_t *row;
    ck_assert_uint_gt(json_array_size(rows), 0);
    json_array_foreach(rows, i, row)
    {
        size_t order[EDITS_MAX] = {0, 1, 2, 3, 4, 5}, count = json_array_size(json_object_get(row, "edits"));
        ck_assert_uint_le(count, EDITS_MAX);
        check_orders(row, order, 0, count);
    }
}
END_TEST

START_TEST(refused)
{
    const json_t *rows = json_object_get(vectors, "refused");
    size_t i;
    json_t *row;
    ck_assert_uint_gt(json_array_size(rows), 0);
    json_array_foreach(rows, i, row)
    {
        const char *path = "", *name = json_string_value(json_object_get(row, "name"));
        const json_t *data = json_object_get(row, "data");
        bool full = json_is_true(json_object_get(row, "full"));
        const char *message = kind_check(a, &kind_book, data, NULL, &path);
        if (full) ck_assert_msg(message == NULL, "%s: %s", name, message);
        if (full) message = kind_check_lists(a, &kind_book, data, NULL, &path);
        ck_assert_msg(message != NULL && strncmp(path, ".tags", 5) == 0, "%s is accepted", name);
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
        ck_assert_msg(clock_parse(text, &back) && back == ms, "%s is read as %lld", text, (long long)back);
    }
}
END_TEST

/* "E3" → 23, "I0" → 10; `absent` where it is null or not there. */
static int64_t number_of(const json_t *value, int64_t absent)
{
    if (json_is_integer(value)) return json_integer_value(value);
    const char *name = json_string_value(value);
    return name ? name[1] - '0' + (*name == 'I' ? 10 : 20) : absent;
}

static bool is_in(const json_t *list, const json_t *value)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) if (json_same(item, value)) return true;
    return false;
}

START_TEST(the_reasons_of_a_resync)
{
    enum { HERE = 15 };
    const json_t *rows = json_object_get(vectors, "resync");
    size_t i;
    json_t *row;
    ck_assert_uint_gt(json_array_size(rows), 0);
    json_array_foreach(rows, i, row)
    {
        const json_t *sent = json_object_get(row, "cursor"), *server = json_object_get(row, "server");
        const json_t *epoch = json_object_get(sent, "epoch"), *installation = json_object_get(sent, "installation");
        const char *name = json_string_value(epoch), *answer = json_string_value(json_object_get(row, "answer"));
        const json_t *until = name ? json_object_get(json_object_get(server, "until"), name) : NULL;
        origin from = {installation ? number_of(installation, 0) : HERE,
                       json_is_null(installation) ? 0 : number_of(json_object_get(sent, "generation"), 1)};
        position p = {number_of(epoch, 0),
                      json_integer_value(json_object_get(sent, "stamp")),
                      name ? MERGE_NEVER : -1,
                      MERGE_NEVER,
                      json_object_get(sent, "page") ? "book" : "",
                      "",
                      from};
        const position as_sent = p;
        ck_assert(position_read(a, position_write(a, &as_sent), &p));
        const resync_facts facts = {.here = {HERE, number_of(json_object_get(server, "generation"), 1)},
                                    .epoch = number_of(json_object_get(server, "epoch"), 0),
                                    .clock = number_of(json_object_get(server, "clock"), 1000000),
                                    .until = number_of(until, MERGE_NEVER),
                                    .until_in = until ? number_of(json_object_get(server, "imported"), HERE) : 0,
                                    .erased_at = is_in(json_object_get(server, "erased"), epoch) ? 7 : MERGE_NEVER,
                                    .forgotten = p.stamp < number_of(json_object_get(server, "horizon"), 0)};
        const resync found = resync_judge(&p, &facts);
        const char *reason = found.reason == RESYNC_NONE ? "pull" : resync_name(found.reason);
        ck_assert_msg(strcmp(reason, answer) == 0, "%s: %s", json_string_value(json_object_get(row, "name")), reason);
        ck_assert_int_eq(found.until, number_of(json_object_get(row, "until"), MERGE_NEVER));
        ck_assert_int_eq(found.erased_at, found.reason == RESYNC_ERASED ? 7 : MERGE_NEVER);
    }
}
END_TEST

Suite *suite_vectors(void)
{
    Suite *s = suite_create("vectors");
    TCase *c = tcase_create("vectors");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, edits_and_the_operations_of_the_client);
    tcase_add_test(c, sets_in_every_order);
    tcase_add_test(c, refused);
    tcase_add_test(c, instants);
    tcase_add_test(c, the_reasons_of_a_resync);
    suite_add_tcase(s, c);
    return s;
}
