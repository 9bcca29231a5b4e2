/*
 * Runs of random histories (tests/db/history.h) on a library in memory. A history that fails is made smaller as long as
 * it fails, and printed. BOOKY_HISTORIES makes a test longer, BOOKY_SEED repeats it.
 */
#ifndef BOOKY_TESTS_HISTORY_RUN_H
#define BOOKY_TESTS_HISTORY_RUN_H

#include "history.h"
#include "library.h"

enum { COPIES_MAX = 3 * OPS_MAX };

typedef struct run {
    const history *h;
    const char *texts[OPS_MAX]; /* the operations as JSON */
    policy policies[OPS_MAX];
    size_t order[COPIES_MAX]; /* which operations arrive; the index in h->ops */
    size_t count;
    size_t sizes[COPIES_MAX]; /* of the requests */
    bool versions;            /* the operations have versions, which may lead to conflicts of the kind `base` */
    library library;
    int64_t stamp; /* of the last request */
    strbuf story;
    history *effective; /* NULL, or takes what the operations were worth: see note_effect */
} run;

/* Checks a history once. Returns a complaint in run_arena, or NULL. */
typedef const char *check_run(run *r, dice *d);

/* Checks `count` random histories. `apart`: so many milliseconds at least lie between two operations. */
void run_histories(const char *name, check_run *check, bool crowd, int64_t apart, long count);

extern arena *run_arena; /* reset before each check */

/* Begins with an empty library. */
void run_begin(run *r);

/* Plans that operations arrive, in their order or shuffled. `chosen`: which ones, or NULL for all. `repeat`: some
 * arrive several times. */
void run_plan(run *r, dice *d, const bool *chosen, bool in_order, bool repeat);

/* Divides the plan into requests of at most `most` operations. */
void run_divide(run *r, dice *d, size_t most);

/* Does what is planned. Returns a complaint or NULL. */
const char *run_requests(run *r, dice *d);

/* Joins the states of another library with those of the library of the run, as an import does. */
const char *run_join(run *r, dice *d, const library *from);

/* Returns a complaint if the values, or the members of the objects, differ. */
const char *run_differ(const char *what, const json_t *expected, const json_t *found);
const char *run_differ_in(const char *member, const json_t *expected, const json_t *found);

#endif
