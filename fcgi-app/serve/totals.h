/* Totals over the database, for the metrics. */
#ifndef BOOKY_TOTALS_H
#define BOOKY_TOTALS_H

#include <stdint.h>

#include "base/conf.h"

typedef struct totals {
    int64_t db_up;                                       /* 1: the database answers */
    int64_t queue_waiting, queue_review, conflicts_open; /* of all users; -1: not known */
    int64_t read_at;                                     /* when they were read, seconds since 1970; -1: never */
} totals;

typedef struct totals_source totals_source;

/* Starts the process that reads the totals. `c` must outlive the source. Release it with totals_stop. */
totals_source *totals_start(const conf *c);
void totals_stop(totals_source *s);

/* The totals, asked for again if the last question is ten seconds old, so that frequent scrapes do not load the
 * database. Waits for the answer for 0.7 seconds at most; after that, returns what is known. */
totals totals_refresh(totals_source *s);

#endif
