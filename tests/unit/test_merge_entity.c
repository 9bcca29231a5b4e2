/* merge.[ch]: deletions, replacements, and edits of the same time. */
#include "merge_cases.h"

static const merge_case rows[] = {
    /* A deletion takes effect only if it is later than every edit. Older edits are kept beneath it. */
    {"a deletion", {"10 patch {'a':1}", "20 delete"}, "deleted {'a':1}", "applied 1, lost 0, differing 0, changed", ""},
    {"a deletion older than an edit is late",
     {"20 patch {'a':1}", "10 delete"},
     "{'a':1}",
     "applied 0, lost 0, differing 0, late",
     ""},
    {"a deletion older than the latest edit is late",
     {"10 patch {'a':1}", "30 patch {'b':3}", "20 delete"},
     "{'a':1,'b':3}",
     "applied 0, lost 0, differing 0, late",
     NULL},
    {"a repeated deletion does nothing",
     {"10 patch {'a':1}", "20 delete", "20 delete"},
     "deleted {'a':1}",
     "applied 0, lost 0, differing 0",
     ""},
    {"an older deletion of a deleted entity does nothing",
     {"20 delete", "10 delete"},
     "deleted {}",
     "applied 0, lost 0, differing 0",
     ""},
    {"a later deletion of a deleted entity sets a later time",
     {"10 delete", "30 delete", "20 patch {'a':2}"},
     "deleted {'a':2}",
     "applied 1, lost 0, differing 1, late, changed",
     ""},
    {"a deletion of an unknown entity is kept",
     {"20 delete"},
     "deleted {}",
     "applied 1, lost 0, differing 0, changed",
     ""},
    {"an older create of a deleted entity stays deleted",
     {"20 delete", "10 patch {'a':1}"},
     "deleted {'a':1}",
     "applied 1, lost 0, differing 1, late, changed",
     ""},
    {"a later edit restores a deleted entity with all its members",
     {"10 patch {'a':1,'b':1}", "20 delete", "30 patch {'b':3}"},
     "{'a':1,'b':3}",
     "applied 1, lost 0, differing 1, changed",
     NULL},
    {"a later edit restores the members that were added beneath the deletion too",
     {"10 patch {'a':1}", "30 delete", "20 patch {'a':2,'b':2}", "40 patch {'c':4}"},
     "{'a':2,'b':2,'c':4}",
     NULL,
     NULL},
    {"an edit that arrives before the create",
     {"20 patch {'b':2}", "10 patch {'a':1,'b':1}"},
     "{'b':2,'a':1}",
     "applied 1, lost 1, differing 2, changed",
     NULL},
    {"an empty edit restores a deleted entity too",
     {"10 patch {'a':1}", "20 delete", "30 patch {}"},
     "{'a':1}",
     "applied 0, lost 0, differing 0, changed",
     ""},
    {"deleted, restored, and an older deletion",
     {"10 patch {'a':1}", "20 delete", "30 patch {'a':3}", "25 delete"},
     "{'a':3}",
     "applied 0, lost 0, differing 0, late",
     ""},
    {"deleted, restored, deleted",
     {"10 patch {'a':1}", "20 delete", "30 patch {'a':3}", "40 delete"},
     "deleted {'a':3}",
     NULL,
     ""},

    /* A full-sync item replaces the whole tree. */
    {"a replacement removes members that it does not name",
     {"10 patch {'a':1,'b':{'c':1}}", "20 replace {'a':2}"},
     "{'a':2}",
     "applied 1, lost 0, differing 1, changed",
     "{'':20}"},
    {"a replacement by the same tree",
     {"10 patch {'a':1,'b':{'c':1}}", "20 replace {'a':1,'b':{'c':1}}"},
     "{'a':1,'b':{'c':1}}",
     "applied 2, lost 0, differing 0, changed",
     "{'':20}"},
    {"a replacement by an empty tree",
     {"10 patch {'a':1}", "20 replace {}"},
     "{}",
     "applied 0, lost 0, differing 0, changed",
     "{'':20}"},
    {"a replacement refuses an older write",
     {"20 replace {'a':2}", "10 patch {'b':1}"},
     "{'a':2}",
     "applied 0, lost 1, differing 1",
     "{'':20}"},
    {"a replacement accepts a newer write", {"20 replace {'a':2}", "30 patch {'b':3}"}, "{'a':2,'b':3}", NULL, NULL},
    {"a member newer than a replacement survives it",
     {"10 patch {'a':1,'b':1}", "30 patch {'b':3}", "20 replace {'a':2}"},
     "{'b':3,'a':2}",
     "applied 1, lost 0, differing 1, changed",
     NULL},
    {"the later of two replacements stays",
     {"20 replace {'a':2}", "10 replace {'b':1}"},
     "{'a':2}",
     "applied 0, lost 1, differing 1",
     "{'':20}"},
    {"a replacement keeps the newer part of a branch",
     {"10 patch {'o':{'a':1,'b':1}}", "30 patch {'o':{'b':3}}", "20 replace {'o':5}"},
     "{'o':{'b':3}}",
     "applied 0, lost 1, differing 1, changed",
     NULL},
    {"a replacement by an empty object",
     {"10 patch {'o':{'a':1}}", "20 replace {'o':{}}"},
     "{'o':{}}",
     NULL,
     "{'':20}"},
    {"a replacement beneath a deletion",
     {"10 patch {'a':1}", "30 delete", "20 replace {'b':2}"},
     "deleted {'b':2}",
     "applied 1, lost 0, differing 1, late, changed",
     "{'':20}"},
    {"a replacement restores a deleted entity",
     {"10 patch {'a':1}", "20 delete", "30 replace {'b':3}"},
     "{'b':3}",
     NULL,
     "{'':30}"},
    {"a repeated replacement does nothing",
     {"10 patch {'a':1}", "20 replace {'b':2}", "store", "20 replace {'b':2}"},
     "{'b':2}",
     "applied 0, lost 0, differing 0",
     "{'':20}"},

    /* Only times that differ from the base have marks. */
    {"an update of one leaf is one mark",
     {"10 patch {'a':1,'b':1,'c':{'d':1}}", "20 patch {'c':{'d':2}}"},
     "{'a':1,'b':1,'c':{'d':2}}",
     NULL,
     "{'/c/d':20}"},
    {"an update of most leaves changes the base",
     {"10 patch {'a':1,'b':1,'c':1}", "20 patch {'a':2,'b':2}"},
     "{'a':2,'b':2,'c':1}",
     NULL,
     "{'/c':10}"},
    {"an update of all leaves needs no mark",
     {"10 patch {'a':1,'b':1}", "20 patch {'a':2,'b':2}"},
     "{'a':2,'b':2}",
     NULL,
     ""},
    {"names in a mark are escaped",
     {"10 patch {'a/b':1,'~':1,'':1,'x':{'/~':1}}", "20 patch {'a/b':2}", "21 patch {'~':2}", "22 patch {'':2}",
      "23 patch {'x':{'/~':2}}"},
     "{'a/b':2,'~':2,'':2,'x':{'/~':2}}",
     NULL,
     "{'/a~1b':20,'/~0':21,'/':22}"},
};

