/* kind_set.c: the values of members that are sets. In the JSON below ' stands for ". */
#include <string.h>

#include "engine/kind.h"
#include "merge_cases.h"

static json_t *quoted(const char *text)
{
    return parse(unquote(text));
}

static const struct {
    const char *name, *value, *complaint; /* NULL: it is accepted */
} sets[] = {
    {"a list", "['a','a',null,{}]", NULL},
    {"an empty list", "[]", NULL},
    {"null", "null", NULL},
    {"an addition", "{'$add':['a']}", NULL},
    {"a removal", "{'$remove':['a',1]}", NULL},
    {"both", "{'$remove':['a','b'],'$add':['c','c']}", NULL},
    {"an empty change", "{'$add':[],'$remove':[]}", NULL},
    {"equal texts of different types", "{'$add':['1'],'$remove':[1]}", NULL},
    {"a string", "'a'", ": must be a list, null or a change {\"$add\": […], \"$remove\": […]}, is a string"},
    {"a number", "1", ": must be a list, null or a change {\"$add\": […], \"$remove\": […]}, is a number"},
    {"true", "true", ": must be a list, null or a change {\"$add\": […], \"$remove\": […]}, is true"},
    {"an object", "{}", ": an object here is a change of the list: it needs $add, $remove or both"},
    {"another member", "{'$add':['a'],'x':1}",
     ": an object here is a change of the list: it has $add, $remove or both, and nothing else"},
    {"not a list", "{'$add':'a'}", ".$add: must be a list, is a string"},
    {"null as a list", "{'$add':['a'],'$remove':null}", ".$remove: must be a list, is null"},
    {"an element in both", "{'$add':['a','b'],'$remove':['c','b']}", ".$remove[1]: is in $add as well"},
    {"an element in both, written otherwise", "{'$add':[{'x':1,'y':[2.0]}],'$remove':[{'y':[2],'x':1.0}]}",
     ".$remove[0]: is in $add as well"},
};

static const char *const set_members[][2] = {
    {"book", "tags"}, {"book", "categories"}, {"book", "subjects"}, {"collection", "bookIds"}};

START_TEST(sets_are_lists_or_changes)
{
    for (size_t i = 0; i < COUNT(set_members); i++) {
        const char *const *member = set_members[i];
        const char *path = "", *found = NULL;
        json_t *data = json_new_object(a);
        json_put(a, data, member[1], json_incref(quoted(sets[_i].value)));
        const char *message = kind_check(a, kind_find(member[0]), data, NULL, &path);
        if (message) found = arena_printf(a, "%s: %s", path, message);
        const char *complaint = sets[_i].complaint;
        if (complaint) complaint = arena_printf(a, ".%s%s", member[1], complaint);
        ck_assert_msg(!complaint == !found && (!found || strcmp(found, complaint) == 0), "%s: %s", sets[_i].name,
                      found ? found : "accepted");
    }
}
END_TEST

/* A row from before the member was a set may have any value in it. */
START_TEST(a_set_that_equals_the_stored_one_is_accepted)
{
    static const char *const values[] = {"'text'", "1", "{}", "{'x':[1]}", "{'$add':'a'}", "{'$add':['a'],'x':1}"};
    for (size_t i = 0; i < COUNT(values); i++) {
        const char *path = "";
        merge_state *s = merge_new_with(a, kind_collection.sets);
        json_t *data = quoted(arena_printf(a, "{'bookIds':%s}", values[i]));
        merge_apply(s, &(merge_edit){MERGE_REPLACE, data, 1}, false);
        ck_assert_msg(kind_check(a, &kind_collection, data, NULL, &path) != NULL, "%s", values[i]);
        ck_assert_msg(kind_check_lists(a, &kind_collection, data, NULL, &path) != NULL, "%s", values[i]);
        ck_assert_msg(kind_check(a, &kind_collection, data, s, &path) == NULL, "%s", values[i]);
        ck_assert_msg(kind_check_lists(a, &kind_collection, data, s, &path) == NULL, "%s", values[i]);
        merge_apply(s, &(merge_edit){MERGE_PATCH, quoted("{'bookIds':{'$add':['b']}}"), 2}, false);
        ck_assert_msg(kind_check(a, &kind_collection, data, s, &path) != NULL, "%s", values[i]);
    }
    ck_assert(kind_is_set(&kind_collection, "bookIds") && kind_is_set(&kind_book, "tags"));
    ck_assert(!kind_is_set(&kind_book, "authors") && !kind_is_set(&kind_book, "bookIds"));
}
END_TEST

START_TEST(items_have_no_changes)
{
    const char *path = "";
    const json_t *lists = quoted("{'title':'T','tags':['a'],'subjects':null}");
    ck_assert_ptr_null(kind_check_lists(a, &kind_book, lists, NULL, &path));
    ck_assert_str_eq(kind_check_lists(a, &kind_book, quoted("{'tags':{'$add':['a']}}"), NULL, &path),
                     "must be a list or null in a full sync, is an object; changes of a list are for operations");
    ck_assert_str_eq(path, ".tags");
    ck_assert_ptr_null(kind_check_lists(a, &kind_tag, quoted("{'name':'N','tags':{'$add':['a']}}"), NULL, &path));
}
END_TEST

/* kind.sets and the field table name the same members. */
START_TEST(the_sets_are_fields)
{
    for (const kind *const *k = kinds; *k; k++) {
        size_t fields = 0, names = 0;
        for (const field *f = (*k)->fields; f->name; f++) fields += f->type == FIELD_SET;
        for (const char *const *name = (*k)->sets; name && *name; name++, names++) {
            const field *f = (*k)->fields;
            while (f->name && strcmp(f->name, *name) != 0) f++;
            ck_assert_msg(f->name && f->type == FIELD_SET && !f->required, "%s.%s", (*k)->name, *name);
        }
        ck_assert_uint_eq(fields, names);
    }
}
END_TEST

Suite *suite_kind_set(void);

Suite *suite_kind_set(void)
{
    Suite *s = suite_create("kind_set");
    TCase *c = tcase_create("kind_set");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_add_loop_test(c, sets_are_lists_or_changes, 0, COUNT(sets));
    tcase_add_test(c, a_set_that_equals_the_stored_one_is_accepted);
    tcase_add_test(c, items_have_no_changes);
    tcase_add_test(c, the_sets_are_fields);
    suite_add_tcase(s, c);
    return s;
}
