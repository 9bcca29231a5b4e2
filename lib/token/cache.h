/*
 * Tokens that were verified within the last minute, because libjwt needs 0.4 ms for a public-key signature. The cache
 * keeps the SHA-256 of a token and its claims, never the token.
 */
#ifndef BOOKY_CACHE_H
#define BOOKY_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "token/claims.h"

enum { TOKEN_DIGEST = 32 }; /* bytes */

typedef struct token_cache token_cache;

/* Aborts when there is no memory. Release with token_cache_free. */
token_cache *token_cache_new(void);
void token_cache_free(token_cache *c);

/* Computes the SHA-256 of a token, by which the cache finds it. Returns false when OpenSSL has no memory. */
bool token_cache_digest(const token_cache *c, const char *token, size_t len, unsigned char out[TOKEN_DIGEST]);

/* Returns the claims of a token that was verified less than a minute before `now_ms`, or NULL. They are valid until the
 * next token_cache_add. The caller checks their times again. */
const token_claims *token_cache_find(const token_cache *c, const unsigned char digest[TOKEN_DIGEST], int64_t now_ms);

/* Remembers a token that was verified at `now_ms`, in place of whatever has the same slot. Returns the copy of `claims`
 * in the cache, valid until the next token_cache_add. */
const token_claims *token_cache_add(token_cache *c, const unsigned char digest[TOKEN_DIGEST], int64_t now_ms,
                                    const token_claims *claims);

#endif
