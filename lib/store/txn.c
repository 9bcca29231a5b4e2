#include "store/txn.h"

#include "store/query.h"

/* Takes the results of the steps, and ends the round trip. */
static rc take_steps(txn *t, rc code, const db_step *steps, size_t count)
{
    PGresult *ignored;
    for (size_t i = 0; i < count && code == RC_OK; i++)
        code = db_take(t->db, t->a, steps[i].result ? steps[i].result : &ignored);
    code = db_finish(t->db);
    t->open = code == RC_OK;
    return code;
}

/* The row of the clock is new: the user's first write, or the first one after an erasure. */
static rc start_clock(txn *t)
{
    PGresult *clock;
    rc code = DB_RUN(t->db, t->a, {.id = SQL_CLOCK_START, .params = DB_PARAMS(db_text(t->user)), .result = &clock});
    t->open = code == RC_OK;
    /* Without a row, one of the reads was the erasure. */
    if (code == RC_OK && PQntuples(clock) == 1) t->stamp = db_column_int(clock, 0, COL_CLOCK_STAMP, 0);
    return code;
}

origin rows_origin(const PGresult *clock)
{
    return (origin){db_column_int(clock, 0, COL_CLOCK_INSTALLATION, 0),
                    db_column_int(clock, 0, COL_CLOCK_GENERATION, 0)};
}

static usage read_usage(const PGresult *rows, int first)
{
    return (usage){db_column_int(rows, 0, first, 0), db_column_int(rows, 0, first + 1, 0),
                   db_column_int(rows, 0, first + 2, 0)};
}

/* A user from before the quota is counted at the first write. Without a row, one of the reads was the erasure. */
static rc count_usage(txn *t)
{
    PGresult *counted;
    rc code = DB_RUN(t->db, t->a, {.id = SQL_USAGE_COUNT, .params = DB_PARAMS(db_text(t->user)), .result = &counted});
    t->open = code == RC_OK;
    t->counted = true;
    if (code == RC_OK && PQntuples(counted) == 1) t->used = read_usage(counted, COL_USAGE_ENTITIES);
    return code;
}

rc txn_begin(txn *t, db *d, arena *a, const char *user, const db_step *reads, size_t count)
{
    PGresult *begun, *locked, *clock;
    bool is_new = false, is_counted = true, distributed = db_is_distributed(d);
    *t = (txn){.db = d, .a = a, .user = user, .not_before = t->not_before, .announcement = t->announcement};
    db_send(d, SQL_BEGIN, NULL);
    identify_send(d, user);
    if (distributed) db_send(d, SQL_CLOCK_LOCK_FIRST, DB_PARAMS(db_text(user)));
    db_send(d, SQL_CLOCK_ADVANCE, DB_PARAMS(db_text(user), db_int(a, t->not_before)));
    for (size_t i = 0; i < count; i++) db_send(d, reads[i].id, reads[i].params);
    db_flush(d);
    rc code = db_take(d, a, &begun);
    if (code == RC_OK) code = identify_take(d, a);
    if (code == RC_OK && distributed) code = db_take(d, a, &locked);
    if (code == RC_OK) code = db_take(d, a, &clock);
    if (code == RC_OK) {
        t->stamp = db_column_int(clock, 0, COL_CLOCK_STAMP, 0);
        t->previous = db_column_int(clock, 0, COL_CLOCK_PREVIOUS, 0);
        t->epoch = db_column_int(clock, 0, COL_CLOCK_EPOCH, 0);
        t->from = rows_origin(clock);
        t->horizon = db_column_int(clock, 0, COL_CLOCK_HORIZON, 0);
        t->used = read_usage(clock, COL_CLOCK_ENTITIES);
        is_counted = db_column(clock, 0, COL_CLOCK_BYTES) != NULL;
        is_new = !distributed && t->stamp == db_column_int(clock, 0, COL_CLOCK_STARTED, 0);
    }
    code = take_steps(t, code, reads, count);
    if (code == RC_OK && is_new) code = start_clock(t);
    return code == RC_OK && !is_counted ? count_usage(t) : code;
}