START_TEST(edits_in_many_requests)
{
    merge_case_check(&rows[_i], false);
}
END_TEST

START_TEST(edits_in_one_request)
{
    merge_case_check(&rows[_i], true);
}
END_TEST

/* At equal timestamps the stored value stays. Within one request the later edit wins. */
static const merge_case ties[] = {
    {"the stored leaf stays",
     {"10 patch {'a':1}", "store", "10 patch {'a':2}"},
     "{'a':1}",
     "applied 0, lost 1, differing 1",
     ""},
    {"the later edit of a request wins",
     {"10 patch {'a':1}", "10 patch {'a':2}"},
     "{'a':2}",
     "applied 1, lost 0, differing 1, changed",
     ""},
    {"a later edit of the request does not win over the stored leaf",
     {"10 patch {'a':1}", "store", "10 patch {'a':2}", "10 patch {'a':3}"},
     "{'a':1}",
     NULL,
     ""},
    {"the winner of a request stays in the next one",
     {"10 patch {'a':1}", "10 patch {'a':2}", "store", "10 patch {'a':3}"},
     "{'a':2}",
     NULL,
     ""},
    {"members of the same time merge", {"10 patch {'a':1}", "store", "10 patch {'b':2}"}, "{'a':1,'b':2}", NULL, ""},
    {"the stored branch stays",
     {"10 patch {'a':{'b':1}}", "store", "10 patch {'a':2}"},
     "{'a':{'b':1}}",
     "applied 0, lost 1, differing 1, changed",
     "{'/a':10}"},
    {"a scalar over a branch of the same request", {"10 patch {'a':{'b':1}}", "10 patch {'a':2}"}, "{'a':2}", NULL, ""},
    {"the stored scalar stays", {"10 patch {'a':1}", "store", "10 patch {'a':{'b':2}}"}, "{'a':1}", NULL, ""},
    {"a branch over a scalar of the same request",
     {"10 patch {'a':1}", "10 patch {'a':{'b':2}}"},
     "{'a':{'b':2}}",
     NULL,
     "{'/a':10}"},
    {"the stored empty object stays", {"10 patch {'a':{}}", "store", "10 patch {'a':2}"}, "{'a':{}}", NULL, NULL},
    {"the stored live entity stays",
     {"10 patch {'a':1}", "store", "10 delete"},
     "{'a':1}",
     "applied 0, lost 0, differing 0, late",
     ""},
    {"the stored deletion stays",
     {"10 delete", "store", "10 patch {'a':1}"},
     "deleted {'a':1}",
     "applied 1, lost 0, differing 1, late, changed",
     ""},
    {"a later deletion in the request wins", {"10 patch {'a':1}", "10 delete"}, "deleted {'a':1}", NULL, ""},
    {"a later edit in the request wins over a deletion", {"10 delete", "10 patch {'a':1}"}, "{'a':1}", NULL, ""},
    {"edit, deletion, edit", {"10 patch {'a':1}", "10 delete", "10 patch {'a':2}"}, "{'a':2}", NULL, ""},
    {"the stored members survive a replacement",
     {"10 patch {'a':1}", "store", "10 replace {'b':2}"},
     "{'a':1,'b':2}",
     NULL,
     NULL},
    {"a later replacement in the request wins", {"10 patch {'a':1}", "10 replace {'b':2}"}, "{'b':2}", NULL, "{'':10}"},
    {"an edit after a replacement in the same request wins",
     {"10 replace {'a':1}", "10 patch {'b':2}"},
     "{'a':1,'b':2}",
     NULL,
     "{'':10}"},
    {"an edit after a stored replacement loses",
     {"10 replace {'a':1}", "store", "10 patch {'b':2}"},
     "{'a':1}",
     NULL,
     "{'':10}"},
    {"the later of two replacements in a request wins",
     {"10 replace {'a':1}", "10 replace {'b':2}"},
     "{'b':2}",
     NULL,
     "{'':10}"},
};

