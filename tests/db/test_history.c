/*
 * The property that all of the sync rests on: whatever the order in which operations arrive, however often they are
 * repeated and however they are batched, the outcome is the same as long as their timestamps differ.
 *
 * A history is a random list of operations. It is told to several fresh users, each time in another order, and what the
 * database then holds is compared with a model: the same operations in the order of their timestamps, where the last one
 * simply wins. A history that fails is made smaller as long as it fails, and printed.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "kind.h"
#include "merge.h"

enum { OPS_MAX = 48, THINGS_MAX = 32, COPIES_MAX = 3 * OPS_MAX, ORDERS = 4 };

static const struct cast {
    const char *kind;
    const char *ids[6];
} casts[] = {
    {"book", {"import_1", "import_2", "a \\\"b\\\" / ü"}}, {"rating", {"r1", "r2", "r3", "r4"}},
    {"readingLog", {"l1", "l2", "l3"}},                    {"tag", {"t1", "t2", "t3", "t4"}},
    {"collection", {"import_1", "c2", "c3"}},              {"userSettings", {"settings", "u-17", "me"}},
};

enum { CASTS = sizeof casts / sizeof *casts };

/* What operations write. Few values, so that they meet; trees that grow, shrink and take each other's place. */
static const struct member {
    const char *kind, *name, *values[12];
} members[] = {
    {"book", "title", {"\"Dune\"", "\"Emma\""}},
    {"book", "publishedYear", {"null", "1965", "1965.0", "9007199254740993"}},
    {"book", "averageRating", {"4.1", "0.30000000000000004", "null"}},
    {"book", "authors", {"[]", "[\"A\"]", "[{\"name\":\"A\"}]", "null"}},
    {"book", "externalIds", {"{}", "null", "{\"isbn\":{\"ten\":\"X\"}}", "{\"isbn\":{\"13\":\"Y\"}}", "{\"isbn\":[1]}",
                             "{\"isbn\":{}}", "{\"oclc\":7}", "{\"isbn\":null,\"oclc\":8}"}},
    {"book", "own", {"1", "\"x\"", "{}", "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":{\"c\":2}}}", "{\"a\":{}}", "{\"a\":5}",
                     "{\"a\":{\"d\":[{}]},\"e\":null}", "{\"a/b\":{\"~\":1,\"~1\":{}}}", "{\"\":{\"\":3}}",
                     "{\"a/b\":4,\"\":{}}"}},
    {"rating", "bookId", {"\"b1\"", "\"b2\"", "\"b3\""}},
    {"rating", "stars", {"1", "4.5", "5"}},
    {"rating", "why", {"\"fun\"", "{\"plot\":1}", "{\"plot\":{}}"}},
    {"readingLog", "bookId", {"\"b1\"", "\"b2\""}},
    {"readingLog", "status", {"\"read\"", "\"dnf\"", "\"want_to_read\""}},
    {"readingLog", "finishedAt", {"null", "\"2024-01-15T10:30:00+02:00\"", "1700000000000"}},
    {"tag", "name", {"\"Fantasy\"", "\"Horror\"", "\"fantasy\""}},
    {"tag", "color", {"\"red\"", "null"}},
    {"collection", "name", {"\"Best\"", "\"Worst\""}},
    {"collection", "isSmart", {"true", "false"}},
    {"collection", "smartRules", {"[]", "{}", "{\"all\":[1]}", "{\"all\":{\"x\":1}}", "null"}},
    {"userSettings", "theme", {"\"dark\"", "\"light\"", "null"}},
    {"userSettings", "notificationPreferences", {"{\"mail\":true}", "{\"push\":{\"at\":9}}", "{\"push\":null}", "null"}},
};

enum { MEMBERS = sizeof members / sizeof *members };

typedef struct op {
    int number;
    const char *type;
    const kind *kind;
    const char *id;
    json_t *data; /* NULL: a deletion */
    int64_t at;
} op;

typedef struct history {
    op ops[OPS_MAX];
    size_t count;
    json_t *times; /* of the first order: entity → path → time */
    char story[65536]; /* the requests of the last order, for the report */
} history;

/* Making histories */

static size_t count_of(const char *const *list, size_t room)
{
    size_t n = 0;
    while (n < room && list[n]) n++;
    return n;
}

static bool is_required(const kind *k, const char *name)
{
    for (const field *f = k->fields; f->name; f++)
        if (strcmp(f->name, name) == 0) return f->required;
    return false;
}

static json_t *data_new(dice *d, const kind *k, bool whole)
{
    json_t *data = json_object();
    for (size_t i = 0; i < MEMBERS; i++) {
        const struct member *m = &members[i];
        bool needed = whole && is_required(k, m->name);
        if (strcmp(m->kind, k->name) != 0 || (!needed && !dice_chance(d, 35))) continue;
        const char *text = m->values[dice_below(d, count_of(m->values, 12))];
        json_object_set_new(data, m->name, json_loads(text, JSON_DECODE_ANY, NULL));
    }
    return data;
}

/* Mostly one kind, so that operations meet; sometimes all. In a crowd two dozen entities compete for one or two keys. */
static void history_make(history *h, dice *d, bool crowd)
{
    static const char *const crowd_ids[] = {"01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12",
                                            "13", "14", "15", "16", "17", "18", "19", "20", "21", "22", "23", "24"};
    static const char *const types[] = {"create", "create", "update", "update", "update", "delete"};
    size_t cast = dice_below(d, crowd ? CASTS : CASTS + 1);
    h->count = crowd ? OPS_MAX : 2 + dice_below(d, OPS_MAX - 2);
    int64_t at = clock_now() - 100 * CLOCK_DAY;
    for (size_t i = 0; i < h->count; i++) {
        bool any = cast == CASTS || (!crowd && dice_chance(d, 15));
        const struct cast *c = &casts[any ? dice_below(d, CASTS) : cast];
        const char *id = crowd ? DICE_PICK(d, crowd_ids) : c->ids[dice_below(d, count_of(c->ids, 6))];
        const char *type = DICE_PICK(d, types);
        const kind *k = kind_find(c->kind);
        at += 1 + (int64_t)dice_below(d, dice_chance(d, 50) ? 3 : 4000000);
        h->ops[i] = (op){.number = (int)i, .type = type, .kind = k, .id = id,
                         .data = *type == 'd' ? NULL : data_new(d, k, *type == 'c'), .at = at};
    }
}

static void history_free(history *h)
{
    for (size_t i = 0; i < h->count; i++) json_decref(h->ops[i].data);
    json_decref(h->times);
    free(h);
}

/* The model */

typedef struct thing {
    const kind *kind;
    const char *id;
    json_t *data;
    int64_t edited, deleted;
} thing;

typedef struct model {
    thing things[THINGS_MAX];
    size_t count;
} model;

static void patch(json_t *to, json_t *from)
{
    const char *key;
    json_t *value;
    json_object_foreach (from, key, value) {
        if (!json_is_object(value)) {
            json_object_set(to, key, value);
            continue;
        }
        if (!json_is_object(json_object_get(to, key))) json_object_set_new(to, key, json_object());
        patch(json_object_get(to, key), value);
    }
}

static void model_apply(model *m, const op *o)
{
    const char *id = o->kind->fixed_id ? o->kind->fixed_id : o->id;
    thing *t = NULL;
    for (size_t i = 0; i < m->count && !t; i++)
        if (m->things[i].kind == o->kind && strcmp(m->things[i].id, id) == 0) t = &m->things[i];
    if (!t) {
        t = &m->things[m->count++];
        *t = (thing){o->kind, id, json_object(), MERGE_NEVER, MERGE_NEVER};
    }
    if (!o->data) {
        t->deleted = o->at;
        return;
    }
    patch(t->data, o->data);
    t->edited = o->at;
}

static bool is_whole(const thing *t)
{
    if (t->edited == MERGE_NEVER) return false;
    for (const field *f = t->kind->fields; f->name; f++)
        if (f->required && !json_object_get(t->data, f->name)) return false;
    return true;
}

static bool same_key(const thing *x, const thing *y)
{
    if (x->kind != y->kind || !x->kind->key) return false;
    const json_t *a = json_object_get(x->data, x->kind->key), *b = json_object_get(y->data, y->kind->key);
    return a && b && json_equal(a, b);
}

/* Whether another entity has its place: of all with its key the one that was edited last holds it, deleted or not. */
static bool is_superseded(const model *m, const thing *t)
{
    if (t->kind->rule != KIND_ONE_PER_KEY || !is_whole(t) || t->deleted > t->edited) return false;
    for (size_t i = 0; i < m->count; i++)
        if (same_key(t, &m->things[i]) && is_whole(&m->things[i]) && m->things[i].edited > t->edited) return true;
    return false;
}

static const char *status_of(const model *m, const thing *t)
{
    if (t->deleted > t->edited || is_superseded(m, t)) return "deleted";
    return is_whole(t) ? "live" : "incomplete";
}

static json_t *time_or_null(int64_t at)
{
    return at == MERGE_NEVER ? json_null() : json_integer(at);
}

static json_t *name_of(const char *kind, const char *id)
{
    return json_sprintf("%s %s", kind, id);
}

/* Everything that must not depend on the order: entities by name, and the open conflicts. */
static json_t *model_outcome(const history *h)
{
    model m = {.count = 0};
    for (size_t i = 0; i < h->count; i++) model_apply(&m, &h->ops[i]);
    json_t *entities = json_object(), *pulled = json_object(), *open = json_object();
    for (size_t i = 0; i < m.count; i++) {
        thing *t = &m.things[i];
        const char *status = status_of(&m, t);
        json_t *name = name_of(t->kind->name, t->id);
        int64_t deleted = t->deleted > t->edited ? t->deleted : MERGE_NEVER;
        json_object_set_new(entities, json_string_value(name),
                            json_pack("{s:s, s:O, s:o, s:o, s:b}", "status", status, "data", t->data, "edited",
                                      time_or_null(t->edited), "deleted", time_or_null(deleted), "superseded",
                                      is_superseded(&m, t)));
        if (strcmp(status, "live") == 0) json_object_set(pulled, json_string_value(name), t->data);
        if (strcmp(status, "incomplete") == 0)
            json_object_set_new(open, json_string_value(name), json_string("incomplete"));
        for (size_t j = 0; t->kind->rule == KIND_NAMES_CLASH && j < m.count; j++) {
            const thing *u = &m.things[j];
            if (!same_key(t, u) || strcmp(t->id, u->id) >= 0) continue;
            if (strcmp(status, "live") != 0 || strcmp(status_of(&m, u), "live") != 0) continue;
            json_t *pair = json_sprintf("%s %s + %s", t->kind->name, t->id, u->id);
            json_object_set_new(open, json_string_value(pair), json_string("same_name"));
            json_decref(pair);
        }
        json_decref(name);
    }
    for (size_t i = 0; i < m.count; i++) json_decref(m.things[i].data);
    return json_pack("{s:o, s:o, s:o}", "entities", entities, "pulled", pulled, "open", open);
}

/* What the database holds */

static json_t *column_json(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? json_null() : json_loads(PQgetvalue(r, row, column), JSON_DECODE_ANY, NULL);
}

/* The times of all leaves and empty objects: `base`, but for those that `marks` names. */
static void spell_times(const json_t *data, const char *path, json_t *base, json_t *times)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)data, key, value) {
        char below[1024];
        size_t n = (size_t)snprintf(below, sizeof below, "%s/", path);
        for (const char *c = key; *c; c++)
            n += (size_t)sprintf(below + n, *c == '~' ? "~0" : *c == '/' ? "~1" : "%c", *c);
        if (!json_is_object(value)) json_object_set(times, below, base);
        else if (json_object_size(value) == 0) json_object_set(times, strcat(below, "/~"), base);
        else spell_times(value, below, base, times);
    }
}

