/*
 * Row-level security repeats the isolation of users inside the database: a mistake in a WHERE clause shows nobody's
 * data. And what makes one user's rows a shard of their own: every key and every statement begins with the user.
 */
#include "harness.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "store/sql.h"

/* Names of what a query returns in its first column, comma-separated; "" when it returns nothing. */
static const char *names_of(PGconn *c, const char *query, char out[4096])
{
    PGresult *r = sql_run(c, "%s", query);
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < PQntuples(r) && used < 4000; i++)
        used += (size_t)snprintf(out + used, 4096 - used, "%s%s", i ? "," : "", PQgetvalue(r, i, 0));
    PQclear(r);
    return out;
}

static void check_none(PGconn *c, const char *what, const char *query)
{
    char names[4096];
    ck_assert_msg(*names_of(c, query, names) == '\0', "%s: %s", what, names);
}

/* All tables but those without a user: `installation`, and `erased_epochs`, which holds random numbers. */
#define TABLES                                                                                                         \
    "SELECT c.relname, c.oid FROM pg_class c WHERE c.relnamespace = 'booky'::regnamespace AND c.relkind IN ('r', 'p')" \
    " AND c.relname NOT IN ('migrations', 'installation', 'erased_epochs')"

START_TEST(every_table_has_row_level_security_and_keys_that_begin_with_the_user)
{
    static const char *const rules[][2] = {
        {"tables without row-level security",
         "SELECT relname FROM pg_class WHERE oid IN (SELECT oid FROM (" TABLES ") t) AND NOT relrowsecurity"},
        {"tables without a policy of their own rows",
         "SELECT relname FROM (" TABLES ") t WHERE NOT EXISTS (SELECT FROM pg_policies p WHERE schemaname = 'booky'"
         " AND tablename = relname AND cmd = 'ALL' AND qual LIKE '%user_id = current_setting(''booky.user_id''%')"},
        {"tables without a primary key that begins with user_id",
         "SELECT relname FROM (" TABLES ") t WHERE NOT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a"
         " ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] WHERE i.indrelid = t.oid AND i.indisprimary"
         " AND a.attname = 'user_id')"},
        {"indexes that do not begin with user_id",
         "SELECT i.indexrelid::regclass FROM (" TABLES
         ") t JOIN pg_index i ON i.indrelid = t.oid LEFT JOIN pg_attribute a"
         " ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] WHERE a.attname IS DISTINCT FROM 'user_id'"},
        {"columns that hold a user under another name, or another collation",
         "SELECT relname FROM (" TABLES ") t JOIN pg_attribute a ON a.attrelid = t.oid WHERE attname = 'user_id'"
         " AND (NOT attnotnull OR attcollation <> '\"C\"'::regcollation)"},
    };
    PGconn *admin = sql_open_admin();
    ck_assert_int_ge(sql_number(admin, "SELECT count(*) FROM (" TABLES ") t"), 5);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) check_none(admin, rules[i][0], rules[i][1]);
    PQfinish(admin);
}
END_TEST

START_TEST(every_statement_that_touches_a_table_names_the_user)
{
    char tables[4096];
    PGconn *admin = sql_open_admin();
    names_of(admin, TABLES, tables);
    for (int i = 0; i < SQL_COUNT; i++) {
        const sql_statement *s = &sql_statements[i];
        ck_assert_msg(s->name && s->text, "statement %d has no name", i);
        bool touches = false;
        char list[4096];
        strcpy(list, tables);
        for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
            char pattern[4][80];
            static const char *const verbs[] = {"FROM ", "INTO ", "JOIN ", "UPDATE "};
            for (int k = 0; k < 4; k++) {
                snprintf(pattern[k], sizeof *pattern, "%s%s", verbs[k], name);
                const char *at = strstr(s->text, pattern[k]);
                touches |= at && !strchr("_abcdefghijklmnopqrstuvwxyz", at[strlen(pattern[k])]);
                if (at && !at[strlen(pattern[k])]) touches = true;
            }
        }
        if (touches) ck_assert_msg(strstr(s->text, "user_id") && strstr(s->text, "$1"), "%s", s->name);
    }
    PQfinish(admin);
}
END_TEST

