/* For allocations outside an arena, before anything is served: without memory the process ends. */
#ifndef BOOKY_MUST_H
#define BOOKY_MUST_H

#include <stdlib.h>

/* Returns `p`; aborts when it is NULL. */
static inline void *must(void *p)
{
    if (!p) abort();
    return p;
}

#endif
