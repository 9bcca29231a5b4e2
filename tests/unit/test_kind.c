/* kind*.[ch]: the members of each kind, and their values. In the JSON below ' stands for ". */
#include <check.h>
#include <string.h>

#include "base/json.h"
#include "engine/kind.h"
#include "fixture.h"
#include "unit.h"

static json_t *parse(const char *quoted)
{
    json_fault fault;
    char *text = arena_strdup(a, quoted);
    for (char *c = text; *c; c++)
        if (*c == '\'') *c = '"';
    json_t *value = json_read(a, text, strlen(text), 64, &fault);
    ck_assert_msg(value != NULL, "%s: %s", text, fault.message);
    return value;
}

static const char *check(const char *name, const char *data, bool whole)
{
    const json_t *value = parse(data);
    const char *path = NULL, *message = whole ? kind_missing(a, kind_find(name), value, &path) : NULL;
    if (!message) message = kind_check(a, kind_find(name), value, NULL, &path);
    return message ? arena_printf(a, "%s: %s", path, message) : NULL;
}

enum { WHOLE = true, PATCH = false };

/* Data, and the complaint about it; NULL: none. */
static const struct {
    const char *name, *kind;
    bool whole;
    const char *data, *complaint;
} rows[] = {
    /* real data */
    {"a book with one member", "book", WHOLE, "{'title':'Emma'}", NULL},
    {"a book from a scanner", "book", WHOLE,
     "{'id':'import_123','title':'Emma','authors':['Jane Austen'],'isbn13':'','publishedYear':null,'pageCount':474,"
     "'languageCode':'languages/eng','format':'physical','addedAt':'2024-01-15T10:30:00.000Z','synced':false,"
     "'retryCount':0,'priority':'high','needsSync':true,'localOnly':false}",
     NULL},
    {"a book without any value", "book", WHOLE,
     "{'title':'Emma','format':null,'tags':null,'listPrice':null,'isEbook':null}", NULL},
    {"unknown members of any type", "book", WHOLE, "{'title':'Emma','x':1,'y':{'z':[null]},'':'','Title':5}", NULL},
    {"a rating", "rating", WHOLE, "{'bookId':'b1','stars':4.5,'review':'Good.'}", NULL},
    {"a tag without a colour", "tag", WHOLE, "{'name':'classics'}", NULL},
    {"a tag with one", "tag", WHOLE, "{'name':'classics','color':'#ff0000'}", NULL},
    {"a collection", "collection", WHOLE, "{'name':'Summer','bookIds':['b1']}", NULL},
    {"a smart collection with a list of rules", "collection", WHOLE,
     "{'name':'Long','isSmart':true,'smartRules':[{'min':500}]}", NULL},
    {"a smart collection with a tree of rules", "collection", WHOLE,
     "{'name':'Long','isSmart':true,'smartRules':{'all':[]}}", NULL},
    {"a reading log", "readingLog", WHOLE,
     "{'bookId':'b1','status':'read','startedAt':1705314600000,'finishedAt':null}", NULL},
    {"settings", "userSettings", WHOLE,
     "{'theme':'dark','ratingDisplay':'stars','dateFormat':'DD.MM.YYYY','defaultFormat':'kindle'}", NULL},
    {"empty settings", "userSettings", WHOLE, "{}", NULL},
    {"settings of nulls", "userSettings", WHOLE, "{'theme':null,'ratingDisplay':null,'notificationPreferences':null}",
     NULL},

    /* required in a create, not in a patch, never null */
    {"a book needs a title", "book", WHOLE, "{'subtitle':'x'}", ".title: is required"},
    {"a patch of a book does not", "book", PATCH, "{'subtitle':'x'}", NULL},
    {"an empty patch", "book", PATCH, "{}", NULL},
    {"a title cannot be null", "book", WHOLE, "{'title':null}", ".title: is required and cannot be null"},
    {"nor in a patch", "book", PATCH, "{'title':null}", ".title: is required and cannot be null"},
    {"a rating needs a book", "rating", WHOLE, "{'stars':4}", ".bookId: is required"},
    {"a rating needs stars", "rating", WHOLE, "{'bookId':'b1'}", ".stars: is required"},
    {"stars cannot be null", "rating", PATCH, "{'stars':null}", ".stars: is required and cannot be null"},
    {"a patch of a rating needs neither", "rating", PATCH, "{'review':'x'}", NULL},
    {"a tag needs a name", "tag", WHOLE, "{'color':'red'}", ".name: is required"},
    {"a collection needs a name", "collection", WHOLE, "{'isSmart':false}", ".name: is required"},
    {"a reading log needs a book", "readingLog", WHOLE, "{'status':'read'}", ".bookId: is required"},
    {"a reading log needs a status", "readingLog", WHOLE, "{'bookId':'b1'}", ".status: is required"},
    {"a status cannot be null", "readingLog", PATCH, "{'status':null}", ".status: is required and cannot be null"},

    /* lengths; the greatest lengths are tested below */
    {"an empty title", "book", WHOLE, "{'title':''}", ".title: must have 1 to 500 characters, has 0"},
    {"an empty title in a patch", "book", PATCH, "{'title':''}", ".title: must have 1 to 500 characters, has 0"},
    {"an empty name of a tag", "tag", WHOLE, "{'name':''}", ".name: must have 1 to 100 characters, has 0"},
    {"an empty name of a collection", "collection", PATCH, "{'name':''}",
     ".name: must have 1 to 200 characters, has 0"},
    {"an empty book id", "rating", WHOLE, "{'bookId':'','stars':4}", ".bookId: must have 1 to 255 characters, has 0"},
    {"a title of one space", "book", WHOLE, "{'title':' '}", NULL},

    /* from half a star to five stars, in steps of half a star */
    {"half a star", "rating", PATCH, "{'stars':0.5}", NULL},
    {"five stars", "rating", PATCH, "{'stars':5}", NULL},
    {"five stars as a real", "rating", PATCH, "{'stars':5.0}", NULL},
    {"no star", "rating", PATCH, "{'stars':0}", ".stars: must be between 0.5 and 5"},
    {"five and a half", "rating", PATCH, "{'stars':5.5}", ".stars: must be between 0.5 and 5"},
    {"a negative number", "rating", PATCH, "{'stars':-1}", ".stars: must be between 0.5 and 5"},
    {"a quarter", "rating", PATCH, "{'stars':4.25}", ".stars: must be a multiple of 0.5"},
    {"almost a half", "rating", PATCH, "{'stars':4.499999999}", ".stars: must be a multiple of 0.5"},
    {"stars as text", "rating", PATCH, "{'stars':'4.5'}", ".stars: must be a number"},

    /* enumerations */
    {"an unknown format", "book", PATCH, "{'format':'papyrus'}",
     ".format: must be one of physical, kindle, kobo, audible, audiobook, pdf, other"},
    {"an empty format", "book", PATCH, "{'format':''}",
     ".format: must be one of physical, kindle, kobo, audible, audiobook, pdf, other"},
    {"a format in upper case", "book", PATCH, "{'format':'PDF'}",
     ".format: must be one of physical, kindle, kobo, audible, audiobook, pdf, other"},
    {"an unknown status", "readingLog", PATCH, "{'status':'reading'}",
     ".status: must be one of want_to_read, currently_reading, read, dnf"},
    {"a status of another type", "readingLog", PATCH, "{'status':1}",
     ".status: must be one of want_to_read, currently_reading, read, dnf"},
    {"an unknown theme", "userSettings", WHOLE, "{'theme':'sepia'}", ".theme: must be one of light, dark, system"},
    {"an unknown display", "userSettings", WHOLE, "{'ratingDisplay':'hearts'}",
     ".ratingDisplay: must be one of stars, numbers"},

    /* the first fault in the order of the data is reported */
    {"two faults", "book", WHOLE, "{'pageCount':'x','title':5}", ".pageCount: must be a number"},
};

