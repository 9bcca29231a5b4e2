/* The views for analysts: a column for each field of each kind, with a fitting type, whatever a client may store. */
#include "harness.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "engine/kind.h"

static const char *const types[] = {
    [FIELD_STRING] = "text", [FIELD_NUMBER] = "numeric", [FIELD_BOOLEAN] = "boolean",
    [FIELD_ARRAY] = "json",  [FIELD_OBJECT] = "json",    [FIELD_INSTANT] = "timestamp with time zone",
    [FIELD_CHOICE] = "text", [FIELD_TREE] = "json",      [FIELD_DATE] = "timestamp with time zone",
    [FIELD_SET] = "json",
};

/* What clients may store in a field of a type; a field of a choice takes its choices. */
static const char *const samples[][16] = {
    [FIELD_STRING] = {"\"x\"", "\"Ünï \\\" \\\\ \\n\\t\"", "\"null\"", "\"{}\""},
    [FIELD_NUMBER] = {"4.5", "1", "5", "0.5", "2.0"},
    [FIELD_BOOLEAN] = {"true", "false"},
    [FIELD_ARRAY] = {"[]", "[1,\"a\",{\"b\":null}]"},
    [FIELD_SET] = {"[]", "[1,\"a\",{\"b\":null}]"},
    [FIELD_OBJECT] = {"{}", "{\"a\":{\"b\":[1.5]}}"},
    [FIELD_TREE] = {"{}", "[]", "{\"a\":[{}]}", "[{\"a\":1}]"},
    [FIELD_INSTANT] = {"\"2024-01-15T10:30:00.000Z\"", "\"2024-01-15t10:30:00.123456789123z\"", "1705314600123",
                       "-100000000001", "\"2016-12-31T23:59:60Z\"", "\"2017-01-01T01:59:60+02:00\"",
                       "\"2024-01-15T10:30:00+23:59\"", "\"2024-01-15T10:30:00-16:00\"", "\"0000-02-29T00:00:00Z\"",
                       "\"0001-01-01T00:00:00+15:59\"", "\"9999-12-31T23:59:59.999Z\"",
                       "\"9999-12-31T23:59:59.999-00:00\"", "-62167219200000", "253402300799999"},
    [FIELD_DATE] = {"\"2024-01-15\"", "\"0000-02-29\"", "\"9999-12-31\"", "\"2024-01-15T10:30:00.000Z\"",
                    "1705314600123"},
};

enum { SAMPLES = 16 };

/* coverUrl → cover_url */
static const char *snake(peer *p, const char *name)
{
    strbuf out = STRBUF(p->a);
    for (; *name; name++) {
        if (isupper((unsigned char)*name)) strbuf_putc(&out, '_');
        strbuf_putc(&out, (char)tolower((unsigned char)*name));
    }
    return out.data;
}

/* The view of a kind: readingLogs → reading_logs, else the plural. */
static const char *view_of(peer *p, const kind *k)
{
    return snake(p, k->alias ? k->alias : k->plural);
}

START_TEST(every_field_of_every_kind_has_a_column_of_a_fitting_type)
{
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    for (const kind *const *k = kinds; *k; k++) {
        const char *view = view_of(p, *k);
        int columns = 0;
        for (const field *f = (*k)->fields; f->name; f++, columns++) {
            PGresult *r = sql_run(admin,
                                  "SELECT data_type FROM information_schema.columns WHERE table_schema = 'booky'"
                                  " AND table_name = '%s' AND column_name = '%s'",
                                  view, snake(p, f->name));
            ck_assert_msg(PQntuples(r) == 1, "view %s has no column %s", view, snake(p, f->name));
            ck_assert_str_eq(PQgetvalue(r, 0, 0), types[f->type]);
            PQclear(r);
        }
        static const char every[] = "user_id,id,created_at,updated_at,data"; /* and no others */
        ck_assert_int_eq(
            sql_number(admin,
                       "SELECT count(*) - %d - array_length(string_to_array('%s', ','), 1)"
                       " FROM information_schema.columns WHERE table_schema = 'booky' AND table_name = '%s'",
                       columns, every, view),
            0);
    }
    PQfinish(admin);
    peer_free(p);
}
END_TEST

/* Sample `n` of a field, or NULL when it has not so many. */
static const char *sample_of(peer *p, const field *f, size_t n)
{
    size_t count = 0;
    if (f->type == FIELD_CHOICE) {
        while (f->choices[count]) count++;
        return n < count ? peer_printf(p, "\"%s\"", f->choices[n]) : NULL;
    }
    while (count < SAMPLES && samples[f->type][count]) count++;
    return n < count ? samples[f->type][n] : NULL;
}

