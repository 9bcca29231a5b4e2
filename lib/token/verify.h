/* JSON Web Tokens: whom a token speaks for. Accepts HS256, RS256 and ES256. */
#ifndef BOOKY_VERIFY_H
#define BOOKY_VERIFY_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/rc.h"
#include "token/keys.h"

enum { TOKEN_MAX = 8 * 1024 }; /* bytes of a token */

typedef struct token_identity {
    const char *user; /* 1..255 bytes of UTF-8 without control characters; in the arena */
    int64_t expires;  /* the exp claim: seconds since 1970, at most the year 9999 */
} token_identity;

/* Decides at `now_ms` whom `token` (`len` bytes, no NUL needed) speaks for.
 *
 * Returns RC_OK with *out filled and *reason NULL, or RC_UNAUTHORIZED with *reason a sentence for the client. The
 * sentence is a constant: it contains nothing of the token or the keys, and neither quote nor backslash, so that it can
 * be put into WWW-Authenticate.
 *
 * Accepted tokens are remembered for a minute (cache.h); their times are checked each time. */
rc token_verify(const token_keys *k, arena *a, const char *token, size_t len, int64_t now_ms, token_identity *out,
                const char **reason);

/* Reads header and claims WITHOUT verifying anything, to show them to a person. Returns an object with the members
 * `header` and `claims`, each null where it is not a JSON object. Owned by the arena. */
json_t *token_peek(arena *a, const char *token, size_t len);

#endif
