#include "conf.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)

#define STRING(name, field, fallback, help) {name, CONF_STRING, offsetof(conf, field), fallback, 0, 0, NULL, NULL, help}
#define INTEGER(name, field, fallback, min, max, unit, help) \
    {name, CONF_INTEGER, offsetof(conf, field), fallback, min, max, NULL, unit, help}
#define CHOICE(name, field, fallback, choices, help) \
    {name, CONF_CHOICE, offsetof(conf, field), fallback, 0, 0, choices, NULL, help}

const conf_row conf_rows[] = {
    STRING("server.socket", socket, "/run/booky-sync.sock", "Unix socket that nginx connects to, or HOST:PORT for an nginx on another host of a private network."),
    {"server.socket_mode", CONF_OCTAL, offsetof(conf, socket_mode), "0660", 0, 0777, NULL, NULL,
     "File mode of the socket."},
    STRING("server.socket_group", socket_group, "", "Group of the socket, usually that of nginx; empty: unchanged."),
    INTEGER("server.backlog", backlog, "1024", 1, 65535, "connections",
            "Connections that may wait for a worker; the kernel caps it at net.core.somaxconn."),
    STRING("server.status_socket", status_socket, "/run/booky-sync-status.sock",
           "Unix socket for the status page, the ping and the metrics; empty: none."),
    CHOICE("pool.mode", mode, "static", "static,dynamic", "Whether the number of workers follows the load."),
    INTEGER("pool.workers", workers, NULL, 1, 1024, "processes",
            "Worker processes (with dynamic: at the most), each with one database connection; unset: twice the number of cores."),
    INTEGER("pool.min_spare", min_spare, "1", 1, 1024, "processes", "With dynamic: fewer idle workers start new ones."),
    INTEGER("pool.max_spare", max_spare, "4", 1, 1024, "processes", "With dynamic: more idle workers end some."),
    INTEGER("pool.max_requests", max_requests, "100000", 0, 1000000000, "requests",
            "A worker is replaced after that many, give or take a tenth; 0: never."),
    INTEGER("pool.request_timeout", request_timeout, "30", 0, 3600, "seconds",
            "A request that takes longer is cancelled and answered with 503; 0: no limit. Keep nginx's fastcgi_read_timeout "
            "above it."),
    INTEGER("pool.slow_log", slow_log, "1000", 0, 3600000, "milliseconds",
            "A request that takes longer is logged with the stage and the statement that took the time; 0: off."),
    INTEGER("pool.drain_timeout", drain_timeout, "30", 0, 3600, "seconds",
            "How long a stopping worker may take to finish its request."),
    INTEGER("pool.start_timeout", start_timeout, "30", 1, 3600, "seconds",
            "A reload whose new workers are not ready by then is given up, and the old ones stay."),
    INTEGER("pool.emergency_restart_threshold", emergency_restart_threshold, "10", 0, 1000, "crashes",
            "That many within the interval restart the whole pool; 0: off."),
    INTEGER("pool.emergency_restart_interval", emergency_restart_interval, "60", 1, 86400, "seconds",
            "The interval of emergency_restart_threshold."),
    STRING("database.dsn", dsn, "dbname=booky", "libpq connection string of the workers' role."),
    STRING("database.replica_dsn", replica_dsn, "",
           "libpq connection string of a streaming replica for large reads; empty: the primary answers all."),
    CHOICE("database.pooler", pooler, "none", "none,transaction",
           "Whether connections go through a pooler in transaction mode, as PgBouncer: then nothing outlives a transaction."),
    STRING("database.password_file", password_file, "",
           "File that holds the password of database.dsn and database.replica_dsn; empty: none."),
    STRING("database.admin_dsn", admin_dsn, "dbname=booky", "libpq connection string of the owner, for migrate."),
    INTEGER("database.statement_timeout", statement_timeout, "15000", 10, 600000, "milliseconds",
            "A statement that runs longer is cancelled and the request answers 503."),
    STRING("auth.keys_dir", keys_dir, "/etc/booky-sync/keys.d",
           "Folder of verification keys: KID.hmac (HS256) and KID.pem (RS256, ES256)."),
    STRING("auth.issuer", issuer, "", "The iss claim that tokens must carry; empty: any."),
    STRING("auth.audience", audience, "", "The aud claim that tokens must contain; empty: any."),
    STRING("auth.user_claims", user_claims, "userId,sub", "Claims that name the user; the first one present wins."),
    INTEGER("auth.leeway", leeway, "30", 0, 600, "seconds", "Clock difference allowed when exp and nbf are checked."),
    INTEGER("limits.body", body, "10485760", KIB, 1024 * MIB, "bytes",
            "Largest request body; keep nginx's client_max_body_size at least as large."),
    INTEGER("limits.full_body", full_body, "33554432", KIB, 1024 * MIB, "bytes",
            "Largest body of a full sync; keep nginx's client_max_body_size for it at least as large."),
    INTEGER("limits.full_items", full_items, "100000", 1, 10000000, "entities", "Most entities of one kind in a full sync."),
    INTEGER("limits.operations", operations, "1000", 1, 100000, "operations", "Most operations in one request."),
    INTEGER("limits.entity", entity, "1048576", KIB, 64 * MIB, "bytes", "Largest entity, as JSON text."),
    INTEGER("limits.depth", depth, "64", 4, 512, "levels", "Deepest nesting of JSON."),
    INTEGER("rate.requests", rate_requests, "0", 0, 1000000000, "requests",
            "Requests a user may make in a window, counted exactly and over all hosts; 0: leave limiting to nginx."),
    INTEGER("rate.window", rate_window, "900", 1, 86400, "seconds", "Length of the window."),
    CHOICE("sync.conflict_resolution", conflict_resolution, "merge", "merge,local,server,manual",
           "How a conflict is settled when the operation does not say."),
    INTEGER("sync.clock_skew", clock_skew, "300", 0, 86400, "seconds",
            "A timestamp further ahead of the server than this is brought down to now."),
    INTEGER("retention.tombstones", tombstone_days, "180", 1, 36500, "days", "How long a deletion is remembered."),
    INTEGER("retention.ledger", ledger_days, "90", 90, 36500, "days", "How long an operation id is remembered."),
    INTEGER("retention.snapshots", snapshot_days, "30", 1, 36500, "days",
            "How long the state before a full sync is kept."),
    STRING("push.socket", push_socket, "/run/booky-sync-push.sock",
           "Unix socket where nginx asks for streams, or HOST:PORT for an nginx on another host of a private network."),
    STRING("push.pokes_socket", pokes_socket, "/run/booky-sync-pokes.sock",
           "Unix datagram socket on which the workers tell what was committed; empty: they do not."),
    INTEGER("push.streams", push_streams, "20000", 1, 500000, "streams", "Streams open at once; more are answered with 503."),
    INTEGER("push.streams_per_user", push_streams_per_user, "10", 1, 1000, "streams",
            "Streams of one user; one more closes the oldest."),
    STRING("push.dsn", push_dsn, "",
           "libpq connection string of the connection that tells other hosts; empty: that of database.dsn. Never through a "
           "pooler."),
    STRING("push.channel", push_channel, "booky_sync_pokes",
           "Channel of LISTEN and NOTIFY on which the hosts tell each other; empty: there is only one host."),
    CHOICE("log.level", log_level, "info", "error,warn,info,debug", "Least urgent level that is logged."),
    {0},
};

