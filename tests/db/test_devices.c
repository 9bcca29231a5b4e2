/*
 * Nobody stays behind: simple clients that edit offline, push, pull and believe what they pull end up with what the
 * server holds, however their edits and syncs interleave, with clocks that differ, lost replies and pages in between.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "harness.h"
#include "history.h"

enum { DEVICES = 4, STEPS = 80, LATE = 50 /* the step at which the last device joins */ };

typedef struct device {
    int number;
    json_t *local;  /* "kind id" → what this device believes */
    json_t *queue;  /* operations that were not yet confirmed */
    char *position; /* NULL: has not pulled yet */
    bool by_cursor; /* else by the last updatedAt that it saw */
    bool delta;     /* takes patches */
    bool has_name;  /* sends a deviceId and the versions its edits are based on */
    int skew;       /* its clock, in steps */
} device;

typedef struct world {
    peer *p;
    dice *d;
    device devices[DEVICES];
    int64_t start;
    int step, operations, patches;
    bool calm;          /* no lost replies, no pages */
    bool between_pages; /* another device is already at work inside a pull */
} world;

static const struct cast {
    const char *kind, *ids[4], *whole, *members[7]; /* `members` are what updates write, one or two at a time */
} casts[] = {
    {"book",
     {"import_1", "import_2", NULL},
     "\"title\":\"T\"",
     {"\"title\":\"U\"", "\"notes\":\"n\"", "\"notes\":null", "\"externalIds\":{\"a\":1}",
      "\"externalIds\":{\"b\":{\"c\":2}}", "\"own\":{\"a\":{}}", "\"own\":7"}},
    {"rating",
     {"r1", "r2", "r3", NULL},
     "\"bookId\":\"b1\",\"stars\":3",
     {"\"stars\":1", "\"stars\":4.5", "\"bookId\":\"b1\"", "\"bookId\":\"b2\"", "\"why\":\"w\"", "\"why\":{\"x\":1}",
      "\"stars\":5"}},
    {"tag",
     {"t1", "t2", NULL},
     "\"name\":\"Fantasy\"",
     {"\"name\":\"Horror\"", "\"name\":\"Fantasy\"", "\"c\":1", "\"c\":2", "\"c\":null", "\"c\":{}", "\"c\":[]"}},
    {"userSettings",
     {"me", "you", NULL},
     "\"theme\":\"dark\"",
     {"\"theme\":\"light\"", "\"dateFormat\":\"x\"", "\"notificationPreferences\":{\"a\":1}", "\"theme\":null",
      "\"notificationPreferences\":{\"b\":2}", "\"notificationPreferences\":null", "\"own\":1"}},
};

static const char *name_of(world *w, const char *kind, const char *id)
{
    return peer_printf(w->p, "%s %s", kind, strcmp(kind, "userSettings") == 0 ? "settings" : id);
}

/* A person changes something: at once on the device, later on the server. */
static void edit(world *w, device *v)
{
    const struct cast *c = &casts[dice_below(w->d, sizeof casts / sizeof *casts)];
    size_t ids = 0;
    while (c->ids[ids]) ids++;
    const char *id = c->ids[dice_below(w->d, ids)], *name = name_of(w, c->kind, id), *type = "update";
    const char *text = peer_printf(w->p, "{%s}", DICE_PICK(w->d, c->members));
    json_t *known = json_object_get(v->local, name), *data;
    if (known && dice_chance(w->d, 25)) type = "delete";
    if (!known) {
        type = "create";
        text = peer_printf(w->p, "{%s%s%s}", c->whole, dice_chance(w->d, 50) ? ",\"own\":{\"a\":1}" : "",
                           dice_chance(w->d, 30) ? ",\"x\":1" : "");
    }
    data = json_loads(text, 0, NULL);
    int64_t at = w->start + (int64_t)(w->step + v->skew) * 100000 + w->operations;
    json_t *op = json_pack("{s:o, s:s, s:s, s:s, s:I, s:O}", "id", json_sprintf("op-%d", w->operations++), "type", type,
                           "entity", c->kind, "entityId", id, "timestamp", (json_int_t)at, "data", data);
    json_array_append_new(v->queue, op);
    if (*type == 'd') {
        json_object_del(v->local, name);
    } else {
        if (!known) json_object_set_new(v->local, name, json_object());
        json_patch(json_object_get(v->local, name), data);
    }
    json_decref(data);
}

/* Sends what is queued; true when all of it was confirmed. */
static bool push(world *w, device *v)
{
    while (json_array_size(v->queue) > 0) {
        json_t *list = json_array(), *body = json_pack("{s:o}", "operations", list);
        size_t n = 1 + dice_below(w->d, json_array_size(v->queue));
        for (size_t i = 0; i < n; i++) json_array_append(list, json_array_get(v->queue, i));
        if (v->has_name) json_object_set_new(body, "deviceId", json_sprintf("device-%d", v->number));
        if (v->has_name && v->position && !v->by_cursor)
            json_object_set_new(body, "lastSync", json_string(v->position));
        char *text = json_dumps(body, 0);
        peer_post(w->p, text);
        free(text);
        json_decref(body);
        if (!w->calm && dice_chance(w->d, 20)) return false; /* the reply was lost */
        for (size_t i = 0; i < n; i++) json_array_remove(v->queue, 0);
    }
    return true;
}

