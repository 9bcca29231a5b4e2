/*
 * Cases for the tests of lib/engine/merge: a list of edits, "TIME patch {…}", "TIME replace {…}" or "TIME delete", and
 * the state after them. In the JSON of a case ' stands for ".
 *
 * Each edit is first applied as a dry run, which must report the same effect and change nothing.
 */
#ifndef BOOKY_TESTS_MERGE_CASES_H
#define BOOKY_TESTS_MERGE_CASES_H

#include "base/json.h"
#include "engine/merge.h"
#include "fixture.h"
#include "unit.h"

enum { CASE_EDITS = 8 };

typedef struct merge_case {
    const char *name;
    const char *edits[CASE_EDITS]; /* "store": the request ends, and the next one begins with the stored state */
    const char *tree;              /* "deleted …" when the entity is deleted and this tree is kept beneath */
    const char *effect;            /* of the last edit; NULL: not checked */
    const char *marks;             /* that are stored; NULL: not checked */
} merge_case;

/* Applies the edits in one request, or in as many requests as there are edits, and checks the outcome. */
void merge_case_check(const merge_case *c, bool one_request);

/* Applies one edit and checks its dry run. */
merge_effect edit_apply(merge_state *s, const char *edit);

/* Writes a state as the database stores it, and loads that; checks that nothing is lost. */
merge_state *store_and_load(merge_state *s);

/* Everything that the database would store, as text. */
const char *stored(merge_state *s);

const char *tree_of(const merge_state *s);

/* `quoted` with " for '. */
const char *unquote(const char *quoted);
json_t *parse(const char *text);

#endif
