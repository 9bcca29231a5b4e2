/*
 * The property that all of the sync rests on: whatever the order in which operations arrive, however often they are
 * repeated and however they are batched, the outcome is the same as long as their timestamps differ.
 *
 * A random history is told to several fresh users, each time in another order, and what the database then holds is
 * compared with a model (history.h). A history that fails is made smaller as long as it fails, and printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "harness.h"
#include "history.h"

enum { COPIES_MAX = 3 * OPS_MAX, ORDERS = 4 };

/* What the database holds */

static json_t *column_json(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? json_null() : json_loads(PQgetvalue(r, row, column), JSON_DECODE_ANY, NULL);
}

static json_t *read_entities(PGconn *admin, const char *user, json_t *all_times)
{
    enum { KIND, ID, STATUS, EDITED, DELETED, SUPERSEDED, BASE, MARKS, DATA };
    json_t *entities = json_object();
    PGresult *r = sql_run(admin,
                          "SELECT kind, entity_id, status, edited_at, deleted_at, CASE kind WHEN 'readingLog' THEN"
                          " coalesce(superseded_at, 0) ELSE (superseded_at IS NOT NULL)::int END, base_at,"
                          " coalesce(marks, '{}'), data FROM entities WHERE user_id = '%s'",
                          user);
    for (int i = 0; i < PQntuples(r); i++) {
        json_t *name = entity_name(PQgetvalue(r, i, KIND), PQgetvalue(r, i, ID));
        json_t *data = column_json(r, i, DATA), *base = column_json(r, i, BASE), *marks = column_json(r, i, MARKS);
        json_object_set_new(all_times, json_string_value(name), history_times(data, base, marks));
        json_object_set_new(entities, json_string_value(name),
                            json_pack("{s:s, s:o, s:o, s:o, s:o}", "status", PQgetvalue(r, i, STATUS), "data", data,
                                      "edited", column_json(r, i, EDITED), "deleted", column_json(r, i, DELETED),
                                      "superseded", column_json(r, i, SUPERSEDED)));
        json_decref(name);
        json_decref(base);
        json_decref(marks);
    }
    PQclear(r);
    return entities;
}

static json_t *read_open(PGconn *admin, const char *user)
{
    json_t *open = json_object();
    PGresult *r = sql_run(admin,
                          "SELECT kind || ' ' || CASE WHEN other_id IS NULL THEN entity_id ELSE"
                          " least(entity_id, other_id) || ' + ' || greatest(entity_id, other_id) END,"
                          " string_agg(reason, ' and ') FROM conflicts WHERE user_id = '%s' AND status = 'open'"
                          " GROUP BY 1",
                          user);
    for (int i = 0; i < PQntuples(r); i++)
        json_object_set_new(open, PQgetvalue(r, i, 0), json_string(PQgetvalue(r, i, 1)));
    PQclear(r);
    return open;
}

static json_t *read_pulled(peer *p)
{
    json_t *pulled = json_object(), *change;
    size_t i;
    json_array_foreach(json_object_get(peer_pull_all(p), "changes"), i, change)
    {
        json_t *data = json_deep_copy(json_object_get(change, "data"));
        json_t *name = entity_name(text_of(change, "type"), text_of(data, "id"));
        const char *const servers[] = {"id", "createdAt", "updatedAt"};
        for (size_t k = 0; k < 3; k++) text_of(data, servers[k]), json_object_del(data, servers[k]);
        if (json_object_get(change, "deleted")) json_object_set_new(data, "deleted", json_true());
        json_object_set_new(pulled, json_string_value(name), data);
        json_decref(name);
    }
    return pulled;
}

/* Telling a history */

static json_t *op_json(const op *o, dice *d)
{
    json_t *j = history_operation(o);
    if (dice_chance(d, 20)) json_object_set_new(j, "retryCount", json_integer((json_int_t)dice_below(d, 3)));
    if (dice_chance(d, 20)) json_object_set_new(j, "baseVersion", json_integer(clock_now() - (int)dice_below(d, 9)));
    return j;
}