START_TEST(data_is_accepted_or_refused)
{
    const char *complaint = check(rows[_i].kind, rows[_i].data, rows[_i].whole);
    if (!rows[_i].complaint)
        ck_assert_msg(complaint == NULL, "%s: %s", rows[_i].name, complaint);
    else
        ck_assert_msg(complaint && strcmp(complaint, rows[_i].complaint) == 0, "%s: %s", rows[_i].name,
                      complaint ? complaint : "nothing");
}
END_TEST

/* Every member of the contract: it accepts all of `good` and null, and refuses all of `bad` with `complaint`. A member
 * without `good` is required, and refuses null. */
static const struct {
    const char *kind, *members, *good, *bad, *complaint;
} types[] = {
    {"book",
     "subtitle isbn13 coverUrl localCoverPath description publisher publishedDate genre language notes readingStatus "
     "printType weight country languageCode previewLink infoLink canonicalVolumeLink webReaderLink "
     "textToSpeechPermission seriesName edition volume oclcNumber lccn deweyDecimal saleability contentVersion "
     "maturityRating",
     "['','x','languages/eng','9780141439587']", "[1,true,[],{},['x']]", "must be a string"},
    {"book", "publishedYear pageCount averageRating seriesVolume", "[0,-44,1813,4.1,1e300,9223372036854775807]",
     "['1813','',true,[],{}]", "must be a number"},
    {"book", "isEbook epubAvailable pdfAvailable allowAnonLogging needsSync localOnly", "[true,false]",
     "['true',0,1,[],{}]", "must be true or false"},
    {"book", "authors authorDetails", "[[],['x'],[{'name':'x'}],[1,null]]", "['x',1,true,{},{'0':'x'}]",
     "must be an array"},
    {"book", "externalIds dimensions listPrice", "[{},{'amount':4.1}]", "['x',1,true,[],[{}]]", "must be an object"},
    {"book", "format", "['physical','kindle','kobo','audible','audiobook','pdf','other']", "[]", ""},
    {"book", "notesUpdatedAt lastSyncedAt",
     "['2024-01-15T10:30:00Z','2024-01-15T10:30:00.123456+02:00',100000000000,1705314600000,-100000000000]",
     "['','2024-01-15','yesterday',1705314600000.5,1e300,9223372036854775807,true,[],{}]",
     "must be an RFC 3339 instant or integer milliseconds since 1970"},
    {"book", "addedAt", "['2024-01-15T10:30:00Z','2024-01-15','0000-01-01','9999-12-31',1705314600000]",
     "['','2024-1-15','2023-02-29','2024-01-15T','2024-01-15Z','20240115','yesterday',1705314600000.5,true,[],{}]",
     "must be a date, an RFC 3339 instant or integer milliseconds since 1970"},
    {"book", "addedAt notesUpdatedAt lastSyncedAt", "[1705314600000]", "[0,1705314600,-1,99999999999,-99999999999]",
     "looks like seconds; milliseconds are expected"},
    {"collection", "isSmart", "[true,false]", "['yes',1,[],{}]", "must be true or false"},
    {"collection", "smartRules", "[{},[],{'a':1},[1]]", "['x',1,true]", "must be an object or an array"},
    {"readingLog", "startedAt finishedAt", "['2024-01-15T10:30:00Z','2024-01-15']", "['',true,[],{}]",
     "must be a date, an RFC 3339 instant or integer milliseconds since 1970"},
    {"readingLog", "startedAt finishedAt", "[1705314600000]", "[0,1705314600]",
     "looks like seconds; milliseconds are expected"},
    {"userSettings", "theme", "['light','dark','system']", "['',0,{}]", "must be one of light, dark, system"},
    {"userSettings", "ratingDisplay", "['stars','numbers']", "['',true]", "must be one of stars, numbers"},
    {"userSettings", "defaultFormat dateFormat", "['','x']", "[1,true,[],{}]", "must be a string"},
    {"userSettings", "notificationPreferences", "[{},{'email':false}]", "[true,'x',[]]", "must be an object"},
    {"book", "title", NULL, "[1,true,[],{}]", "must be a string"},
    {"rating", "bookId", NULL, "[1,true,[],{}]", "must be a string"},
    {"rating", "stars", NULL, "['5',true,[],{}]", "must be a number"},
    {"tag", "name", NULL, "[1,true,[],{}]", "must be a string"},
    {"collection", "name", NULL, "[1,true,[],{}]", "must be a string"},
    {"readingLog", "bookId", NULL, "[1,true,[],{}]", "must be a string"},
    {"readingLog", "status", NULL, "[1,true,[],{}]", "must be one of want_to_read, currently_reading, read, dnf"},
};