START_TEST(edits_of_the_same_time)
{
    merge_case_check(&ties[_i], true);
}
END_TEST

START_TEST(times_are_reported)
{
    merge_state *s = merge_new(a);
    ck_assert(merge_edited(s) == MERGE_NEVER && merge_deleted(s) == MERGE_NEVER && merge_next(s) == MERGE_NEVER);
    edit_apply(s, "10 patch {'a':1,'o':{'b':2}}");
    ck_assert(merge_edited(s) == 10 && merge_deleted(s) == MERGE_NEVER && merge_next(s) == 11);
    edit_apply(s, "5 patch {'c':1}");
    ck_assert(merge_edited(s) == 10 && merge_next(s) == 11);
    edit_apply(s, "30 delete");
    ck_assert(merge_edited(s) == 10 && merge_deleted(s) == 30 && merge_next(s) == 31);
    edit_apply(s, "20 patch {'a':2}");
    ck_assert(merge_edited(s) == 20 && merge_deleted(s) == 30 && merge_next(s) == 31);
    edit_apply(s, "31 patch {}");
    ck_assert(merge_edited(s) == 31 && merge_deleted(s) == MERGE_NEVER && merge_next(s) == 32);
    ck_assert_int_eq(json_integer_value(merge_get(s, "a")), 2);
    ck_assert_ptr_null(merge_get(s, "o"));
    ck_assert_ptr_null(merge_get(s, "b"));
}
END_TEST

Suite *suite_merge_entity(void);

Suite *suite_merge_entity(void)
{
    Suite *s = suite_create("merge_entity");
    TCase *c = tcase_create("merge_entity");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, edits_in_many_requests, 0, COUNT(rows));
    tcase_add_loop_test(c, edits_in_one_request, 0, COUNT(rows));
    tcase_add_loop_test(c, edits_of_the_same_time, 0, COUNT(ties));
    tcase_add_test(c, times_are_reported);
    suite_add_tcase(s, c);
    return s;
}
