/* The endpoints' functions: each takes a request apart, calls a capability (lib/sync/) and keeps its reply. */
#ifndef BOOKY_API_H
#define BOOKY_API_H

#include "http/request.h"

/* api_sync.c: send edits, pull, compare */
rc api_operations(request *r);
rc api_changes(request *r);
rc api_entity(request *r);
rc api_status(request *r);
rc api_digest(request *r);

/* api_queue.c: operations parked on the server */
rc api_queue(request *r);
rc api_pending(request *r);
rc api_pending_apply(request *r);
rc api_mark_synced(request *r);
rc api_clear(request *r);

/* api_full.c: replace the library, and restore it from a snapshot */
rc api_full(request *r);
rc api_snapshots(request *r);
rc api_snapshot_restore(request *r);

/* api_conflicts.c: review conflicts */
rc api_conflicts(request *r);
rc api_conflict_resolve(request *r);

/* api_events.c: subscribe to change notifications */
rc api_events(request *r);

/* api_account.c: export and erase all data of a user */
rc api_export(request *r);
rc api_account(request *r);

/* api_server.c: limits and health of the server; no user needed */
rc api_config(request *r);
rc api_health(request *r);

#endif
