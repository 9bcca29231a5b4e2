/*
 * How PostgreSQL runs the statements when the tables are large: one user has a twentieth of a million entities, the
 * rest belong to two thousand. Every statement must go by an index that begins with the user, planned once for all or
 * each time, with the planner's settings of the workers and with PostgreSQL's own; and a pull of ten changes must cost
 * the same in a small library and in a large one.
 *
 * The tables are copies (with indexes and row-level security) in a schema of their own, which is dropped in the end.
 * BOOKY_EXPLAIN_ROWS sets the number of entities, BOOKY_SHOW_PLANS=1 prints the plans.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/sql.h"

/* %1$lld: the number of entities. Every twentieth belongs to `big`, every two-thousandth to `small`. */
static const char *const fill[] = {
    "INSERT INTO clocks (user_id, clock, started) SELECT u, 1000000000, 1000000 FROM"
    " (SELECT 'u' || n AS u FROM generate_series(0, 1999) AS n UNION ALL VALUES ('big'), ('small')) AS x",

    "INSERT INTO entities (user_id, kind, entity_id, updated_at, created_at, edited_at, deleted_at, base_at,"
    " status, key, data)"
    " SELECT CASE WHEN n %% 20 = 0 THEN 'big' WHEN n %% 2000 = 1 THEN 'small' ELSE 'u' || n * 31 %% 2000 END,"
    " (ARRAY['book','book','book','rating','readingLog','tag'])[1 + n / 20 %% 6], 'e' || n, 1000000 + n, n, n,"
    " CASE WHEN n %% 220 = 0 THEN n + 1 END, n, CASE WHEN n %% 220 = 0 THEN 'deleted' ELSE 'live' END,"
    " CASE WHEN n / 20 %% 6 > 2 THEN 'key ' || n %% 900 END,"
    " json_build_object('title', 'Book ' || n, 'authors', '[\"A\"]'::json, 'notes', repeat('x', 100))"
    " FROM generate_series(1, %1$lld) AS n",

    "INSERT INTO ledger (user_id, operation_id, processed_at, hash, result)"
    " SELECT CASE WHEN n %% 20 = 0 THEN 'big' ELSE 'u' || n * 31 %% 2000 END, 'op-' || n, n,"
    " '\\x00', '{\"status\":\"success\"}'"
    " FROM generate_series(1, %1$lld / 4) AS n",

    "INSERT INTO queue (user_id, operation_id, queued_at, made_at, synced_at, type, kind, entity_id, data, hash)"
    " SELECT CASE WHEN n %% 20 = 0 THEN 'big' ELSE 'u' || n * 31 %% 2000 END, 'op-' || n, n, n,"
    " CASE WHEN n %% 200 > 0 THEN n END, 'update', 'book', 'e' || n, '{}', '\\x00' FROM "
    "generate_series(1, %1$lld / 20) AS n",

    "INSERT INTO conflicts (user_id, stamp, n, kind, entity_id, reason, status, resolution)"
    " SELECT CASE WHEN n %% 20 = 0 THEN 'big' ELSE 'u' || n * 31 %% 2000 END, n, 0, 'book', 'e' || n, 'stale',"
    " CASE WHEN n %% 200 = 0 THEN 'open' ELSE 'resolved' END, 'client' FROM generate_series(1, %1$lld / 20) AS n",

    "INSERT INTO conflicts (user_id, stamp, n, kind, entity_id, other_id, reason, status)"
    " SELECT 'big', 1000000000 + n, 0, 'tag', 'new' || n, CASE WHEN n %% 2 = 0 THEN 'new' || n - 1 END,"
    " CASE WHEN n %% 2 = 0 THEN 'same_name' ELSE 'incomplete' END, 'open' FROM generate_series(1, %1$lld / 500) AS n",

    "INSERT INTO snapshots (user_id, stamp, entities, kinds)"
    " SELECT 'u' || n %% 2000, n, 1, '{book}' FROM generate_series(1, 4000) AS n",

    "INSERT INTO snapshot_entities (user_id, stamp, created_at, edited_at, kind, entity_id, data)"
    " SELECT 'u' || n %% 2000, n %% 4000, n, n, 'book', 'e' || n, '{\"title\":\"T\"}' FROM "
    "generate_series(1, %1$lld / 10) AS n",
};

/* Copies of all tables of the workers: filled first, indexed afterwards, which is faster. Columns that `fill` does not
 * know may stay empty. */
