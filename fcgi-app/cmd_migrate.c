#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <libpq-fe.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "cmd.h"
#include "db.h"

#ifndef PKGDATADIR
#define PKGDATADIR "/usr/share/booky-sync"
#endif

/*
 * Migrations are numbered SQL files, forward only. Each is applied in a transaction of its own together with its row in
 * booky.migrations, under an advisory lock, so that two hosts that start at once do it once. A file that was applied must
 * not change any more: its checksum is kept.
 */

static const char help[] =
    "usage: booky-sync migrate [--status] [--dir DIR] [--config FILE]\n\n"
    "Brings the tables in the schema `booky` up to date, as the role of database.admin_dsn.\n\n"
    "  --status   list the migrations; exits with 1 when one is not applied\n"
    "  --dir DIR  read them from DIR (default: $BOOKY_MIGRATIONS_DIR, else " PKGDATADIR "/migrations)\n";

static const char prepare[] =
    "SET client_min_messages = warning;"
    "SELECT pg_advisory_lock(hashtext('booky-sync migrations'));"
    "CREATE SCHEMA IF NOT EXISTS booky;"
    "CREATE TABLE IF NOT EXISTS booky.migrations ("
    " version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now())";

typedef struct migration {
    int version;
    char *name; /* of the file */
    char *sql;
    char checksum[65];
    const char *applied_at; /* NULL: not applied */
} migration;

typedef struct migrations {
    arena *a;
    migration *list;
    int count;
} migrations;

static bool complain(const char *what, const char *why)
{
    fprintf(stderr, "booky-sync migrate: %s: %s\n", what, why);
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
    if (!f) return complain(path, strerror(errno));
    *out = STRBUF(a);
    strbuf_puts(out, "");
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;) strbuf_add(out, piece, n);
    bool failed = ferror(f);
    fclose(f);
    return failed ? complain(path, "cannot be read") : true;
}

static bool read_dir(migrations *m, const char *dir)
{
    struct dirent **entries;
    int count = scandir(dir, &entries, is_migration, alphasort);
    bool ok = true;
    if (count < 0) return complain(dir, strerror(errno));
    m->list = arena_alloc(m->a, (size_t)count * sizeof *m->list);
    for (int i = 0; i < count; i++) {
        migration *one = &m->list[m->count++];
        strbuf text;
        one->name = arena_strdup(m->a, entries[i]->d_name);
        one->version = atoi(one->name);
        free(entries[i]);
        if (one->version != i + 1) ok = complain(one->name, "its number is not the next one");
        if (!read_file(m->a, arena_printf(m->a, "%s/%s", dir, one->name), &text)) ok = false;
        else checksum(one->sql = text.data, text.len, one->checksum);
    }
    free(entries);
    return ok && count == 0 ? complain(dir, "holds no migrations") : ok;
}

static bool run(PGconn *conn, const char *what, const char *sql)
{
    PGresult *r = PQexec(conn, sql);
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;
    PQclear(r);
    return ok ? true : complain(what, PQerrorMessage(conn));
}

/* Holds the files against what the database says was applied. */
static bool compare(migrations *m, PGconn *conn)
{
    bool ok = true;
    PGresult *r = PQexec(conn, "SELECT version, checksum, to_char(applied_at AT TIME ZONE 'UTC',"
                               " 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM booky.migrations ORDER BY version");
    if (PQresultStatus(r) != PGRES_TUPLES_OK) ok = complain("booky.migrations", PQerrorMessage(conn));
    for (int i = 0; ok && i < PQntuples(r); i++) {
        int version = atoi(PQgetvalue(r, i, 0));
        if (version < 1 || version > m->count) {
            ok = complain("the database", "has a migration that this version does not know; is the program too old?");
            continue;
        }
        migration *one = &m->list[version - 1];
        one->applied_at = arena_strdup(m->a, PQgetvalue(r, i, 2));
        if (strcmp(one->checksum, PQgetvalue(r, i, 1)) != 0)
            ok = complain(one->name, "was applied with another content; migrations must not be edited");
    }
    PQclear(r);
    return ok;
}

static bool apply(PGconn *conn, const migration *one)
{
    char version[16];
    snprintf(version, sizeof version, "%d", one->version);
    const char *values[] = {version, one->name, one->checksum};
    if (!run(conn, one->name, "BEGIN") || !run(conn, one->name, one->sql)) return false;
    PGresult *r = PQexecParams(conn, "INSERT INTO booky.migrations (version, name, checksum) VALUES ($1::int, $2, $3)", 3,
                               NULL, values, NULL, NULL, 0);
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK;
    if (!ok) complain(one->name, PQerrorMessage(conn));
    PQclear(r);
    if (!ok || !run(conn, one->name, "COMMIT")) return false;
    printf("applied %s\n", one->name);
    return true;
}

static int migrate(migrations *m, PGconn *conn, bool status)
{
    int pending = 0;
    if (!run(conn, "the schema", prepare) || !compare(m, conn)) return CMD_FAILED;
    for (int i = 0; i < m->count; i++) {
        const migration *one = &m->list[i];
        if (status) printf("%-24s %s\n", one->name, one->applied_at ? one->applied_at : "not applied");
        if (one->applied_at) continue;
        pending++;
        if (!status && !apply(conn, one)) return CMD_FAILED;
    }
    if (!status) printf(pending ? "the database is up to date\n" : "the database was up to date already\n");
    return status && pending ? CMD_FAILED : CMD_OK;
}

int cmd_migrate(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"dir", required_argument, NULL, 'd'},
                                            {"status", no_argument, NULL, 's'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *path = NULL, *dir = getenv("BOOKY_MIGRATIONS_DIR");
    bool status = false;
    for (int option; (option = getopt_long(argc, argv, "c:d:sh", options, NULL)) != -1;) {
        if (option == 'h') return fputs(help, stdout) < 0;
        else if (option == 'c') path = optarg;
        else if (option == 'd') dir = optarg;
        else if (option == 's') status = true;
        else return CMD_USAGE;
    }
    static conf c; /* its strings live until the process ends */
    char fault[512];
    if (optind < argc) return fputs(help, stderr), CMD_USAGE;
    if (!cmd_load_conf(&path, &c)) return CMD_CONFIG;
    migrations m = {.a = arena_new()};
    PGconn *conn = NULL;
    int code = CMD_FAILED;
    if (read_dir(&m, dir ? dir : PKGDATADIR "/migrations")) {
        conn = db_connect(c.admin_dsn, "", NULL, fault, sizeof fault);
        if (conn) code = migrate(&m, conn, status);
        else complain("database.admin_dsn", fault);
    }
    PQfinish(conn);
    arena_free(m.a);
    return code;
}
