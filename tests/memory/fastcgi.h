/* A FastCGI client, as nginx is one. */
#ifndef BOOKY_TESTS_FASTCGI_H
#define BOOKY_TESTS_FASTCGI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "scenarios.h"

typedef struct fastcgi_reply {
    int status; /* 0: there was no reply */
    bool ended; /* the end record of FastCGI was received */
    const char *body;
    json_t *json; /* NULL: the body is not complete JSON */
} fastcgi_reply;

/* Appends a request as bytes; its `uri` and `body` are replaced by those given. */
void fastcgi_put_request(strbuf *out, const api_request *r, const char *uri, const char *token, const char *body,
                         size_t len);

/* Reads until the connection ends. */
fastcgi_reply fastcgi_read_reply(arena *a, int fd);

#endif
