/*
 * merge.[ch]: what an edit does to an entity. In the JSON below ' stands for ".
 *
 * A row is a list of edits, "TIME patch {…}", "TIME replace {…}" or "TIME delete", and what is there afterwards.
 * Each edit is first tried as a dry run, which must foretell the effect and change nothing. The state goes through text
 * and back (as it goes through the database) after every edit, and in a second pass only where the row says "store".
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "merge.h"

#define COUNT(rows) (sizeof rows / sizeof *rows)

static arena *a;

static void setup(void)
{
    a = arena_new();
}

static void teardown(void)
{
    arena_free(a);
}

static const char *unquote(const char *quoted)
{
    char *text = arena_strdup(a, quoted);
    for (char *c = text; *c; c++)
        if (*c == '\'') *c = '"';
    return text;
}

static json_t *parse(const char *text)
{
    json_fault fault;
    json_t *value = json_read(a, text, strlen(text), 512, &fault);
    ck_assert_msg(value != NULL, "%s: %s", text, fault.message);
    return value;
}

static const char *tree_of(const merge_state *s)
{
    strbuf out = STRBUF(a);
    merge_write(s, &out);
    return out.data;
}

static const char *marks_of(const merge_state *s, int64_t *base)
{
    strbuf out = STRBUF(a);
    *base = merge_write_marks(s, &out);
    return out.data ? out.data : "";
}

/* Everything that the database would hold. */
static const char *stored(const merge_state *s)
{
    int64_t base;
    const char *marks = marks_of(s, &base);
    return arena_printf(a, "%s %s base %lld edited %lld deleted %lld", tree_of(s), marks, (long long)base,
                        (long long)merge_edited(s), (long long)merge_deleted(s));
}

static merge_state *store_and_load(const merge_state *s)
{
    merge_row row = {.edited = merge_edited(s), .deleted = merge_deleted(s)};
    const char *marks = marks_of(s, &row.base);
    row.data = tree_of(s);
    row.marks = *marks ? marks : NULL;
    merge_state *loaded = merge_load(a, &row);
    ck_assert_msg(merge_is(loaded, parse(row.data)), "%s", row.data);
    ck_assert_str_eq(stored(loaded), stored(s));
    ck_assert_int_eq(merge_is_deleted(loaded), merge_is_deleted(s));
    return loaded;
}

static bool same_effect(const merge_effect *x, const merge_effect *y)
{
    return x->applied == y->applied && x->lost == y->lost && x->differing == y->differing && x->late == y->late &&
           x->changed == y->changed;
}

static const char *effect_text(const merge_effect *e)
{
    return arena_printf(a, "applied %zu, lost %zu, differing %zu%s%s", e->applied, e->lost, e->differing,
                        e->late ? ", late" : "", e->changed ? ", changed" : "");
}

static merge_effect apply(merge_state *s, const char *text)
{
    char *rest;
    merge_edit edit = {.at = strtoll(text, &rest, 10)};
    if (strncmp(rest, " delete", 7) == 0) edit.type = MERGE_DELETE;
    else if (strncmp(rest, " replace ", 9) == 0) edit = (merge_edit){MERGE_REPLACE, parse(unquote(rest + 9)), edit.at};
    else if (strncmp(rest, " patch ", 7) == 0) edit = (merge_edit){MERGE_PATCH, parse(unquote(rest + 7)), edit.at};
    else ck_abort_msg("%s: not an edit", text);
    const char *before = stored(s);
    merge_effect foretold = merge_apply(s, &edit, true);
    ck_assert_str_eq(stored(s), before);
    merge_effect effect = merge_apply(s, &edit, false);
    ck_assert_msg(same_effect(&foretold, &effect), "%s: a dry run says %s, but it is %s", text, effect_text(&foretold),
                  effect_text(&effect));
    ck_assert_msg(effect.changed || strcmp(stored(s), before) == 0, "%s: changed in secret: %s", text, stored(s));
    return effect;
}

enum { EDITS = 8 };

/* What is there after the edits; and, where given, what the last edit did and which marks are kept. */
typedef struct row {
    const char *name;
    const char *edits[EDITS];
    const char *tree; /* "deleted …" when the entity is deleted and this is kept beneath */
    const char *effect, *marks;
} row;