/* Whether `result` repeats `before`. Where the entity has another version by now, that version stands in place of the
 * content. */
static bool is_repeat_of(const json_t *before, const json_t *result)
{
    json_t *x = json_deep_copy(before), *y = json_deep_copy(result), *both[] = {x, y};
    const json_t *current = json_object_get(y, "current");
    bool newer = current && !json_object_get(y, "data");
    const char *version = json_string_value(json_object_get(current, "updatedAt"));
    if (version) newer &= strcmp(version, text_of(x, "updatedAt")) > 0;
    for (size_t i = 0; current && i < 2; i++) json_object_del(both[i], "data"), json_object_del(both[i], "deleted");
    json_object_del(y, "current");
    bool same = json_equal(x, y) && (!json_object_get(result, "current") || newer);
    json_decref(x);
    json_decref(y);
    return same;
}

/* Each result echoes its operation, settles it, and repeats are repeats. */
static const char *check_results(peer *p, json_t *reply, json_t *sent, json_t *results_by_id)
{
    for (size_t i = 0; i < json_array_size(sent); i++) {
        json_t *result = json_deep_copy(result_of(reply, i));
        const char *id = text_of(json_array_get(sent, i), "id");
        json_t *before = json_object_get(results_by_id, id);
        bool repeat = json_is_true(json_object_get(result, "duplicate"));
        json_object_del(result, "duplicate");
        bool settled = strcmp(text_of(result, "id"), id) == 0 && strcmp(text_of(result, "status"), "success") == 0;
        bool stamped = strcmp(text_of(result, "updatedAt"), text_of(reply, "syncedAt")) == 0;
        const char *resolution = json_string_value(json_object_get(result, "resolution"));
        bool misled = resolution && strcmp(resolution, "client") != 0;
        bool right = before ? repeat && is_repeat_of(before, result) : !repeat && (stamped || !misled);
        if (!before) json_object_set(results_by_id, id, result);
        json_decref(result);
        if (!settled || !right) return peer_printf(p, "the result of %s: %s", id, json_dumps(result_of(reply, i), 0));
    }
    return NULL;
}

static const char *tell(history *h, dice *d, peer *p, bool in_order)
{
    const op *copies[COPIES_MAX];
    size_t count = 0, used = 0;
    const char *fault = NULL;
    json_t *results_by_id = json_object();
    for (size_t i = 0; i < h->count; i++)
        for (size_t n = in_order || dice_chance(d, 70) ? 1 : 2 + dice_below(d, 2); n > 0; n--)
            copies[count++] = &h->ops[i];
    for (size_t i = count; !in_order && i > 1; i--) {
        size_t j = dice_below(d, i);
        const op *swap = copies[j];
        copies[j] = copies[i - 1];
        copies[i - 1] = swap;
    }
    size_t batch = dice_chance(d, 20) ? count : 1 + dice_below(d, 8);
    h->story[0] = '\0';
    for (size_t i = 0; i < count && !fault;) {
        size_t n = 1 + dice_below(d, batch);
        json_t *list = json_array(), *body = json_pack("{s:o}", "operations", list);
        for (; n > 0 && i < count; n--) json_array_append_new(list, op_json(copies[i++], d));
        if (dice_chance(d, 60)) json_object_set_new(body, "deviceId", json_sprintf("d%zu", dice_below(d, 3)));
        if (dice_chance(d, 30))
            json_object_set_new(body, "lastSync", json_integer(clock_now() - (int)dice_below(d, 9)));
        char *text = json_dumps(body, JSON_COMPACT);
        used += (size_t)snprintf(h->story + used, sizeof h->story - used, "%s\n", text);
        if (used >= sizeof h->story) used = sizeof h->story - 1;
        fault = check_results(p, peer_post(p, text), list, results_by_id);
        free(text);
        json_decref(body);
    }
    json_decref(results_by_id);
    return fault;
}

