/* The endpoints: one row each. To add one, write a function in an api_*.c and add a row. */
#ifndef BOOKY_ROUTE_H
#define BOOKY_ROUTE_H

#include "request.h"

typedef struct route {
    const char *name;   /* for logs and metrics */
    const char *method;
    const char *path;   /* below a base path; a leading '=' means exactly this path */
    bool needs_user;
    bool has_body;
    rc (*run)(request *r);
} route;

/* The table, ended by a row whose name is NULL. */
extern const route routes[];

/* Finds the row for the request's method and path. RC_NOT_FOUND, or RC_METHOD_NOT_ALLOWED with r->allow set. */
rc route_match(request *r);

rc api_operations(request *r);
rc api_changes(request *r);
rc api_status(request *r);
rc api_health(request *r);

#endif