static const row rows[] = {
    /* Writing a leaf needs a timestamp later than that leaf's. */
    {"the first edit", {"10 patch {'a':1,'b':{'c':2}}"},
     "{'a':1,'b':{'c':2}}", "applied 2, lost 0, differing 2, changed", ""},
    {"a later write wins", {"10 patch {'a':1}", "20 patch {'a':2}"},
     "{'a':2}", "applied 1, lost 0, differing 1, changed", ""},
    {"an older write loses", {"20 patch {'a':2}", "10 patch {'a':1}"}, "{'a':2}", "applied 0, lost 1, differing 1", ""},
    {"an identical later write is no conflict, but moves the time", {"10 patch {'a':1}", "20 patch {'a':1}"},
     "{'a':1}", "applied 1, lost 0, differing 0, changed", ""},
    {"an identical older write is no conflict", {"20 patch {'a':1}", "10 patch {'a':1}"}, "{'a':1}",
     "applied 0, lost 0, differing 0", ""},
    {"the same number in another spelling is identical", {"20 patch {'a':1}", "10 patch {'a':1.0}"}, "{'a':1}",
     "applied 0, lost 0, differing 0", ""},
    {"a repeated edit does nothing", {"10 patch {'a':1,'b':{'c':2}}", "store", "10 patch {'a':1,'b':{'c':2}}"},
     "{'a':1,'b':{'c':2}}", "applied 0, lost 0, differing 0", ""},
    {"each leaf has its own time", {"10 patch {'a':1,'b':1}", "30 patch {'a':3}", "20 patch {'a':2,'b':2}"},
     "{'a':3,'b':2}", "applied 1, lost 1, differing 2, changed", NULL},
    {"a time before 1970", {"-5 patch {'a':1}", "-9 patch {'a':2}"}, "{'a':1}", "applied 0, lost 1, differing 1", ""},

    /* Objects merge member by member; arrays are replaced whole; null is a value. */
    {"objects merge", {"10 patch {'o':{'a':1,'b':1}}", "20 patch {'o':{'b':2,'c':2}}"},
     "{'o':{'a':1,'b':2,'c':2}}", NULL, NULL},
    {"objects merge the other way round", {"20 patch {'o':{'b':2,'c':2}}", "10 patch {'o':{'a':1,'b':1}}"},
     "{'o':{'b':2,'c':2,'a':1}}", "applied 1, lost 1, differing 2, changed", NULL},
    {"objects merge at every depth", {"10 patch {'a':{'b':{'c':{'d':1}}}}", "20 patch {'a':{'b':{'c':{'e':2}}}}"},
     "{'a':{'b':{'c':{'d':1,'e':2}}}}", NULL, NULL},
    {"arrays are replaced whole", {"10 patch {'a':[1,2,3]}", "20 patch {'a':[4]}"}, "{'a':[4]}", NULL, NULL},
    {"an older array loses whole", {"20 patch {'a':[4]}", "10 patch {'a':[1,2,3]}"}, "{'a':[4]}", NULL, NULL},
    {"objects in arrays are part of the leaf", {"10 patch {'a':[{'b':1}]}", "20 patch {'a':[{'c':2}]}"},
     "{'a':[{'c':2}]}", NULL, NULL},
    {"an empty array is a value", {"10 patch {'a':[1]}", "20 patch {'a':[]}"}, "{'a':[]}", NULL, NULL},
    {"null is a value", {"10 patch {'a':1}", "20 patch {'a':null}"},
     "{'a':null}", "applied 1, lost 0, differing 1, changed", ""},
    {"null has its time", {"20 patch {'a':null}", "10 patch {'a':1}"},
     "{'a':null}", "applied 0, lost 1, differing 1", ""},
    {"null in place of a branch", {"10 patch {'a':{'b':1}}", "20 patch {'a':null}"}, "{'a':null}", NULL, NULL},

    /* … and later than any write that replaced a whole branch above it. */
    {"a scalar replaces a branch", {"10 patch {'a':{'b':1,'c':{'d':1}}}", "20 patch {'a':2}"}, "{'a':2}",
     "applied 1, lost 0, differing 1, changed", ""},
    {"an array replaces a branch", {"10 patch {'a':{'b':1}}", "20 patch {'a':[2]}"}, "{'a':[2]}", NULL, ""},
    {"an older write into a replaced branch is refused", {"20 patch {'a':2}", "10 patch {'a':{'b':1}}"}, "{'a':2}",
     "applied 0, lost 1, differing 1", ""},
    {"a later write into a replaced branch makes it one again",
     {"10 patch {'a':{'b':1}}", "20 patch {'a':2}", "30 patch {'a':{'c':3}}"},
     "{'a':{'c':3}}", "applied 1, lost 0, differing 1, changed", "{'/a':20}"},
    {"and refuses what is older than the replacement",
     {"20 patch {'a':2}", "30 patch {'a':{'c':3}}", "15 patch {'a':{'b':1}}"},
     "{'a':{'c':3}}", "applied 0, lost 1, differing 1", "{'/a':20}"},
    {"but takes what is newer", {"20 patch {'a':2}", "30 patch {'a':{'c':3}}", "25 patch {'a':{'b':1}}"},
     "{'a':{'c':3,'b':1}}", "applied 1, lost 0, differing 1, changed", NULL},
    {"a branch that is newer in part covers a scalar",
     {"10 patch {'a':{'b':1}}", "30 patch {'a':{'c':3}}", "20 patch {'a':2}"},
     "{'a':{'c':3}}", "applied 0, lost 1, differing 1, changed", "{'/a':20}"},
    {"a scalar that was covered still refuses",
     {"30 patch {'a':{'c':3}}", "20 patch {'a':2}", "10 patch {'a':{'b':1}}"},
     "{'a':{'c':3}}", "applied 0, lost 1, differing 1", "{'/a':20}"},
    {"at any depth", {"30 patch {'a':{'b':{'c':3}}}", "20 patch {'a':2}", "10 patch {'a':{'b':{'d':1}}}"},
     "{'a':{'b':{'c':3}}}", "applied 0, lost 1, differing 1", "{'/a':20}"},
    {"marks below a replacement are forgotten",
     {"10 patch {'a':{'b':1}}", "30 patch {'a':{'b':{'c':3}}}", "20 patch {'a':2}"},
     "{'a':{'b':{'c':3}}}", "applied 0, lost 1, differing 1, changed", "{'/a':20}"},
    {"a scalar, an object, a scalar", {"10 patch {'a':1}", "20 patch {'a':{'b':2}}", "30 patch {'a':3}"},
     "{'a':3}", NULL, ""},
    {"the same in another order", {"30 patch {'a':3}", "10 patch {'a':1}", "20 patch {'a':{'b':2}}"},
     "{'a':3}", NULL, ""},
    {"a branch in part older than its replacement",
     {"10 patch {'a':{'b':1,'c':1}}", "30 patch {'a':{'c':3}}", "20 patch {'a':2}", "25 patch {'a':{'b':2}}"},
     "{'a':{'c':3,'b':2}}", NULL, NULL},

    /* Empty objects: one is there, and nothing is taken away from it. */
    {"an empty object is kept", {"10 patch {'a':{}}"}, "{'a':{}}", "applied 1, lost 0, differing 1, changed", ""},
    {"an empty object takes nothing away", {"10 patch {'a':{'b':1}}", "20 patch {'a':{}}"}, "{'a':{'b':1}}",
     "applied 1, lost 0, differing 0, changed", "{'/a/~':20}"},
    {"an empty object fills", {"10 patch {'a':{}}", "20 patch {'a':{'b':1}}"}, "{'a':{'b':1}}", NULL, "{'/a/~':10}"},
    {"an older write fills it too", {"20 patch {'a':{}}", "10 patch {'a':{'b':1}}"},
     "{'a':{'b':1}}", NULL, "{'/a/~':20}"},
    {"an empty object replaces an older scalar", {"10 patch {'a':1}", "20 patch {'a':{}}"},
     "{'a':{}}", NULL, "{'/a':10}"},
    {"a later scalar replaces an empty object", {"10 patch {'a':{}}", "20 patch {'a':1}"}, "{'a':1}", NULL, ""},
    {"an older empty object loses to a scalar", {"20 patch {'a':1}", "10 patch {'a':{}}"}, "{'a':1}",
     "applied 0, lost 1, differing 1", ""},
    {"an empty object that was filled refuses an older scalar",
     {"10 patch {'a':{'b':1}}", "30 patch {'a':{}}", "20 patch {'a':2}"},
     "{'a':{}}", "applied 0, lost 1, differing 1, changed", "{'/a':20}"},
    {"an empty object in a replaced branch", {"20 patch {'a':2}", "10 patch {'a':{'b':{}}}"}, "{'a':2}", NULL, ""},
    {"an empty patch is an edit without leaves", {"10 patch {'a':1}", "20 patch {}"},
     "{'a':1}", "applied 0, lost 0, differing 0, changed", ""},
    {"an empty array is no empty object", {"10 patch {'a':[]}", "20 patch {'a':{}}"}, "{'a':{}}", NULL, NULL},

    /* A deletion is later than every edit, or without effect. Older edits are kept beneath it. */
    {"a deletion", {"10 patch {'a':1}", "20 delete"}, "deleted {'a':1}", "applied 1, lost 0, differing 0, changed", ""},
    {"a deletion older than an edit is late", {"20 patch {'a':1}", "10 delete"},
     "{'a':1}", "applied 0, lost 0, differing 0, late", ""},
    {"a deletion older than the latest edit is late", {"10 patch {'a':1}", "30 patch {'b':3}", "20 delete"},
     "{'a':1,'b':3}", "applied 0, lost 0, differing 0, late", NULL},
    {"a repeated deletion does nothing", {"10 patch {'a':1}", "20 delete", "20 delete"}, "deleted {'a':1}",
     "applied 0, lost 0, differing 0", ""},
    {"an older deletion of what is deleted does nothing", {"20 delete", "10 delete"},
     "deleted {}", "applied 0, lost 0, differing 0", ""},
    {"a later deletion of what is deleted moves its time", {"10 delete", "30 delete", "20 patch {'a':2}"},
     "deleted {'a':2}", "applied 1, lost 0, differing 1, late, changed", ""},
    {"a deletion of what does not exist is remembered", {"20 delete"},
     "deleted {}", "applied 1, lost 0, differing 0, changed", ""},
    {"so that an older create stays deleted", {"20 delete", "10 patch {'a':1}"}, "deleted {'a':1}",
     "applied 1, lost 0, differing 1, late, changed", ""},
    {"a later edit brings it back with all its members", {"10 patch {'a':1,'b':1}", "20 delete", "30 patch {'b':3}"},
     "{'a':1,'b':3}", "applied 1, lost 0, differing 1, changed", NULL},
    {"and with those that came beneath the deletion",
     {"10 patch {'a':1}", "30 delete", "20 patch {'a':2,'b':2}", "40 patch {'c':4}"},
     "{'a':2,'b':2,'c':4}", NULL, NULL},
    {"an edit of an unknown entity that overtakes its create", {"20 patch {'b':2}", "10 patch {'a':1,'b':1}"},
     "{'b':2,'a':1}", "applied 1, lost 1, differing 2, changed", NULL},
    {"an empty edit brings it back too", {"10 patch {'a':1}", "20 delete", "30 patch {}"}, "{'a':1}",
     "applied 0, lost 0, differing 0, changed", ""},
    {"deleted, back, and an old deletion again", {"10 patch {'a':1}", "20 delete", "30 patch {'a':3}", "25 delete"},
     "{'a':3}", "applied 0, lost 0, differing 0, late", ""},
    {"deleted, back, deleted", {"10 patch {'a':1}", "20 delete", "30 patch {'a':3}", "40 delete"},
     "deleted {'a':3}", NULL, ""},

    /* A full-sync item replaces the whole tree. */
    {"a replacement takes away what it does not name", {"10 patch {'a':1,'b':{'c':1}}", "20 replace {'a':2}"},
     "{'a':2}", "applied 1, lost 0, differing 1, changed", "{'':20}"},
    {"a replacement by what is there", {"10 patch {'a':1,'b':{'c':1}}", "20 replace {'a':1,'b':{'c':1}}"},
     "{'a':1,'b':{'c':1}}", "applied 2, lost 0, differing 0, changed", "{'':20}"},
    {"a replacement by nothing", {"10 patch {'a':1}", "20 replace {}"},
     "{}", "applied 0, lost 0, differing 0, changed", "{'':20}"},
    {"a replacement refuses what is older", {"20 replace {'a':2}", "10 patch {'b':1}"},
     "{'a':2}", "applied 0, lost 1, differing 1", "{'':20}"},
    {"and takes what is newer", {"20 replace {'a':2}", "30 patch {'b':3}"}, "{'a':2,'b':3}", NULL, NULL},
    {"what is newer than a replacement survives it",
     {"10 patch {'a':1,'b':1}", "30 patch {'b':3}", "20 replace {'a':2}"},
     "{'b':3,'a':2}", "applied 1, lost 0, differing 1, changed", NULL},
    {"of two replacements the later stays", {"20 replace {'a':2}", "10 replace {'b':1}"},
     "{'a':2}", "applied 0, lost 1, differing 1", "{'':20}"},
    {"a replacement keeps the newer part of a branch",
     {"10 patch {'o':{'a':1,'b':1}}", "30 patch {'o':{'b':3}}", "20 replace {'o':5}"},
     "{'o':{'b':3}}", "applied 0, lost 1, differing 1, changed", NULL},
    {"a replacement by an empty object", {"10 patch {'o':{'a':1}}", "20 replace {'o':{}}"},
     "{'o':{}}", NULL, "{'':20}"},
    {"a replacement beneath a deletion", {"10 patch {'a':1}", "30 delete", "20 replace {'b':2}"}, "deleted {'b':2}",
     "applied 1, lost 0, differing 1, late, changed", "{'':20}"},
    {"a replacement brings back", {"10 patch {'a':1}", "20 delete", "30 replace {'b':3}"}, "{'b':3}", NULL, "{'':30}"},
    {"a repeated replacement does nothing", {"10 patch {'a':1}", "20 replace {'b':2}", "store", "20 replace {'b':2}"},
     "{'b':2}", "applied 0, lost 0, differing 0", "{'':20}"},

    /* Compact: only what differs from the base is marked. */
    {"an update of one leaf is one mark", {"10 patch {'a':1,'b':1,'c':{'d':1}}", "20 patch {'c':{'d':2}}"},
     "{'a':1,'b':1,'c':{'d':2}}", NULL, "{'/c/d':20}"},
    {"an update of most leaves moves the base", {"10 patch {'a':1,'b':1,'c':1}", "20 patch {'a':2,'b':2}"},
     "{'a':2,'b':2,'c':1}", NULL, "{'/c':10}"},
    {"an update of all leaves needs no mark", {"10 patch {'a':1,'b':1}", "20 patch {'a':2,'b':2}"},
     "{'a':2,'b':2}", NULL, ""},
    {"names in a mark are escaped",
     {"10 patch {'a/b':1,'~':1,'':1,'x':{'/~':1}}", "20 patch {'a/b':2}", "21 patch {'~':2}", "22 patch {'':2}",
     "23 patch {'x':{'/~':2}}"},
     "{'a/b':2,'~':2,'':2,'x':{'/~':2}}", NULL, "{'/a~1b':20,'/~0':21,'/':22}"},
};