/* What the entity holds already is not checked, whatever it is. */
START_TEST(a_member_that_equals_the_stored_one_is_accepted)
{
    static const struct {
        const char *stored, *sent, *path;
    } held[] = {
        {"{'startedAt':1705314600}", "{'startedAt':1705314600}", NULL},
        {"{'startedAt':1705314600}", "{'startedAt':1705314600.0,'finishedAt':null}", NULL},
        {"{'startedAt':1705314600}", "{'startedAt':1705314601}", ".startedAt"},
        {"{'startedAt':1705314600}", "{'finishedAt':1705314600}", ".finishedAt"},
        {"{'startedAt':1705314600}", "{'startedAt':1705314600,'finishedAt':1}", ".finishedAt"},
        {"{'startedAt':{'a':{},'b':[1]}}", "{'startedAt':{'b':[1],'a':{}}}", NULL},
        {"{'startedAt':{'a':1,'b':[1]}}", "{'startedAt':{'b':[1]}}", ".startedAt"},
        {"{'startedAt':{}}", "{'startedAt':{}}", NULL},
        {"{'startedAt':'2024-01-15T10:30:60Z'}", "{'startedAt':'2024-01-15T10:30:60Z'}", NULL},
    };
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        merge_state *s = merge_new(a);
        const char *path = NULL;
        merge_apply(s, &(merge_edit){MERGE_PATCH, parse(held[i].stored), 1}, false);
        kind_check(a, &kind_reading_log, parse(held[i].sent), s, &path);
        ck_assert_msg(held[i].path ? path && strcmp(path, held[i].path) == 0 : !path, "%s: %s", held[i].sent,
                      path ? path : "nothing");
    }
}
END_TEST

