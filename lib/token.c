/*
 * libjwt is asked for one thing only: is this the signature of these bytes under this key? It checks nothing else by
 * itself. Both 1.10 and 1.17 take an RSA public key for an HMAC secret when the token says HS256, verify anything
 * under a key of no bytes, let expired tokens pass, the last of two equal claims win, and ignore `crit`. So all of that
 * is decided here, with Jansson, before the library sees the token.
 *
 * What makes confusion impossible is that the algorithm belongs to the key: a .hmac file can only ever verify HS256.
 * Rejected: libjwt's claim getters (they answer 0 for an exp that is a string) and its jwt_validate (not in 1.10).
 */
#include "token.h"

#include "clock.h"
#include "json.h"

#include <dirent.h>
#include <errno.h>
#include <jwt.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KID_MAX = 128,
    HMAC_MIN = 32,  /* bytes: RFC 7518 asks for no fewer than the hash has */
    RSA_MIN = 2048, /* bits */
    FILE_MAX = 16 * 1024,
    DIGEST = 32, /* bytes of a SHA-256, and of an ES256 number */
    CACHE = 1024, /* tokens remembered: one slot for each beginning of a digest */
    CACHE_MS = 60 * 1000,
};

typedef struct bytes {
    unsigned char *data;
    size_t len;
} bytes;

/* What a key can do, fixed when its file is read. */
typedef struct algorithm {
    const char *name;
    jwt_alg_t id;
} algorithm;

static const algorithm HS256 = {"HS256", JWT_ALG_HS256};
static const algorithm RS256 = {"RS256", JWT_ALG_RS256};
static const algorithm ES256 = {"ES256", JWT_ALG_ES256};

typedef struct token_key {
    char *kid;
    const algorithm *alg;
    bytes file;       /* the HMAC secret, or the PEM text */
    EVP_PKEY *public; /* NULL for HMAC */
} token_key;

/* Of a verified token nothing is kept but its digest and what it said. */
typedef struct verified {
    unsigned char digest[DIGEST];
    int64_t at, exp, nbf;          /* milliseconds; when it was verified, and its claims */
    char user[TOKEN_USER_MAX + 1]; /* "": the slot is empty */
} verified;

struct token_keys {
    token_key *keys; /* in the order of their file names */
    size_t count;
    char *issuer, *audience; /* "" for any */
    char *claim_text;        /* what `claims` points into */
    char **claims;           /* names of the user claims, ended by NULL */
    int64_t leeway;          /* milliseconds */
    verified *cache;
    EVP_MD *sha256; /* EVP_sha256() is looked up anew at each use, which costs more than the digest of a token */
};

/* ---- Keys ---- */

static void *must(void *p)
{
    if (!p) abort();
    return p;
}

/* A sentence about a key file goes to `fault`; the answer is always false. */
typedef struct key_file {
    const char *dir, *name;
    char *fault;
    size_t fault_size;
} key_file;

static bool __attribute__((format(printf, 2, 3))) key_refuse(const key_file *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = snprintf(f->fault, f->fault_size, "%s/%s: ", f->dir, f->name);
    if (n >= 0 && (size_t)n < f->fault_size) vsnprintf(f->fault + n, f->fault_size - (size_t)n, fmt, ap);
    va_end(ap);
    for (char *p = f->fault; *p; p++)
        if ((unsigned char)*p < ' ') *p = '?'; /* a file name may hold newlines, the fault is one line */
    return false;
}

static bool key_read(const key_file *f, bytes *out)
{
    char *path;
    if (asprintf(&path, "%s/%s", f->dir, f->name) < 0) abort();
    FILE *file = fopen(path, "re");
    free(path);
    if (!file) return key_refuse(f, "%s", strerror(errno));
    setvbuf(file, NULL, _IONBF, 0); /* no copy of a secret in stdio's buffer */
    out->data = must(calloc(1, FILE_MAX + 2));
    out->len = fread(out->data, 1, FILE_MAX + 1, file);
    int error = ferror(file) ? errno : 0;
    fclose(file);
    if (error) return key_refuse(f, "%s", strerror(error));
    if (out->len == 0) return key_refuse(f, "is empty");
    if (out->len > FILE_MAX) return key_refuse(f, "is longer than %d bytes", FILE_MAX);
    return true;
}

static bool key_parse_hmac(const key_file *f, token_key *key)
{
    if (memmem(key->file.data, key->file.len, "-----BEGIN ", 11))
        return key_refuse(f, "holds PEM; a public key as an HMAC secret would let anyone sign (name it KID.pem)");
    if (key->file.data[key->file.len - 1] == '\n') key->file.len--;
    if (key->file.len < HMAC_MIN)
        return key_refuse(f, "a secret of %zu bytes is below %d bytes", key->file.len, HMAC_MIN);
    key->alg = &HS256;
    return true;
}

