/* The server itself: its limits and its health. */

#include "http/api.h"
#include "sync/config.h"
#include "sync/status.h"

rc api_config(request *r)
{
    return config_run(&r->ctx, &r->reply);
}

rc api_health(request *r)
{
    rc code = db_ready(r->db);
    return code == RC_OK ? status_health(&r->ctx, &r->reply) : code;
}