typedef struct reader {
    conf *c;
    const char *path;
    char *fault;
    size_t fault_size;
    FILE *file;
    int line; /* of the file, from 1 */
    bool seen[sizeof conf_rows / sizeof *conf_rows];
    int depth; /* how many files include this one */
} reader;

static bool in_list(const char *list, const char *value)
{
    size_t len = strlen(value);
    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == len && strncmp(p, value, len) == 0) return true;
    return false;
}

/* Checks `value` against its row and stores it. `where` says where the value came from. */
static bool set(reader *r, const conf_row *row, const char *value, const char *where)
{
    void *field = (char *)r->c + row->offset;
    if (row->type == CONF_STRING || row->type == CONF_CHOICE) {
        if (row->type == CONF_CHOICE && !in_list(row->choices, value)) {
            snprintf(r->fault, r->fault_size, "%s: %s: \"%s\" is not one of %s", where, row->name, value, row->choices);
            return false;
        }
        char *copy = strdup(value);
        if (!copy) abort();
        free(*(char **)field); /* the default, or what the file said before the environment */
        *(char **)field = copy;
        return true;
    }
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, row->type == CONF_OCTAL ? 8 : 10);
    if (end == value || *end || errno) {
        snprintf(r->fault, r->fault_size, "%s: %s: \"%s\" is not %s number", where, row->name, value,
                 row->type == CONF_OCTAL ? "an octal" : "a whole");
        return false;
    }
    if (number < row->min || number > row->max) {
        const char *side = number < row->min ? "below" : "above";
        long long limit = number < row->min ? row->min : row->max;
        if (row->type == CONF_OCTAL)
            snprintf(r->fault, r->fault_size, "%s: %s: %s is %s %04llo", where, row->name, value, side, limit);
        else
            snprintf(r->fault, r->fault_size, "%s: %s: %s is %s %lld%s%s", where, row->name, value, side, limit,
                     row->unit ? " " : "", row->unit ? row->unit : "");
        return false;
    }
    *(int64_t *)field = number;
    return true;
}