/* For an encrypted PEM: fail instead of asking on the terminal. */
static int no_password(char *buf, int size, int rwflag, void *user)
{
    (void)buf, (void)size, (void)rwflag, (void)user;
    return -1;
}

static bool key_parse_pem(const key_file *f, token_key *key)
{
    int blocks = 0;
    const char *text = (const char *)key->file.data;
    if (strstr(text, "PRIVATE KEY-----"))
        return key_refuse(f, "holds a private key; only the public one belongs here (openssl pkey -pubout)");
    for (const char *p = text; (p = strstr(p, "-----BEGIN ")); p++) blocks++;
    if (blocks != 1) return key_refuse(f, "%d PEM blocks where exactly 1 is expected", blocks);

    BIO *bio = must(BIO_new_mem_buf(text, (int)key->file.len));
    key->public = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (!key->public) return key_refuse(f, "is not a PEM public key (-----BEGIN PUBLIC KEY-----)");

    if (EVP_PKEY_is_a(key->public, "RSA")) {
        int bits = EVP_PKEY_get_bits(key->public);
        if (bits < RSA_MIN) return key_refuse(f, "an RSA key of %d bits is below %d bits", bits, RSA_MIN);
        key->alg = &RS256;
        return true;
    }
    char curve[64] = "without a name";
    if (!EVP_PKEY_is_a(key->public, "EC"))
        return key_refuse(f, "a key of type %s is neither RSA nor EC", EVP_PKEY_get0_type_name(key->public));
    if (!EVP_PKEY_get_group_name(key->public, curve, sizeof curve, NULL)) ERR_clear_error();
    if (strcmp(curve, "prime256v1") != 0) return key_refuse(f, "an EC curve %s is not P-256 (prime256v1)", curve);
    key->alg = &ES256;
    return true;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t len = strlen(name), tail = strlen(suffix);
    return len > tail && strcmp(name + len - tail, suffix) == 0;
}

static bool key_load(token_keys *k, const key_file *f)
{
    token_key *key = &k->keys[k->count++]; /* counted at once, so that token_keys_free sees it */
    size_t len = (size_t)(strrchr(f->name, '.') - f->name);
    if (len > KID_MAX) return key_refuse(f, "a kid of %zu bytes is above %d bytes", len, KID_MAX);
    key->kid = must(strndup(f->name, len));
    for (const char *p = key->kid; *p; p++)
        if (*p <= ' ' || *p > '~') return key_refuse(f, "a kid may hold printable ASCII only, and no space");
    for (const token_key *other = k->keys; other < key; other++)
        if (strcmp(other->kid, key->kid) == 0) return key_refuse(f, "the kid %s has another file already", key->kid);
    if (!key_read(f, &key->file)) return false;
    return has_suffix(f->name, ".hmac") ? key_parse_hmac(f, key) : key_parse_pem(f, key);
}

static int is_key_name(const struct dirent *e)
{
    return e->d_name[0] != '.' && (has_suffix(e->d_name, ".hmac") || has_suffix(e->d_name, ".pem"));
}

/* Not alphasort, whose order depends on the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool keys_load(token_keys *k, const char *dir, char *fault, size_t fault_size)
{
    struct dirent **entries;
    int n = scandir(dir, &entries, is_key_name, by_name);
    if (n < 0) {
        snprintf(fault, fault_size, "auth.keys_dir: %s: %s", dir, strerror(errno));
        return false;
    }
    if (n == 0) snprintf(fault, fault_size, "auth.keys_dir: %s: holds no KID.hmac and no KID.pem", dir);
    k->keys = must(calloc((size_t)n + 1, sizeof *k->keys));
    bool ok = n > 0;
    for (int i = 0; i < n; i++) {
        ok = ok && key_load(k, &(key_file){dir, entries[i]->d_name, fault, fault_size});
        free(entries[i]);
    }
    free(entries);
    return ok;
}

static bool claims_load(token_keys *k, const char *list, char *fault, size_t fault_size)
{
    size_t n = 0;
    char *rest;
    k->claim_text = must(strdup(list));
    k->claims = must(calloc(strlen(list) + 1, sizeof *k->claims));
    for (char *name = strtok_r(k->claim_text, ", \t", &rest); name; name = strtok_r(NULL, ", \t", &rest))
        k->claims[n++] = name;
    if (n == 0) snprintf(fault, fault_size, "auth.user_claims: \"%s\" names no claim", list);
    return n > 0;
}

token_keys *token_keys_load(const conf *c, char *fault, size_t fault_size)
{
    token_keys *k = must(calloc(1, sizeof *k));
    k->issuer = must(strdup(c->issuer));
    k->audience = must(strdup(c->audience));
    k->leeway = c->leeway * 1000;
    k->cache = must(calloc(CACHE, sizeof *k->cache));
    k->sha256 = must(EVP_MD_fetch(NULL, "SHA256", NULL));
    if (claims_load(k, c->user_claims, fault, fault_size) && keys_load(k, c->keys_dir, fault, fault_size)) return k;
    token_keys_free(k);
    return NULL;
}

void token_keys_free(token_keys *k)
{
    if (!k) return;
    for (size_t i = 0; i < k->count; i++) {
        token_key *key = &k->keys[i];
        free(key->kid);
        if (key->file.data) OPENSSL_cleanse(key->file.data, FILE_MAX + 2);
        free(key->file.data);
        EVP_PKEY_free(key->public);
    }
    free(k->keys);
    free(k->issuer);
    free(k->audience);
    free(k->claim_text);
    free(k->claims);
    free(k->cache);
    EVP_MD_free(k->sha256);
    free(k);
}

/* ---- Reading a token. From here on a refusal is a sentence, and NULL means that there is none. ---- */