static void run(const row *r, bool together)
{
    merge_state *s = merge_new(a);
    merge_effect effect = {0};
    for (int i = 0; i < EDITS && r->edits[i]; i++) {
        bool store = strcmp(r->edits[i], "store") == 0;
        if (!store) effect = apply(s, r->edits[i]);
        if (store || !together) s = store_and_load(s);
    }
    const char *how = together ? "in one request" : "in many requests";
    bool deleted = strncmp(r->tree, "deleted ", 8) == 0;
    const char *tree = unquote(r->tree + (deleted ? 8 : 0));
    ck_assert_msg(strcmp(tree_of(s), tree) == 0, "%s, %s: %s", r->name, how, tree_of(s));
    ck_assert_msg(merge_is_deleted(s) == deleted, "%s, %s: %s", r->name, how, deleted ? "not deleted" : "deleted");
    if (r->effect)
        ck_assert_msg(strcmp(effect_text(&effect), r->effect) == 0, "%s, %s: %s", r->name, how, effect_text(&effect));
    int64_t base;
    const char *marks = marks_of(s, &base);
    if (r->marks) ck_assert_msg(strcmp(marks, unquote(r->marks)) == 0, "%s, %s: %s", r->name, how, marks);
}

START_TEST(edits_in_requests_of_their_own)
{
    run(&rows[_i], false);
}
END_TEST