static json_t *read_entities(PGconn *admin, const char *user, json_t *all_times)
{
    enum { KIND, ID, STATUS, EDITED, DELETED, SUPERSEDED, BASE, MARKS, DATA };
    json_t *entities = json_object();
    PGresult *r = sql_run(admin,
                          "SELECT kind, entity_id, status, edited_at, deleted_at, superseded_at IS NOT NULL, base_at,"
                          " coalesce(marks, '{}'), data FROM entities WHERE user_id = '%s'",
                          user);
    for (int i = 0; i < PQntuples(r); i++) {
        json_t *name = name_of(PQgetvalue(r, i, KIND), PQgetvalue(r, i, ID)), *times = json_object();
        json_t *data = column_json(r, i, DATA), *base = column_json(r, i, BASE), *marks = column_json(r, i, MARKS);
        spell_times(data, "", base, times);
        json_object_update(times, marks);
        json_object_set_new(all_times, json_string_value(name), times);
        json_object_set_new(entities, json_string_value(name),
                            json_pack("{s:s, s:o, s:o, s:o, s:b}", "status", PQgetvalue(r, i, STATUS), "data", data,
                                      "edited", column_json(r, i, EDITED), "deleted", column_json(r, i, DELETED),
                                      "superseded", *PQgetvalue(r, i, SUPERSEDED) == 't'));
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
    json_array_foreach (json_object_get(peer_pull_all(p), "changes"), i, change) {
        json_t *data = json_deep_copy(json_object_get(change, "data"));
        json_t *name = name_of(text_of(change, "type"), text_of(data, "id"));
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
    json_t *j = json_pack("{s:o, s:s, s:s, s:s, s:I, s:O*}", "id", json_sprintf("op-%d", o->number), "type", o->type,
                          "entity", o->kind->name, "entityId", o->id, "timestamp", (json_int_t)o->at, "data", o->data);
    if (dice_chance(d, 20)) json_object_set_new(j, "retryCount", json_integer((json_int_t)dice_below(d, 3)));
    if (dice_chance(d, 20)) json_object_set_new(j, "baseVersion", json_integer(clock_now() - (int)dice_below(d, 9)));
    return j;
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
        bool right = before ? repeat && json_equal(before, result) : !repeat && (stamped || !misled);
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
        for (size_t n = in_order || dice_chance(d, 70) ? 1 : 2 + dice_below(d, 2); n > 0; n--) copies[count++] = &h->ops[i];
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
        if (dice_chance(d, 30)) json_object_set_new(body, "lastSync", json_integer(clock_now() - (int)dice_below(d, 9)));
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
    json_t *pulled = read_pulled(p), *open = read_open(admin, p->user), *expected = model_outcome(h);
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
    ck_abort_msg("history %d, made smaller: %s\nrequests:\n%s", number, fault ? fault : "(passes now)", h->story);
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

static long long live_ratings(PGconn *admin, const peer *p, const char *id)
{
    return sql_number(admin, "SELECT count(*) FROM entities WHERE user_id = '%s' AND status = 'live' AND entity_id = '%s'",
                      p->user, id);
}

START_TEST(when_many_holders_leave_a_book_at_once_the_next_in_line_returns)
{
    enum { RATINGS = 40, LEAVING = 36 };
    const char *ops[RATINGS];
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    int64_t at = clock_now() - CLOCK_DAY;
    for (int i = 0; i < RATINGS; i++)
        ops[i] = peer_operation(p, peer_printf(p, "c%d", i), "create", "rating", peer_printf(p, "r%d", i),
                                "{\"bookId\":\"b\",\"stars\":3}", at + i);
    peer_post(p, peer_body(p, ops, RATINGS));
    for (int i = 0; i < LEAVING; i++)
        ops[i] = peer_operation(p, peer_printf(p, "u%d", i), "update", "rating", peer_printf(p, "r%d", RATINGS - 1 - i),
                                peer_printf(p, "{\"bookId\":\"other-%d\"}", i), at + 1000 + i);
    peer_post(p, peer_body(p, ops, LEAVING));
    for (int i = 0; i < RATINGS; i++) {
        const char *id = peer_printf(p, "r%d", i);
        ck_assert_msg(live_ratings(admin, p, id) == (i >= RATINGS - LEAVING - 1), "rating %s", id);
    }
    PQfinish(admin);
    peer_free(p);
}
END_TEST

START_TEST(incomplete_ratings_do_not_hide_who_holds_the_place)
{
    enum { INCOMPLETE = 40 };
    const char *ops[INCOMPLETE];
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    int64_t at = clock_now() - CLOCK_DAY;
    const char *first = peer_operation(p, "c", "create", "rating", "holder", "{\"bookId\":\"b\",\"stars\":3}", at);
    const char *last = peer_operation(p, "d", "create", "rating", "older", "{\"bookId\":\"b\",\"stars\":1}", at - 1);
    for (int i = 0; i < INCOMPLETE; i++)
        ops[i] = peer_operation(p, peer_printf(p, "u%d", i), "update", "rating", peer_printf(p, "r%d", i),
                                "{\"bookId\":\"b\"}", at + 1 + i);
    peer_post(p, peer_body(p, &first, 1));
    peer_post(p, peer_body(p, ops, INCOMPLETE));
    peer_post(p, peer_body(p, &last, 1));
    ck_assert_int_eq(live_ratings(admin, p, "holder"), 1);
    ck_assert_int_eq(live_ratings(admin, p, "older"), 0);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* At equal timestamps the server's value stays; within one request the later operation in the list wins. */
START_TEST(at_equal_timestamps_what_is_there_stays_and_the_later_in_one_request_wins)
{
    bool together = _i == 1;
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    int64_t at = clock_now();
    const char *ops[] = {
        peer_operation(p, "1", "create", "book", "b", "{\"title\":\"first\"}", at),
        peer_operation(p, "2", "create", "rating", "r1", "{\"bookId\":\"b\",\"stars\":1}", at),
        peer_operation(p, "3", "update", "book", "b", "{\"title\":\"second\"}", at),
        peer_operation(p, "4", "create", "rating", "r2", "{\"bookId\":\"b\",\"stars\":2}", at),
    };
    const json_t *last;
    if (together) {
        last = result_of(peer_post(p, peer_body(p, ops, 4)), 2);
    } else {
        peer_post(p, peer_body(p, ops, 2));
        last = result_of(peer_post(p, peer_body(p, ops + 2, 2)), 0);
    }
    const char *resolution = json_string_value(json_object_get(last, "resolution"));
    ck_assert_str_eq(resolution ? resolution : "none", together ? "none" : "server");
    json_t *pulled = read_pulled(p), *book = json_object_get(pulled, "book b");
    ck_assert_str_eq(text_of(book, "title"), together ? "second" : "first");
    ck_assert_int_eq(live_ratings(admin, p, "r1"), !together);
    ck_assert_int_eq(live_ratings(admin, p, "r2"), together);
    json_decref(pulled);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

Suite *suite_history(void)
{
    Suite *s = suite_create("history");
    TCase *t = tcase_create("history");
    tcase_set_timeout(t, 1200);
    tcase_add_test(t, the_outcome_does_not_depend_on_order_repeats_or_batches);
    tcase_add_test(t, nor_does_it_when_many_entities_share_a_key);
    tcase_add_test(t, when_many_holders_leave_a_book_at_once_the_next_in_line_returns);
    tcase_add_test(t, incomplete_ratings_do_not_hide_who_holds_the_place);
    tcase_add_loop_test(t, at_equal_timestamps_what_is_there_stays_and_the_later_in_one_request_wins, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
