/*
 * Settings: one row of a table each (conf.c). They are read from an INI file and overridden by the environment
 * (BOOKY_SECTION_KEY). A test compares the manual and the sample configuration with the table.
 */
#ifndef BOOKY_CONF_H
#define BOOKY_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct conf {
    /* [server] */
    const char *socket;        /* path of the unix socket that nginx connects to */
    int64_t socket_mode;       /* octal file mode of that socket */
    const char *socket_group;  /* its group, "" for that of the process */
    int64_t backlog;           /* connections that may wait */
    const char *status_socket; /* path of the socket for status, ping and metrics; "" for none */
    /* [pool] */
    const char *mode;                    /* static or dynamic */
    int64_t workers;                     /* most processes; 0: conf_load sets it: see conf.c */
    int64_t min_spare, max_spare;        /* dynamic: idle processes */
    int64_t max_requests;                /* a worker is replaced after that many; 0 never */
    int64_t request_timeout;             /* seconds; 0 none */
    int64_t slow_log;                    /* milliseconds; 0 off */
    int64_t drain_timeout;               /* seconds that a stopping worker has to finish its request */
    int64_t start_timeout;               /* seconds that a reload waits for its new workers */
    int64_t emergency_restart_threshold; /* number of crashes that restarts the pool; 0 off */
    int64_t emergency_restart_interval;  /* seconds within which they happen */
    /* [database] */
    const char *dsn;           /* libpq connection string of the worker's role */
    const char *password_file; /* path of a file with the password, "" for none */
    const char *replica_dsn;   /* of a standby for reads, "" for none */
    const char *pooler;        /* none, or transaction: a pooler in transaction mode is in front of the database */
    const char *distributed;   /* none, or citus: each user's rows live on a shard */
    const char *admin_dsn;     /* of the owner's role, for migrate */
    int64_t statement_timeout; /* milliseconds */
    int64_t lock_timeout;      /* milliseconds */
    /* [auth] */
    const char *keys_dir;    /* <kid>.hmac and <kid>.pem files */
    const char *issuer;      /* "" for any */
    const char *audience;    /* "" for any */
    const char *user_claims; /* comma-separated; the first one in the token counts */
    int64_t leeway;          /* seconds of clock difference that are allowed for exp and nbf */
    /* [limits] */
    int64_t body;       /* bytes of a request body */
    int64_t full_body;  /* bytes of the body of a full sync */
    int64_t full_items; /* entities of one kind in a full sync */
    int64_t operations; /* operations in a request */
    int64_t entity;     /* bytes of one entity as JSON */
    int64_t depth;      /* nesting levels of JSON */
    int64_t snapshots;  /* of a user */
    /* [quota] of a user; 0: none */
    int64_t quota_bytes;    /* of what the user sees */
    int64_t quota_entities; /* the same, counted */
    int64_t quota_hidden;   /* bytes of what is kept beneath */
    /* [rate] */
    int64_t rate_requests; /* requests that a user may make in a window; 0: no limit by the application */
    int64_t rate_window;   /* seconds */
    /* [sync] */
    const char *conflict_resolution; /* merge, local, server or manual */
    const char *full_mode;           /* replace or merge: of a full sync that does not say it */
    int64_t clock_skew;              /* seconds a timestamp may be ahead of the server */
    int64_t tombstone_days;          /* how long a deletion is remembered */
    int64_t ledger_days;             /* how long an operation id is remembered */
    int64_t snapshot_days;           /* how long the state before a replacement is kept */
    /* [erasure] */
    const char *erasure_journal; /* path of the journal of erasures; "" for none */
    /* [push] */
    const char *push_socket;  /* path of the socket where nginx asks for streams */
    const char *pokes_socket; /* path of the datagram socket for pokes; "" for none */
    int64_t push_streams;     /* open at once */
    int64_t push_streams_per_user;
    const char *push_dsn;     /* libpq connection string for LISTEN and NOTIFY; "": dsn */
    const char *push_channel; /* of LISTEN and NOTIFY; "": a single host */
    /* [alerts] */
    const char *alerts_command; /* for /bin/sh; "": none */
    int64_t alerts_window;      /* seconds */
    /* [log] */
    const char *log_level; /* error, warn, info or debug */
} conf;

typedef enum conf_type { CONF_STRING, CONF_INTEGER, CONF_OCTAL, CONF_CHOICE } conf_type;

typedef struct conf_row {
    const char *name; /* "section.key" */
    conf_type type;
    size_t offset;
    const char *fallback;
    int64_t min, max;    /* CONF_INTEGER, CONF_OCTAL */
    const char *choices; /* CONF_CHOICE: comma-separated */
    const char *unit;    /* NULL for none */
    const char *help;    /* one sentence */
} conf_row;

/* The table, ended by a row whose name is NULL. */
extern const conf_row conf_rows[];

/* Fills *c from the defaults, then from `path` (NULL: no file) and the files it includes, then from the environment. On
 * a fault, returns false and writes all faults to `fault`, one line each, that names file, line, setting, value and
 * limit; lines that do not fit are left out. There is no newline at the end. Release with conf_free in both cases. */
bool conf_load(conf *c, const char *path, char *fault, size_t fault_size);

/* Whether database.distributed is not none. */
bool conf_is_distributed(const conf *c);

/* Frees the strings of *c. */
void conf_free(conf *c);

/* Reads a small secret file into `out`, without trailing newlines. Returns false, with a message in `fault`, when it
 * cannot be read, is empty, or does not fit. */
bool conf_read_secret(const char *path, char *out, size_t out_size, char *fault, size_t fault_size);

#endif
