/* The requests during which memory runs out. */
#ifndef BOOKY_TESTS_SCENARIOS_H
#define BOOKY_TESTS_SCENARIOS_H

#include <stdbool.h>
#include <stddef.h>

enum { SETUPS = 4 };

/* Instants in the bodies begin with these digits, which are replaced so that the instants are an hour ago. */
#define ERA "1700000"

/* A "*" in the address is replaced by the id of the user's open conflict, otherwise of the snapshot. */
typedef struct api_request {
    const char *method, *uri, *body;
    bool gzip;
} api_request;

typedef struct scenario {
    const char *name;
    api_request before[SETUPS]; /* sent first, and without failures */
    api_request request;
    bool streamed;   /* the reply may be broken off */
    bool disconnect; /* the connection to the database is closed first, so that the request begins with connecting */
    int step;        /* tests every step-th allocation only, because each takes long; 0: every one */
} scenario;

extern const scenario scenarios[];
extern const size_t scenario_count;

#endif
