#include "base/rc.h"

#include <stddef.h>

static const rc_row rows[RC_COUNT] = {
    [RC_OK] = {200, NULL, false},
    [RC_NOT_MODIFIED] = {304, NULL, false},
    [RC_VALIDATION] = {400, "VALIDATION_ERROR", false},
    [RC_UNAUTHORIZED] = {401, "UNAUTHORIZED", false},
    [RC_NOT_FOUND] = {404, "NOT_FOUND", false},
    [RC_METHOD_NOT_ALLOWED] = {405, "METHOD_NOT_ALLOWED", false},
    [RC_CONFLICT] = {409, "CONFLICT_DETECTED", false},
    [RC_RESYNC] = {410, "RESYNC_REQUIRED", false},
    [RC_TOO_LARGE] = {413, "PAYLOAD_TOO_LARGE", false},
    [RC_QUOTA] = {413, "QUOTA_EXCEEDED", false},
    [RC_MEDIA_TYPE] = {415, "UNSUPPORTED_MEDIA_TYPE", false},
    [RC_RATE_LIMITED] = {429, "RATE_LIMITED", true},
    [RC_FAILED] = {500, "SYNC_FAILED", true},
    [RC_UNAVAILABLE] = {503, "SYNC_FAILED", true},
};

const rc_row *rc_info(rc code)
{
    return code >= 0 && code < RC_COUNT ? &rows[code] : &rows[RC_FAILED];
}