START_TEST(edits_in_one_request)
{
    run(&rows[_i], true);
}
END_TEST

/* At equal timestamps the server's value stays; within one request (up to "store") the later edit in the list wins. */
static const row ties[] = {
    {"the server's leaf stays", {"10 patch {'a':1}", "store", "10 patch {'a':2}"},
     "{'a':1}", "applied 0, lost 1, differing 1", ""},
    {"the later in the list wins", {"10 patch {'a':1}", "10 patch {'a':2}"},
     "{'a':2}", "applied 1, lost 0, differing 1, changed", ""},
    {"but not over the server's", {"10 patch {'a':1}", "store", "10 patch {'a':2}", "10 patch {'a':3}"},
     "{'a':1}", NULL, ""},
    {"and the one that stayed is the server's for the next request",
     {"10 patch {'a':1}", "10 patch {'a':2}", "store", "10 patch {'a':3}"}, "{'a':2}", NULL, ""},
    {"members of one time merge", {"10 patch {'a':1}", "store", "10 patch {'b':2}"}, "{'a':1,'b':2}", NULL, ""},
    {"the server's branch stays", {"10 patch {'a':{'b':1}}", "store", "10 patch {'a':2}"}, "{'a':{'b':1}}",
     "applied 0, lost 1, differing 1, changed", "{'/a':10}"},
    {"a scalar over a branch of the same request", {"10 patch {'a':{'b':1}}", "10 patch {'a':2}"}, "{'a':2}", NULL, ""},
    {"the server's scalar stays", {"10 patch {'a':1}", "store", "10 patch {'a':{'b':2}}"}, "{'a':1}", NULL, ""},
    {"a branch over a scalar of the same request", {"10 patch {'a':1}", "10 patch {'a':{'b':2}}"},
     "{'a':{'b':2}}", NULL, "{'/a':10}"},
    {"the server's empty object stays", {"10 patch {'a':{}}", "store", "10 patch {'a':2}"}, "{'a':{}}", NULL, NULL},
    {"the server's live entity stays", {"10 patch {'a':1}", "store", "10 delete"},
     "{'a':1}", "applied 0, lost 0, differing 0, late", ""},
    {"the server's deletion stays", {"10 delete", "store", "10 patch {'a':1}"}, "deleted {'a':1}",
     "applied 1, lost 0, differing 1, late, changed", ""},
    {"a deletion later in the list wins", {"10 patch {'a':1}", "10 delete"}, "deleted {'a':1}", NULL, ""},
    {"an edit later in the list wins", {"10 delete", "10 patch {'a':1}"}, "{'a':1}", NULL, ""},
    {"edit, deletion, edit", {"10 patch {'a':1}", "10 delete", "10 patch {'a':2}"}, "{'a':2}", NULL, ""},
    {"the server's members survive a replacement", {"10 patch {'a':1}", "store", "10 replace {'b':2}"},
     "{'a':1,'b':2}", NULL, NULL},
    {"a replacement later in the list wins", {"10 patch {'a':1}", "10 replace {'b':2}"}, "{'b':2}", NULL, "{'':10}"},
    {"an edit behind a replacement in the list wins", {"10 replace {'a':1}", "10 patch {'b':2}"},
     "{'a':1,'b':2}", NULL, "{'':10}"},
    {"an edit behind a replacement of the server's loses", {"10 replace {'a':1}", "store", "10 patch {'b':2}"},
     "{'a':1}", NULL, "{'':10}"},
    {"of two replacements the later in the list wins", {"10 replace {'a':1}", "10 replace {'b':2}"},
     "{'b':2}", NULL, "{'':10}"},
};