START_TEST(the_workers_role_owns_nothing_and_bypasses_nothing)
{
    PGconn *worker = sql_open_worker();
    check_none(worker, "roles with power",
               "SELECT rolname FROM pg_roles WHERE rolname IN (current_user, 'booky_worker')"
               " AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)");
    check_none(worker, "relations that the role owns",
               "SELECT relname FROM pg_class WHERE pg_get_userbyid(relowner) IN (current_user, 'booky_worker')");
    check_none(worker, "memberships beyond booky_worker",
               "SELECT rolname FROM pg_roles WHERE pg_has_role(current_user, oid, 'MEMBER')"
               " AND rolname NOT IN (current_user, 'booky_worker')");
    check_none(worker, "views and tables of others that it may read",
               "SELECT relname FROM pg_class WHERE relnamespace = 'booky'::regnamespace AND relkind IN ('v', 'm')"
               " AND has_table_privilege(oid, 'SELECT')");
    check_none(worker, "tables that it may empty or reference",
               "SELECT relname FROM pg_class WHERE relnamespace = 'booky'::regnamespace AND relkind IN ('r', 'p')"
               " AND has_table_privilege(oid, 'TRUNCATE, REFERENCES, TRIGGER')");
    check_none(worker, "rights on the tables without a user that it does not need",
               "SELECT 'installation' WHERE has_table_privilege('booky.installation', 'INSERT, UPDATE, DELETE')"
               " UNION ALL SELECT 'erased_epochs' WHERE has_table_privilege('booky.erased_epochs', 'UPDATE, DELETE')");
    check_none(worker, "schemas that it may create in",
               "SELECT nspname FROM pg_namespace WHERE nspname = 'booky' AND has_schema_privilege(oid, 'CREATE')");
    PQfinish(worker);
}
END_TEST

START_TEST(the_workers_role_creates_no_temporary_objects)
{
    static const char *const objects[] = {
        "CREATE TEMP TABLE queue (synced_at bigint, attempts int)",
        "CREATE TEMP VIEW queue AS SELECT 1",
        "CREATE FUNCTION pg_temp.count() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
        "SELECT 1 AS synced_at INTO TEMP queue",
    };
    PGconn *worker = sql_open_worker();
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        ck_assert_str_eq(sql_state(worker, "%s", objects[i]), "42501");
    PQfinish(worker);
}
END_TEST

START_TEST(functions_name_what_they_use_so_that_nothing_can_take_its_place)
{
    static const char *const rules[][2] = {
        {"functions that look names up when they run, and do not look into the temporary schema last",
         "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'booky'::regnamespace AND prosqlbody IS NULL"
         " AND NOT EXISTS (SELECT FROM unnest(proconfig) AS c WHERE c ~ '^search_path=.*, pg_temp$')"},
        {"functions with the owner's rights that everybody may call",
         "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'booky'::regnamespace AND prosecdef"
         " AND has_function_privilege('public', oid, 'EXECUTE')"},
    };
    PGconn *admin = sql_open_admin();
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) check_none(admin, rules[i][0], rules[i][1]);
    PQfinish(admin);
}
END_TEST

/* Also where temporary objects are allowed: the superuser creates them here. */
START_TEST(a_temporary_object_does_not_take_the_place_of_a_table_in_a_function_with_the_owners_rights)
{
    PGconn *admin = sql_open_admin();
    PQclear(sql_run(admin, "BEGIN"));
    PQclear(sql_run(admin, "CREATE FUNCTION pg_temp.trap() RETURNS bigint LANGUAGE plpgsql AS"
                           " 'BEGIN RAISE EXCEPTION ''run as %%'', current_user; END'"));
    PQclear(sql_run(admin, "CREATE TEMP VIEW queue AS SELECT pg_temp.trap() AS synced_at, 5 AS attempts"));
    PQclear(sql_run(admin, "CREATE TEMP VIEW conflicts AS SELECT 'open' AS status WHERE pg_temp.trap() IS NULL"));
    PQclear(sql_run(admin, "GRANT SELECT ON pg_temp.queue, pg_temp.conflicts TO PUBLIC"));
    ck_assert_int_ge(sql_number(admin, "SELECT waiting + review + open FROM booky.totals()"), 0);
    PQclear(sql_run(admin, "ROLLBACK"));
    PQfinish(admin);
}
END_TEST

/* Fills all tables that an ordinary day fills. */
static void write_something(peer *p)
{
    int64_t now = clock_now();
    const char *ops[] = {
        peer_operation(p, "1", "create", "tag", "t1", "{\"name\":\"N\"}", now),
        peer_operation(p, "2", "create", "tag", "t2", "{\"name\":\"N\"}", now), /* a conflict */
    };
    peer_post(p, peer_body(p, ops, 2));
}

