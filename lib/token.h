/*
 * JSON Web Tokens: who is calling. Verifies HS256, RS256 and ES256, mints HS256.
 *
 * A folder of key files is the whole key management: KID.hmac or KID.pem adds a key, removing the file retires it,
 * and old and new lie side by side while tokens of both are about. The file decides the algorithm, never the token.
 */
#ifndef BOOKY_TOKEN_H
#define BOOKY_TOKEN_H

#include "arena.h"
#include "conf.h"
#include "rc.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TOKEN_MAX = 8 * 1024,             /* bytes of a token */
    TOKEN_USER_MAX = 255,             /* bytes of a user's name */
    TOKEN_TTL_MAX = 10 * 365 * 86400, /* seconds that a minted token may live */
};

/* The keys, what tokens must claim, and a cache of verified tokens. Not for use by several threads at once. */
typedef struct token_keys token_keys;

typedef struct token_identity {
    const char *user; /* 1..255 bytes of UTF-8 without control characters; in the arena */
    int64_t expires;  /* the exp claim: seconds since 1970, at most the year 9999 */
} token_identity;

/* Reads c->keys_dir and the other settings of [auth]. KID.hmac: the bytes of the file but one trailing newline are an
 * HS256 secret, at least 32 of them. KID.pem: one public key, RSA of at least 2048 bits for RS256, EC P-256 for ES256.
 * Other and hidden files are ignored. Returns NULL, and one line in `fault` that names file, limit and value, when a
 * key cannot serve or there is none. Keeps nothing of `c`. Release with token_keys_free. */
token_keys *token_keys_load(const conf *c, char *fault, size_t fault_size);

/* Wipes and frees; NULL is fine. */
void token_keys_free(token_keys *k);

/* Decides at `now_ms` whom `token` (`len` bytes, no NUL needed) speaks for. Returns RC_OK with *out filled and *reason
 * NULL, or RC_UNAUTHORIZED with *reason a sentence for the client, a constant: nothing of the token or the keys is in
 * it, and no quote or backslash, so that it can stand in WWW-Authenticate. Tokens found good are remembered (by their
 * SHA-256) for up to a minute, because libjwt needs 0.4 ms for a public-key signature; times are checked each time. */
rc token_verify(const token_keys *k, arena *a, const char *token, size_t len, int64_t now_ms, token_identity *out,
                const char **reason);

/* Makes an HS256 token for `user` with the key `kid` (NULL: the first .hmac file by name), good for `ttl_s` seconds
 * from `now_ms`. Returns it in the arena, or NULL with one line in `fault`. */
char *token_mint(const token_keys *k, arena *a, const char *kid, const char *user, int64_t ttl_s, int64_t now_ms,
                 char *fault, size_t fault_size);

/* Reads header and claims WITHOUT verifying anything, to show them to a person: an object with the members `header` and
 * `claims`, each null where it is not a JSON object. Owned by the arena. */
json_t *token_peek(arena *a, const char *token, size_t len);

#endif
