#include "cmd.h"

#include <stdio.h>
#include <string.h>

#include "cursor.h"
#include "log.h"
#include "poke.h"

static void write_stdout(void *to, const char *bytes, size_t len)
{
    (void)to;
    fwrite(bytes, 1, len, stdout);
}

bool cmd_call_begin(call *c, const conf *settings, const char *user)
{
    log_set_level(LOG_LEVEL_WARN); /* events are for the server's journal */
    *c = (call){.a = arena_new(), .conf = settings, .db = db_new(settings), .user = user, .write = write_stdout};
    if (db_ready(c->db) == RC_OK) return true; /* it has said itself what is wrong */
    cmd_call_end(c);
    return false;
}

void cmd_call_end(call *c)
{
    /* As a worker does it, for the last commit there was. */
    if (c->change.any) {
        const char *cursor = cursor_at(c->a, c->change.epoch, c->change.stamp);
        poke_send(c->conf->pokes_socket, poke_write(c->a, c->user, cursor, c->change.device));
    }
    db_free(c->db);
    arena_free(c->a);
}

int cmd_call_failed(const call *c, rc code)
{
    fprintf(stderr, "booky-sync: %s: %s\n", rc_info(code)->error, c->message ? c->message : "the database failed");
    return CMD_FAILED;
}

PGconn *cmd_admin(const conf *settings)
{
    char fault[512];
    PGconn *conn = db_connect(settings->admin_dsn, "", "-c search_path=booky", fault, sizeof fault);
    if (!conn) fprintf(stderr, "booky-sync: database.admin_dsn: %s\n", fault);
    return conn;
}

PGresult *cmd_sql(PGconn *conn, const char *sql, int count, const char *const *values)
{
    PGresult *r = PQexecParams(conn, sql, count, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(r) == PGRES_TUPLES_OK || PQresultStatus(r) == PGRES_COMMAND_OK) return r;
    fprintf(stderr, "booky-sync: %s", PQerrorMessage(conn));
    PQclear(r);
    return NULL;
}

static bool is_number(Oid type)
{
    return type == DB_INT4 || type == DB_INT8;
}

static void print_json(const PGresult *r)
{
    arena *a = arena_new();
    strbuf out = STRBUF(a);
    strbuf_putc(&out, '[');
    for (int i = 0; i < PQntuples(r); i++) {
        strbuf_puts(&out, i > 0 ? ",\n {" : "{");
        for (int j = 0; j < PQnfields(r); j++) {
            const char *value = db_column(r, i, j);
            if (value && is_number(PQftype(r, j))) json_write_int(&out, PQfname(r, j), db_column_int(r, i, j, 0));
            else json_write_member(&out, PQfname(r, j), value);
        }
        strbuf_putc(&out, '}');
    }
    strbuf_puts(&out, "]\n");
    fputs(out.data, stdout);
    arena_free(a);
}

void cmd_print_rows(const PGresult *r, bool json)
{
    if (json) {
        print_json(r);
        return;
    }
    int width[32] = {0}, fields = PQnfields(r);
    for (int j = 0; j < fields; j++) {
        width[j] = (int)strlen(PQfname(r, j));
        for (int i = 0; i < PQntuples(r); i++)
            if (PQgetlength(r, i, j) > width[j]) width[j] = PQgetlength(r, i, j);
    }
    for (int i = -1; i < PQntuples(r); i++)
        for (int j = 0; j < fields; j++)
            printf(is_number(PQftype(r, j)) ? "%*s%s" : "%-*s%s", width[j], i < 0 ? PQfname(r, j) : PQgetvalue(r, i, j),
                   j + 1 < fields ? "  " : "\n");
}