static const char *check_member(const char *kind_name, const char *member, json_t *value)
{
    const char *path = NULL;
    json_t *data = json_object();
    json_object_set(data, member, value);
    const char *message = kind_check(a, kind_find(kind_name), data, NULL, &path);
    json_decref(data);
    if (message) ck_assert_str_eq(path, arena_printf(a, ".%s", member));
    return message;
}

START_TEST(members_have_their_type)
{
    json_t *value, *good = parse(types[_i].good ? types[_i].good : "[]"), *bad = parse(types[_i].bad);
    size_t index;
    char *members = arena_strdup(a, types[_i].members), *rest = members, *member;
    while ((member = strtok_r(rest, " ", &rest))) {
        json_array_foreach(good, index, value) ck_assert_msg(check_member(types[_i].kind, member, value) == NULL,
                                                             "%s.%s: good %zu", types[_i].kind, member, index);
        json_array_foreach(bad, index, value)
        {
            const char *complaint = check_member(types[_i].kind, member, value);
            ck_assert_msg(complaint && strcmp(complaint, types[_i].complaint) == 0, "%s.%s: bad %zu: %s",
                          types[_i].kind, member, index, complaint ? complaint : "nothing");
        }
        ck_assert_msg(!check_member(types[_i].kind, member, json_null()) == !!types[_i].good, "%s.%s: null",
                      types[_i].kind, member);
    }
}
END_TEST

/* Their values: test_kind_set.c. */
static const char *const sets[] = {"book.tags", "book.categories", "book.subjects", "collection.bookIds"};

START_TEST(the_tables_hold_the_members_of_the_contract_and_no_others)
{
    json_t *known = json_object();
    arena_defer(a, json_release, known);
    for (size_t i = 0; i < COUNT(types); i++) {
        char *rest = arena_strdup(a, types[i].members), *member;
        while ((member = strtok_r(rest, " ", &rest)))
            json_object_set_new(known, arena_printf(a, "%s.%s", types[i].kind, member), json_boolean(!types[i].good));
    }
    for (size_t i = 0; i < COUNT(sets); i++) json_object_set_new(known, sets[i], json_false());
    size_t count = 0;
    for (const kind *const *k = kinds; *k; k++)
        for (const field *f = (*k)->fields; f->name; f++, count++) {
            const json_t *required = json_object_get(known, arena_printf(a, "%s.%s", (*k)->name, f->name));
            ck_assert_msg(required != NULL, "%s.%s is not in the contract", (*k)->name, f->name);
            ck_assert_msg(json_is_true(required) == f->required, "%s.%s: required", (*k)->name, f->name);
        }
    ck_assert_uint_eq(count, json_object_size(known));
}
END_TEST

