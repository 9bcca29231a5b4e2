#include "store/db_slow.h"

#include <stdio.h>
#include <string.h>

/* The server sends the results of a pipeline together, so nobody can tell which of its statements took the time. The
 * statements that only frame the others (BEGIN, COMMIT, identify) are left out. */
void db_slow_note(db_slow *slow, const sql_id *sent, int count, int64_t us)
{
    if (us <= slow->us) return;
    slow->us = us;
    *slow->statements = '\0';
    for (int i = 0; i < count; i++) {
        size_t used = strlen(slow->statements);
        if (sent[i] <= SQL_IDENTIFY) continue;
        snprintf(slow->statements + used, sizeof slow->statements - used, "%s%s", used ? "+" : "",
                 sql_statements[sent[i]].name);
    }
}