/* The three parts, decoded; header and claims are NULL until they have been parsed. */
typedef struct parts {
    bytes header_text, claims_text, signature;
    size_t signed_len; /* bytes from the token's start that the signature covers */
    json_t *header, *claims;
} parts;

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Strict base64url: no padding, and no stray bits at the end, so that each value has one spelling only. */
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
    if (!last || memchr(last + 1, '.', (size_t)(end - last - 1))) return "token is not three parts between two dots";
    p->signed_len = (size_t)(last - token);
    if (!base64url(a, token, (size_t)(dot - token), &p->header_text) ||
        !base64url(a, dot + 1, (size_t)(last - dot - 1), &p->claims_text) ||
        !base64url(a, last + 1, (size_t)(end - last - 1), &p->signature))
        return "token is not base64url";
    return p->signature.len > 0 ? NULL : "token is not signed";
}

static json_t *parse_object(arena *a, bytes text)
{
    json_t *value = json_parse(a, (const char *)text.data, text.len, NULL);
    return json_is_object(value) ? value : NULL;
}

static const char *choose_key(const token_keys *k, const json_t *header, const token_key **key)
{
    const json_t *kid = json_object_get(header, "kid");
    *key = k->keys;
    if (!kid) return k->count == 1 ? NULL : "token has no kid, and several keys are in use";
    if (!json_is_string(kid)) return "token kid is not a string";
    for (; *key < k->keys + k->count; ++*key)
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
    if (!alg || strcmp(alg, key->alg->name) != 0) return "token alg is not the algorithm of its key";
    return NULL;
}

/* ---- The signature ---- */

static bool signed_libjwt(const token_key *key, const char *token)
{
    jwt_t *jwt = NULL;
    if (jwt_decode(&jwt, token, key->file.data, (int)key->file.len) != 0) return false;
    jwt_alg_t alg = jwt_get_alg(jwt);
    jwt_free(jwt); /* at once: it holds a copy of the key */
    return alg == key->alg->id;
}

