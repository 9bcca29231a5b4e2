/*
 * The tests against a database: one program, one suite a file. They need BOOKY_TEST_DSN and BOOKY_TEST_ADMIN_DSN
 * (harness.h). `CK_RUN_SUITE=plans tests/db/dbtest` runs one suite, `tests/db/dbtest --list` prints the names,
 * `CK_FORK=no gdb tests/db/dbtest` stops where it fails. Suites can run at the same time.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One row a file tests/db/test_X.c, which defines `Suite *suite_X(void)`. */
#define SUITES(ROW)                                                                                                    \
    ROW(history)                                                                                                       \
    ROW(rules)                                                                                                         \
    ROW(devices)                                                                                                       \
    ROW(clocks)                                                                                                        \
    ROW(away)                                                                                                          \
    ROW(connection) ROW(isolation) ROW(large) ROW(views) ROW(plans) ROW(shards) ROW(siblings) ROW(usage) ROW(hidden)

#define DECLARE(name) Suite *suite_##name(void);
SUITES(DECLARE)

int main(int argc, char **argv)
{
#define MAKE(name) suite_##name,
    Suite *(*const suites[])(void) = {SUITES(MAKE) NULL};
#define NAME(name) #name "\n"
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        fputs(SUITES(NAME), stdout);
        return EXIT_SUCCESS;
    }

    setenv("CK_DEFAULT_TIMEOUT", "300", 0);
    SRunner *runner = srunner_create(NULL);
    for (size_t i = 0; suites[i]; i++) srunner_add_suite(runner, suites[i]());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
