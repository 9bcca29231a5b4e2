/*
 * The unit tests: one program, with one suite for each file. `CK_RUN_SUITE=arena tests/unit/unit` runs one suite,
 * `tests/unit/unit --list` prints the names, `CK_FORK=no gdb tests/unit/unit` stops at a failure.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One entry for each file test_X.c, which defines `Suite *suite_X(void)`. */
// clang-format off
#define SUITES(ENTRY)                                                                                                  \
    ENTRY(arena) ENTRY(clock) ENTRY(conf) ENTRY(conf_secret) ENTRY(docs) ENTRY(entity) ENTRY(history_property)         \
    ENTRY(json) ENTRY(json_check) ENTRY(json_read) ENTRY(json_split) ENTRY(json_write)                                 \
    ENTRY(kind) ENTRY(kind_set)                                                                                        \
    ENTRY(merge) ENTRY(merge_entity) ENTRY(merge_join) ENTRY(merge_property) ENTRY(merge_row) ENTRY(merge_set)         \
    ENTRY(merge_speed)                                                                                                 \
    ENTRY(poke) ENTRY(progress) ENTRY(readings) ENTRY(recent) ENTRY(recent_property)                                   \
    ENTRY(token_cache) ENTRY(token_claims) ENTRY(token_keys) ENTRY(token_mint) ENTRY(token_verify)                     \
    ENTRY(utf8)                                                                                                        \
    ENTRY(vectors)
// clang-format on

#define DECLARE(name) Suite *suite_##name(void);
SUITES(DECLARE)

int main(int argc, char **argv)
{
#define FUNCTION(name) suite_##name,
    Suite *(*const suites[])(void) = {SUITES(FUNCTION) NULL};
#define NAME(name) #name "\n"
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        fputs(SUITES(NAME), stdout);
        return EXIT_SUCCESS;
    }

    /* The default of Check, 4 seconds for a test, is too short with sanitizers on a busy machine. */
    setenv("CK_DEFAULT_TIMEOUT", "60", 0);
    SRunner *runner = srunner_create(NULL);
    for (size_t i = 0; suites[i]; i++) srunner_add_suite(runner, suites[i]());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
