/*
 * Whether all of a user's rows can live on one shard of a distributed PostgreSQL (Citus), and each statement run there
 * alone: every table of a statement is restricted to user_id = $1 by itself, every new row gets that user, and every
 * key begins with it. Asked of the planner, as the owner, so that row-level security does not do the statement's work.
 * And whether no statement has what Citus refuses. Each rule was seen on a cluster; `./dev citus` runs on one.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/sql.h"

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

/* The rows that are inserted come from `source`. Where the user is not that of a scanned row, Citus stores the rows
 * with COPY, which row-level security refuses, unless there is an ON CONFLICT. */
static void check_source(const sql_statement *s, const json_t *source, bool on_conflict)
{
    size_t i;
    json_t *child;
    if (strcmp(member(source, "Node Type"), "Append") == 0) {
        json_array_foreach(json_object_get(source, "Plans"), i, child) check_source(s, child, on_conflict);
        return;
    }
    bool values = strcmp(member(source, "Node Type"), "Result") == 0 && !json_object_get(source, "Plans");
    const char *user = first_column(source), *dot = strrchr(user, '.'); /* that of another row, whose scan is checked */
    bool scanned = dot && strcmp(dot, ".user_id") == 0;
    ck_assert_msg(scanned || (strcmp(user, "$1") == 0 && (values || on_conflict)), "%s: inserts a row of %s", s->name,
                  user);
}

/* The user is the first column of every table (see below), so also the first that a row to be inserted has. */
static void check_insert(const sql_statement *s, const json_t *node)
{
    size_t i, sources = 0;
    json_t *source;
    json_array_foreach(json_object_get(node, "Plans"), i, source)
    {
        if (strcmp(member(source, "Parent Relationship"), "Outer") != 0) continue;
        check_source(s, source, *member(node, "Conflict Resolution"));
        sources++;
    }
    ck_assert_uint_eq(sources, 1);
}

static bool is_modification(const json_t *node)
{
    return strcmp(member(node, "Node Type"), "ModifyTable") == 0;
}

/* Citus runs an INSERT and the other writes of its WITH as separate statements, which it then refuses. */
static void check_top(const sql_statement *s, const json_t *top)
{
    size_t i;
    json_t *part;
    if (!is_modification(top) || strcmp(member(top, "Operation"), "Insert") != 0) return;
    json_array_foreach(json_object_get(top, "Plans"), i, part)
        ck_assert_msg(!is_modification(part), "%s: an INSERT with a WITH that writes", s->name);
}

/* The tables without a user: reference tables, which every shard has. */
#define SHARED "'installation', 'erased_epochs'"

static bool is_shared(const char *relation)
{
    return strcmp(relation, "installation") == 0 || strcmp(relation, "erased_epochs") == 0;
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
    if (inserts && !is_shared(relation))
        check_insert(s, node);
    else if (*relation && !modifies && !is_shared(relation))
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
    bool on_citus = sql_on_citus(c); /* which has plans of another form */
    PQclear(sql_run(c, "SET search_path = booky"));
    for (int id = 0; id < SQL_COUNT && !on_citus; id++) {
        const sql_statement *s = sql_find(id, _i == 1);
        char arguments[256] = "NULL";
        if (!is_of_a_user(s)) continue;
        for (int i = 1; i < s->params; i++) strcat(arguments, ", NULL");
        PQclear(sql_run(c, "PREPARE x AS %s", s->text));
        PGresult *r = sql_run(c, "EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) EXECUTE x(%s)", arguments);
        json_t *whole = json_loads(PQgetvalue(r, 0, 0), 0, NULL),
               *top = json_object_get(json_array_get(whole, 0), "Plan");
        ck_assert_msg(check_node(s, top) > 0, "%s: no table", s->name);
        check_top(s, top);
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
                   " AND c.relkind = 'r' AND c.relname NOT IN ('migrations', " SHARED
                   ") AND NOT EXISTS (SELECT FROM pg_attribute a"
                   " WHERE a.attrelid = c.oid AND a.attnum = 1 AND a.attname = 'user_id' AND a.attnotnull"
                   " AND a.atttypid = 'text'::regtype)"
                   " UNION ALL SELECT i.relname, pg_get_indexdef(i.oid) FROM pg_index x"
                   " JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid"
                   " WHERE c.relnamespace = 'booky'::regnamespace AND c.relname NOT IN ('migrations', " SHARED ")"
                   " AND x.indkey[0] <> 1");
    ck_assert_msg(PQntuples(r) == 0, "%s: %s", PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1));
    ck_assert_int_ge(sql_number(c, "SELECT count(*) FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid"
                                   " WHERE c.relnamespace = 'booky'::regnamespace AND x.indkey[0] = 1"),
                     10);
    PQclear(r);
    PQfinish(c);
}
END_TEST

/* The length of the clause at `from`: up to the end of the text or to the parenthesis that closes what it is in. */
static size_t clause_len(const char *from)
{
    const char *p = from;
    for (int depth = 0; *p && depth >= 0; p++) depth += (*p == '(') - (*p == ')');
    return (size_t)(p - from);
}

static bool clause_has(const char *from, const char *word)
{
    return memmem(from, clause_len(from), word, strlen(word)) != NULL;
}

/* What Citus refuses or breaks in the texts for it: functions that are not immutable in DO UPDATE and in RETURNING; a
 * CASE with an operand, in a statement that writes; and in RETURNING the name of a table that has no alias. */
START_TEST(no_statement_has_what_a_shard_does_not_take)
{
    for (int id = 0; id < SQL_COUNT; id++) {
        const sql_statement *s = sql_find(id, true);
        const char *p;
        bool writes = strstr(s->text, "INSERT INTO") || strstr(s->text, "UPDATE ") || strstr(s->text, "DELETE FROM");
        for (p = s->text; (p = strstr(p, "DO UPDATE")); p++)
            ck_assert_msg(!clause_has(p, "clock_timestamp") && !clause_has(p, "statement_timestamp"), "%s", s->name);
        for (p = s->text; (p = strstr(p, "RETURNING")); p++) ck_assert_msg(!clause_has(p, "_timestamp"), "%s", s->name);
        for (p = s->text; writes && (p = strstr(p, "CASE ")); p++)
            ck_assert_msg(strncmp(p, "CASE WHEN", 9) == 0, "%s: %.40s", s->name, p);
        for (p = s->text; (p = strstr(p, "INSERT INTO ")); p++) {
            const char *name = p + strlen("INSERT INTO "), *columns = strchr(name, '(');
            bool returns = clause_has(p, "RETURNING") && !clause_has(p, "ON CONFLICT");
            ck_assert_msg(!returns || memmem(name, (size_t)(columns - name), " AS ", 4), "%s: %.40s", s->name, p);
        }
    }
}
END_TEST

Suite *suite_shards(void)
{
    Suite *s = suite_create("shards");
    TCase *t = tcase_create("shards");
    tcase_add_loop_test(t, every_statement_stays_on_the_users_shard, 0, 2); /* of PostgreSQL, and for Citus */
    tcase_add_test(t, every_table_and_every_index_begins_with_the_user);
    tcase_add_test(t, no_statement_has_what_a_shard_does_not_take);
    suite_add_tcase(s, t);
    return s;
}
