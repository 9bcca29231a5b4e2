/* The endpoints: one row each (route.c). To add one, write a function in an api_*.c and add a row. */
#ifndef BOOKY_ROUTE_H
#define BOOKY_ROUTE_H

#include "http/request.h"

/* Which limit the body has: none is read, limits.body, limits.full_body. */
typedef enum route_body { BODY_NONE, BODY_PLAIN, BODY_FULL } route_body;

typedef struct route {
    const char *name; /* for logs and metrics */
    const char *method;
    const char *path; /* below a base path; after a leading '+', also directly below /api; "*" matches one segment */
    bool needs_user;
    route_body body;
    bool is_large_read; /* a replica may answer it */
    rc (*run)(request *r);
} route;

/* The table, ended by a row whose name is NULL. */
extern const route routes[];

/* Finds the row for the request's method and path. RC_NOT_FOUND, or RC_METHOD_NOT_ALLOWED with r->allow set. */
rc route_match(request *r);

#endif
