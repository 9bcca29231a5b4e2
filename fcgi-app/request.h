/* One HTTP request as it came through FastCGI, and its answer on the way. */
#ifndef BOOKY_REQUEST_H
#define BOOKY_REQUEST_H

#include <stdbool.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"
#include "token.h"

enum { REQUEST_QUERY_MAX = 16, REQUEST_ID_MAX = 64 };

typedef struct request {
    arena *a;
    const conf *conf;
    const token_keys *keys;
    db *db;
    db *replica; /* for large reads; NULL: none */
    struct FCGX_Request *fcgi;

    char id[REQUEST_ID_MAX + 1]; /* X-Request-Id; not in the arena, for it outlives that when memory runs out */
    const char *method;
    const char *path; /* decoded, without the query; NULL when it cannot be decoded */
    struct {
        const char *name, *value; /* decoded */
    } query[REQUEST_QUERY_MAX];
    size_t query_count;
    const char *user;         /* NULL: nobody, or the token was refused */
    int64_t user_until;       /* when the token is no longer accepted: seconds since 1970 */
    const char *token_reason; /* why it was refused; NULL when none was sent */
    const struct route *route; /* NULL: no such path */
    const char *argument;      /* what stands in place of the route's "*", decoded */
    const char *allow;         /* methods of the path, when the method is not one of them */
    const char *body;          /* inflated */
    size_t body_len;

    int target;   /* of a large read: who answered it (READ_PRIMARY, READ_REPLICA), and why it was not the replica */
    int passed;   /* REPLICA_BEHIND, REPLICA_AWAY, or -1 */
    call call;    /* what the capability is called with */
    strbuf reply; /* the body of a reply that is not streamed */
    bool started; /* a part of the reply was sent: its status can no longer change */
    rc code;
    int status; /* of a success, when it is not 200 */
    int64_t started_us;
    const char *slow_stage; /* the stage that took longest, and how long */
    int64_t slow_stage_us;
    const char *ticket;       /* the reply is to come from the push process, for this (poke.h); NULL: it is ours */
    const char *rate_headers; /* RateLimit fields, or NULL */
    int64_t retry_after;      /* seconds, with 429 */
    const volatile sig_atomic_t *cancelled; /* set when the request took too long */
    enum { POKED_NOT, POKED_SENT, POKED_DROPPED } poked; /* what became of the poke to the user's other devices */
    uint64_t bytes_out;
} request;

/* Reads method, path, query and request id. RC_VALIDATION when the query cannot be read. */
rc request_read(request *r);

/* Reads the body, at most as many bytes of it (after inflating gzip) as the route allows, after checking its media type. */
rc request_read_body(request *r);

/* A header by its FastCGI name ("HTTP_IF_NONE_MATCH"), or NULL. */
const char *request_header(const request *r, const char *name);

/* A parameter of the query, or NULL. */
const char *request_query(const request *r, const char *name);

/* Notes why the request is refused and returns `code`. */
rc request_fail(request *r, rc code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
