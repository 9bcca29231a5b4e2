/*
 * libjwt answers one question only: is this the signature of these bytes under this key? It checks nothing else.
 * Both 1.10 and 1.17 use an RSA public key as an HMAC secret when the token says HS256, accept any signature under an
 * empty key, accept expired tokens, let the last of two equal claims win, and ignore `crit`. All of that is decided
 * here, with Jansson, before the library sees the token.
 *
 * Rejected: libjwt's claim getters (they return 0 for an exp that is a string) and its jwt_validate (not in 1.10).
 */
#include "token/verify.h"

#include <errno.h>
#include <jwt.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <string.h>

#include "base/json.h"
#include "base/must.h"

enum { DIGEST = 32 }; /* bytes of a SHA-256, and of each number of an ES256 signature */

typedef struct bytes {
    unsigned char *data;
    size_t len;
} bytes;

/* The three parts, decoded; header and payload are NULL until they have been parsed. */
typedef struct parts {
    bytes header_text, payload_text, signature;
    size_t signed_len; /* bytes from the start of the token that the signature covers */
    json_t *header, *payload;
} parts;

/* Each of the following functions that returns a string returns the reason of a refusal, or NULL. */

/* ---- Decoding ---- */

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Strict base64url: no padding and no stray bits at the end, so that each value has exactly one encoding. */
static bool base64url(arena *a, const char *text, size_t len, bytes *out)
{
    uint32_t bits = 0;
    *out = (bytes){arena_alloc(a, len), 0};
    for (size_t i = 0; i < len; i++) {
        int value = sextet(text[i]);
        if (value < 0) return false;
        bits = (bits & 0xffff) << 6 | (uint32_t)value;
        if (i % 4) out->data[out->len++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
    }
    uint32_t stray = len % 4 == 2 ? 0xf : len % 4 == 3 ? 0x3 : 0;
    return len % 4 != 1 && (bits & stray) == 0;
}

static const char *split(arena *a, const char *token, size_t len, parts *p)
{
    const char *end = token + len, *dot = memchr(token, '.', len);
    const char *last = dot ? memchr(dot + 1, '.', (size_t)(end - dot - 1)) : NULL;
    if (!last || memchr(last + 1, '.', (size_t)(end - last - 1)))
        return "token is no JWT: that has three parts, with a dot between them";
    p->signed_len = (size_t)(last - token);
    if (!base64url(a, token, (size_t)(dot - token), &p->header_text) ||
        !base64url(a, dot + 1, (size_t)(last - dot - 1), &p->payload_text) ||
        !base64url(a, last + 1, (size_t)(end - last - 1), &p->signature))
        return "token is not base64url";
    return p->signature.len > 0 ? NULL : "token is not signed";
}

static json_t *parse_object(arena *a, bytes text)
{
    json_t *value = json_parse(a, (const char *)text.data, text.len, NULL);
    return json_is_object(value) ? value : NULL;
}

/* ---- The header ---- */

static const char *choose_key(const token_keys *k, const json_t *header, const token_key **key)
{
    const json_t *kid = json_object_get(header, "kid");
    *key = k->list;
    if (!kid) return k->count == 1 ? NULL : "token has no kid, and several keys are in use";
    if (!json_is_string(kid)) return "token kid is not a string";
    for (; *key < k->list + k->count; ++*key)
        if (strcmp((*key)->kid, json_string_value(kid)) == 0) return NULL;
    return "token kid is not a key of this server";
}

static const char *check_header(const json_t *header, const token_key *key)
{
    const json_t *typ = json_object_get(header, "typ");
    const char *type = json_string_value(typ), *alg = json_string_value(json_object_get(header, "alg"));
    if (json_object_get(header, "crit")) return "token has critical extensions, which are not supported";
    if (typ && (!type || (strcasecmp(type, "JWT") != 0 && strcasecmp(type, "at+jwt") != 0)))
        return "token typ is neither JWT nor at+jwt";
    if (!alg || strcmp(alg, token_algorithm_name(key->algorithm)) != 0)
        return "token alg is not the algorithm of its key";
    return NULL;
}

/* ---- The signature ---- */

static bool signed_libjwt(const token_key *key, const char *token)
{
    static const jwt_alg_t algorithms[] = {
        [TOKEN_HS256] = JWT_ALG_HS256, [TOKEN_RS256] = JWT_ALG_RS256, [TOKEN_ES256] = JWT_ALG_ES256};
    jwt_t *jwt = NULL;
    if (jwt_decode(&jwt, token, key->file, (int)key->file_len) != 0) return false;
    jwt_alg_t alg = jwt_get_alg(jwt);
    jwt_free(jwt); /* at once: it has a copy of the key */
    return alg == algorithms[key->algorithm];
}

/* JWT writes an ECDSA signature as two numbers of 32 bytes; OpenSSL expects them as ASN.1. */
static bool ecdsa_to_der(arena *a, bytes *signature)
{
    if (signature->len != 2 * DIGEST) return false;
    unsigned char der[2 * DIGEST + 16], *end = der; /* at most 72 bytes */
    BIGNUM *r = BN_bin2bn(signature->data, DIGEST, NULL), *s = BN_bin2bn(signature->data + DIGEST, DIGEST, NULL);
    ECDSA_SIG *pair = ECDSA_SIG_new();
    bool owned = pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1;
    int len = owned ? i2d_ECDSA_SIG(pair, &end) : 0;
    if (!owned) BN_free(r), BN_free(s);
    ECDSA_SIG_free(pair);
    if (len <= 0) return false;
    *signature = (bytes){(unsigned char *)arena_strndup(a, (const char *)der, (size_t)len), (size_t)len};
    return true;
}

static bool signed_openssl(arena *a, const token_key *key, const char *token, size_t len, bytes signature)
{
    if (key->algorithm == TOKEN_HS256) {
        unsigned char mac[DIGEST];
        return signature.len == DIGEST &&
               HMAC(EVP_sha256(), key->file, (int)key->file_len, (const unsigned char *)token, len, mac, NULL) &&
               CRYPTO_memcmp(mac, signature.data, DIGEST) == 0;
    }
    if (key->algorithm == TOKEN_ES256 && !ecdsa_to_der(a, &signature)) return false;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key->public) == 1 &&
              EVP_DigestVerify(ctx, signature.data, signature.len, (const unsigned char *)token, len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

/* libjwt 1.10 refuses the typ of OAuth access tokens (RFC 9068) even if the signature is valid; 1.17 does not. OpenSSL
 * verifies these tokens, so that the server accepts the same tokens with both versions. */
static const char *check_signature(arena *a, const token_key *key, const char *token, size_t len, const parts *p)
{
    const char *type = json_string_value(json_object_get(p->header, "typ"));
    errno = 0;
    bool ok = type && strcasecmp(type, "at+jwt") == 0 ? signed_openssl(a, key, token, p->signed_len, p->signature)
                                                      : signed_libjwt(key, arena_strndup(a, token, len));
    ERR_clear_error(); /* otherwise the next user of OpenSSL, such as libpq, would find these errors */
    if (!ok && errno == ENOMEM) arena_exhausted(a); /* both libraries report it as an invalid signature */
    return ok ? NULL : "token signature is not valid";
}

/* ---- All together ---- */

static const char *verify(const token_keys *k, arena *a, const char *token, size_t len, int64_t now_ms,
                          token_claims *out)
{
    parts p = {0};
    const token_key *key;
    const char *reason;
    if ((reason = split(a, token, len, &p))) return reason;
    if (!(p.header = parse_object(a, p.header_text))) return "token header is not a valid JSON object";
    if ((reason = choose_key(k, p.header, &key))) return reason;
    if ((reason = check_header(p.header, key))) return reason;
    if (!(p.payload = parse_object(a, p.payload_text))) return "token payload is not a valid JSON object";
    if ((reason = check_signature(a, key, token, len, &p))) return reason;
    return claims_check(&k->rules, p.payload, now_ms, out);
}

static const char *identify(const token_keys *k, arena *a, const char *token, size_t len, int64_t now_ms,
                            token_identity *out)
{
    unsigned char digest[TOKEN_DIGEST];
    token_claims fresh = {0};
    const char *reason;
    if (len > TOKEN_MAX) return "token is longer than 8192 bytes";
    if (!token_cache_digest(k->cache, token, len, digest)) arena_exhausted(a);
    const token_claims *claims = token_cache_find(k->cache, digest, now_ms);
    if (claims) {
        if ((reason = claims_check_times(&k->rules, claims, now_ms))) return reason;
    } else {
        if ((reason = verify(k, a, token, len, now_ms, &fresh))) return reason;
        claims = token_cache_add(k->cache, digest, now_ms, &fresh);
    }
    *out = (token_identity){arena_strdup(a, claims->user), claims->exp / 1000};
    return NULL;
}

rc token_verify(const token_keys *k, arena *a, const char *token, size_t len, int64_t now_ms, token_identity *out,
                const char **reason)
{
    *out = (token_identity){0};
    *reason = identify(k, a, token, len, now_ms, out);
    return *reason ? RC_UNAUTHORIZED : RC_OK;
}

json_t *token_peek(arena *a, const char *token, size_t len)
{
    parts p = {0};
    (void)split(a, token, len, &p); /* where it stops, the remaining texts are empty */
    p.header = parse_object(a, p.header_text);
    p.payload = parse_object(a, p.payload_text);
    json_t *shown = must(json_pack("{s:O?, s:O?}", "header", p.header, "claims", p.payload));
    arena_defer(a, json_release, shown);
    return shown;
}
