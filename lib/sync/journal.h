/*
 * The journal of erasures: a file outside of the database (erasure.journal). After a backup was restored it tells which
 * accounts were erased since, so that `booky-sync resync --erased` erases them again. A line for each erasure:
 *
 *     2026-11-24T07:03:52.000Z 00a1b2c3d4e5f607 1122334455667788
 *
 * the instant and the epochs of the account, which are random numbers: nothing in it names a person.
 */
#ifndef BOOKY_JOURNAL_H
#define BOOKY_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

/* Most epochs of a user: the present one and the remembered ones, of which resync and import keep 100. */
enum { JOURNAL_EPOCHS = 101 };

typedef struct journal_line {
    int64_t at;
    int64_t epochs[JOURNAL_EPOCHS];
    size_t count;
} journal_line;

/* Appends a line to the file, which is created if it is not there, and waits until it is on the disk. On a failure
 * returns false with errno, and the file is as it was. */
bool journal_append(const char *path, const journal_line *line);

/* Reads a line, which ends with a line feed. False: it is not one of ours. */
bool journal_read(const char *text, journal_line *out);

#endif