static const char copy_tables[] =
    "DROP SCHEMA IF EXISTS booky_plans CASCADE; CREATE SCHEMA booky_plans;"
    "GRANT USAGE ON SCHEMA booky_plans TO booky_worker;"
    "DO $$ DECLARE t text; BEGIN"
    " FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'booky' AND tablename <> 'migrations' LOOP"
    "  EXECUTE format('CREATE UNLOGGED TABLE booky_plans.%1$I (LIKE booky.%1$I INCLUDING DEFAULTS)', t);"
    "  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON booky_plans.%I TO booky_worker', t);"
    " END LOOP;"
    " INSERT INTO booky_plans.installation SELECT * FROM booky.installation;"
    " FOR t IN SELECT format('ALTER TABLE booky_plans.%I ALTER %I DROP NOT NULL', table_name, column_name)"
    "  FROM information_schema.columns WHERE table_schema = 'booky_plans' LOOP EXECUTE t; END LOOP; END $$";

static const char index_tables[] =
    "DO $$ DECLARE x text; BEGIN"
    " FOR x IN SELECT replace(indexdef, ' ON booky.', ' ON booky_plans.') FROM pg_indexes"
    "  WHERE schemaname = 'booky' AND tablename <> 'migrations' LOOP EXECUTE x; END LOOP;"
    " FOR x IN SELECT format('ALTER TABLE booky_plans.%1$I ENABLE ROW LEVEL SECURITY;"
    "  CREATE POLICY %2$I ON booky_plans.%1$I TO booky_worker USING (%3$s)', tablename, policyname, qual)"
    "  FROM pg_policies WHERE schemaname = 'booky' LOOP EXECUTE x; END LOOP;"
    " FOR x IN SELECT tablename FROM pg_tables WHERE schemaname = 'booky_plans' LOOP"
    "  EXECUTE format('ANALYZE booky_plans.%I', x); END LOOP; END $$";

static void tables_make(long long rows)
{
    PGconn *admin = sql_open_admin();
    PQclear(sql_run(admin, "SET synchronous_commit = off; SET maintenance_work_mem = '256MB'; %s", copy_tables));
    PQclear(sql_run(admin, "SET search_path = booky_plans"));
    for (size_t i = 0; i < sizeof fill / sizeof *fill; i++) {
        char *text;
        if (asprintf(&text, fill[i], rows) < 0) abort();
        PQclear(sql_run(admin, "%s", text));
        free(text);
    }
    PQclear(sql_run(admin, "%s", index_tables));
    PQfinish(admin);
}

static void tables_make_large(void)
{
    const char *asked = getenv("BOOKY_EXPLAIN_ROWS");
    tables_make(asked ? atoll(asked) : 1000000);
}

/* Most users have ten entities and one a thousand: what suits the average is wrong for the one. */
static void tables_make_skewed(void)
{
    tables_make(20000);
}

static void tables_drop(void)
{
    PGconn *admin = sql_open_admin();
    PQclear(sql_run(admin, "DROP SCHEMA booky_plans CASCADE"));
    PQfinish(admin);
}

static const struct mode {
    const char *title;
    bool workers; /* the planner's settings of the workers (db.h), else PostgreSQL's own */
    const char *plan_cache_mode;
} modes[] = {
    {"workers", true, "force_generic_plan"},
    {"workers, planned each time", true, "force_custom_plan"},
    {"default, planned once", false, "force_generic_plan"},
    {"default, planned each time", false, "force_custom_plan"},
};

/* A connection with the workers' rights that speaks for `user`. */
static PGconn *open_as(const char *user, const struct mode *mode)
{
    PGconn *c = mode->workers ? sql_open_planner() : sql_open_admin();
    PQclear(sql_run(c, "SET search_path = booky_plans, booky; SET ROLE booky_worker; SET jit = off"));
    PQclear(sql_run(c, "SET plan_cache_mode = %s", mode->plan_cache_mode));
    PQclear(sql_run(c, "SELECT set_config('booky.user_id', '%s', false)", user));
    return c;
}

