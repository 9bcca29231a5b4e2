/* entity.c: the size of an entity with its marks is bounded, and the bound is found without writing it. */
#include <string.h>

#include "engine/entity.h"
#include "merge_cases.h"
#include "merge_oracle.h"

static entity *entity_new(merge_state *s)
{
    entity *e = arena_alloc(a, sizeof *e);
    e->state = s;
    return e;
}

static merge_row row_of(merge_state *s)
{
    strbuf data = STRBUF(a), marks = STRBUF(a);
    merge_write(s, &data);
    merge_row row = {.edited = merge_edited(s), .deleted = merge_deleted(s), .base = merge_write_marks(s, &marks)};
    row.data = data.data;
    row.marks = marks.data;
    return row;
}

static size_t row_size(const merge_row *row)
{
    return strlen(row->data) + (row->marks ? strlen(row->marks) : 0);
}

/* As rows.c loads it. `old`: from the form of version 1. */
static entity *reload(entity *e, bool old)
{
    merge_row row = row_of(e->state);
    if (old) row.marks = flat_marks(a, row.marks);
    entity *loaded = entity_new(merge_load(a, &row));
    loaded->size = strlen(row.data);
    loaded->slack = row.marks ? strlen(row.marks) : 0;
    return loaded;
}

static unsigned pick(unsigned n)
{
    return (unsigned)(unit_random("entity") % n);
}

static json_t *random_object(int depth)
{
    static const char *const names[] = {"", "a", "b", "~/~/", "a name that is longer than thirty-two bytes"};
    json_t *object = json_new_object(a);
    for (unsigned n = 1 + pick(3); n > 0; n--) {
        unsigned kind = pick(8);
        json_t *value = kind < 3 && depth < 4 ? json_incref(random_object(depth + 1))
                        : kind == 3           ? json_object()
                        : kind == 4           ? json_string("a text")
                                              : json_integer(1);
        json_put(a, object, names[pick(COUNT(names))], value);
    }
    return object;
}

/* Offers random edits; returns how many were refused. */
static size_t run(size_t limit, arena *scratch)
{
    size_t refused = 0;
    entity *e = entity_new(merge_new(a));
    for (int i = 0; i < 30; i++) {
        const merge_edit edit = {MERGE_PATCH, random_object(0), 1700000000000 + pick(20)};
        strbuf text = STRBUF(a);
        json_write(&text, edit.data);
        size_t size, cost;
        merge_row before = row_of(e->state);
        if (entity_outgrows(e, scratch, &edit, text.len, limit, &size, &cost)) {
            refused++;
            merge_apply(e->state, &edit, false);
            merge_row after = row_of(e->state);
            ASSERT_IN_LOOP(row_size(&after) == size, "%zu bytes announced: %s %s", size, after.data, after.marks);
            ASSERT_IN_LOOP(size > limit && size > row_size(&before), "%zu bytes are refused: %s", size, after.data);
            e = entity_new(merge_load(a, &before));
            e->size = row_size(&before);
            continue;
        }
        merge_apply(e->state, &edit, false);
        entity_grow(e, text.len);
        merge_row after = row_of(e->state);
        size = row_size(&after);
        ASSERT_IN_LOOP(size <= limit || size <= row_size(&before), "%zu bytes: %s %s", size, after.data, after.marks);
        ASSERT_IN_LOOP(size <= e->size + e->slack, "%zu bytes are more than %zu: %s", size, e->size + e->slack,
                       after.marks);
        if (pick(3) == 0) e = reload(e, pick(2) == 0);
    }
    return refused;
}

START_TEST(an_entity_does_not_grow_beyond_the_limit)
{
    static const size_t limits[] = {20, 100, 500, 3000, 1000000};
    size_t refused[COUNT(limits)] = {0};
    arena *scratch = arena_new();
    for (int i = 0; i < 1000; i++) {
        refused[i % COUNT(limits)] += run(limits[i % COUNT(limits)], scratch);
        arena_reset(a);
    }
    arena_free(scratch);
    ck_assert_uint_gt(refused[1], 0);
    ck_assert_uint_eq(refused[4], 0);
}
END_TEST

/* A row that is too large already, for example because the limit was lowered. */
START_TEST(an_edit_that_only_shrinks_is_accepted)
{
    size_t size, cost;
    arena *scratch = arena_new();
    entity *e = entity_new(merge_new(a));
    const char *text = arena_printf(a, "{'a':'%0100d','b':'%0100d'}", 1, 1);
    edit_apply(e->state, arena_printf(a, "10 patch %s", text));
    e = reload(e, false);
    const struct {
        const char *data;
        bool refused;
    } rows[] = {{"{'a':'short'}", false}, {"{'c':1}", true}, {"{'a':null,'b':null,'c':1}", false}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        const merge_edit edit = {MERGE_PATCH, parse(unquote(rows[i].data)), 20};
        ck_assert_int_eq(entity_outgrows(e, scratch, &edit, 10, 64, &size, &cost), rows[i].refused);
    }
    arena_free(scratch);
}
END_TEST

START_TEST(a_small_edit_of_a_small_entity_costs_nothing)
{
    size_t size, cost;
    entity *e = entity_new(merge_new(a));
    const merge_edit edit = {MERGE_PATCH, parse("{\"a\":1}"), 20};
    e->size = 800000;
    ck_assert(!entity_outgrows(e, NULL, &edit, 20, 1048576, &size, &cost));
    ck_assert_uint_eq(cost, 0);
}
END_TEST

Suite *suite_entity(void);

Suite *suite_entity(void)
{
    Suite *s = suite_create("entity");
    TCase *c = tcase_create("entity");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, an_entity_does_not_grow_beyond_the_limit);
    tcase_add_test(c, an_edit_that_only_shrinks_is_accepted);
    tcase_add_test(c, a_small_edit_of_a_small_entity_costs_nothing);
    suite_add_tcase(s, c);
    return s;
}
