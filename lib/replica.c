#include "replica.h"

bool replica_prepare(arena *a, db *primary, db *replica, const char *user)
{
    PGresult *clock;
    db_param named = db_text(user);
    rc code = DB_RUN(primary, a, {.id = SQL_BEGIN_READ}, {.id = SQL_IDENTIFY, .params = &named},
                     {.id = SQL_CLOCK_READ, .params = &named, .result = &clock}, {.id = SQL_COMMIT});
    if (code != RC_OK || PQntuples(clock) == 0 || db_ready(replica) != RC_OK) return false;
    db_require(replica, user, db_column_int(clock, 0, 0, 0), db_column_int(clock, 0, 2, 0));
    return true;
}
