/* The page /pool: the state of the pool and its workers, under the names that php-fpm uses. */
#ifndef BOOKY_POOL_PAGE_H
#define BOOKY_POOL_PAGE_H

#include <stdbool.h>

#include "base/arena.h"
#include "serve/board.h"
#include "serve/metrics.h"

typedef struct pool_page {
    strbuf *out;
    enum { POOL_TEXT, POOL_JSON, POOL_HTML } form; /* lines of text, a JSON object, or tables that need no script */
    bool full;                                     /* with the workers */
} pool_page;

/* Appends the page; `mode` is the setting pool.mode. */
void pool_page_write(const pool_page *p, const char *mode, const board *b, const gauges *g);

#endif