/* Arguments for a statement, by the types of its parameters: the user first, then the same for all of a type. */
static const char *arguments_of(peer *p, PGconn *c, const char *user, int listed)
{
    static const struct {
        const char *type, *value;
    } defaults[] = {{"text", "'book'"},   {"bigint", "1500000"}, {"integer", "100"},
                    {"bytea", "'\\x00'"}, {"json", "'{}'"},      {"boolean", "true"}};
    strbuf out = STRBUF(p->a);
    PGresult *r = sql_run(c, "SELECT unnest(parameter_types)::regtype FROM pg_prepared_statements WHERE name = 'x'");
    for (int i = 0; i < PQntuples(r); i++) {
        const char *type = PQgetvalue(r, i, 0), *value = NULL;
        bool array = strstr(type, "[]");
        for (size_t k = 0; k < sizeof defaults / sizeof *defaults; k++)
            if (strncmp(type, defaults[k].type, strlen(defaults[k].type)) == 0) value = defaults[k].value;
        ck_assert_msg(value, "add a default for parameters of type %s", type);
        strbuf_puts(&out, i ? ", " : "(");
        if (i == 0)
            strbuf_printf(&out, "'%s'", user);
        else if (!array)
            strbuf_puts(&out, value);
        for (int n = 0; array && n < listed; n++) strbuf_printf(&out, "%s%s", n ? ", " : "ARRAY[", value);
        if (array) strbuf_printf(&out, "]::%s", type);
    }
    strbuf_puts(&out, PQntuples(r) ? ")" : "");
    PQclear(r);
    return out.data;
}

/* Plans */

static void release_json(void *value)
{
    json_decref(value);
}

static json_t *explain(peer *p, PGconn *c, const char *options, const char *arguments)
{
    PGresult *r = sql_run(c, "EXPLAIN (%s, FORMAT JSON) EXECUTE x%s", options, arguments);
    json_t *whole = json_loads(PQgetvalue(r, 0, 0), 0, NULL), *plan = json_object_get(json_array_get(whole, 0), "Plan");
    json_incref(plan);
    json_decref(whole);
    PQclear(r);
    arena_defer(p->a, release_json, plan);
    return plan;
}

static const char *member(const json_t *node, const char *name)
{
    const char *text = json_string_value(json_object_get(node, name));
    return text ? text : "";
}

/* Checks a plan's nodes and writes them into `out` as one line. `big_tables` are those that must not be scanned. */
static void check_node(const struct mode *mode, const sql_statement *s, const json_t *node, const char *big_tables,
                       strbuf *out)
{
    const char *type = member(node, "Node Type"), *relation = member(node, "Relation Name");
    const char *index = member(node, "Index Name"), *condition = member(node, "Index Cond");
    size_t i;
    json_t *child, *children = json_object_get(node, "Plans");
    strbuf_printf(out, "%s%s%s", type, *index ? " " : *relation ? " on " : "", *index ? index : relation);
    if (strcmp(type, "Seq Scan") == 0)
        ck_assert_msg(!strstr(big_tables, peer_printf(&(peer){.a = out->a}, ",%s,", relation)),
                      "%s: %s: Seq Scan on %s", s->name, mode->title, relation);
    if (*index && strcmp(relation, "erased_epochs") != 0) /* which belong to nobody, and are found by the epoch */
        ck_assert_msg(strstr(condition, "user_id"), "%s: %s: %s on %s without the user: %s", s->name, mode->title, type,
                      index, condition);
    if (mode->workers) ck_assert_msg(!strstr(type, "Gather"), "%s: %s: %s", s->name, mode->title, type);
    if (mode->workers && strncmp(s->name, "pull", strlen("pull")) == 0)
        ck_assert_msg(!strstr(type, "Sort"), "%s: %s: %s", s->name, mode->title, type); /* it must stream */
    if (json_array_size(children) == 0) return;
    strbuf_puts(out, " (");
    json_array_foreach(children, i, child)
    {
        if (i > 0) strbuf_puts(out, ", ");
        check_node(mode, s, child, big_tables, out);
    }
    strbuf_puts(out, ")");
}