static const conf_row *find(const char *section, const char *key)
{
    size_t len = strlen(section);
    for (const conf_row *row = conf_rows; row->name; row++)
        if (strncmp(row->name, section, len) == 0 && row->name[len] == '.' && strcmp(row->name + len + 1, key) == 0)
            return row;
    return NULL;
}

/* Feeds inih line by line: the library in Debian does not tell its handler the line, and cuts long lines silently. */
static char *next_line(char *out, int size, void *user)
{
    reader *r = user;
    if (r->fault[0] || !fgets(out, size, r->file)) return NULL;
    r->line++;
    if (strlen(out) == (size_t)size - 1 && out[size - 2] != '\n')
        snprintf(r->fault, r->fault_size, "%s:%d: longer than %d bytes", r->path, r->line, size - 2);
    return r->fault[0] ? NULL : out;
}

static bool read_file(reader *r);

/* `include = FILE`, or a pattern: read in its place, sorted by name. A relative one is looked for beside the file that names
 * it. Of a setting that stands in several files the last one read counts. */
static int include(reader *r, const char *where, const char *value)
{
    enum { DEPTH_MAX = 8 };
    char pattern[4096];
    glob_t found;
    const char *slash = strrchr(r->path, '/');
    int folder = slash && *value != '/' ? (int)(slash - r->path) + 1 : 0;
    if (r->depth == DEPTH_MAX) {
        snprintf(r->fault, r->fault_size, "%s: include: more than %d files deep", where, DEPTH_MAX);
        return 0;
    }
    snprintf(pattern, sizeof pattern, "%.*s%s", folder, r->path, value);
    bool is_pattern = strpbrk(value, "*?[") != NULL;
    int status = glob(pattern, is_pattern ? 0 : GLOB_NOCHECK, NULL, &found);
    bool ok = status == 0 || (status == GLOB_NOMATCH && is_pattern);
    if (!ok) snprintf(r->fault, r->fault_size, "%s: include: %s: cannot be read", where, pattern);
    for (size_t i = 0; status == 0 && ok && i < found.gl_pathc; i++) {
        reader inner = {.c = r->c, .path = found.gl_pathv[i], .fault = r->fault, .fault_size = r->fault_size, .depth = r->depth + 1};
        ok = read_file(&inner);
    }
    globfree(&found);
    return ok;
}

