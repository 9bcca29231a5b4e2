/*
 * Reading logs: which of those of a book stand. The rows `readings` of tests/contract/vectors.json, and random logs
 * against the rules as they are written in readings.h, in every order of arrival, in one request and each in its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/readings.h"
#include "engine/resolve.h"
#include "fixture.h"
#include "unit.h"

enum { EDITS_MAX = 8, LOGS_MAX = 6 };

typedef struct log_edit {
    const char *id;
    json_t *data; /* NULL: a deletion */
    int64_t at;
} log_edit;

static const conf settings = {.entity = 1 << 20, .clock_skew = 300};

enum { NOW = 1000000 };

static resolver resolver_at(int64_t stamp)
{
    return resolver_new(a, &settings, stamp, 0);
}

static void edit(resolver *r, const log_edit *x, size_t number)
{
    outcome out = {0};
    operation op = {.id = "op",
                    .type = x->data ? OPERATION_UPDATE : OPERATION_DELETE,
                    .kind = &kind_reading_log,
                    .kind_name = "readingLog",
                    .entity_id = x->id,
                    .stored_id = x->id,
                    .data = x->data ? x->data : json_new_object(a),
                    .at = x->at,
                    .created_at = MERGE_NEVER,
                    .base = MERGE_NEVER};
    resolve_operation(r, &op, number, "", &out);
    ck_assert_int_eq(out.status, OUTCOME_SUCCESS);
}

/* Stores the entities and loads them into the next request. */
static void reload(resolver *to, const resolver *from)
{
    for (size_t i = 0; i < from->entities.count; i++) {
        const entity *e = from->entities.list[i];
        strbuf data = STRBUF(a), marks = STRBUF(a);
        merge_row row = {.edited = merge_edited(e->state), .deleted = merge_deleted(e->state)};
        merge_write(e->state, &data);
        row.base = merge_write_marks(e->state, &marks);
        row.data = data.data;
        row.marks = marks.data;
        entity *copy = entity_get(&to->entities, e->kind, e->id);
        copy->state = merge_load(a, &row);
        copy->known = true;
        copy->superseded_at = e->superseded_at;
        copy->updated_at = from->stamp;
        entity_refresh(copy);
    }
}

/* What is stored of the logs: "id status superseded_at, …" in the order of the ids. */
static const char *stored(const resolver *r)
{
    strbuf out = STRBUF(a);
    for (char id[2] = "0"; *id <= 'z'; ++*id) {
        const json_t *at = json_object_get(r->entities.index, entity_label(a, &kind_reading_log, id));
        if (!at) continue;
        const entity *e = r->entities.list[json_integer_value(at)];
        strbuf_printf(&out, "%s %s", id, entity_status_name(e->status));
        if (e->superseded_at != MERGE_NEVER) strbuf_printf(&out, " at %lld", (long long)e->superseded_at);
        strbuf_puts(&out, ", ");
    }
    return out.len ? out.data : "";
}

/* Applies the edits in this order, in one request or each in its own. */
static const char *outcome_of(const log_edit *edits, size_t count, bool together)
{
    int64_t stamp = NOW;
    resolver *r = arena_alloc(a, sizeof *r);
    *r = resolver_at(stamp);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && !together) {
            resolver *next = arena_alloc(a, sizeof *next);
            *next = resolver_at(++stamp);
            reload(next, r);
            r = next;
        }
        edit(r, &edits[i], i);
    }
    return stored(r);
}

/* Runs every order of edits[from…]; all must store the same as *first. */
static void permute(log_edit *edits, size_t count, size_t from, const char *name, const char **first)
{
    if (from < count) {
        for (size_t i = from; i < count; i++) {
            log_edit x = edits[from], y = edits[i];
            edits[from] = y, edits[i] = x;
            permute(edits, count, from + 1, name, first);
            edits[from] = x, edits[i] = y;
        }
        return;
    }
    for (int together = 0; together < 2; together++) {
        const char *found = outcome_of(edits, count, together);
        if (!*first) *first = found;
        ASSERT_IN_LOOP(strcmp(found, *first) == 0, "%s: in another order %s, not %s", name, found, *first);
    }
}

static const json_t *read_vectors(void)
{
    char path[4096];
    const char *srcdir = getenv("srcdir");
    json_fault fault;
    strbuf text = STRBUF(a);
    snprintf(path, sizeof path, "%s/tests/contract/vectors.json", srcdir ? srcdir : ".");
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s: cannot be read; srcdir must name the source tree", path);
    for (int c; (c = getc(f)) != EOF;) strbuf_putc(&text, (char)c);
    fclose(f);
    const json_t *vectors = json_read(a, text.data, text.len, 64, &fault);
    ck_assert_msg(vectors != NULL, "%s: %s", fault.path, fault.message);
    return json_object_get(vectors, "readings");
}

