#include "cmd/cmd.h"

#include <err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/cursor.h"
#include "store/db_connect.h"
#include "store/query.h"
#include "sync/poke.h"

bool cmd_load_conf(cmdline *line, conf *settings)
{
    char fault[8192];
    if (!line->config && access(CMDLINE_CONFIG, F_OK) == 0) line->config = CMDLINE_CONFIG;
    if (!conf_load(settings, line->config, fault, sizeof fault)) {
        char *rest = NULL;
        for (char *one = strtok_r(fault, "\n", &rest); one; one = strtok_r(NULL, "\n", &rest)) warnx("%s", one);
        return false;
    }
    log_set_level_name(settings->log_level);
    return true;
}

token_keys *cmd_load_keys(const conf *settings)
{
    char fault[512];
    token_keys *keys = token_keys_load(settings, fault, sizeof fault);
    if (!keys) warnx("%s", fault);
    return keys;
}

static void write_stdout(void *to, const char *bytes, size_t len)
{
    (void)to;
    fwrite(bytes, 1, len, stdout);
}

bool cmd_ctx_begin(sync_ctx *ctx, const conf *settings, const char *user)
{
    log_set_level(LOG_LEVEL_WARN); /* informational events are for the server's journal */
    *ctx = (sync_ctx){.a = arena_new(), .conf = settings, .db = db_new(settings), .user = user, .write = write_stdout};
    if (db_ready(ctx->db) == RC_OK) return true; /* db_ready logs its failure */
    cmd_ctx_end(ctx);
    return false;
}

void cmd_ctx_end(sync_ctx *ctx)
{
    /* Poke for the last commit, as a worker does. */
    const txn_announcement *news = &ctx->txn.announcement;
    if (news->any) {
        const char *cursor = cursor_at(ctx->a, news->from, news->epoch, news->stamp);
        poke_send(ctx->conf->pokes_socket, poke_write(ctx->a, ctx->user, cursor, news->device));
    }
    db_free(ctx->db);
    arena_free(ctx->a);
}

bool cmd_ctx_begin_known(sync_ctx *ctx, const conf *settings, const char *user)
{
    PGresult *clock;
    if (!cmd_ctx_begin(ctx, settings, user)) return false;
    rc code = query_one(ctx->db, ctx->a, user, SQL_CLOCK_READ, DB_PARAMS(db_text(user)), &clock);
    if (code == RC_OK && db_column(clock, 0, 0)) return true;
    if (code == RC_OK)
        warnx("%s: no such user", user);
    else
        cmd_ctx_failed(ctx, code);
    cmd_ctx_end(ctx);
    return false;
}

int cmd_ctx_failed(const sync_ctx *ctx, rc code)
{
    warnx("%s: %s", rc_info(code)->error, ctx->message ? ctx->message : "the database failed");
    return CMD_FAILED;
}

int cmd_ctx_finish(sync_ctx *ctx, rc code, const strbuf *reply)
{
    int exit_code = code == RC_OK ? CMD_OK : cmd_ctx_failed(ctx, code);
    if (code == RC_OK) puts(reply->data ? reply->data : "");
    cmd_ctx_end(ctx);
    return exit_code;
}

PGconn *cmd_admin(const conf *settings)
{
    char fault[512];
    PGconn *conn = db_connect(settings->admin_dsn, "", "-c search_path=booky", fault, sizeof fault);
    if (!conn) warnx("database.admin_dsn: %s", fault);
    return conn;
}

bool cmd_sql_failed(const PGconn *conn, const char *what)
{
    const char *message = PQerrorMessage(conn); /* one or several lines, each with its end */
    size_t len = strlen(message);
    while (len > 0 && message[len - 1] == '\n') len--;
    warnx("%s: %.*s", what, (int)len, message);
    return false;
}

PGresult *cmd_sql(PGconn *conn, const char *sql, int count, const char *const *values)
{
    PGresult *r = PQexecParams(conn, sql, count, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(r) == PGRES_TUPLES_OK || PQresultStatus(r) == PGRES_COMMAND_OK) return r;
    cmd_sql_failed(conn, "database");
    PQclear(r);
    return NULL;
}

bool cmd_exec(PGconn *conn, const char *sql, int count, const char *const *values)
{
    PGresult *r = cmd_sql(conn, sql, count, values);
    PQclear(r);
    return r != NULL;
}

bool cmd_sql_bool(PGconn *conn, const char *sql)
{
    PGresult *r = cmd_sql(conn, sql, 0, NULL);
    bool value = r && PQntuples(r) == 1 && db_column_bool(r, 0, 0);
    PQclear(r);
    return value;
}

PGresult *cmd_query(const conf *settings, const char *sql, int count, const char *const *values)
{
    PGconn *conn = cmd_admin(settings);
    PGresult *r = conn ? cmd_sql(conn, sql, count, values) : NULL;
    PQfinish(conn);
    return r;
}

static bool is_number(Oid type)
{
    return type == DB_INT4 || type == DB_INT8;
}

void cmd_write_row(strbuf *out, const PGresult *r, int row)
{
    for (int j = 0; j < PQnfields(r); j++) {
        const char *value = db_column(r, row, j);
        if (value && is_number(PQftype(r, j)))
            json_write_int(out, PQfname(r, j), db_column_int(r, row, j, 0));
        else
            json_write_member(out, PQfname(r, j), value);
    }
}

void cmd_write_rows(strbuf *out, const PGresult *r)
{
    strbuf_putc(out, '[');
    for (int i = 0; i < PQntuples(r); i++) {
        strbuf_puts(out, i > 0 ? ",\n {" : "{");
        cmd_write_row(out, r, i);
        strbuf_putc(out, '}');
    }
    strbuf_putc(out, ']');
}

static void print_json(const PGresult *r)
{
    arena *a = arena_new();
    strbuf out = STRBUF(a);
    cmd_write_rows(&out, r);
    puts(out.data);
    arena_free(a);
}

static void print_table(const PGresult *r)
{
    int width[32] = {0}, fields = PQnfields(r);
    for (int j = 0; j < fields; j++) {
        width[j] = (int)strlen(PQfname(r, j));
        for (int i = 0; i < PQntuples(r); i++)
            if (PQgetlength(r, i, j) > width[j]) width[j] = PQgetlength(r, i, j);
    }
    for (int i = -1; i < PQntuples(r); i++) /* -1: the header */
        for (int j = 0; j < fields; j++)
            printf(is_number(PQftype(r, j)) ? "%*s%s" : "%-*s%s", width[j], i < 0 ? PQfname(r, j) : PQgetvalue(r, i, j),
                   j + 1 < fields ? "  " : "\n");
}

void cmd_print_rows(const PGresult *r, bool json)
{
    if (json)
        print_json(r);
    else
        print_table(r);
}

int cmd_list(const conf *settings, const char *sql, int count, const char *const *values, bool json)
{
    PGresult *r = cmd_query(settings, sql, count, values);
    if (r) cmd_print_rows(r, json);
    PQclear(r);
    return r ? CMD_OK : CMD_FAILED;
}
