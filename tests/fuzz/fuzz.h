/*
 * What the fuzz targets share. A target is one file fuzz_X.c with LLVMFuzzerTestOneInput, run over bytes that libFuzzer
 * invents from what it has seen the code do. The sanitizers find what C forbids; REQUIRE finds a broken promise.
 *
 * `./dev fuzz [MINUTES [TARGET]]` builds and runs them; tests/fuzz/corpus/X/ is what each begins with.
 */
#ifndef BOOKY_TESTS_FUZZ_H
#define BOOKY_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "call.h"
#include "conf.h"
#include "db.h"
#include "json.h"
#include "log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(promise)                                                                                               \
    do {                                                                                                               \
        if (!(promise)) {                                                                                              \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #promise);                              \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A copy of exactly that size and without a NUL behind it, so that a read beyond the end is seen. In the arena's stead:
 * freed by the caller. */
static inline char *fuzz_copy(const uint8_t *data, size_t size)
{
    char *copy = malloc(size);
    if (size > 0) memcpy(copy, data, size);
    return copy;
}

/* The settings a server has by default, and no database. */
static inline const conf *fuzz_conf(void)
{
    static conf c;
    char fault[512];
    if (c.dsn) return &c;
    log_set_level((log_level)0);
    REQUIRE(conf_load(&c, NULL, fault, sizeof fault));
    free((char *)c.dsn);
    c.dsn = strdup("host=/nonexistent dbname=none");
    return &c;
}

/* A connection that was never made: what needs a database fails with RC_UNAVAILABLE when it gets there. */
static inline db *fuzz_db(void)
{
    static db *d;
    return d ? d : (d = db_new(fuzz_conf()));
}

/* Whether `text` is JSON without anything that json.h says it refuses. */
static inline bool fuzz_is_json(arena *a, const char *text, size_t len)
{
    json_fault fault;
    return json_read(a, text, len, 100000, &fault) != NULL;
}

#endif