rc txn_read(txn *t, const db_step *reads, size_t count)
{
    for (size_t i = 0; i < count; i++) db_send(t->db, reads[i].id, reads[i].params);
    db_flush(t->db);
    return take_steps(t, RC_OK, reads, count);
}

void txn_send(txn *t, sql_id id, const db_param *params)
{
    db_send(t->db, id, params);
    t->unsent++;
}

/* Takes the results of the appended statements up to the first fault. */
static rc take_sent(txn *t)
{
    PGresult *ignored;
    rc code = RC_OK;
    for (; t->unsent > 0 && code == RC_OK; t->unsent--) code = db_take(t->db, t->a, &ignored);
    return code;
}

rc txn_flush(txn *t)
{
    if (t->unsent == 0) return RC_OK;
    db_flush(t->db);
    take_sent(t);
    t->unsent = 0;
    rc code = db_finish(t->db);
    t->open = code == RC_OK;
    return code;
}

void txn_announce(txn *t, uint64_t device)
{
    t->announcement =
        (txn_announcement){.any = true, .from = t->from, .epoch = t->epoch, .stamp = t->stamp, .device = device};
}

usage txn_take_usage(txn *t)
{
    const usage taken = t->change;
    usage_add(&t->used, &taken, 1);
    t->change = (usage){0};
    return taken;
}

static void send_usage(txn *t)
{
    const usage *c = &t->change;
    const db_param user = db_text(t->user);
    int64_t most = db_settings(t->db)->quota_hidden;
    if (c->entities != 0 || c->bytes != 0 || c->hidden != 0)
        txn_send(t, SQL_USAGE_ADD,
                 DB_PARAMS(user, db_int(t->a, c->entities), db_int(t->a, c->bytes), db_int(t->a, c->hidden)));
    if (most == 0 || (t->used.hidden + c->hidden <= most && !t->grown)) return;
    static const sql_id drops[] = {SQL_DROP_CONFLICTS, SQL_DROP_SNAPSHOT, SQL_DROP_CONTENT, SQL_DROP_TOMBSTONES};
    const db_param *params = DB_PARAMS(user, db_int(t->a, most), db_int(t->a, t->stamp));
    for (size_t i = 0; i < sizeof drops / sizeof *drops; i++) txn_send(t, drops[i], params);
}

/* The commit is in doubt from the moment COMMIT is appended (also when memory runs out on the way) until the server has
 * reported its outcome, or a fault of an earlier statement, for which it skips COMMIT. */
rc txn_commit(txn *t)
{
    PGresult *committed;
    send_usage(t);
    t->in_doubt = !db_lost(t->db); /* a connection that broke while sending never saw COMMIT */
    t->open = false;
    db_send(t->db, SQL_COMMIT, NULL);
    db_flush(t->db);
    rc code = take_sent(t);
    if (code != RC_OK && db_refused(t->db)) t->in_doubt = false;
    if (code == RC_OK) code = db_take(t->db, t->a, &committed);
    code = db_finish(t->db);
    t->unsent = 0;
    if (code == RC_OK) t->in_doubt = false;
    /* COMMIT itself failed, for no reason that is known to be temporary: so does Citus when a node is lost meanwhile.
     */
    return code == RC_FAILED && t->in_doubt ? RC_UNAVAILABLE : code;
}

rc txn_rollback(txn *t, rc code)
{
    if (t->open) txn_flush(t); /* takes the results of appended statements out of the way */
    if (!t->open) return code;
    t->open = false;
    rc rolled_back = DB_RUN(t->db, t->a, {.id = SQL_ROLLBACK});
    return rolled_back == RC_OK ? code : rolled_back;
}

rc txn_rollback_durable(txn *t)
{
    const db_param *user = DB_PARAMS(db_text(t->user));
    t->open = false;
    return DB_RUN(t->db, t->a, {.id = SQL_ROLLBACK}, {.id = SQL_BEGIN}, {.id = SQL_IDENTIFY, .params = user},
                  {.id = SQL_CLOCK_LOCK, .params = user}, {.id = SQL_COMMIT});
}
