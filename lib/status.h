/* GET /status and the health check. */
#ifndef BOOKY_STATUS_H
#define BOOKY_STATUS_H

#include "call.h"

/* The user's last accepted write, waiting operations and open conflicts. */
rc status_run(call *c, strbuf *reply);

/* Whether the database answers. */
rc status_health(call *c, strbuf *reply);

/* Where the user's data stands: the cursor with which a pull would end now, in the arena. */
rc status_cursor(call *c, const char **cursor);

#endif