static const struct {
    const char *kind, *member;
    size_t limit;
} lengths[] = {
    {"book", "title", 500},    {"tag", "name", 100},          {"collection", "name", 200},
    {"rating", "bookId", 255}, {"readingLog", "bookId", 255}, {"book", "description", 0},
};

START_TEST(lengths_are_counted_in_characters)
{
    size_t limit = lengths[_i].limit ? lengths[_i].limit : 100000;
    strbuf text = STRBUF(a);
    for (size_t i = 0; i < limit; i++) strbuf_puts(&text, "\xF0\x9F\x93\x9A");
    json_t *fits = json_string(text.data);
    strbuf_putc(&text, 'x');
    json_t *over = json_string(text.data);
    arena_defer(a, json_release, fits);
    arena_defer(a, json_release, over);
    const char *complaint = check_member(lengths[_i].kind, lengths[_i].member, fits);
    ck_assert_msg(complaint == NULL, "%s.%s: %s", lengths[_i].kind, lengths[_i].member, complaint);
    complaint = check_member(lengths[_i].kind, lengths[_i].member, over);
    if (lengths[_i].limit == 0)
        ck_assert_ptr_null(complaint);
    else
        ck_assert_str_eq(complaint, arena_printf(a, "must have 1 to %zu characters, has %zu", limit, limit + 1));
}
END_TEST

static const struct {
    const char *name, *plural, *alias;
    kind_rule rule;
    const char *key, *fixed_id;
} names[] = {
    {"book", "books", NULL, KIND_PLAIN, NULL, NULL},
    {"rating", "ratings", NULL, KIND_ONE_PER_KEY, "bookId", NULL},
    {"tag", "tags", NULL, KIND_NAMES_CLASH, "name", NULL},
    {"collection", "collections", NULL, KIND_NAMES_CLASH, "name", NULL},
    {"readingLog", "readings", "readingLogs", KIND_READINGS, "bookId", NULL},
    {"userSettings", "settings", "userSettings", KIND_ONE_PER_USER, NULL, "settings"},
};

static bool same(const char *x, const char *y)
{
    return x && y ? strcmp(x, y) == 0 : x == y;
}

START_TEST(a_kind_has_its_names_and_rule)
{
    const kind *k = kind_find(names[_i].name);
    ck_assert_msg(k && k == kinds[_i], "%s", names[_i].name);
    ck_assert_msg(same(k->name, names[_i].name), "%s: name", k->name);
    ck_assert_msg(same(k->plural, names[_i].plural), "%s: plural", k->name);
    ck_assert_msg(same(k->alias, names[_i].alias), "%s: alias", k->name);
    ck_assert_msg(k->rule == names[_i].rule, "%s: rule", k->name);
    ck_assert_msg(same(k->key, names[_i].key), "%s: key", k->name);
    ck_assert_msg(same(k->fixed_id, names[_i].fixed_id), "%s: fixed id", k->name);
}
END_TEST

START_TEST(there_are_no_other_kinds)
{
    ck_assert_ptr_null(kinds[COUNT(names)]);
    const char *unknown[] = {"", "books", "Book", "BOOK", "readinglog", "readings", "settings", "user", "book "};
    for (size_t i = 0; i < COUNT(unknown); i++) ck_assert_msg(!kind_find(unknown[i]), "\"%s\"", unknown[i]);
}
END_TEST

Suite *suite_kind(void)
{
    Suite *s = suite_create("kind");
    TCase *c = tcase_create("kind");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_add_loop_test(c, data_is_accepted_or_refused, 0, COUNT(rows));
    tcase_add_test(c, a_member_that_equals_the_stored_one_is_accepted);
    tcase_add_loop_test(c, members_have_their_type, 0, COUNT(types));
    tcase_add_test(c, the_tables_hold_the_members_of_the_contract_and_no_others);
    tcase_add_loop_test(c, lengths_are_counted_in_characters, 0, COUNT(lengths));
    tcase_add_loop_test(c, a_kind_has_its_names_and_rule, 0, COUNT(names));
    tcase_add_test(c, there_are_no_other_kinds);
    suite_add_tcase(s, c);
    return s;
}