START_TEST(edits_of_one_time)
{
    run(&ties[_i], true);
}
END_TEST

START_TEST(times_are_told)
{
    merge_state *s = merge_new(a);
    ck_assert(merge_edited(s) == MERGE_NEVER && merge_deleted(s) == MERGE_NEVER && merge_next(s) == MERGE_NEVER);
    apply(s, "10 patch {'a':1,'o':{'b':2}}");
    ck_assert(merge_edited(s) == 10 && merge_deleted(s) == MERGE_NEVER && merge_next(s) == 11);
    apply(s, "5 patch {'c':1}");
    ck_assert(merge_edited(s) == 10 && merge_next(s) == 11);
    apply(s, "30 delete");
    ck_assert(merge_edited(s) == 10 && merge_deleted(s) == 30 && merge_next(s) == 31);
    apply(s, "20 patch {'a':2}");
    ck_assert(merge_edited(s) == 20 && merge_deleted(s) == 30 && merge_next(s) == 31);
    apply(s, "31 patch {}");
    ck_assert(merge_edited(s) == 31 && merge_deleted(s) == MERGE_NEVER && merge_next(s) == 32);
    ck_assert_int_eq(json_integer_value(merge_get(s, "a")), 2);
    ck_assert_ptr_null(merge_get(s, "o"));
    ck_assert_ptr_null(merge_get(s, "b"));
}
END_TEST

