/*
 * The promise of recent.h, tested with random histories: a client that gets patches ends with the same entities as one
 * that gets everything whole, and as the server, although both show their own edits at once and look at no result.
 *
 * A history is a few writes (edits, deletions, replacements, all policies, some through a host of an earlier version)
 * and pulls of one or two entities a page, some of which end after a page. Two clients of each form do the same.
 * BOOKY_SEED repeats a run, BOOKY_HISTORIES makes it longer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "recent_server.h"
#include "unit.h"

enum { PLACES = 2, STEPS = 14 };

typedef struct history {
    arena *a;
    server *s;
    client *whole[PLACES], *patch[PLACES];
    strbuf log;
    bool manual; /* an edit was left to a person, so no version has to show it */
} history;

static unsigned pick(unsigned n)
{
    return (unsigned)(unit_random("recent_property") >> 20) % n;
}

/* Names so long that a list holds two or three of them. */
#define LONG_NAME                                                                                                      \
    "a long name, a long name, a long name, a long name, a long name, a long name, a long name, a long name, "         \
    "a long name, a long name, a long name, a long name, a long name"

static json_t *random_value(arena *a, int depth)
{
    json_t *object = json_new_object(a);
    static const char *const names[] = {"x", LONG_NAME, "x/y"};
    switch (pick(depth < 2 ? 7 : 5)) {
    case 0:
        return json_null();
    case 1:
        return json_pack("[i]", (int)pick(3));
    case 2:
        return json_incref(object); /* an empty one */
    case 3:
    case 4:
        return json_integer((json_int_t)pick(5));
    }
    for (unsigned n = 1 + pick(2); n > 0; n--) json_put(a, object, names[pick(3)], random_value(a, depth + 1));
    return json_incref(object);
}

/* The value of a set: `lists` only, or changes of elements, too. */
static json_t *random_set(bool lists)
{
    static const char *const values[] = {"null",
                                         "[]",
                                         "[\"a\",\"b\",\"a\"]",
                                         "[\"c\"]",
                                         "{\"$add\":[\"a\"]}",
                                         "{\"$add\":[\"c\",\"b\"]}",
                                         "{\"$remove\":[\"a\",\"c\"]}",
                                         "{\"$add\":[\"b\"],\"$remove\":[\"a\"]}",
                                         "{\"$add\":[]}"};
    return json_loads(values[pick(lists ? 4 : COUNT(values))], JSON_DECODE_ANY, NULL);
}

static json_t *random_data(arena *a, size_t row)
{
    static const char *const members[2][4] = {{"title", "a", LONG_NAME, "o"}, {"stars", "bookId", LONG_NAME, "o"}};
    json_t *data = json_new_object(a);
    for (unsigned n = 1 + pick(3); n > 0; n--) {
        unsigned i = pick(4);
        const char *name = members[row / 2][i];
        json_t *value = strcmp(name, "title") == 0    ? json_pack("s", pick(2) ? "T" : "U")
                        : strcmp(name, "bookId") == 0 ? json_pack("s", pick(8) ? "k" : "l")
                        : strcmp(name, "stars") == 0  ? json_integer((json_int_t)pick(5))
                                                      : random_value(a, 0);
        json_put(a, data, name, value);
    }
    if (pick(2) == 0) json_put(a, data, row < 2 ? "title" : "bookId", json_string(row < 2 ? "T" : "k"));
    if (row >= 2 && pick(2) == 0) json_put(a, data, "stars", json_integer(3));
    if (row < 2 && pick(2) == 0) json_put(a, data, "tags", random_set(false));
    return data;
}

static void note(history *h, const char *what, int place, const server_row *row, const json_t *data, int64_t at)
{
    strbuf_printf(&h->log, "\n  client %d: %s", place, what);
    if (row) strbuf_printf(&h->log, " %s %s at %lld ", row->kind->name, row->id, (long long)at);
    if (data) json_write(&h->log, data);
}

