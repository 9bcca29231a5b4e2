/*
 * The reading history of a book: which of its logs stand. Pure.
 *
 * The word of a log is the time of its latest edit of a member in reading_members. The days of a log are the UTC days
 * of startedAt and finishedAt; a log with a finishedAt is finished. The complete logs of a book, deleted ones too, are
 * taken from the latest word to the oldest. A log stands unless one that stands already
 *
 *   (a) has the same start day, or
 *   (b) is finished on the same day, and both are finished, or
 *   (c) the log at hand is unfinished, and the other is unfinished too, or finished and not before the log at hand
 *       began. A log without startedAt began before any finish.
 *
 * Of several such logs the one with the oldest word displaces it: a later reading then changes nothing about it.
 *
 * At equal words a stored log comes before those of this request, and of these the one with the later operation first.
 * Of stored ones those that stand come first, and of these an unfinished one: it displaces no finished log of other
 * days. So logs of one word that stand side by side go on doing so.
 *
 * Rejected: to keep who displaces whom. The outcome then depends on the order of arrival (4 logs are enough).
 */
#ifndef BOOKY_READINGS_H
#define BOOKY_READINGS_H

#include "engine/entity.h"

#define READINGS_NO_DAY INT64_MIN

typedef struct reading {
    entity *e;
    int64_t word;
    bool fresh;            /* the word is of this request */
    int64_t start, finish; /* days since 1970, or READINGS_NO_DAY */
    struct reading *by;    /* the log that displaces it; NULL: it stands */
} reading;

/* The members whose edits count for the word; NULL-terminated. */
extern const char *const reading_members[];

/* The word of the log `e`, or MERGE_NEVER. */
int64_t reading_word(const entity *e);

/* The complete logs of a book, from the latest word to the oldest, and which of them stand. A row with the stamp
 * `stamp` was written by an earlier part of this request. Costs n log n. */
reading *readings_settle(const entity_group *g, int64_t stamp, arena *scratch, size_t *count);

#endif
