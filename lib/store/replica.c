#include "store/replica.h"

#include "store/query.h"

void replica_require(db *replica, const char *user, int64_t clock, int64_t epoch)
{
    *db_required(replica) = (db_position){.user = user, .clock = clock, .epoch = epoch};
}

bool replica_is_behind(db *replica)
{
    return db_required(replica)->behind;
}

bool replica_prepare(arena *a, db *primary, db *replica, const char *user)
{
    PGresult *clock;
    rc code = query_one(primary, a, user, SQL_CLOCK_READ, DB_PARAMS(db_text(user)), &clock);
    int64_t epoch = code == RC_OK ? db_column_int(clock, 0, COL_CLOCK_EPOCH, 0) : 0;
    if (epoch == 0 || db_ready(replica) != RC_OK) return false;
    replica_require(replica, user, db_column_int(clock, 0, COL_CLOCK_STAMP, 0), epoch);
    return true;
}
