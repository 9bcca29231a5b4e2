/*
 * Access tokens, with one key of each algorithm. First byte 'h', 'r' or 'e': the rest is header and claims with a
 * newline between them, and is signed with that key, so that the checks after the signature are reached. Any other
 * first byte: the rest is the token.
 *
 * A token is accepted only if its header names the key that signed it and the algorithm of that key.
 */
#include <fcntl.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "token/verify.h"

static const char secret[] = "a secret of forty bytes for fuzzing only";
static EVP_PKEY *rsa, *ec;
static token_keys *keys;

static void write_public(const char *dir, const char *name, EVP_PKEY *key)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    REQUIRE(f && (key ? PEM_write_PUBKEY(f, key) == 1 : fputs(secret, f) >= 0) && fclose(f) == 0);
}

static void load_keys(void)
{
    static const char *const names[] = {"h.hmac", "r.pem", "e.pem"};
    char dir[] = "/tmp/booky-fuzz-XXXXXX", path[256], fault[512];
    conf c = *fuzz_conf();
    REQUIRE(mkdtemp(dir));
    rsa = EVP_RSA_gen(2048);
    ec = EVP_EC_gen("P-256");
    for (int i = 0; i < 3; i++) write_public(dir, names[i], i == 0 ? NULL : i == 1 ? rsa : ec);
    c.keys_dir = dir;
    keys = token_keys_load(&c, fault, sizeof fault);
    REQUIRE(keys);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void put_base64url(strbuf *out, const void *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t three =
            (uint32_t)p[i] << 16 | (uint32_t)(i + 1 < len ? p[i + 1] : 0) << 8 | (i + 2 < len ? p[i + 2] : 0);
        for (size_t j = 0; j < 4 && i + j <= len; j++) strbuf_putc(out, digits[three >> (18 - 6 * j) & 63]);
    }
}

static size_t sign(char with, const strbuf *text, unsigned char out[512])
{
    size_t len = 512;
    if (with == 'h') {
        unsigned used;
        REQUIRE(
            HMAC(EVP_sha256(), secret, sizeof secret - 1, (const unsigned char *)text->data, text->len, out, &used));
        return used;
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    REQUIRE(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, with == 'r' ? rsa : ec) == 1);
    REQUIRE(EVP_DigestSign(ctx, out, &len, (const unsigned char *)text->data, text->len) == 1);
    EVP_MD_CTX_free(ctx);
    if (with == 'r') return len;
    const unsigned char *der = out;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
    REQUIRE(pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, 32) == 32 &&
            BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + 32, 32) == 32);
    ECDSA_SIG_free(pair);
    return 64;
}

static void check_accepted(arena *a, char with, const char *token, size_t len, const token_identity *who)
{
    static const char *const algorithms[] = {"h", "HS256", "r", "RS256", "e", "ES256"};
    const json_t *header = json_object_get(token_peek(a, token, len), "header");
    const char *kid = json_string_value(json_object_get(header, "kid")),
               *alg = json_string_value(json_object_get(header, "alg"));
    REQUIRE(kid && alg && strlen(kid) == 1 && *kid == with);
    for (int i = 0; i < 6; i += 2)
        if (strcmp(kid, algorithms[i]) == 0) REQUIRE(strcmp(alg, algorithms[i + 1]) == 0);
    REQUIRE(*who->user && strlen(who->user) <= TOKEN_USER_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int64_t now = INT64_C(1700000000000);
    token_identity who, again;
    const char *reason;
    if (!keys) load_keys();
    if (size < 1) return 0;
    arena *a = arena_new();
    strbuf made = STRBUF(a);
    const uint8_t *body = data + 1, *newline = memchr(body, '\n', size - 1);
    char with = (char)*data;
    bool is_signed = strchr("hre", with) && with && newline;
    if (is_signed) {
        unsigned char signature[512];
        put_base64url(&made, body, (size_t)(newline - body));
        strbuf_putc(&made, '.');
        put_base64url(&made, newline + 1, (size_t)(data + size - newline - 1));
        size_t signed_len = made.len, len = sign(with, &made, signature);
        strbuf_putc(&made, '.');
        put_base64url(&made, signature, len);
        REQUIRE(made.len > signed_len);
    } else {
        strbuf_add(&made, (const char *)body, size - 1);
    }
    char *token = fuzz_copy((const uint8_t *)made.data, made.len);
    token_peek(a, token, made.len);
    if (token_verify(keys, a, token, made.len, now, &who, &reason) == RC_OK) {
        REQUIRE(is_signed && !reason);
        check_accepted(a, with, token, made.len, &who);
        REQUIRE(token_verify(keys, a, token, made.len, now, &again, &reason) == RC_OK &&
                strcmp(who.user, again.user) == 0);
        token[made.len - 8] ^= 1; /* in the signature */
        REQUIRE(token_verify(keys, a, token, made.len, now, &again, &reason) != RC_OK);
    } else {
        REQUIRE(reason && !strpbrk(reason, "\"\\\n"));
    }
    free(token);
    arena_free(a);
    return 0;
}
