/* GET /events: who may open a stream of pokes. The push process holds the stream (poke.h). */
#ifndef BOOKY_EVENTS_H
#define BOOKY_EVENTS_H

#include "sync/ctx.h"

/* Writes the ticket with which nginx asks the push process for the stream; in the arena. `device` asks, or NULL.
 * `last` is the last event that the client has seen, as sent, or NULL. `expires`: when the user's token is no longer
 * accepted, in seconds since 1970. RC_VALIDATION when `device` is no device id. */
rc events_ticket(sync_ctx *ctx, const char *device, const char *last, int64_t expires, const char **ticket);

#endif
