/*
 * The unit tests: one program, one suite a file. `CK_RUN_SUITE=arena tests/unit/unit` runs one of them,
 * `CK_FORK=no gdb tests/unit/unit` stops where it fails.
 */
#include <check.h>
#include <stdlib.h>

/* One row a file tests/unit/test_X.c, which defines `Suite *suite_X(void)`. */
#define SUITES(ROW)                                                                                                    \
    ROW(arena)                                                                                                         \
    ROW(clock) ROW(conf) ROW(docs) ROW(json) ROW(kind) ROW(merge) ROW(merge_property) ROW(poke) ROW(token)             \
        ROW(vectors)

#define DECLARE(name) Suite *suite_##name(void);
SUITES(DECLARE)

int main(void)
{
#define MAKE(name) suite_##name,
    Suite *(*const suites[])(void) = {SUITES(MAKE) NULL};

    /* Check's default of 4 seconds a test is too short for the sanitizers on a busy machine. */
    setenv("CK_DEFAULT_TIMEOUT", "60", 0);
    SRunner *runner = srunner_create(NULL);
    for (size_t i = 0; suites[i]; i++) srunner_add_suite(runner, suites[i]());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