static void check_column(const field *f, const char *sample, const char *found)
{
    int64_t ms;
    json_t *value = json_loads(sample, JSON_DECODE_ANY, NULL), *other = NULL;
    bool right = false;
    if (f->type == FIELD_STRING || f->type == FIELD_CHOICE)
        right = strcmp(found, json_string_value(value)) == 0;
    else if (f->type == FIELD_NUMBER)
        right = strtod(found, NULL) == json_number_value(value);
    else if (f->type == FIELD_BOOLEAN)
        right = *found == (json_is_true(value) ? 't' : 'f');
    else if (f->type == FIELD_INSTANT || f->type == FIELD_DATE)
        right = (json_instant(value, &ms) || clock_parse_date(json_string_value(value), &ms)) &&
                strtoll(found, NULL, 10) == ms;
    else
        right = (other = json_loads(found, 0, NULL)) && json_equal(other, value);
    ck_assert_msg(right, "%s: %s came out as %s", f->name, sample, found);
    json_decref(value);
    json_decref(other);
}

START_TEST(what_clients_store_comes_out_with_the_right_type)
{
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    for (size_t n = 0; n < SAMPLES; n++)
        for (const kind *const *k = kinds; *k; k++) {
            strbuf data = STRBUF(p->a);
            strbuf_putc(&data, '{');
            for (const field *f = (*k)->fields; f->name; f++) {
                const char *sample = sample_of(p, f, n);
                if (!sample) sample = sample_of(p, f, 0);
                strbuf_printf(&data, "%s\"%s\":%s", data.len > 1 ? "," : "", f->name, sample);
            }
            strbuf_putc(&data, '}');
            const char *id = peer_printf(p, "e%zu", n);
            const char *op = peer_operation(p, peer_printf(p, "%s-%zu", (*k)->name, n), "create", (*k)->name, id,
                                            data.data, clock_now() + (int64_t)n);
            ck_assert_str_eq(text_of(result_of(peer_post(p, peer_body(p, &op, 1)), 0), "status"), "success");
            for (const field *f = (*k)->fields; f->name; f++) {
                const char *sample = sample_of(p, f, n), *column = snake(p, f->name);
                if (!sample) continue;
                bool instant = f->type == FIELD_INSTANT || f->type == FIELD_DATE;
                PGresult *r = sql_run(admin, "SELECT %s%s%s FROM %s WHERE user_id = '%s' AND id = '%s'",
                                      instant ? "floor(extract(epoch FROM " : "", column, instant ? ") * 1000)" : "",
                                      view_of(p, *k), p->user, (*k)->fixed_id ? (*k)->fixed_id : id);
                if (PQntuples(r) > 0)
                    check_column(f, sample, PQgetvalue(r, 0, 0));
                else
                    ck_assert_msg((*k)->rule == KIND_ONE_PER_KEY, "%s %s is not shown", (*k)->name, id);
                PQclear(r);
            }
        }
    PQfinish(admin);
    peer_free(p);
}
END_TEST

START_TEST(null_and_absent_members_are_null_and_what_is_not_live_is_not_shown)
{
    peer *p = peer_new();
    PGconn *admin = sql_open_admin();
    int64_t now = clock_now();
    const char *ops[] = {
        peer_operation(p, "1", "create", "book", "b", "{\"title\":\"T\",\"publishedYear\":null,\"addedAt\":null}", now),
        peer_operation(p, "2", "create", "book", "gone", "{\"title\":\"T\"}", now),
        peer_operation(p, "3", "delete", "book", "gone", NULL, now + 1),
        peer_operation(p, "4", "update", "book", "incomplete", "{\"notes\":\"n\"}", now),
    };
    peer_post(p, peer_body(p, ops, 4));
    ck_assert_int_eq(sql_number(admin, "SELECT count(*) FROM books WHERE user_id = '%s'", p->user), 1);
    ck_assert_int_eq(sql_number(admin,
                                "SELECT count(*) FROM books WHERE user_id = '%s' AND published_year IS NULL"
                                " AND added_at IS NULL AND notes IS NULL AND authors IS NULL AND is_ebook IS NULL",
                                p->user),
                     1);
    PQfinish(admin);
    peer_free(p);
}
END_TEST

Suite *suite_views(void)
{
    Suite *s = suite_create("views");
    TCase *t = tcase_create("views");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, every_field_of_every_kind_has_a_column_of_a_fitting_type);
    tcase_add_test(t, what_clients_store_comes_out_with_the_right_type);
    tcase_add_test(t, null_and_absent_members_are_null_and_what_is_not_live_is_not_shown);
    suite_add_tcase(s, t);
    return s;
}
