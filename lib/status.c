#include "status.h"

#include "clock.h"
#include "cursor.h"
#include "json.h"

rc status_run(call *c, strbuf *reply)
{
    PGresult *r;
    db_param user = db_text(c->user);
    rc code = db_query(c->db, c->a, c->user, SQL_STATUS, &user, &r);
    if (code != RC_OK) return code;
    char text[CLOCK_TEXT];
    int64_t clock = db_column_int(r, 0, 0, INT64_MIN);
    const char *last = clock == INT64_MIN ? NULL : clock_format(clock, text);
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_member(reply, "status", db_column_int(r, 0, 2, 0) > 0 ? "error" : "ready");
    json_write_member(reply, "lastSync", last);
    json_write_member(reply, "lastSyncTime", last); /* what clients in the wild read */
    json_write_int(reply, "pendingOperations", db_column_int(r, 0, 1, 0));
    json_write_int(reply, "conflicts", db_column_int(r, 0, 3, 0));
    strbuf_putc(reply, '}');
    return RC_OK;
}

rc status_cursor(call *c, const char **cursor)
{
    PGresult *r;
    db_param user = db_text(c->user);
    rc code = db_query(c->db, c->a, c->user, SQL_CLOCK_READ, &user, &r);
    if (code != RC_OK) return code;
    bool any = PQntuples(r) > 0;
    *cursor = cursor_at(c->a, any ? db_column_int(r, 0, 2, 0) : 0, any ? db_column_int(r, 0, 0, 0) : 0);
    return RC_OK;
}

rc status_health(call *c, strbuf *reply)
{
    rc code = DB_RUN(c->db, c->a, {.id = SQL_PING});
    if (code != RC_OK) return call_fail(c, code, "the database does not answer");
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_member(reply, "status", "ok");
    json_write_member(reply, "database", "ok");
    json_write_instant(reply, "serverTime", clock_now());
    strbuf_putc(reply, '}');
    return RC_OK;
}