/* Names that mean something in a JSON pointer or in the marks. */
static const char *const names[] = {"", "~", "/", "~0", "~1", "/~", "~/", "//", "a/b", "a~b", "~~",
                                    "\xC3\xA9", "{", "[", "\\\"", "\\u0001"};

START_TEST(a_row_is_loaded)
{
    const char *tree = unquote("{'a':1,'e':{},'o':{'b':2}}"), *marks = unquote("{'/o':5,'/o/~':15,'/o/b':20}");
    merge_row row = {.data = tree, .base = 10, .edited = 20, .deleted = MERGE_NEVER};
    row.marks = unquote("{'/o/b':20,'/o/~':15,'/o':5,'/gone':30,'/gone/b/~':30}"); /* two that mean nothing */
    merge_state *s = merge_load(a, &row);
    const char *expected = arena_printf(a, "%s %s base 10 edited 20 deleted %lld", tree, marks, (long long)MERGE_NEVER);
    ck_assert_str_eq(stored(s), expected);
    ck_assert_uint_eq(apply(s, "10 patch {'a':2,'e':2}").lost, 2);
    ck_assert_uint_eq(apply(s, "19 patch {'o':{'b':2,'c':2}}").applied, 1);
    ck_assert_uint_eq(apply(s, "5 patch {'o':{'d':2}}").lost, 1);
    ck_assert_uint_eq(apply(s, "25 patch {'gone':2}").applied, 1);
}
END_TEST