static int on_pair(void *user, const char *section, const char *key, const char *value)
{
    reader *r = user;
    if (r->fault[0]) return 0;
    char where[4096];
    snprintf(where, sizeof where, "%s:%d", r->path, r->line);
    if (strcmp(key, "include") == 0) return include(r, where, value);
    const conf_row *row = find(section, key);
    if (!row) {
        snprintf(r->fault, r->fault_size, "%s: %s.%s: no such setting", where, section, key);
        return 0;
    }
    if (r->seen[row - conf_rows]) { /* inih hands over an indented line as another value of the setting above it */
        snprintf(r->fault, r->fault_size, "%s: %s: set twice, or the line is indented", where, row->name);
        return 0;
    }
    r->seen[row - conf_rows] = true;
    return set(r, row, value, where);
}

static bool read_file(reader *r)
{
    r->file = fopen(r->path, "re");
    if (!r->file) {
        snprintf(r->fault, r->fault_size, "%s: %s", r->path, strerror(errno));
        return false;
    }
    int line = ini_parse_stream(next_line, r, on_pair, r);
    fclose(r->file);
    if (line != 0 && !r->fault[0])
        snprintf(r->fault, r->fault_size, "%s:%d: not a section, setting or comment", r->path, line);
    return !r->fault[0];
}

static bool read_environment(reader *r)
{
    for (const conf_row *row = conf_rows; row->name; row++) {
        char name[96] = "BOOKY_";
        size_t n = strlen(name);
        for (const char *p = row->name; *p && n + 1 < sizeof name; p++)
            name[n++] = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
        name[n] = '\0';
        const char *value = getenv(name);
        if (value && !set(r, row, value, name)) return false;
    }
    return true;
}

bool conf_load(conf *c, const char *path, char *fault, size_t fault_size)
{
    reader r = {.c = c, .path = path, .fault = fault, .fault_size = fault_size};
    *c = (conf){0};
    fault[0] = '\0';
    for (const conf_row *row = conf_rows; row->name; row++)
        if (row->fallback && !set(&r, row, row->fallback, "default")) return false;
    if (path && !read_file(&r)) return false;
    if (!read_environment(&r)) return false;
    if (c->workers == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        c->workers = cores > 0 ? 2 * cores : 2;
    }
    if (c->min_spare > c->max_spare || c->max_spare > c->workers) {
        bool order = c->min_spare > c->max_spare;
        const char *name = order ? "pool.min_spare" : "pool.max_spare";
        if (strcmp(c->mode, "dynamic") != 0) return true;
        snprintf(fault, fault_size, "%s: %lld is above %s, which is %lld", name,
                 (long long)(order ? c->min_spare : c->max_spare), order ? "pool.max_spare" : "pool.workers",
                 (long long)(order ? c->max_spare : c->workers));
        return false;
    }
    return true;
}

void conf_free(conf *c)
{
    for (const conf_row *row = conf_rows; row->name; row++)
        if (row->type == CONF_STRING || row->type == CONF_CHOICE) free(*(char **)((char *)c + row->offset));
    *c = (conf){0};
}

bool conf_read_secret(const char *path, char *out, size_t out_size, char *fault, size_t fault_size)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        snprintf(fault, fault_size, "%s: %s", path, strerror(errno));
        return false;
    }
    size_t n = fread(out, 1, out_size, f);
    bool failed = ferror(f);
    fclose(f);
    if (failed || n == out_size) {
        snprintf(fault, fault_size, failed ? "%s: cannot be read" : "%s: longer than %zu bytes", path, out_size - 1);
        return false;
    }
    while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == '\r')) n--;
    out[n] = '\0';
    if (n == 0) {
        snprintf(fault, fault_size, "%s: is empty", path);
        return false;
    }
    return true;
}
