#include "base/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)

#define STRING(name, field, fallback, help) {name, CONF_STRING, offsetof(conf, field), fallback, 0, 0, NULL, NULL, help}
#define INTEGER(name, field, fallback, min, max, unit, help)                                                           \
    {name, CONF_INTEGER, offsetof(conf, field), fallback, min, max, NULL, unit, help}
#define CHOICE(name, field, fallback, choices, help)                                                                   \
    {name, CONF_CHOICE, offsetof(conf, field), fallback, 0, 0, choices, NULL, help}

const conf_row conf_rows[] = {
    STRING("server.socket", socket, "/run/booky-sync.sock",
           "Unix socket that nginx connects to, or HOST:PORT for an nginx on another host of a private network."),
    {"server.socket_mode", CONF_OCTAL, offsetof(conf, socket_mode), "0660", 0, 0777, NULL, NULL,
     "File mode of the socket."},
    STRING("server.socket_group", socket_group, "", "Group of the socket, usually that of nginx; empty: unchanged."),
    INTEGER("server.backlog", backlog, "1024", 1, 65535, "connections",
            "Largest number of connections that wait for a worker; the kernel limits it to net.core.somaxconn."),
    STRING("server.status_socket", status_socket, "/run/booky-sync-status.sock",
           "Unix socket for the status page, the ping and the metrics; empty: none."),
    CHOICE("pool.mode", mode, "static", "static,dynamic", "Whether the number of workers follows the load."),
    INTEGER("pool.workers", workers, NULL, 1, 1024, "processes",
            "Number of worker processes (with dynamic: the maximum), each with one database connection; unset: twice "
            "the number of cores, at least 4."),
    INTEGER("pool.min_spare", min_spare, "1", 1, 1024, "processes",
            "With dynamic: if fewer workers are idle, new ones are started."),
    INTEGER("pool.max_spare", max_spare, "4", 1, 1024, "processes",
            "With dynamic: if more workers are idle, some are stopped."),
    INTEGER("pool.max_requests", max_requests, "100000", 0, 1000000000, "requests",
            "A worker is replaced after this many requests, plus or minus a tenth; 0: never."),
    INTEGER("pool.request_timeout", request_timeout, "30", 0, 3600, "seconds",
            "A request that takes longer is cancelled and answered with 503; 0: no limit. Keep nginx's "
            "fastcgi_read_timeout above it."),
    INTEGER("pool.slow_log", slow_log, "1000", 0, 3600000, "milliseconds",
            "A request that takes longer is logged with the stage and the statement that took the time; 0: off."),
    INTEGER("pool.drain_timeout", drain_timeout, "30", 0, 3600, "seconds",
            "Time that a stopping worker has to finish its request."),
    INTEGER("pool.start_timeout", start_timeout, "30", 1, 3600, "seconds",
            "If the new workers of a reload are not ready within this time, the reload is given up and the old workers "
            "stay."),
    INTEGER("pool.emergency_restart_threshold", emergency_restart_threshold, "10", 0, 1000, "crashes",
            "This many crashes within emergency_restart_interval restart the whole pool; 0: off."),
    INTEGER("pool.emergency_restart_interval", emergency_restart_interval, "60", 1, 86400, "seconds",
            "Interval in which the crashes for emergency_restart_threshold are counted."),
    STRING("database.dsn", dsn, "dbname=booky", "libpq connection string of the workers' role."),
    STRING("database.replica_dsn", replica_dsn, "",
           "libpq connection string of a streaming replica for large reads; empty: the primary answers all reads."),
    CHOICE("database.pooler", pooler, "none", "none,transaction",
           "Whether connections go through a pooler in transaction mode, such as PgBouncer; no session state then "
           "outlives a transaction."),
    CHOICE("database.distributed", distributed, "none", "none,citus",
           "Whether the tables are distributed by user over the nodes of a Citus cluster; migrate distributes them."),
    STRING("database.password_file", password_file, "",
           "File that holds the password of database.dsn and database.replica_dsn; empty: none."),
    STRING("database.admin_dsn", admin_dsn, "dbname=booky",
           "libpq connection string of the schema's owner, for migrate and other administration commands."),
    INTEGER("database.statement_timeout", statement_timeout, "15000", 10, 600000, "milliseconds",
            "A statement that runs longer is cancelled, and its request is answered with 503. A transaction whose "
            "worker does not go on for this time, but at least 5 s, is rolled back."),
    INTEGER("database.lock_timeout", lock_timeout, "3000", 10, 600000, "milliseconds",
            "A statement that waits longer for a lock, usually that of another request of the same user, is cancelled, "
            "and its request is answered with 503. Keep it well below statement_timeout."),
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
    INTEGER("limits.full_items", full_items, "100000", 1, 10000000, "entities",
            "Largest number of entities of one kind in a full sync."),
    INTEGER("limits.operations", operations, "1000", 1, 100000, "operations",
            "Largest number of operations in one request."),
    INTEGER("limits.entity", entity, "1048576", KIB, 64 * MIB, "bytes",
            "Largest entity, as JSON text, with the times of its members."),
    INTEGER("limits.depth", depth, "64", 4, 512, "levels", "Deepest nesting of JSON."),
    INTEGER("limits.snapshots", snapshots, "20", 1, 1000, "snapshots",
            "Largest number of snapshots of a user; a further one displaces an older one."),
    INTEGER("quota.bytes", quota_bytes, "0", 0, 1024 * 1024 * MIB, "bytes",
            "Largest library of a user, with open conflicts and queued operations; 0: no bound."),
    INTEGER("quota.entities", quota_entities, "0", 0, 1000000000, "entities",
            "Largest number of entities of a user; 0: no bound."),
    INTEGER("quota.hidden", quota_hidden, "0", 0, 1024 * 1024 * MIB, "bytes",
            "What is kept of a user beneath the library; over it, the oldest is dropped; 0: no bound."),
    INTEGER("rate.requests", rate_requests, "0", 0, 1000000000, "requests",
            "Requests that a user may make in a window, counted exactly and over all hosts; 0: only nginx limits the "
            "rate."),
    INTEGER("rate.window", rate_window, "900", 1, 86400, "seconds", "Length of the window."),
    CHOICE("sync.conflict_resolution", conflict_resolution, "merge", "merge,local,server,manual",
           "How a conflict is resolved if the operation does not specify it."),
    CHOICE("sync.full_mode", full_mode, "replace", "replace,merge",
           "What a full sync does if it does not specify its mode: replace what the server holds, or merge into it."),
    INTEGER("sync.clock_skew", clock_skew, "300", 0, 86400, "seconds",
            "A timestamp further ahead of the real time than this is replaced by the commit clock."),
    INTEGER("retention.tombstones", tombstone_days, "180", 1, 36500, "days", "How long a deletion is remembered."),
    INTEGER("retention.ledger", ledger_days, "90", 90, 36500, "days", "How long an operation id is remembered."),
    INTEGER("retention.snapshots", snapshot_days, "30", 1, 36500, "days",
            "How long the state before a full sync is kept."),
    STRING("erasure.journal", erasure_journal, "/var/lib/booky-sync/erasures",
           "File that lists erasures, so that a restored backup does not bring accounts back; keep it apart from the "
           "backups; empty: none."),
    STRING(
        "push.socket", push_socket, "/run/booky-sync-push.sock",
        "Unix socket on which nginx asks for streams, or HOST:PORT for an nginx on another host of a private network."),
    STRING("push.pokes_socket", pokes_socket, "/run/booky-sync-pokes.sock",
           "Unix datagram socket on which the workers report commits; empty: they do not."),
    INTEGER("push.streams", push_streams, "20000", 1, 500000, "streams",
            "Largest number of open streams; a further one is answered with 503."),
    INTEGER("push.streams_per_user", push_streams_per_user, "10", 1, 1000, "streams",
            "Largest number of open streams of one user; a further one closes the oldest."),
    STRING("push.dsn", push_dsn, "",
           "libpq connection string of the connection that notifies other hosts; empty: that of database.dsn. It must "
           "not go through a pooler."),
    STRING("push.channel", push_channel, "booky_sync_pokes",
           "LISTEN/NOTIFY channel on which the hosts notify each other; empty: there is only one host."),
    STRING(
        "alerts.command", alerts_command, "",
        "Shell command that is called when one of the three published alerts begins or ends, with a JSON document on "
        "its standard input; empty: none."),
    INTEGER("alerts.window", alerts_window, "300", 1, 86400, "seconds",
            "Time over which rates are measured for alerts.command, and for which a condition must hold."),
    CHOICE("log.level", log_level, "info", "error,warn,info,debug", "Least severe level that is logged."),
    {0},
};

bool conf_is_distributed(const conf *c)
{
    return strcmp(c->distributed, "none") != 0;
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