START_TEST(the_vectors_in_every_order)
{
    const json_t *rows = read_vectors();
    size_t i, j, k;
    json_t *row, *log, *item;
    ck_assert_uint_gt(json_array_size(rows), 0);
    json_array_foreach(rows, i, row)
    {
        log_edit edits[EDITS_MAX];
        size_t count = 0;
        const char *first = NULL, *name = json_string_value(json_object_get(row, "name"));
        json_array_foreach(json_object_get(row, "logs"), j, log)
        {
            const char *id = json_string_value(json_object_get(log, "id"));
            json_array_foreach(json_object_get(log, "edits"), k, item) edits[count++] =
                (log_edit){id, json_object_get(item, "data"), (int64_t)json_integer_value(json_object_get(item, "at"))};
        }
        permute(edits, count, 0, name, &first);
        json_array_foreach(json_object_get(row, "logs"), j, log)
        {
            const char *id = json_string_value(json_object_get(log, "id"));
            bool live = false, expected = false;
            json_array_foreach(json_object_get(row, "live"), k, item) expected |=
                strcmp(json_string_value(item), id) == 0;
            live = strstr(first, arena_printf(a, "%s live", id)) != NULL;
            ck_assert_msg(live == expected, "%s: %s", name, first);
        }
    }
}
END_TEST

/* Random logs against the rules, taken literally. */

enum { NONE = -1000000 };

typedef struct rule_log {
    int id;
    int64_t word;
    int start, finish; /* days, or NONE */
    bool deleted, stands;
    int64_t superseded_at;
} rule_log;

static unsigned pick(unsigned n)
{
    return (unsigned)(unit_random("readings") % n);
}

static bool displaces(const rule_log *y, const rule_log *x)
{
    if (x->start != NONE && x->start == y->start) return true;
    if (x->finish != NONE) return x->finish == y->finish;
    if (y->finish == NONE) return true;
    return x->start == NONE || y->finish >= x->start;
}

static int later_first(const void *x, const void *y)
{
    int64_t a_word = ((const rule_log *)x)->word, b_word = ((const rule_log *)y)->word;
    return a_word > b_word ? -1 : 1;
}

static const char *by_the_rules(rule_log *logs, size_t count)
{
    strbuf out = STRBUF(a);
    qsort(logs, count, sizeof *logs, later_first);
    for (size_t i = 0; i < count; i++) {
        logs[i].stands = true;
        for (size_t j = 0; j < i; j++) {
            if (!logs[j].stands || !displaces(&logs[j], &logs[i])) continue;
            logs[i].stands = false;
            logs[i].superseded_at = logs[j].word; /* the last one found has the oldest word */
        }
    }
    for (int id = 0; id < (int)count; id++)
        for (size_t i = 0; i < count; i++) {
            const rule_log *x = &logs[i];
            if (x->id != id) continue;
            strbuf_printf(&out, "%d %s", id, x->deleted || !x->stands ? "deleted" : "live");
            if (!x->deleted && !x->stands) strbuf_printf(&out, " at %lld", (long long)x->superseded_at);
            strbuf_puts(&out, ", ");
        }
    return out.data;
}

/* A day in one of the forms that a client may use, near the first day of 1970 on both sides. */
static json_t *day_value(int day)
{
    static const char *const dates[] = {"1969-12-30", "1969-12-31", "1970-01-01", "1970-01-02", "1970-01-03"};
    int64_t ms = day * INT64_C(86400000);
    switch (pick(4)) {
    case 0:
        return json_integer(ms + pick(86400000));
    case 1:
        return json_string(dates[day + 2]);
    case 2: /* the evening before, west of Greenwich */
        return day > -2 ? json_string(arena_printf(a, "%sT20:00:00-05:00", dates[day + 1])) : json_string(dates[0]);
    default:
        return json_string(arena_printf(a, "%sT23:59:59.999Z", dates[day + 2]));
    }
}

START_TEST(random_logs_in_random_orders)
{
    static const char *const ids[LOGS_MAX] = {"0", "1", "2", "3", "4", "5"};
    for (int round = 0; round < 3000; round++) {
        rule_log logs[LOGS_MAX];
        log_edit edits[2 * LOGS_MAX];
        size_t count = 2 + pick(LOGS_MAX - 1), edit_count = 0;
        for (size_t i = 0; i < count; i++) {
            rule_log *x = &logs[i];
            int64_t at = 1000 + 10 * (int64_t)((i * 7 + (unsigned)round) % 11); /* distinct */
            *x = (rule_log){(int)i, at, NONE, NONE, pick(6) == 0, false, 0};
            json_t *data = json_new_object(a);
            json_put(a, data, "bookId", json_string("b"));
            json_put(a, data, "status", json_string("read"));
            if (pick(3)) json_put(a, data, "startedAt", day_value(x->start = (int)pick(4) - 2));
            if (pick(2)) json_put(a, data, "finishedAt", day_value(x->finish = (int)pick(5) - 2));
            edits[edit_count++] = (log_edit){ids[i], data, at};
            if (x->deleted) {
                edits[edit_count++] = (log_edit){ids[i], NULL, at + 200 + (int64_t)i};
            } else if (pick(3) == 0) { /* a note is no word */
                json_t *note = json_new_object(a);
                json_put(a, note, "notes", json_string("n"));
                edits[edit_count++] = (log_edit){ids[i], note, at + 100 + (int64_t)i};
            }
        }
        const char *expected = by_the_rules(logs, count);
        for (int order = 0; order < 4; order++) {
            for (size_t i = edit_count; i > 1; i--) {
                size_t j = pick((unsigned)i);
                log_edit x = edits[j];
                edits[j] = edits[i - 1], edits[i - 1] = x;
            }
            const char *found = outcome_of(edits, edit_count, order % 2);
            ASSERT_IN_LOOP(strcmp(found, expected) == 0, "round %d: %s, not %s", round, found, expected);
        }
        arena_reset(a);
    }
}
END_TEST