static void believe(world *w, device *v, const json_t *reply)
{
    size_t i;
    json_t *change;
    json_array_foreach(json_object_get(reply, "changes"), i, change)
    {
        json_t *data = json_object_get(change, "data");
        const char *name = name_of(w, text_of(change, "type"), text_of(data, "id"));
        if (!v->by_cursor) {
            free(v->position);
            v->position = strdup(text_of(data, "updatedAt"));
        }
        if (json_object_get(change, "deleted")) {
            json_object_del(v->local, name);
            continue;
        }
        json_t *patch = json_object_get(change, "patch");
        if (patch && json_object_get(v->local, name)) {
            json_patch(json_object_get(v->local, name), patch);
            w->patches++;
            continue;
        }
        if (patch) { /* only of an entity whose deletion by this device the server does not know yet */
            ck_assert_msg(json_array_size(v->queue) > 0, "device %d gets a patch for %s", v->number, name);
            continue;
        }
        json_object_set_new(v->local, name, json_deep_copy(data));
        json_t *kept = json_object_get(v->local, name);
        json_object_del(kept, "id");
        json_object_del(kept, "createdAt");
        json_object_del(kept, "updatedAt");
    }
    if (!v->by_cursor) return;
    free(v->position);
    v->position = strdup(text_of(reply, "cursor"));
}

static void sync_device(world *w, device *v);

/* Asks for what changed. The first pull is the whole: what it does not hold is gone. */
static void pull(world *w, device *v)
{
    static const char *const limits[] = {NULL, "1", "2", "5"};
    bool first = !v->position, more = true;
    json_t *reply;
    if (first) json_object_clear(v->local);
    while (more) {
        pull_query q = {.since = v->position ? v->position : "1970-01-01T00:00:00Z"};
        if (v->by_cursor && v->position) q = (pull_query){.cursor = v->position};
        if (v->delta) q.delta = "true";
        if (v->by_cursor && !w->calm) q.limit = DICE_PICK(w->d, limits);
        reply = peer_pull(w->p, &q);
        believe(w, v, reply);
        more = json_is_true(json_object_get(reply, "hasMore"));
        if (!more || w->between_pages || !dice_chance(w->d, 50)) continue;
        w->between_pages = true;
        device *other = &w->devices[dice_below(w->d, DEVICES - 1)];
        if (other != v) edit(w, other), sync_device(w, other);
        w->between_pages = false;
    }
}

static void sync_device(world *w, device *v)
{
    if (push(w, v)) pull(w, v);
}

static void world_run(world *w)
{
    for (int i = 0; i < DEVICES; i++)
        w->devices[i] = (device){.number = i,
                                 .local = json_object(),
                                 .queue = json_array(),
                                 .by_cursor = i % 2,
                                 .delta = i % 2 && dice_chance(w->d, 70),
                                 .has_name = i >= DEVICES / 2,
                                 .skew = (int)dice_below(w->d, 9)};
    for (w->step = 0; w->step < STEPS; w->step++) {
        bool joins = w->step == LATE;
        device *v = &w->devices[joins ? DEVICES - 1 : dice_below(w->d, w->step < LATE ? DEVICES - 1 : DEVICES)];
        if (!joins && dice_chance(w->d, 65))
            edit(w, v);
        else
            sync_device(w, v);
    }
    w->calm = true;
    for (int i = 0; i < 2 * DEVICES; i++) sync_device(w, &w->devices[i % DEVICES]);
    device truth = {.local = json_object()};
    believe(w, &truth, peer_pull_all(w->p));
    for (int i = 0; i < DEVICES; i++) {
        device *v = &w->devices[i];
        if (!json_equal(v->local, truth.local))
            ck_abort_msg("device %d believes %s\nbut the server holds %s", i, json_dumps(v->local, JSON_SORT_KEYS),
                         json_dumps(truth.local, JSON_SORT_KEYS));
        json_decref(v->local);
        json_decref(v->queue);
        free(v->position);
    }
    json_decref(truth.local);
    free(truth.position);
}

START_TEST(every_device_ends_up_with_what_the_server_holds)
{
    dice d = dice_new("devices");
    const char *count = getenv("BOOKY_HISTORIES");
    peer *p = peer_new();
    int patches = 0;
    for (int i = 0; i < (count ? atoi(count) : 60); i++) {
        peer_become(p, NULL);
        world w = {.p = p, .d = &d, .start = clock_now() - 30 * CLOCK_DAY};
        world_run(&w);
        patches += w.patches;
    }
    ck_assert_int_gt(patches, 0);
    peer_free(p);
}
END_TEST

Suite *suite_devices(void)
{
    Suite *s = suite_create("devices");
    TCase *t = tcase_create("devices");
    tcase_set_timeout(t, 600);
    tcase_add_test(t, every_device_ends_up_with_what_the_server_holds);
    suite_add_tcase(s, t);
    return s;
}