/* JWT writes an ECDSA signature as two numbers of 32 bytes, OpenSSL wants them as ASN.1. */
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
    if (key->alg == &HS256) {
        unsigned char mac[DIGEST];
        return signature.len == DIGEST &&
               HMAC(EVP_sha256(), key->file.data, (int)key->file.len, (const unsigned char *)token, len, mac, NULL) &&
               CRYPTO_memcmp(mac, signature.data, DIGEST) == 0;
    }
    if (key->alg == &ES256 && !ecdsa_to_der(a, &signature)) return false;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key->public) == 1 &&
              EVP_DigestVerify(ctx, signature.data, signature.len, (const unsigned char *)token, len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

/* libjwt 1.10 refuses the typ of OAuth access tokens (RFC 9068) whatever their signature; 1.17 does not. So that both
 * accept the same tokens, these are verified with OpenSSL. */
static const char *check_signature(arena *a, const token_key *key, const char *token, size_t len, const parts *p)
{
    const char *type = json_string_value(json_object_get(p->header, "typ"));
    errno = 0;
    bool ok = type && strcasecmp(type, "at+jwt") == 0 ? signed_openssl(a, key, token, p->signed_len, p->signature)
                                                      : signed_libjwt(key, arena_strndup(a, token, len));
    ERR_clear_error(); /* what OpenSSL noted on the way must not be found by the next one that asks, such as libpq */
    if (!ok && errno == ENOMEM) arena_exhausted(a); /* neither library tells that from a bad signature */
    return ok ? NULL : "token signature is not valid";
}

/* ---- The claims ---- */

/* Reads a NumericDate as milliseconds. Jansson has no infinities and no NaN; values out of bounds become the bound. */
static bool read_date(const json_t *value, int64_t *ms)
{
    const int64_t max = CLOCK_MAX / 1000;
    if (!json_is_number(value)) return false;
    double seconds = json_number_value(value);
    *ms = seconds < 0 ? -max * 1000 : max * 1000;
    if (seconds > (double)-max && seconds < (double)max)
        *ms = json_is_integer(value) ? json_integer_value(value) * 1000 : (int64_t)(seconds * 1000);
    return true;
}

static const char *check_times(const token_keys *k, const verified *v, int64_t now_ms)
{
    if (now_ms >= v->exp + k->leeway) return "token has expired";
    if (now_ms < v->nbf - k->leeway) return "token is not valid yet";
    return NULL;
}

static const char *read_times(const json_t *claims, verified *v)
{
    const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
    const json_t *iat = json_object_get(claims, "iat");
    int64_t ignored;
    v->nbf = -CLOCK_MAX;
    if (!exp) return "token has no exp claim";
    if (!read_date(exp, &v->exp)) return "token exp is not a number";
    if (nbf && !read_date(nbf, &v->nbf)) return "token nbf is not a number";
    if (iat && !read_date(iat, &ignored)) return "token iat is not a number";
    return NULL;
}

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static const char *check_audience(const json_t *aud, const char *ours)
{
    size_t i;
    json_t *item;
    bool found = is_text(aud, ours);
    if (!aud) return "token has no aud claim";
    if (!json_is_string(aud) && !json_is_array(aud)) return "token aud is neither a string nor a list";
    json_array_foreach(aud, i, item)
    {
        if (!json_is_string(item)) return "token aud holds something else than strings";
        found = found || is_text(item, ours);
    }
    return found ? NULL : "token is for another audience";
}

/* The control characters of ASCII and of Unicode's Latin-1 block, which in UTF-8 are C2 80 to C2 9F. */
static bool has_control(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p < ' ' || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0)) return true;
    return false;
}

static const char *check_user(const char *user)
{
    if (!*user) return "the user claim is empty";
    if (strlen(user) > TOKEN_USER_MAX) return "the user claim is longer than 255 bytes";
    if (has_control(user)) return "the user claim holds control characters";
    return NULL;
}

static const char *read_user(const token_keys *k, const json_t *claims, verified *v)
{
    const json_t *claim = NULL;
    for (char **name = k->claims; *name && !claim; name++) claim = json_object_get(claims, *name);
    if (!claim) return "token names no user";
    if (json_is_number(claim)) return "the user claim is a number and must be a string";
    if (!json_is_string(claim)) return "the user claim is not a string";
    const char *why = check_user(json_string_value(claim));
    if (!why) memcpy(v->user, json_string_value(claim), json_string_length(claim) + 1);
    return why;
}

static const char *check_claims(const token_keys *k, const json_t *claims, int64_t now_ms, verified *v)
{
    const char *why;
    const json_t *type = json_object_get(claims, "type");
    if ((why = read_times(claims, v))) return why;
    if ((why = check_times(k, v, now_ms))) return why;
    if (*k->issuer && !is_text(json_object_get(claims, "iss"), k->issuer)) return "token is of another issuer";
    if (*k->audience && (why = check_audience(json_object_get(claims, "aud"), k->audience))) return why;
    if (type && !is_text(type, "access")) return "token type is not access";
    return read_user(k, claims, v);
}

/* ---- All of it ---- */

static const char *verify(const token_keys *k, arena *a, const char *token, size_t len, int64_t now_ms, verified *v)
{
    parts p = {0};
    const token_key *key;
    const char *why;
    if ((why = split(a, token, len, &p))) return why;
    if (!(p.header = parse_object(a, p.header_text))) return "token header is not a valid JSON object";
    if ((why = choose_key(k, p.header, &key))) return why;
    if ((why = check_header(p.header, key))) return why;
    if (!(p.claims = parse_object(a, p.claims_text))) return "token payload is not a valid JSON object";
    if ((why = check_signature(a, key, token, len, &p))) return why;
    return check_claims(k, p.claims, now_ms, v);
}

/* A minute is short enough to forget a token after its key is retired, and no entry is believed after the clock was set
 * back. The folder's keys are never swapped under a cache: a reload makes a new token_keys. */
