/* A server and its clients in memory, for the tests of deltas: the engine between rows of text, and pulls in pages. */
#ifndef BOOKY_TESTS_RECENT_SERVER_H
#define BOOKY_TESTS_RECENT_SERVER_H

#include <jansson.h>

#include "engine/resolve.h"

enum { SERVER_ROWS = 4 };

/* A row of the table entities; its texts are in the arena of the server. */
typedef struct server_row {
    const kind *kind;
    const char *id, *data, *marks, *recent, *key;
    int64_t base, edited, deleted, superseded, created, updated; /* updated 0: there is no row */
    entity_status status;
} server_row;

typedef struct server {
    arena *a;
    conf conf;
    int64_t clock;
    server_row rows[SERVER_ROWS]; /* two books and two ratings of one book */
} server;

typedef struct client {
    bool delta;
    json_t *held[SERVER_ROWS]; /* NULL: nothing */
    int64_t stamp;             /* the position: behind the row `row` of this stamp */
    size_t row;
    int64_t base; /* MERGE_NEVER: none */
} client;

server *server_new(arena *a);
client *client_new(arena *a, bool delta);

/* One request with one operation. `old`: to a host of an earlier version, which does not know the list. */
outcome_status server_write(server *s, size_t row, const operation *op, bool old);

/* The same with an item that replaces the entity. */
void server_replace(server *s, size_t row, const json_t *data, int64_t at);

/* Pulls a page of `limit` entities; returns whether there are more. */
bool client_pull(client *c, const server *s, size_t limit);

/* What a client that shows its own edits at once makes of its copy. */
void client_believe(client *c, arena *a, size_t row, const operation *op);

/* `data` with the patch laid over it: objects merge member by member, all else is replaced. */
json_t *patched(arena *a, const json_t *data, const json_t *patch);

#endif