static const char *differ(peer *p, const char *what, const json_t *expected, const json_t *found)
{
    if (json_equal(expected, found)) return NULL;
    char *x = json_dumps(expected, JSON_SORT_KEYS), *y = json_dumps(found, JSON_SORT_KEYS);
    const char *message = peer_printf(p, "%s\n  expected %s\n  found    %s", what, x, y);
    free(x);
    free(y);
    return message;
}

/* Tells `h` to a fresh user; NULL, or what is wrong. */
static const char *check_order(history *h, dice *d, peer *p, PGconn *admin, bool in_order)
{
    peer_become(p, NULL);
    const char *fault = tell(h, d, p, in_order);
    if (fault) return fault;
    json_t *times = json_object(), *entities = read_entities(admin, p->user, times);
    json_t *pulled = read_pulled(p), *open = read_open(admin, p->user), *expected = history_outcome(h);
    if (!h->times) h->times = json_incref(times);
    fault = differ(p, "entities", json_object_get(expected, "entities"), entities);
    if (!fault) fault = differ(p, "a pull from the beginning", json_object_get(expected, "pulled"), pulled);
    if (!fault) fault = differ(p, "open conflicts", json_object_get(expected, "open"), open);
    if (!fault) fault = differ(p, "times of the leaves", h->times, times);
    json_decref(times);
    json_decref(entities);
    json_decref(pulled);
    json_decref(open);
    json_decref(expected);
    return fault;
}

static const char *check_orders(history *h, dice *d, peer *p, PGconn *admin, int orders)
{
    const char *fault = NULL;
    json_decref(h->times);
    h->times = NULL;
    for (int i = 0; i < orders && !fault; i++) fault = check_order(h, d, p, admin, i == 0);
    return fault;
}

/* Takes away operations as long as the rest still fails, and reports. */
static void report(history *h, dice *d, peer *p, PGconn *admin, int number)
{
    for (size_t i = 0; i < h->count;) {
        op taken = h->ops[i];
        memmove(&h->ops[i], &h->ops[i + 1], (--h->count - i) * sizeof *h->ops);
        if (check_orders(h, d, p, admin, 25)) {
            json_decref(taken.data);
            i = 0;
            continue;
        }
        memmove(&h->ops[i + 1], &h->ops[i], (h->count++ - i) * sizeof *h->ops);
        h->ops[i++] = taken;
    }
    const char *fault = NULL;
    for (int i = 0; i < 100 && !fault; i++) fault = check_orders(h, d, p, admin, 25);
    /* Check cannot carry a long message. */
    printf("history %d, made smaller: %s\nrequests:\n%s", number, fault ? fault : "(passes now)", h->story);
    fflush(stdout);
    ck_abort_msg("history %d, see above", number);
}

static void check_histories(const char *name, bool crowd, int count)
{
    dice d = dice_new(name);
    const char *asked = getenv("BOOKY_HISTORIES");
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    for (int i = 0; i < (asked ? atoi(asked) : count); i++) {
        history *h = calloc(1, sizeof *h);
        if (!h) abort();
        history_make(h, &d, crowd);
        if (check_orders(h, &d, p, admin, ORDERS)) report(h, &d, p, admin, i);
        history_free(h);
    }
    PQfinish(admin);
    peer_free(p);
}

START_TEST(the_outcome_does_not_depend_on_order_repeats_or_batches)
{
    check_histories("history", false, 150);
}
END_TEST

START_TEST(nor_does_it_when_many_entities_share_a_key)
{
    check_histories("crowd", true, 30);
}
END_TEST

Suite *suite_history(void)
{
    Suite *s = suite_create("history");
    TCase *t = tcase_create("history");
    tcase_set_timeout(t, 1200);
    tcase_add_test(t, the_outcome_does_not_depend_on_order_repeats_or_batches);
    tcase_add_test(t, nor_does_it_when_many_entities_share_a_key);
    suite_add_tcase(s, t);
    return s;
}
