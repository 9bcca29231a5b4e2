#include "http/auth.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "http/route.h"
#include "token/verify.h"

void auth_identify(request *r)
{
    const char *header = request_header(r, "HTTP_AUTHORIZATION");
    token_identity identity;
    if (!header || !*header) return;
    if (strncasecmp(header, "Bearer ", 7) != 0) {
        r->token_reason = "the Authorization header must be Bearer and a token";
        return;
    }
    const char *token = header + 7 + strspn(header + 7, " ");
    rc code = token_verify(r->keys, r->a, token, strlen(token), clock_now(), &identity, &r->token_reason);
    if (code != RC_OK) return;
    r->user = identity.user;
    r->token_valid_until = identity.expires + r->conf->leeway;
}

rc auth_require(request *r)
{
    if (!r->route->needs_user || r->user) return RC_OK;
    return request_fail(r, RC_UNAUTHORIZED, "%s", r->token_reason ? r->token_reason : "a bearer token is required");
}