START_TEST(every_statement_goes_by_the_users_index)
{
    static const char *const users[] = {"big", "small", "u7"};
    const struct mode *mode = &modes[_i];
    peer *p = peer_new();
    for (size_t u = 0; u < 3; u++) {
        PGconn *c = open_as(users[u], mode);
        /* With the workers' settings not even a small table is scanned, if it has any rows. */
        PGresult *tables =
            sql_run(c,
                    "SELECT ',' || string_agg(relname, ',') || ',' FROM pg_class"
                    " WHERE relnamespace = 'booky_plans'::regnamespace AND relkind = 'r' AND reltuples > %d"
                    " AND relname <> 'installation'", /* one row */
                    mode->workers ? 0 : 3000);
        for (int id = 0; id < SQL_COUNT; id++) {
            const sql_statement *s = &sql_statements[id];
            if (!strstr(s->text, "user_id = $1") && !strstr(s->text, "INSERT")) continue;
            PQclear(sql_run(c, "PREPARE x AS %s", s->text));
            for (int listed = 2; listed <= 500; listed += 498) {
                strbuf line = STRBUF(p->a);
                json_t *plan = explain(p, c, "COSTS OFF", arguments_of(p, c, users[u], listed));
                check_node(mode, s, plan, PQgetvalue(tables, 0, 0), &line);
                if (getenv("BOOKY_SHOW_PLANS") && u == 0)
                    printf("%s: %s, %d listed: %s\n", mode->title, s->name, listed, line.data);
            }
            if (id == SQL_PULL || id == SQL_PULL_PAGE) { /* the whole library, without a limit */
                strbuf line = STRBUF(p->a);
                const char *whole = peer_printf(p, "('%s', 0, '', '', NULL, NULL, NULL, NULL, NULL, NULL%s)", users[u],
                                                id == SQL_PULL ? "" : ", true, NULL, true, true");
                check_node(mode, s, explain(p, c, "COSTS OFF", whole), PQgetvalue(tables, 0, 0), &line);
            }
            PQclear(sql_run(c, "DEALLOCATE x"));
        }
        PQclear(tables);
        PQfinish(c);
    }
    fflush(stdout);
    peer_free(p);
}
END_TEST

/* Blocks that a statement touches. */
static long long blocks_of(peer *p, PGconn *c, sql_id id, const char *arguments, long long rows)
{
    PQclear(sql_run(c, "PREPARE x AS %s", sql_statements[id].text));
    explain(p, c, "ANALYZE, BUFFERS", arguments); /* the first time also reads the catalogue */
    json_t *plan = explain(p, c, "ANALYZE, BUFFERS", arguments);
    PQclear(sql_run(c, "DEALLOCATE x"));
    if (rows >= 0) ck_assert_int_eq(json_integer_value(json_object_get(plan, "Actual Rows")), rows);
    return json_integer_value(json_object_get(plan, "Shared Hit Blocks")) +
           json_integer_value(json_object_get(plan, "Shared Read Blocks"));
}

START_TEST(ten_changes_cost_the_same_in_a_small_and_a_large_library)
{
    static const char *const users[] = {"small", "big"};
    long long blocks[2], page[2];
    peer *p = peer_new();
    for (int u = 0; u < 2; u++) {
        PGconn *c = open_as(users[u], &modes[_i]);
        long long since = sql_number(c, "SELECT updated_at FROM entities ORDER BY updated_at DESC OFFSET 9 LIMIT 1");
        const char *ten = peer_printf(p, "('%s', %lld, '', '', -1, NULL, NULL, NULL, NULL, NULL)", users[u], since);
        const char *first = peer_printf(p, "('%s', 0, '', '', NULL, NULL, 10, NULL, NULL, NULL)", users[u]);
        blocks[u] = blocks_of(p, c, SQL_PULL, ten, 1 + 10); /* the clock is a row too */
        page[u] = blocks_of(p, c, SQL_PULL, first, 1 + 10);
        PQfinish(c);
    }
    if (getenv("BOOKY_SHOW_PLANS"))
        printf("%s: blocks of a pull of ten: %lld (small), %lld (large); of a first page: %lld, %lld\n",
               modes[_i].title, blocks[0], blocks[1], page[0], page[1]);
    ck_assert_int_le(llabs(blocks[1] - blocks[0]), 4);
    ck_assert_int_le(blocks[1], 30);
    ck_assert_int_le(llabs(page[1] - page[0]), 4);
    peer_free(p);
}
END_TEST

