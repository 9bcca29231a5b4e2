/*
 * Whether all of a user's rows could live on one shard of a distributed PostgreSQL (Citus), and each statement run
 * there alone: every table of a statement is restricted to user_id = $1 by itself, every new row gets that user, and
 * every key begins with it. Asked of the planner, as the owner, so that row-level security does not do the statement's
 * work.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql.h"

static const char *member(const json_t *node, const char *name)
{
    const char *text = json_string_value(json_object_get(node, name));
    return text ? text : "";
}

/* What a plan's node gives as the first column; where that is passed on from a subquery, what the subquery gives. */
static const char *first_column(const json_t *node)
{
    size_t i;
    json_t *child;
    const char *column = json_string_value(json_array_get(json_object_get(node, "Output"), 0));
    bool passed_on = column && strncmp(column, "\"*SELECT*\".", 11) == 0;
    json_array_foreach(json_object_get(node, "Plans"), i, child)
    {
        if (passed_on && strcmp(member(child, "Parent Relationship"), "Subquery") == 0) return first_column(child);
    }
    return column ? column : "";
}

/* The user is the first column of every table (see below), so also the first that a row to be inserted has. */
static void check_insert(const sql_statement *s, const json_t *node)
{
    const char *user = "nobody";
    size_t i;
    json_t *source;
    json_array_foreach(json_object_get(node, "Plans"), i, source)
    {
        if (strcmp(member(source, "Parent Relationship"), "Outer") == 0) user = first_column(source);
    }
    const char *dot = strrchr(user, '.'); /* the user of another row, whose scan is checked */
    ck_assert_msg(strcmp(user, "$1") == 0 || (dot && strcmp(dot, ".user_id") == 0), "%s: inserts a row of %s", s->name,
                  user);
}

/* Returns the number of tables that are scanned or inserted into. */
static int check_node(const sql_statement *s, const json_t *node)
{
    const char *type = member(node, "Node Type"), *relation = member(node, "Relation Name");
    int tables = 0;
    size_t i;
    json_t *child;
    bool modifies = strcmp(type, "ModifyTable") == 0,
         inserts = modifies && strcmp(member(node, "Operation"), "Insert") == 0;
    if (inserts)
        check_insert(s, node);
    else if (*relation && !modifies)
        ck_assert_msg(strstr(member(node, "Index Cond"), "user_id = $1"), "%s: %s on %s, not by user_id = $1: %s",
                      s->name, type, relation, member(node, "Index Cond"));
    tables += inserts || (*relation && !modifies);
    json_array_foreach(json_object_get(node, "Plans"), i, child) tables += check_node(s, child);
    return tables;
}

/* Those that concern no user's rows. */
static bool is_of_a_user(const sql_statement *s)
{
    static const char *const others[] = {"begin", "begin_read", "commit", "rollback", "identify", "ping", "totals"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i], s->name) == 0) return false;
    return true;
}

START_TEST(every_statement_stays_on_the_users_shard)
{
    PGconn *c = sql_open_planner();
    PQclear(sql_run(c, "SET search_path = booky"));
    for (int id = 0; id < SQL_COUNT; id++) {
        const sql_statement *s = &sql_statements[id];
        char arguments[256] = "NULL";
        if (!is_of_a_user(s)) continue;
        for (int i = 1; i < s->params; i++) strcat(arguments, ", NULL");
        PQclear(sql_run(c, "PREPARE x AS %s", s->text));
        PGresult *r = sql_run(c, "EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) EXECUTE x(%s)", arguments);
        json_t *whole = json_loads(PQgetvalue(r, 0, 0), 0, NULL);
        ck_assert_msg(check_node(s, json_object_get(json_array_get(whole, 0), "Plan")) > 0, "%s: no table", s->name);
        json_decref(whole);
        PQclear(r);
        PQclear(sql_run(c, "DEALLOCATE x"));
    }
    PQfinish(c);
}
END_TEST

START_TEST(every_table_and_every_index_begins_with_the_user)
{
    PGconn *c = sql_open_admin();
    PGresult *r =
        sql_run(c, "SELECT c.relname, 'column' FROM pg_class c WHERE c.relnamespace = 'booky'::regnamespace"
                   " AND c.relkind = 'r' AND c.relname <> 'migrations' AND NOT EXISTS (SELECT FROM pg_attribute a"
                   " WHERE a.attrelid = c.oid AND a.attnum = 1 AND a.attname = 'user_id' AND a.attnotnull"
                   " AND a.atttypid = 'text'::regtype)"
                   " UNION ALL SELECT i.relname, pg_get_indexdef(i.oid) FROM pg_index x"
                   " JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid"
                   " WHERE c.relnamespace = 'booky'::regnamespace AND c.relname <> 'migrations'"
                   " AND x.indkey[0] <> 1");
    ck_assert_msg(PQntuples(r) == 0, "%s: %s", PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1));
    ck_assert_int_ge(sql_number(c, "SELECT count(*) FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid"
                                   " WHERE c.relnamespace = 'booky'::regnamespace AND x.indkey[0] = 1"),
                     10);
    PQclear(r);
    PQfinish(c);
}
END_TEST

/* Citus refuses these in ON CONFLICT DO UPDATE and in RETURNING. docs/scale.md has what stands in for the two that have
 * them for a reason (the clock must be read when the row is locked). */
START_TEST(no_further_statement_reads_the_time_where_a_shard_may_not)
{
    for (int id = 0; id < SQL_COUNT; id++) {
        const sql_statement *s = &sql_statements[id];
        const char *from = strstr(s->text, "DO UPDATE"), *returning = strstr(s->text, "RETURNING");
        bool known = strcmp(s->name, "clock_advance") == 0 || strcmp(s->name, "rate") == 0;
        if (!from || (returning && returning < from)) from = returning;
        if (!from) continue;
        bool reads = strstr(from, "clock_timestamp") || strstr(from, "now()") || strstr(from, "random");
        ck_assert_msg(reads == known, "%s", s->name);
    }
}
END_TEST

Suite *suite_shards(void)
{
    Suite *s = suite_create("shards");
    TCase *t = tcase_create("shards");
    tcase_add_test(t, every_statement_stays_on_the_users_shard);
    tcase_add_test(t, every_table_and_every_index_begins_with_the_user);
    tcase_add_test(t, no_further_statement_reads_the_time_where_a_shard_may_not);
    suite_add_tcase(s, t);
    return s;
}
