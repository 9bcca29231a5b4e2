/* The slowest round trip to the database, for the slow log. */
#ifndef BOOKY_DB_SLOW_H
#define BOOKY_DB_SLOW_H

#include <stdint.h>

#include "store/sql.h"

typedef struct db_slow {
    char statements[160]; /* their names joined by a plus; "": none was noted */
    int64_t us;
} db_slow;

/* Keeps the round trip of these statements if it took longer than the one that is kept. */
void db_slow_note(db_slow *slow, const sql_id *sent, int count, int64_t us);

#endif