START_TEST(what_a_batch_reads_grows_with_the_batch_and_not_with_the_library)
{
    static const char *const users[] = {"small", "big"};
    peer *p = peer_new();
    for (int u = 0; u < 2; u++)
        for (long long n = 10; n <= 200; n += 190) {
            PGconn *c = open_as(users[u], &modes[_i]);
            const char *ids = peer_printf(p,
                                          "(SELECT array_agg(entity_id) FROM (SELECT entity_id FROM entities"
                                          " WHERE kind = 'book' LIMIT %lld) AS e)",
                                          n);
            PGresult *r = sql_run(c, "SELECT %s, array_fill('book'::text, ARRAY[%lld])", ids, n);
            const char *named = peer_printf(p, "('%s', '%s', '%s', '{rating}', '{key 3}', 1000000)", users[u],
                                            PQgetvalue(r, 0, 1), PQgetvalue(r, 0, 0));
            const char *known = peer_printf(p, "('%s', '%s', 1000000)", users[u], PQgetvalue(r, 0, 0));
            long long entities = blocks_of(p, c, SQL_ENTITIES_READ, named, -1);
            long long ledger = blocks_of(p, c, SQL_LEDGER_READ, known, 0);
            if (getenv("BOOKY_SHOW_PLANS"))
                printf("%s: %s, %lld operations: blocks of entities_read %lld, ledger_read %lld\n", modes[_i].title,
                       users[u], n, entities, ledger);
            ck_assert_int_le(entities, 100 + 5 * n);
            ck_assert_int_le(ledger, 20 + 6 * n); /* each is looked for in the queue too */
            PQclear(r);
            PQfinish(c);
        }
    peer_free(p);
}
END_TEST

/* Rows that a plan read and threw away. */
static long long rows_removed(const json_t *node)
{
    static const char *const names[] = {"Rows Removed by Join Filter", "Rows Removed by Filter"};
    long long loops = json_integer_value(json_object_get(node, "Actual Loops")), rows = 0;
    size_t i;
    json_t *child;
    for (size_t k = 0; k < 2; k++) rows += loops * json_integer_value(json_object_get(node, names[k]));
    json_array_foreach(json_object_get(node, "Plans"), i, child) rows += rows_removed(child);
    return rows;
}

START_TEST(closing_conflicts_reads_those_that_it_closes_and_no_others)
{
    peer *p = peer_new();
    PGconn *c = open_as("big", &modes[_i]);
    PQclear(sql_run(c, "BEGIN"));
    PQclear(sql_run(c, "PREPARE x AS %s", sql_statements[SQL_CONFLICTS_CLOSE].text));
    long long open = sql_number(c, "SELECT count(*) FROM conflicts WHERE status = 'open'");
    json_t *plan = explain(p, c, "ANALYZE, BUFFERS",
                           "('big', 1, '{tag,tag,tag,tag}', '{new1,new1,new20,nothing}',"
                           " '{same_name,incomplete,same_name,incomplete}')");
    ck_assert_int_eq(open - sql_number(c, "SELECT count(*) FROM conflicts WHERE status = 'open'"), 3);
    ck_assert_int_eq(rows_removed(plan), 0);
    PQclear(sql_run(c, "DEALLOCATE x; PREPARE x AS %s", sql_statements[SQL_FULL_DELETE].text));
    PQclear(sql_run(c, "INSERT INTO entities (user_id, kind, entity_id, status, updated_at) SELECT 'big', 'tag',"
                       " 'new' || n, 'incomplete', 2000000000 + n FROM generate_series(1, 300) AS n"));
    plan = explain(p, c, "ANALYZE, BUFFERS", "('big', '{tag}', '{tag}', '{new1000}', 1)");
    ck_assert_int_eq(sql_number(c, "SELECT count(*) FROM conflicts WHERE status = 'open' AND kind = 'tag'"
                                   " AND substr(entity_id, 4)::int <= 300"),
                     0);
    ck_assert_int_lt(rows_removed(plan), 100000); /* it passes the user's entities, but not the pairs */
    PQclear(sql_run(c, "ROLLBACK"));
    PQfinish(c);
    peer_free(p);
}
END_TEST

Suite *suite_plans(void)
{
    enum { MODES = sizeof modes / sizeof *modes };
    Suite *s = suite_create("plans");
    for (int skewed = 0; skewed < 2; skewed++) {
        TCase *t = tcase_create(skewed ? "skewed" : "large");
        tcase_set_timeout(t, 300);
        tcase_add_unchecked_fixture(t, skewed ? tables_make_skewed : tables_make_large, tables_drop);
        tcase_add_loop_test(t, every_statement_goes_by_the_users_index, 0, MODES);
        tcase_add_loop_test(t, ten_changes_cost_the_same_in_a_small_and_a_large_library, 0, MODES);
        tcase_add_loop_test(t, what_a_batch_reads_grows_with_the_batch_and_not_with_the_library, 0, MODES);
        tcase_add_loop_test(t, closing_conflicts_reads_those_that_it_closes_and_no_others, 0, MODES);
        suite_add_tcase(s, t);
    }
    return s;
}
