#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "cmd/cmd.h"
#include "store/db_connect.h"

/*
 * Migrations are numbered SQL files, forward only. Each is applied in a transaction of its own together with its row in
 * booky.migrations, statement by statement: a distributed table takes no further one in the same message. An advisory
 * lock makes a second host that starts at the same time wait. A file must not change once it is applied: its checksum
 * is stored.
 */

/* Lists what is applied. Without the schema: nothing. */
static const char prepare_status[] = "SET client_min_messages = warning; SET default_transaction_read_only = on";

static const char prepare[] = "SET client_min_messages = warning;"
                              "SELECT pg_advisory_lock(hashtext('booky-sync migrations'));"
                              "CREATE SCHEMA IF NOT EXISTS booky;"
                              "CREATE TABLE IF NOT EXISTS booky.migrations ("
                              " version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
                              " applied_at timestamptz NOT NULL DEFAULT now())";

typedef struct migration {
    int version;
    char *name; /* of the file */
    char *sql;
    char checksum[65];      /* SHA-256 in hexadecimal */
    const char *applied_at; /* NULL: not applied */
} migration;

typedef struct migrations {
    arena *a;
    migration *list;
    int count;
    const char *shards; /* of a distributed database; NULL: it is not distributed */
} migrations;

static bool fail(const char *what, const char *why)
{
    warnx("%s: %s", what, why);
    return false;
}

static int is_migration(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return strspn(entry->d_name, "0123456789") == 4 && entry->d_name[4] == '_' && len > 9 &&
           strcmp(entry->d_name + len - 4, ".sql") == 0;
}

static void checksum(const char *text, size_t len, char out[65])
{
    unsigned char hash[32];
    if (EVP_Digest(text, len, hash, NULL, EVP_sha256(), NULL) != 1) abort();
    for (int i = 0; i < 32; i++) snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

static bool read_file(arena *a, const char *path, strbuf *out)
{
    char piece[8192];
    FILE *f = fopen(path, "re");
    if (!f) return fail(path, strerror(errno));
    *out = STRBUF(a);
    strbuf_puts(out, "");
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;) strbuf_add(out, piece, n);
    bool failed = ferror(f);
    fclose(f);
    return failed ? fail(path, "cannot be read") : true;
}

static bool read_dir(migrations *m, const char *dir)
{
    struct dirent **entries;
    int count = scandir(dir, &entries, is_migration, alphasort);
    bool ok = true;
    if (count < 0) return fail(dir, strerror(errno));
    m->list = arena_alloc(m->a, (size_t)count * sizeof *m->list);
    for (int i = 0; i < count; i++) {
        migration *one = &m->list[m->count++];
        strbuf text;
        one->name = arena_strdup(m->a, entries[i]->d_name);
        one->version = atoi(one->name);
        free(entries[i]);
        if (one->version != i + 1) ok = fail(one->name, "its number does not follow the previous one");
        if (!read_file(m->a, arena_printf(m->a, "%s/%s", dir, one->name), &text))
            ok = false;
        else
            checksum(one->sql = text.data, text.len, one->checksum);
    }
    free(entries);
    return ok && count == 0 ? fail(dir, "contains no migrations") : ok;
}

/* Runs one or several statements that are about `what`. If a lock was not free in time, sets *locked and says nothing;
 * `locked` may be NULL. */
static bool run(PGconn *conn, const char *what, const char *sql, bool *locked)
{
    PGresult *r = PQexec(conn, sql);
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    bool silent = locked && state && strcmp(state, "55P03") == 0;
    if (locked) *locked = silent;
    PQclear(r);
    return ok || silent ? ok : cmd_sql_failed(conn, what);
}

/* Compares the files with the migrations that the database has. */
static bool compare(migrations *m, PGconn *conn)
{
    bool ok = true;
    PGresult *r = cmd_sql(conn, "SELECT to_regclass('booky.migrations') IS NOT NULL", 0, NULL);
    bool any = r && db_column_bool(r, 0, 0);
    PQclear(r);
    if (!any) return r != NULL;
    r = cmd_sql(conn,
                "SELECT version, checksum, to_char(applied_at AT TIME ZONE 'UTC',"
                " 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM booky.migrations ORDER BY version",
                0, NULL);
    if (!r) return false;
    for (int i = 0; ok && i < PQntuples(r); i++) {
        int version = atoi(PQgetvalue(r, i, 0));
        if (version < 1 || version > m->count) {
            ok = fail("the database", "has a migration that this version does not know; the program may be too old");
            break;
        }
        migration *one = &m->list[version - 1];
        one->applied_at = arena_strdup(m->a, PQgetvalue(r, i, 2));
        if (strcmp(one->checksum, PQgetvalue(r, i, 1)) != 0)
            ok = fail(one->name, "was changed after it was applied; migrations must not be edited");
    }
    PQclear(r);
    return ok;
}

