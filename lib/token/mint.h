/* Makes access tokens: for administrators, demonstrations and tests. */
#ifndef BOOKY_MINT_H
#define BOOKY_MINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "token/keys.h"

enum { TOKEN_TTL_MAX = 10 * 365 * 86400 }; /* seconds that a minted token may live */

/* Makes an HS256 token for `user` with the key `kid` (NULL: the first .hmac file by name), valid for `ttl_s` seconds
 * from `now_ms`. Returns it in the arena, or NULL with one line in `fault`. */
char *token_mint(const token_keys *k, arena *a, const char *kid, const char *user, int64_t ttl_s, int64_t now_ms,
                 char *fault, size_t fault_size);

#endif
