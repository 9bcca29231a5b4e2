#include "token/mint.h"

#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const token_key *find_key(const token_keys *k, const char *kid, char *fault, size_t fault_size)
{
    for (const token_key *key = k->list; key < k->list + k->count; key++) {
        bool hmac = key->algorithm == TOKEN_HS256;
        if (kid ? strcmp(key->kid, kid) != 0 : !hmac) continue;
        if (hmac) return key;
        snprintf(fault, fault_size, "kid: %s is a public %s key; only a .hmac key can mint", kid,
                 token_algorithm_name(key->algorithm));
        return NULL;
    }
    snprintf(fault, fault_size, "kid: there is no key %s, and only a .hmac key can mint", kid ? kid : "KID.hmac");
    return NULL;
}

static void release_jwt(void *jwt)
{
    jwt_free(jwt);
}

/* Returns 0, or an error of libjwt. */
static int add_claims(jwt_t *jwt, const claims_rules *rules, const char *user, int64_t ttl_s, int64_t now_ms)
{
    const char *user_claim = rules->user_claims[0];
    int error = jwt_add_grant(jwt, user_claim, user);
    if (strcmp(user_claim, "sub") != 0) error |= jwt_add_grant(jwt, "sub", user);
    error |= jwt_add_grant(jwt, "type", "access");
    error |= jwt_add_grant_int(jwt, "iat", (long)(now_ms / 1000));
    error |= jwt_add_grant_int(jwt, "exp", (long)(now_ms / 1000 + ttl_s));
    if (*rules->issuer) error |= jwt_add_grant(jwt, "iss", rules->issuer);
    if (*rules->audience) error |= jwt_add_grant(jwt, "aud", rules->audience);
    return error;
}

char *token_mint(const token_keys *k, arena *a, const char *kid, const char *user, int64_t ttl_s, int64_t now_ms,
                 char *fault, size_t fault_size)
{
    const token_key *key = find_key(k, kid, fault, fault_size);
    const char *reason = claims_check_user(user);
    jwt_t *jwt = NULL;
    if (!key) return NULL;
    if (reason) {
        snprintf(fault, fault_size, "user: %s", reason);
        return NULL;
    }
    if (ttl_s < 1 || ttl_s > TOKEN_TTL_MAX) {
        snprintf(fault, fault_size, "ttl: %lld is not within 1..%d seconds", (long long)ttl_s, TOKEN_TTL_MAX);
        return NULL;
    }
    if (jwt_new(&jwt) != 0) abort();
    arena_defer(a, release_jwt, jwt);
    int error = jwt_set_alg(jwt, JWT_ALG_HS256, key->file, (int)key->file_len);
    error |= jwt_add_header(jwt, "kid", key->kid);
    error |= add_claims(jwt, &k->rules, user, ttl_s, now_ms);
    char *token = error ? NULL : jwt_encode_str(jwt);
    if (!token) {
        snprintf(fault, fault_size, "user: not UTF-8, or auth.user_claims begins with a claim that has another use");
        return NULL;
    }
    arena_defer(a, free, token);
    return token;
}
