/* A request from its first byte to its log line. */
#ifndef BOOKY_STAGES_H
#define BOOKY_STAGES_H

#include "http/progress.h"
#include "http/request.h"

/* Runs all stages on `r`, which has arena, settings, keys, connections, `fcgi`, `cancelled` and `started_us`. Shows the
 * current stage in `p`. The reply is sent and the request logged in any case. */
void stages_run(request *r, progress *p);

#endif
