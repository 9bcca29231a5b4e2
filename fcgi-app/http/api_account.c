/* Export and erase all data of a user. */

#include "http/api.h"
#include "sync/erase.h"
#include "sync/export.h"
#include "sync/param.h"

rc api_export(request *r)
{
    bool snapshots = false;
    rc code = param_flag(&r->ctx, "snapshots", request_query(r, "snapshots"), &snapshots);
    return code == RC_OK ? export_run(&r->ctx, snapshots) : code;
}

rc api_account(request *r)
{
    return erase_run(&r->ctx, &r->reply);
}
