/* One HTTP request as FastCGI delivered it, the results of its stages, and its reply. */
#ifndef BOOKY_REQUEST_H
#define BOOKY_REQUEST_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/ctx.h"
#include "token/keys.h"

enum { REQUEST_QUERY_MAX = 16, REQUEST_ID_MAX = 64, REQUEST_SEGMENTS_MAX = 8, REQUEST_ARGUMENTS_MAX = 2 };

/* The server that answered a large read, and why it was not the replica. Both index counters (serve/board.h). */
typedef enum read_server { READ_PRIMARY, READ_REPLICA } read_server;
typedef enum replica_fault { REPLICA_OK = -1, REPLICA_BEHIND, REPLICA_AWAY } replica_fault;

/* What became of the poke to the user's other devices. */
typedef enum poke_outcome { POKE_NONE, POKE_SENT, POKE_DROPPED } poke_outcome;

typedef struct request {
    arena *a;
    const conf *conf;
    const token_keys *keys;
    db *db;
    db *replica; /* for large reads; NULL: none */
    struct FCGX_Request *fcgi;
    volatile sig_atomic_t *cancelled; /* set when the request takes too long, or nobody reads its reply any more */
    int64_t started_us;

    char id[REQUEST_ID_MAX + 1]; /* X-Request-Id; not in the arena, because it outlives it when memory runs out */
    const char *method;
    const char *path;                           /* decoded, without the query; NULL: it cannot be decoded */
    const char *segments[REQUEST_SEGMENTS_MAX]; /* its parts between slashes; a decoded one may contain a slash */
    size_t segment_count;                       /* 0: none, or too many for any endpoint */
    struct {
        const char *name, *value; /* decoded */
    } query[REQUEST_QUERY_MAX];
    size_t query_count;
    const char *user;                             /* NULL: no token, or an invalid one */
    int64_t token_valid_until;                    /* seconds since 1970, auth.leeway included */
    const char *token_reason;                     /* why the token was refused; NULL: none was sent */
    const struct route *route;                    /* NULL: none matches */
    const char *arguments[REQUEST_ARGUMENTS_MAX]; /* the path segments that matched "*", decoded */
    const char *allow;                            /* methods of the path when the request has another; else NULL */
    const char *body;                             /* decompressed */
    size_t body_len;

    sync_ctx ctx; /* the context of the capability */
    rc code;
    int status;               /* HTTP status of a success; 0: 200 */
    strbuf reply;             /* body of a reply that is not streamed */
    bool reply_started;       /* a part of the reply was sent: its status can no longer change */
    bool reply_ended;         /* the rest of the reply is discarded */
    bool client_gone;         /* the connection was closed before the whole reply was written */
    uint64_t bytes_out;       /* of the body */
    const char *ticket;       /* the push process is to answer, with this ticket (sync/poke.h); NULL: this worker */
    const char *rate_headers; /* RateLimit fields, or NULL */
    int64_t retry_after;      /* seconds, with 429 */

    read_server answered_by; /* of a large read */
    replica_fault replica_fault;
    poke_outcome poke_outcome;
    const char *slowest_stage;
    int64_t slowest_stage_us;
} request;

/* Reads request id, method, path and query. RC_VALIDATION: the query is malformed. */
rc request_read(request *r);

/* A header by its FastCGI name ("HTTP_IF_NONE_MATCH"), or NULL. */
const char *request_header(const request *r, const char *name);

/* A parameter of the query, or NULL. */
const char *request_query(const request *r, const char *name);

/* A parameter that may be repeated: its values, joined by commas; or NULL. */
const char *request_query_list(const request *r, const char *name);

/* Stores the message for the client and returns `code`, so that a refusal is one line. */
rc request_fail(request *r, rc code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The HTTP status of the reply, according to r->code. */
int request_status(const request *r);

#endif
