#include "token/cache.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

enum {
    SLOTS = 1024, /* the first bytes of a digest choose the slot */
    LIFETIME_MS = 60 * 1000,
};

typedef struct slot {
    unsigned char digest[TOKEN_DIGEST];
    int64_t verified_at; /* milliseconds */
    token_claims claims; /* user "": the slot is empty */
} slot;

struct token_cache {
    slot slots[SLOTS];
    EVP_MD *sha256; /* EVP_sha256() is looked up anew at each use, which costs more than the digest of a token */
};

token_cache *token_cache_new(void)
{
    token_cache *c = must(calloc(1, sizeof *c));
    c->sha256 = must(EVP_MD_fetch(NULL, "SHA256", NULL));
    return c;
}

void token_cache_free(token_cache *c)
{
    if (!c) return;
    EVP_MD_free(c->sha256);
    free(c);
}

bool token_cache_digest(const token_cache *c, const char *token, size_t len, unsigned char out[TOKEN_DIGEST])
{
    return EVP_Digest(token, len, out, NULL, c->sha256, NULL) == 1;
}

static size_t slot_of(const unsigned char digest[TOKEN_DIGEST])
{
    return (size_t)(digest[0] << 8 | digest[1]) % SLOTS;
}

/* A minute is short enough to forget a token after its key was retired. No entry is trusted after the clock was set
 * back. Keys never change under a cache: a reload makes new token_keys, with a cache of their own. */
const token_claims *token_cache_find(const token_cache *c, const unsigned char digest[TOKEN_DIGEST], int64_t now_ms)
{
    const slot *s = &c->slots[slot_of(digest)];
    bool found = s->claims.user[0] && CRYPTO_memcmp(s->digest, digest, TOKEN_DIGEST) == 0 && now_ms >= s->verified_at &&
                 now_ms - s->verified_at < LIFETIME_MS;
    return found ? &s->claims : NULL;
}

const token_claims *token_cache_add(token_cache *c, const unsigned char digest[TOKEN_DIGEST], int64_t now_ms,
                                    const token_claims *claims)
{
    slot *s = &c->slots[slot_of(digest)];
    memcpy(s->digest, digest, TOKEN_DIGEST);
    s->verified_at = now_ms;
    s->claims = *claims;
    return &s->claims;
}