/* Without a sort and tables, a thousand times a million steps: the time limit of the tests is the judge. */
START_TEST(a_request_with_many_logs_of_a_book_is_quick)
{
    enum { LOGS = 1000 };
    resolver r = resolver_at(NOW * INT64_C(1000000));
    for (int i = 0; i < LOGS; i++) {
        json_t *data = json_new_object(a);
        json_put(a, data, "bookId", json_string("b"));
        json_put(a, data, "status", json_string("read"));
        json_put(a, data, "startedAt", json_integer(i * INT64_C(864000000)));
        json_put(a, data, "finishedAt", json_integer((i * INT64_C(10) + 5) * 86400000));
        edit(&r, &(log_edit){arena_printf(a, "l%d", i), data, 1000 + i}, (size_t)i);
    }
    for (size_t i = 0; i < r.entities.count; i++) ck_assert_int_eq(r.entities.list[i]->status, ENTITY_LIVE);
}
END_TEST

/* Logs with many members, which are compared again after each operation; again the time limit is the judge. */
START_TEST(large_logs_are_quick_to_compare)
{
    enum { LOGS = 20, MEMBERS = 4000, OPERATIONS = 200 };
    resolver r = resolver_at(NOW * INT64_C(1000000));
    for (int i = 0; i < LOGS; i++) {
        json_t *data = json_new_object(a);
        for (int j = 0; j < MEMBERS; j++) json_put(a, data, arena_printf(a, "member %d", j), json_integer(j));
        json_put(a, data, "bookId", json_string("b"));
        json_put(a, data, "status", json_string("read"));
        json_put(a, data, "finishedAt", json_integer(i * INT64_C(86400000)));
        edit(&r, &(log_edit){arena_printf(a, "large%d", i), data, 1000 + i}, (size_t)i);
    }
    for (int i = 0; i < OPERATIONS; i++) {
        json_t *data = json_new_object(a);
        json_put(a, data, "bookId", json_string("b"));
        json_put(a, data, "status", json_string("read"));
        json_put(a, data, "finishedAt", json_integer(i % LOGS * INT64_C(86400000)));
        edit(&r, &(log_edit){"small", data, 5000 + i}, (size_t)(LOGS + i));
    }
    size_t live = 0;
    for (size_t i = 0; i < r.entities.count; i++) live += r.entities.list[i]->status == ENTITY_LIVE;
    ck_assert_uint_eq(live, LOGS);
}
END_TEST

/* A full sync can give several logs one time: then the later one counts as the later word, also in later requests. */
START_TEST(of_equal_words_that_of_the_later_operation_counts)
{
    const char *const texts[] = {"{\"bookId\":\"b\",\"status\":\"want_to_read\"}",
                                 "{\"bookId\":\"b\",\"status\":\"read\",\"finishedAt\":\"2024-01-20\"}"};
    static const char *const expected[] = {"1 deleted at 10, 2 live, ", "1 live, 2 live, "};
    for (int first = 0; first < 2; first++) {
        resolver r = resolver_at(NOW);
        for (int i = 0; i < 2; i++) {
            const char *text = texts[(first + i) % 2];
            edit(&r, &(log_edit){i ? "2" : "1", json_parse(a, text, strlen(text), NULL), 10}, (size_t)i);
        }
        ck_assert_str_eq(stored(&r), expected[first]);
        for (const char *id = "12"; *id; id++) {
            resolver next = resolver_at(NOW + 1);
            json_t *note = json_new_object(a);
            json_put(a, note, "notes", json_string("n"));
            reload(&next, &r);
            edit(&next, &(log_edit){*id == '1' ? "1" : "2", note, 20}, 0);
            ck_assert_str_eq(stored(&next), expected[first]);
        }
    }
}
END_TEST

Suite *suite_readings(void)
{
    Suite *s = suite_create("readings");
    TCase *c = tcase_create("readings");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, the_vectors_in_every_order);
    tcase_add_test(c, random_logs_in_random_orders);
    tcase_add_test(c, a_request_with_many_logs_of_a_book_is_quick);
    tcase_add_test(c, large_logs_are_quick_to_compare);
    tcase_add_test(c, of_equal_words_that_of_the_later_operation_counts);
    suite_add_tcase(s, c);
    return s;
}