static bool is_remembered(const verified *slot, const unsigned char digest[DIGEST], int64_t now_ms)
{
    return slot->user[0] && CRYPTO_memcmp(slot->digest, digest, DIGEST) == 0 && now_ms >= slot->at &&
           now_ms - slot->at < CACHE_MS;
}

static const char *find_identity(const token_keys *k, arena *a, const char *token, size_t len, int64_t now_ms,
                                 token_identity *out)
{
    verified fresh = {.at = now_ms};
    const char *why;
    if (len > TOKEN_MAX) return "token is longer than 8192 bytes";
    if (!EVP_Digest(token, len, fresh.digest, NULL, k->sha256, NULL)) arena_exhausted(a);
    verified *slot = &k->cache[(fresh.digest[0] << 8 | fresh.digest[1]) % CACHE];
    if (is_remembered(slot, fresh.digest, now_ms)) {
        if ((why = check_times(k, slot, now_ms))) return why;
    } else {
        if ((why = verify(k, a, token, len, now_ms, &fresh))) return why;
        *slot = fresh;
    }
    *out = (token_identity){arena_strdup(a, slot->user), slot->exp / 1000};
    return NULL;
}

rc token_verify(const token_keys *k, arena *a, const char *token, size_t len, int64_t now_ms, token_identity *out,
                const char **reason)
{
    *out = (token_identity){0};
    *reason = find_identity(k, a, token, len, now_ms, out);
    return *reason ? RC_UNAUTHORIZED : RC_OK;
}

json_t *token_peek(arena *a, const char *token, size_t len)
{
    parts p = {0};
    (void)split(a, token, len, &p); /* shows what there is: the texts are empty where it stopped */
    p.header = parse_object(a, p.header_text);
    p.claims = parse_object(a, p.claims_text);
    json_t *shown = must(json_pack("{s:O?, s:O?}", "header", p.header, "claims", p.claims));
    arena_defer(a, json_release, shown);
    return shown;
}

/* ---- Minting ---- */

static const token_key *find_minting_key(const token_keys *k, const char *kid, char *fault, size_t fault_size)
{
    for (const token_key *key = k->keys; key < k->keys + k->count; key++) {
        if (kid ? strcmp(key->kid, kid) != 0 : key->alg != &HS256) continue;
        if (key->alg == &HS256) return key;
        snprintf(fault, fault_size, "kid: %s is a public %s key; only a .hmac key can mint", kid, key->alg->name);
        return NULL;
    }
    snprintf(fault, fault_size, "kid: there is no key %s, and only a .hmac key can mint", kid ? kid : "KID.hmac");
    return NULL;
}

static void release_jwt(void *jwt)
{
    jwt_free(jwt);
}

char *token_mint(const token_keys *k, arena *a, const char *kid, const char *user, int64_t ttl_s, int64_t now_ms,
                 char *fault, size_t fault_size)
{
    const token_key *key = find_minting_key(k, kid, fault, fault_size);
    const char *why = check_user(user), *claim = k->claims[0];
    jwt_t *jwt = NULL;
    if (!key) return NULL;
    if (why) {
        snprintf(fault, fault_size, "user: %s", why);
        return NULL;
    }
    if (ttl_s < 1 || ttl_s > TOKEN_TTL_MAX) {
        snprintf(fault, fault_size, "ttl: %lld is not within 1..%d seconds", (long long)ttl_s, TOKEN_TTL_MAX);
        return NULL;
    }
    if (jwt_new(&jwt) != 0) abort();
    arena_defer(a, release_jwt, jwt);
    int error = jwt_set_alg(jwt, key->alg->id, key->file.data, (int)key->file.len);
    error |= jwt_add_header(jwt, "kid", key->kid);
    error |= jwt_add_grant(jwt, claim, user);
    if (strcmp(claim, "sub") != 0) error |= jwt_add_grant(jwt, "sub", user);
    error |= jwt_add_grant(jwt, "type", "access");
    error |= jwt_add_grant_int(jwt, "iat", (long)(now_ms / 1000));
    error |= jwt_add_grant_int(jwt, "exp", (long)(now_ms / 1000 + ttl_s));
    if (*k->issuer) error |= jwt_add_grant(jwt, "iss", k->issuer);
    if (*k->audience) error |= jwt_add_grant(jwt, "aud", k->audience);
    char *token = error ? NULL : jwt_encode_str(jwt);
    if (!token) {
        snprintf(fault, fault_size, "user: not UTF-8, or auth.user_claims begins with a claim that has another use");
        return NULL;
    }
    arena_defer(a, free, token);
    return token;
}