START_TEST(a_worker_sees_and_writes_the_rows_of_one_user_only)
{
    enum { NOBODY, STRANGER, SELF };
    peer *p = peer_new(), *other = peer_new();
    PGconn *admin = sql_open_admin(), *worker = sql_open_worker();
    char tables[4096];
    bool on_citus = sql_on_citus(admin);
    write_something(p);
    write_something(other);
    for (int who = NOBODY; who <= SELF; who++) {
        PQclear(sql_run(worker, "BEGIN"));
        if (who != NOBODY) sql_identify(worker, who == SELF ? p->user : other->user);
        names_of(admin, TABLES, tables);
        for (char *name = strtok(tables, ","); name; name = strtok(NULL, ",")) {
            const char *user = p->user;
            long long all = sql_number(worker, "SELECT count(*) FROM %s", name);
            long long own = sql_number(worker, "SELECT count(*) FROM %s WHERE user_id = '%s'", name, user);
            long long there = sql_number(admin, "SELECT count(*) FROM %s WHERE user_id = '%s'", name, user);
            ck_assert_msg(own == (who == SELF ? there : 0), "%s: %lld rows", name, own);
            ck_assert_msg(who != NOBODY || all == 0, "%s: %lld rows of anybody", name, all);
            ck_assert_msg(who != SELF || all == own, "%s: rows of others", name);
            if (who == SELF) continue;
            if (!on_citus) /* which lets nobody write this column */
                ck_assert_int_eq(
                    sql_number(worker,
                               "WITH x AS (UPDATE %s SET user_id = user_id WHERE user_id = '%s' RETURNING 1)"
                               " SELECT count(*) FROM x",
                               name, user),
                    0);
            ck_assert_int_eq(sql_number(worker,
                                        "WITH x AS (DELETE FROM %s WHERE user_id = '%s' RETURNING 1)"
                                        " SELECT count(*) FROM x",
                                        name, user),
                             0);
        }
        PQclear(sql_run(worker, "ROLLBACK"));
    }
    /* Rows cannot be made for another user, nor given to one. */
    static const char *const forbidden[] = {
        "INSERT INTO clocks (user_id, clock, started) VALUES ('%s-2', 1, 1)",
        "INSERT INTO ledger (user_id, operation_id, processed_at, hash, result) VALUES ('%s', 'x', 1, '', '{}')",
        "UPDATE entities SET user_id = '%s'",
        "UPDATE clocks SET user_id = '%s-3'",
    };
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        PQclear(sql_run(worker, "BEGIN"));
        sql_identify(worker, p->user);
        char statement[256];
        snprintf(statement, sizeof statement, forbidden[i], other->user);
        ck_assert_str_eq(sql_state(worker, "%s", statement),
                         on_citus && strncmp(statement, "UPDATE", 6) == 0 ? "0A000" : "42501");
        PQclear(sql_run(worker, "ROLLBACK"));
    }
    PQfinish(admin);
    PQfinish(worker);
    peer_free(p);
    peer_free(other);
}
END_TEST

START_TEST(the_user_of_a_transaction_ends_with_it)
{
    peer *p = peer_new();
    PGconn *worker = sql_open_worker();
    write_something(p);
    PQclear(sql_run(worker, "BEGIN"));
    sql_identify(worker, p->user);
    ck_assert_int_eq(sql_number(worker, "SELECT count(*) FROM entities"), 2);
    PQclear(sql_run(worker, "COMMIT"));
    ck_assert_int_eq(sql_number(worker, "SELECT count(*) FROM entities"), 0);
    PQfinish(worker);
    peer_free(p);
}
END_TEST

Suite *suite_isolation(void)
{
    Suite *s = suite_create("isolation");
    TCase *t = tcase_create("isolation");
    tcase_add_test(t, every_table_has_row_level_security_and_keys_that_begin_with_the_user);
    tcase_add_test(t, every_statement_that_touches_a_table_names_the_user);
    tcase_add_test(t, the_workers_role_owns_nothing_and_bypasses_nothing);
    tcase_add_test(t, the_workers_role_creates_no_temporary_objects);
    tcase_add_test(t, functions_name_what_they_use_so_that_nothing_can_take_its_place);
    tcase_add_test(t, a_temporary_object_does_not_take_the_place_of_a_table_in_a_function_with_the_owners_rights);
    tcase_add_test(t, a_worker_sees_and_writes_the_rows_of_one_user_only);
    tcase_add_test(t, the_user_of_a_transaction_ends_with_it);
    suite_add_tcase(s, t);
    return s;
}
