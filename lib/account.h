/* Everything of a user at once: export and erasure, snapshots, and the digest that two sides compare. */
#ifndef BOOKY_ACCOUNT_H
#define BOOKY_ACCOUNT_H

#include "call.h"

/* GET /export: everything of the user as one JSON document that POST /full accepts back, streamed through call->write. */
rc account_export(call *c);

/* DELETE /account: erases everything of the user and appends a receipt. */
rc account_erase(call *c, strbuf *reply);

/* GET /snapshots */
rc account_snapshots(call *c, strbuf *reply);

/* GET /digest: per kind, the number of live entities and SHA-256 over their sorted lines `id@updatedAt`, at a cursor. */
rc account_digest(call *c, strbuf *reply);

/* GET /config: what a client may rely on. Needs neither user nor database. */
rc account_config(call *c, strbuf *reply);

#endif
