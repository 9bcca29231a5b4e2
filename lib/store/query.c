#include "store/query.h"

#include <stdio.h>

#include "base/log.h"

void identify_send(db *d, const char *user)
{
    db_send(d, SQL_IDENTIFY, DB_PARAMS(db_text(user)));
}

rc identify_take(db *d, arena *a)
{
    PGresult *identified;
    rc code = db_take(d, a, &identified);
    if (code != RC_OK || !db_is_primary(d) || !db_column_bool(identified, 0, COL_IDENTIFY_STANDBY)) return code;
    log_event(LOG_LEVEL_WARN, "database", "connected to a standby; looking for the primary");
    return db_reject_server(d);
}

static void required_send(db *d)
{
    const db_position *required = db_required(d);
    char clock[24], epoch[24];
    snprintf(clock, sizeof clock, "%lld", (long long)required->clock);
    snprintf(epoch, sizeof epoch, "%lld", (long long)required->epoch);
    db_send(d, SQL_REACHED, DB_PARAMS(db_text(required->user), db_text(clock), db_text(epoch)));
}

static rc required_take(db *d, arena *a)
{
    PGresult *reached;
    rc code = db_take(d, a, &reached);
    if (code != RC_OK) return code;
    db_required(d)->behind = !db_column_bool(reached, 0, COL_REACHED);
    return db_required(d)->behind ? db_reject_snapshot(d) : RC_OK;
}

query query_open(db *d, const char *user, bool several)
{
    db_position *required = db_required(d);
    /* The check of the clock shares the snapshot of the statements; a shard learns of the user in a block only. */
    query q = {d, several || required->user || db_is_distributed(d)};
    required->behind = false;
    if (q.block) db_send(d, SQL_BEGIN_READ, NULL);
    identify_send(d, user);
    if (required->user) required_send(d);
    return q;
}

rc query_start(const query *q, arena *a)
{
    PGresult *begun;
    db *d = q->db;
    rc code = RC_OK;
    if (q->block) db_send(d, SQL_COMMIT, NULL);
    db_flush(d);
    if (q->block) code = db_take(d, a, &begun);
    if (code == RC_OK) code = identify_take(d, a);
    if (code == RC_OK && db_required(d)->user) code = required_take(d, a);
    return code;
}

rc query_snapshot(db *d, arena *a, const char *user, const db_step *steps, size_t count)
{
    PGresult *ignored;
    query q = query_open(d, user, count > 1);
    for (size_t i = 0; i < count; i++) db_send(d, steps[i].id, steps[i].params);
    rc code = query_start(&q, a);
    for (size_t i = 0; i < count && code == RC_OK; i++)
        code = db_take(d, a, steps[i].result ? steps[i].result : &ignored);
    return db_finish(d);
}

rc query_one(db *d, arena *a, const char *user, sql_id id, const db_param *params, PGresult **result)
{
    return query_snapshot(d, a, user, &(db_step){id, params, result}, 1);
}