static void write_something(history *h, int place)
{
    static const policy policies[] = {POLICY_MERGE,  POLICY_MERGE,  POLICY_MERGE, POLICY_MERGE,
                                      POLICY_SERVER, POLICY_SERVER, POLICY_LOCAL, POLICY_MANUAL};
    static const char *const names[] = {"merge", "local", "server", "manual"};
    size_t row = pick(SERVER_ROWS);
    server_row *to = &h->s->rows[row];
    int64_t at = pick(3) > 0 ? h->s->clock : 990 + pick(20);
    bool deletes = pick(7) == 0, old = pick(20) == 0;
    json_t *data = deletes ? json_new_object(h->a) : random_data(h->a, row);
    operation op = {.type = deletes   ? OPERATION_DELETE
                            : pick(2) ? OPERATION_UPDATE
                                      : OPERATION_CREATE,
                    .kind = to->kind,
                    .entity_id = to->id,
                    .stored_id = to->id,
                    .data = data,
                    .at = at,
                    .created_at = MERGE_NEVER,
                    .base = pick(4) ? MERGE_NEVER : h->s->clock - pick(3),
                    .policy = policies[pick(COUNT(policies))]};
    strbuf text = STRBUF(h->a);
    json_write(&text, data);
    op.size = text.len;
    if (!deletes && row < 2 && pick(25) == 0) {
        json_put(h->a, data, "title", json_string("R"));
        if (json_object_get(data, "tags")) json_put(h->a, data, "tags", random_set(true));
        note(h, "replaces", place, to, data, at);
        op.policy = POLICY_MERGE;
        h->whole[place]->held[row] = h->patch[place]->held[row] = data;
        server_replace(h->s, row, data, at);
        return;
    }
    note(h, deletes ? "deletes" : "writes", place, to, data, at);
    strbuf_printf(&h->log, " %s%s", names[op.policy], old ? ", through an earlier version" : "");
    client_believe(h->whole[place], h->a, row, &op);
    client_believe(h->patch[place], h->a, row, &op);
    if (server_write(h->s, row, &op, old && op.policy != POLICY_MANUAL) == OUTCOME_CONFLICT) h->manual = true;
}

static void pull_something(history *h, int place, bool all)
{
    unsigned limit = 1 + pick(2);
    bool more, stop = !all && pick(3) == 0;
    note(h, stop ? "pulls a page" : "pulls", place, NULL, NULL, 0);
    do {
        more = client_pull(h->whole[place], h->s, limit);
        ASSERT_IN_LOOP(client_pull(h->patch[place], h->s, limit) == more, "the pages differ%s", h->log.data);
    } while (more && !stop);
}

static const char *text_of(arena *a, const json_t *value)
{
    strbuf out = STRBUF(a);
    json_write(&out, value ? value : json_null());
    return out.data;
}

static void compare(const history *h, int place)
{
    for (size_t i = 0; i < SERVER_ROWS; i++) {
        const server_row *row = &h->s->rows[i];
        const json_t *patch = h->patch[place]->held[i], *whole = h->whole[place]->held[i];
        bool same = patch && whole ? json_same(patch, whole) : patch == whole;
        ASSERT_IN_LOOP(same, "BOOKY_SEED repeats this: %s %s is %s by patches, %s whole; list %s%s", row->kind->name,
                       row->id, text_of(h->a, patch), text_of(h->a, whole), row->recent, h->log.data);
        if (row->status != ENTITY_LIVE || h->manual) continue;
        ASSERT_IN_LOOP(patch && strcmp(text_of(h->a, json_parse(h->a, row->data, strlen(row->data), NULL)), "") != 0 &&
                           json_same(patch, json_parse(h->a, row->data, strlen(row->data), NULL)),
                       "the server has %s %s as %s, not %s%s", row->kind->name, row->id, row->data,
                       text_of(h->a, patch), h->log.data);
    }
}

static void run(arena *a)
{
    history h = {.a = a, .s = server_new(a), .log = STRBUF(a)};
    for (int i = 0; i < PLACES; i++) {
        h.whole[i] = client_new(a, false);
        h.patch[i] = client_new(a, true);
    }
    for (unsigned n = 3 + pick(STEPS); n > 0; n--) {
        int place = (int)pick(PLACES);
        if (pick(3) == 0)
            pull_something(&h, place, false);
        else
            write_something(&h, place);
    }
    for (int i = 0; i < PLACES; i++) {
        pull_something(&h, i, true);
        compare(&h, i);
    }
}

START_TEST(patches_end_with_what_whole_entities_end_with)
{
    const char *asked = getenv("BOOKY_HISTORIES");
    arena *a = arena_new();
    for (long n = asked ? atol(asked) : 5000; n > 0; n--) {
        run(a);
        arena_reset(a);
    }
    arena_free(a);
}
END_TEST

Suite *suite_recent_property(void);

Suite *suite_recent_property(void)
{
    Suite *s = suite_create("recent_property");
    TCase *c = tcase_create("recent_property");
    tcase_set_timeout(c, 600);
    tcase_add_test(c, patches_end_with_what_whole_entities_end_with);
    suite_add_tcase(s, c);
    return s;
}