/* Migration 0002 adds a column without a default and therefore fails where operations are parked already. They are put
 * aside and back in its transaction. An empty hash matches every repeat (operation_repeats). */
static const char before_0002[] = "CREATE TABLE booky.queue_before_0002 AS TABLE booky.queue;"
                                  "DELETE FROM booky.queue";
static const char after_0002[] =
    "INSERT INTO booky.queue (user_id, operation_id, queued_at, made_at, synced_at, attempts, type, kind, entity_id,"
    " last_error, data, hash) SELECT user_id, operation_id, queued_at, made_at, synced_at, attempts, type, kind,"
    " entity_id, last_error, data, '' FROM booky.queue_before_0002;"
    "DROP TABLE booky.queue_before_0002";

static bool run_migration(arena *a, PGconn *conn, const migration *one, bool *locked)
{
    bool adds_hash = strcmp(one->name, "0002_recovery.sql") == 0;
    const char *rest = one->sql, *statement;
    if (adds_hash && !run(conn, one->name, before_0002, locked)) return false;
    while ((statement = cmd_next_statement(a, &rest)))
        if (!run(conn, one->name, statement, locked)) return false;
    return !adds_hash || run(conn, one->name, after_0002, locked);
}

/* A change of a table waits for the transactions that use the table, for example a backup, and meanwhile nobody else
 * can begin to use it. So it waits shortly, lets the others pass, and tries again. */
static const char begin[] = "BEGIN; SET LOCAL lock_timeout = '2s'";
enum { TRIES = 200, PAUSE_S = 3 };

static bool apply(arena *a, PGconn *conn, const migration *one)
{
    static const char insert[] = "INSERT INTO booky.migrations (version, name, checksum) VALUES ($1::int, $2, $3)";
    char version[16];
    snprintf(version, sizeof version, "%d", one->version);
    const char *values[] = {version, one->name, one->checksum};
    bool ok = false, locked = true;
    for (int i = 0; i < TRIES && locked; i++) {
        if (i == 1) warnx("%s: waits until no transaction holds a lock that it needs", one->name);
        if (i > 0) sleep(PAUSE_S);
        ok = run(conn, one->name, begin, &locked) && run_migration(a, conn, one, &locked) &&
             cmd_exec(conn, insert, 3, values) && run(conn, one->name, "COMMIT", &locked);
        if (locked) PQclear(PQexec(conn, "ROLLBACK"));
    }
    if (ok) printf("applied %s\n", one->name);
    return ok || !locked ? ok : fail(one->name, "another transaction has held a lock all the time");
}

static int migrate(migrations *m, PGconn *conn, bool status)
{
    int pending = 0;
    if (m->shards && !cmd_distribute_begin(conn)) return CMD_FAILED;
    if (!run(conn, "the schema", status ? prepare_status : prepare, NULL) || !compare(m, conn)) return CMD_FAILED;
    for (int i = 0; i < m->count; i++) {
        const migration *one = &m->list[i];
        if (status) printf("%-24s %s\n", one->name, one->applied_at ? one->applied_at : "not applied");
        if (one->applied_at) continue;
        pending++;
        if (!status && !apply(m->a, conn, one)) return CMD_FAILED;
    }
    if (m->shards && !cmd_distribute(conn, m->shards, status, &pending)) return CMD_FAILED;
    if (!status) printf(pending ? "the database is up to date\n" : "the database was already up to date\n");
    return status && pending ? CMD_FAILED : CMD_OK;
}

#define SHARDS "16" /* each makes planning slower, and a cluster cannot use more nodes than it has shards */

static bool is_shard_count(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len < 6 && strspn(text, "0123456789") == len && atoi(text) >= 1 && atoi(text) <= 64000;
}

int cmd_migrate(const cmdline *line, const conf *settings)
{
    const char *dir = cmdline_get(line, "dir"), *shards = cmdline_get(line, "shards");
    bool distributed = conf_is_distributed(settings);
    if (shards && !distributed) return cmdline_refuse(line, "--shards is for a database that is distributed");
    if (shards && !is_shard_count(shards)) return cmdline_refuse(line, "--shards: not a number from 1 to 64000");
    if (!dir) dir = getenv("BOOKY_MIGRATIONS_DIR");
    char fault[512];
    migrations m = {.a = arena_new(), .shards = !distributed ? NULL : shards ? shards : SHARDS};
    PGconn *conn = NULL;
    int code = CMD_FAILED;
    if (read_dir(&m, dir ? dir : CMD_MIGRATIONS)) {
        /* Not cmd_admin: migrations are applied with the default search_path. */
        conn = db_connect(settings->admin_dsn, "", NULL, fault, sizeof fault);
        if (conn)
            code = migrate(&m, conn, cmdline_get(line, "status"));
        else
            fail("database.admin_dsn", fault);
    }
    PQfinish(conn);
    arena_free(m.a);
    return code;
}
