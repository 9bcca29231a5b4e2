/* The endpoints: one row each. To add one, write a function in an api_*.c and add a row. */
#ifndef BOOKY_ROUTE_H
#define BOOKY_ROUTE_H

#include "request.h"

typedef enum route_body { BODY_NONE, BODY_PLAIN, BODY_FULL } route_body; /* which limit its body has */

typedef struct route {
    const char *name;   /* for logs and metrics */
    const char *method;
    const char *path;   /* below a base path, "*" standing for one segment; a leading '=' means exactly this path */
    bool needs_user;
    route_body body;
    bool reads_much; /* so much that a replica may be asked for it */
    rc (*run)(request *r);
} route;

/* The table, ended by a row whose name is NULL. */
extern const route routes[];

/* Finds the row for the request's method and path. RC_NOT_FOUND, or RC_METHOD_NOT_ALLOWED with r->allow set. */
rc route_match(request *r);

rc api_operations(request *r);
rc api_changes(request *r);
rc api_status(request *r);
rc api_full(request *r);
rc api_queue(request *r);
rc api_pending(request *r);
rc api_pending_apply(request *r);
rc api_mark_synced(request *r);
rc api_clear(request *r);
rc api_events(request *r);
rc api_config(request *r);
rc api_conflicts(request *r);
rc api_conflict_resolve(request *r);
rc api_snapshots(request *r);
rc api_snapshot_restore(request *r);
rc api_digest(request *r);
rc api_export(request *r);
rc api_account(request *r);
rc api_health(request *r);

#endif
