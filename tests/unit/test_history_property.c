/*
 * The property of tests/db/test_history.c without the database: whatever the order in which operations arrive, however
 * often they are repeated and however they are batched, the outcome is that of the model (tests/db/history.h). The
 * library is in memory (library.h), so thousands of histories take seconds. Repeats are applied again here; on a server
 * the ledger answers most of them. Some edits may also come as the state of another library that has them, as after a
 * restore or in an import.
 *
 * With the policies local, server and manual the order of arrival matters. There, an operation that wins by its policy
 * must be worth as much as a later edit, and one that loses by it as much as none; and the batches must not matter.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "history_run.h"

enum { ORDERS = 4, SECOND = 1000 };

/* Any order of a history without policies */

static const char *check_outcome(const run *r)
{
    json_t *found = library_outcome(&r->library), *expected = history_outcome(r->h);
    const char *fault = run_differ_in("entities", expected, found);
    if (!fault) fault = run_differ_in("pulled", expected, found);
    if (!fault) fault = run_differ_in("open", expected, found);
    json_decref(found);
    json_decref(expected);
    return fault;
}

static const char *check_order(run *r, dice *d, bool in_order, json_t **times)
{
    run_begin(r);
    run_plan(r, d, NULL, in_order, !in_order);
    run_divide(r, d, dice_chance(d, 20) ? COPIES_MAX : 1 + dice_below(d, 8));
    r->versions = true;
    const char *fault = run_requests(r, d);
    if (!fault) fault = check_outcome(r);
    if (fault) return fault;
    json_t *now = library_times(&r->library);
    if (!*times) *times = json_incref(now);
    fault = run_differ("times of the leaves", *times, now);
    json_decref(now);
    return fault;
}

static const char *check_orders(run *r, dice *d)
{
    json_t *times = NULL;
    const char *fault = NULL;
    for (int i = 0; i < ORDERS && !fault; i++) {
        arena_reset(run_arena);
        fault = check_order(r, d, i == 0, &times);
    }
    json_decref(times);
    return fault;
}

/* Two libraries that have some operations each and some both. The states of the second one are joined with those of the
 * first one, then the last operations come. */
static const char *check_joined(run *r, dice *d)
{
    bool chosen[3][OPS_MAX] = {{false}}; /* of the second library, of the first one, at the end */
    library other = {0};
    const char *fault = NULL;
    size_t most = 1 + dice_below(d, 8);
    for (size_t i = 0; i < r->h->count; i++) {
        size_t share = dice_below(d, 4);
        for (size_t j = 0; j < 3; j++) chosen[j][i] = share == j || (share == 3 && j < 2);
    }
    for (size_t j = 0; j < 3 && !fault; j++) {
        if (j == 1) other = r->library;
        if (j < 2) run_begin(r);
        if (j == 2) fault = run_join(r, d, &other);
        if (j == 2 && !fault && dice_chance(d, 50)) fault = run_join(r, d, &other); /* again */
        run_plan(r, d, chosen[j], false, true);
        run_divide(r, d, most);
        if (!fault) fault = run_requests(r, d);
    }
    return fault ? fault : check_outcome(r);
}

/* Policies */

static int by_time(const void *x, const void *y)
{
    const op *a = x, *b = y;
    return a->at < b->at ? -1 : a->at > b->at;
}

static void drop_times(json_t *entities)
{
    const char *name;
    json_t *entity;
    json_object_foreach(entities, name, entity)
    {
        json_object_del(entity, "edited");
        json_object_del(entity, "deleted");
        json_object_del(entity, "superseded");
    }
}

/* The same arrivals in other batches: the same content, though a time that wins may differ by a millisecond. */
static const char *check_batches(run *r, dice *d, const json_t *alone)
{
    r->effective = NULL;
    run_begin(r);
    run_divide(r, d, 8);
    const char *fault = run_requests(r, d);
    if (fault) return fault;
    json_t *before = json_deep_copy(json_object_get(alone, "entities")), *found = library_outcome(&r->library);
    json_t *now = json_object_get(found, "entities");
    drop_times(before);
    drop_times(now);
    fault = run_differ("entities, in other batches", before, now);
    json_decref(before);
    json_decref(found);
    return fault;
}

static const char *check_policies(run *r, dice *d)
{
    history *effective = calloc(1, sizeof *effective);
    if (!effective) abort();
    for (size_t i = 0; i < r->h->count; i++) r->policies[i] = (policy)dice_below(d, 4);
    run_begin(r);
    run_plan(r, d, NULL, dice_chance(d, 20), false);
    run_divide(r, d, 1);
    r->effective = effective;
    const char *fault = run_requests(r, d);
    qsort(effective->ops, effective->count, sizeof *effective->ops, by_time);
    bool tie = false; /* of times that win: an incomplete entity does not compete for its key, but may do so later */
    for (size_t i = 1; i < effective->count; i++) tie |= effective->ops[i].at == effective->ops[i - 1].at;
    json_t *found = library_outcome(&r->library), *expected = history_outcome(effective);
    if (!fault && !tie) fault = run_differ_in("entities", expected, found);
    if (!fault && !tie) fault = check_batches(r, d, found);
    json_decref(found);
    json_decref(expected);
    free(effective);
    return fault;
}

START_TEST(the_outcome_does_not_depend_on_order_repeats_or_batches)
{
    if (_i == 0) run_histories("history_property", check_orders, false, 0, 1000);
    if (_i == 1) run_histories("history_property, crowd", check_orders, true, 0, 250);
}
END_TEST

START_TEST(nor_on_which_edits_come_as_states)
{
    if (_i == 0) run_histories("history_property, states", check_joined, false, 0, 1000);
    if (_i == 1) run_histories("history_property, states, crowd", check_joined, true, 0, 250);
}
END_TEST

/* Times that win by a policy lie between those of the operations. */
START_TEST(a_policy_makes_an_operation_a_later_edit_or_none)
{
    if (_i == 0) run_histories("history_property, policies", check_policies, false, SECOND, 1000);
    if (_i == 1) run_histories("history_property, policies, crowd", check_policies, true, SECOND, 250);
}
END_TEST

Suite *suite_history_property(void);

Suite *suite_history_property(void)
{
    Suite *s = suite_create("history_property");
    TCase *c = tcase_create("history_property");
    tcase_set_timeout(c, 7200);
    tcase_add_loop_test(c, the_outcome_does_not_depend_on_order_repeats_or_batches, 0, 2);
    tcase_add_loop_test(c, nor_on_which_edits_come_as_states, 0, 2);
    tcase_add_loop_test(c, a_policy_makes_an_operation_a_later_edit_or_none, 0, 2);
    suite_add_tcase(s, c);
    return s;
}