START_TEST(a_loaded_value_is_compared)
{
    static const struct {
        const char *loaded, *sent;
        bool same;
    } rows[] = {
        {"{'a':'x','b':1}", "{'b':1,'a':'x'}", true},
        {"{ 'a' : 'x' , 'o' : { 'p' : [ 1, 2 ] } }", "{'o':{'p':[1,2]},'a':'x'}", true},
        {"{'a':'x'}", "{'a':'y'}", false},
        {"{'a':'x'}", "{'a':'xy'}", false},
        {"{'a':'xy'}", "{'a':'x'}", false},
        {"{'a':''}", "{'a':''}", true},
        {"{'a':''}", "{'a':null}", false},
        {"{'a':'\\u00e9\\/'}", "{'a':'\u00e9/'}", true},  /* other spellings of the same string */
        {"{'a':'b\\\\n'}", "{'a':'b\\\\n'}", true},
        {"{'a':'b\\n'}", "{'a':'b\\\\n'}", false},      /* a new line, and a backslash before an n */
        {"{'a':'b\\\\n'}", "{'a':'b\\n'}", false},
        {"{'a':'1'}", "{'a':1}", false},
        {"{'a':1}", "{'a':1.0}", true},
        {"{'a':1e2}", "{'a':100}", true},
        {"{'a':[]}", "{'a':{}}", false},
        {"{'a':{}}", "{'a':{}}", true},
        {"{'a':{}}", "{'a':{'b':1}}", false},
        {"{'a':{'b':1}}", "{'a':{}}", false},
        {"{'a':{'b':1}}", "{'a':1}", false},
        {"{'a':1}", "{'a':{'b':1}}", false},
        {"{'a':1}", "{'a':1,'b':2}", false},
        {"{'a':1,'b':2}", "{'a':1}", false},
        {"{'a':1}", "{'b':1}", false},
        {"{}", "{}", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text = unquote(rows[i].loaded);
        const json_t *sent = parse(unquote(rows[i].sent));
        merge_row row = {.data = text, .base = 10, .edited = 10, .deleted = MERGE_NEVER};
        merge_state *s = merge_load(a, &row);
        ck_assert_msg(merge_is(s, sent) == rows[i].same, "%s, %s", rows[i].loaded, rows[i].sent);
        ck_assert_msg(merge_is(s, sent) == rows[i].same, "%s, %s, again", rows[i].loaded, rows[i].sent);
    }
}
END_TEST

START_TEST(a_row_that_is_no_object_holds_nothing)
{
    static const char *const texts[] = {"[1]", "1", "", "{", "{'a':1,'a':2}", "{'a'}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        merge_row row = {.data = unquote(texts[i]), .marks = unquote("[1]"), .base = 10, .edited = 10, .deleted = MERGE_NEVER};
        merge_state *s = merge_load(a, &row);
        ck_assert_str_eq(tree_of(s), "{}");
        ck_assert_uint_eq(apply(s, "20 patch {'a':2}").applied, 1);
    }
    /* PostgreSQL keeps a number that we cannot; what an edit does not touch stays as it is. */
    merge_row row = {.data = unquote("{'a':1e999,'b':1}"), .base = 10, .edited = 10, .deleted = MERGE_NEVER};
    merge_state *s = merge_load(a, &row);
    ck_assert_uint_eq(apply(s, "20 patch {'b':2}").applied, 1);
    ck_assert_str_eq(tree_of(s), unquote("{'a':1e999,'b':2}"));
    ck_assert_uint_eq(apply(s, "20 patch {'a':2}").applied, 1);
    ck_assert_str_eq(tree_of(s), unquote("{'a':2,'b':2}"));
}
END_TEST

/* An edit at `at` of the form with N replaced by `name` and V by `value`. */
static const char *fill(int at, const char *form, const char *name, int value)
{
    strbuf b = STRBUF(a);
    strbuf_printf(&b, "%d patch ", at);
    for (; *form; form++) {
        if (*form == 'N') strbuf_puts(&b, name);
        else if (*form == 'V') strbuf_printf(&b, "%d", value);
        else strbuf_putc(&b, *form);
    }
    return b.data;
}

START_TEST(any_name_survives_storing)
{
    static const char *const forms[] = {"{'N':V}", "{'N':[V]}", "{'x':{'N':V}}", "{'N':{'N':V}}",
                                        "{'N':{'x':{'N':V}}}"};
    for (size_t i = 0; i < COUNT(forms); i++) {
        merge_state *s = merge_new(a);
        apply(s, "10 patch {'m':1,'k':1}");
        apply(s, fill(20, forms[i], names[_i], 2));
        s = store_and_load(s);
        merge_effect older = apply(s, fill(19, forms[i], names[_i], 3));
        ck_assert_msg(older.lost == 1 && older.applied == 0, "\"%s\" in %s: its time is lost", names[_i], forms[i]);
        merge_effect later = apply(s, fill(21, forms[i], names[_i], 4));
        ck_assert_msg(later.lost == 0 && later.applied == 1, "\"%s\" in %s: its time is another", names[_i], forms[i]);
        apply(s, fill(30, "{'N':{}}", names[_i], 0));
        s = store_and_load(s);
        older = apply(s, fill(29, "{'N':V}", names[_i], 5));
        ck_assert_msg(older.lost == 1, "\"%s\" in %s: the time of its object is lost", names[_i], forms[i]);
        store_and_load(s);
    }
}
END_TEST

/* An object of `count` members named from `first` on. */
static json_t *wide(int first, int count, int value)
{
    json_t *object = json_object();
    arena_defer(a, (void (*)(void *))json_decref, object);
    for (int i = first; i < first + count; i++)
        json_object_set_new(object, arena_printf(a, "member%d", i), json_integer(value));
    return object;
}

/* Seconds of processor time that everything takes with `count` members, half of them new. */
static double measure(int count)
{
    merge_state *s = merge_new(a);
    merge_edit first = {MERGE_PATCH, wide(0, count, 1), 10}, second = {MERGE_PATCH, wide(count / 2, count, 2), 20};
    merge_edit third = {MERGE_REPLACE, wide(0, count, 3), 15};
    clock_t start = clock();
    merge_apply(s, &first, false);
    merge_effect effect = merge_apply(s, &second, false);
    ck_assert_uint_eq(effect.applied, count);
    s = store_and_load(s);
    effect = merge_apply(s, &third, false);
    ck_assert_uint_eq(effect.applied, count / 2);
    s = store_and_load(s);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    ck_assert_uint_eq(json_object_size(parse(tree_of(s))), count + count / 2);
    arena_reset(a);
    return seconds;
}

START_TEST(wide_objects_are_not_slow)
{
    double small = 0, large = 0;
    for (int attempt = 0; attempt < 3; attempt++) { /* 8 times as many: 8 times as long, not 64 times */
        small = measure(2500);
        large = measure(20000);
        if (large < 24 * small) return;
    }
    ck_abort_msg("2,500 members take %g s, 20,000 take %g s", small, large);
}
END_TEST

START_TEST(many_edits_of_a_wide_object_are_not_slow)
{
    clock_t start = clock();
    merge_state *s = merge_new(a);
    merge_edit edit = {MERGE_PATCH, wide(0, 20000, 1), 1};
    merge_apply(s, &edit, false);
    for (int i = 0; i < 20000; i++) {
        edit = (merge_edit){MERGE_PATCH, wide(i, 1, 2), i + 2};
        merge_apply(s, &edit, true);
        merge_effect effect = merge_apply(s, &edit, false);
        if (effect.applied != 1) ck_abort_msg("edit %d", i);
    }
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    ck_assert_msg(seconds < 10, "%g s", seconds);
}
END_TEST

START_TEST(deep_trees)
{
    strbuf text = STRBUF(a);
    for (int i = 0; i < 500; i++) strbuf_puts(&text, "{\"a\":");
    strbuf_puts(&text, "1");
    for (int i = 0; i < 500; i++) strbuf_puts(&text, "}");
    merge_state *s = merge_new(a);
    apply(s, arena_printf(a, "10 patch %s", text.data));
    s = store_and_load(s);
    ck_assert_str_eq(tree_of(s), text.data);
    apply(s, arena_printf(a, "20 patch %s", text.data));
    s = store_and_load(s);
    apply(s, "30 patch {'a':1}");
    ck_assert_str_eq(tree_of(s), "{\"a\":1}");
}
END_TEST

Suite *suite_merge(void)
{
    Suite *s = suite_create("merge");
    TCase *c = tcase_create("merge");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, edits_in_requests_of_their_own, 0, COUNT(rows));
    tcase_add_loop_test(c, edits_in_one_request, 0, COUNT(rows));
    tcase_add_loop_test(c, edits_of_one_time, 0, COUNT(ties));
    tcase_add_test(c, times_are_told);
    tcase_add_test(c, a_row_is_loaded);
    tcase_add_test(c, a_loaded_value_is_compared);
    tcase_add_test(c, a_row_that_is_no_object_holds_nothing);
    tcase_add_loop_test(c, any_name_survives_storing, 0, COUNT(names));
    tcase_add_test(c, wide_objects_are_not_slow);
    tcase_add_test(c, many_edits_of_a_wide_object_are_not_slow);
    tcase_add_test(c, deep_trees);
    suite_add_tcase(s, c);
    return s;
}
