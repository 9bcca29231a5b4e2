/* merge.[ch]: the cost grows with the number of members, not with its square. */
#include <time.h>

#include "merge_cases.h"

/* An object of `count` members named from `first` on. */
static json_t *wide(int first, int count, int value)
{
    json_t *object = json_object();
    arena_defer(a, (void (*)(void *))json_decref, object);
    for (int i = first; i < first + count; i++)
        json_object_set_new(object, arena_printf(a, "member%d", i), json_integer(value));
    return object;
}

/* The processor time in seconds of a create, an update and a replacement with `count` members, half of them new. */
static double measure(int count)
{
    merge_state *s = merge_new(a);
    merge_edit first = {MERGE_PATCH, wide(0, count, 1), 10}, second = {MERGE_PATCH, wide(count / 2, count, 2), 20};
    merge_edit third = {MERGE_REPLACE, wide(0, count, 3), 15};
    clock_t start = clock();
    merge_apply(s, &first, false);
    merge_effect effect = merge_apply(s, &second, false);
    ck_assert_uint_eq(effect.applied, count);
    s = store_and_load(s);
    effect = merge_apply(s, &third, false);
    ck_assert_uint_eq(effect.applied, count / 2);
    s = store_and_load(s);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    ck_assert_uint_eq(json_object_size(parse(tree_of(s))), count + count / 2);
    arena_reset(a);
    return seconds;
}

/* The same of `count` edits of an object with `count` members. */
static double measure_edits(int count)
{
    clock_t start = clock();
    merge_state *s = merge_new(a);
    merge_edit edit = {MERGE_PATCH, wide(0, count, 1), 1};
    merge_apply(s, &edit, false);
    for (int i = 0; i < count; i++) {
        edit = (merge_edit){MERGE_PATCH, wide(i, 1, 2), i + 2};
        merge_apply(s, &edit, true);
        merge_effect effect = merge_apply(s, &edit, false);
        if (effect.applied != 1) ck_abort_msg("edit %d", i);
    }
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    arena_reset(a);
    return seconds;
}

START_TEST(wide_objects_are_not_slow)
{
    unit_check_growth(measure, 2500);
}
END_TEST

START_TEST(many_edits_of_a_wide_object_are_not_slow)
{
    unit_check_growth(measure_edits, 2500);
}
END_TEST

Suite *suite_merge_speed(void);

Suite *suite_merge_speed(void)
{
    Suite *s = suite_create("merge_speed");
    TCase *c = tcase_create("merge_speed");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, wide_objects_are_not_slow);
    tcase_add_test(c, many_edits_of_a_wide_object_are_not_slow);
    suite_add_tcase(s, c);
    return s;
}
