#include "tokens.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static EVP_PKEY *rsa, *ec;
static const char *rsa_pem;
static arena *kept;

static char *pem_of(EVP_PKEY *key, bool private)
{
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    if (private)
        ck_assert(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
    else
        ck_assert(PEM_write_bio_PUBKEY(bio, key));
    long len = BIO_get_mem_data(bio, &text);
    text = arena_strndup(kept, text, (size_t)len);
    BIO_free(bio);
    return text;
}

void tokens_setup(void)
{
    kept = arena_new();
    rsa = EVP_RSA_gen(2048);
    ec = EVP_EC_gen("P-256");
    rsa_pem = pem_of(rsa, false);
}

void tokens_teardown(void)
{
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    arena_free(kept);
}

/* "@rsa" and similar names stand for keys that are made here; any other text is the content itself. */
static const char *key_file_content(const char *text)
{
    EVP_PKEY *key = NULL;
    if (strcmp(text, "@rsa") == 0) return rsa_pem;
    if (strcmp(text, "@rsa twice") == 0) return arena_printf(kept, "%s%s", rsa_pem, rsa_pem);
    if (strcmp(text, "@rsa private") == 0) return pem_of(rsa, true);
    if (strcmp(text, "@rsa both") == 0) return arena_printf(kept, "%s%s", rsa_pem, pem_of(rsa, true));
    if (strcmp(text, "@rsa truncated") == 0) return arena_strndup(kept, rsa_pem, 200);
    if (strcmp(text, "@ec") == 0) return pem_of(ec, false);
    if (strcmp(text, "@ec private") == 0) return pem_of(ec, true);
    if (strcmp(text, "@rsa1024") == 0) key = EVP_RSA_gen(1024);
    if (strcmp(text, "@p384") == 0) key = EVP_EC_gen("P-384");
    if (strcmp(text, "@ed25519") == 0) key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (strcmp(text, "@long") == 0) return memset(arena_alloc(kept, 17000), 'x', 16999);
    if (!key) return text;
    char *pem = pem_of(key, false);
    EVP_PKEY_free(key);
    return pem;
}

token_keys *keys_load(const file *files, conf c, char *fault, size_t fault_size)
{
    char dir[] = "/tmp/token.XXXXXX";
    ck_assert(mkdtemp(dir));
    for (const file *f = files; f->name; f++) {
        const char *text = key_file_content(f->text);
        size_t len = f->len ? f->len : strlen(text);
        FILE *out = fopen(arena_printf(kept, "%s/%s", dir, f->name), "w");
        ck_assert(out && fwrite(text, 1, len, out) == len && fclose(out) == 0);
    }
    c.keys_dir = dir;
    c.leeway = 30;
    if (!c.issuer) c.issuer = "";
    if (!c.audience) c.audience = "";
    if (!c.user_claims) c.user_claims = "userId,sub";
    token_keys *k = token_keys_load(&c, fault, fault_size);
    for (const file *f = files; f->name; f++) unlink(arena_printf(kept, "%s/%s", dir, f->name));
    rmdir(dir);
    return k;
}

const file one_key[] = {{"k1.hmac", K1 "\n", 0}, {0}};
const file two_keys[] = {{"k1.hmac", K1, 0}, {"k2.hmac", K2, 0}, {0}};
const file one_rsa[] = {{"rsa.pem", "@rsa", 0}, {0}};
const file all_keys[] = {
    {"k1.hmac", K1, 0}, {"rsa.pem", "@rsa", 0}, {"ec.pem", "@ec", 0}, {"README", "not a key", 0}, {0}};

token_keys *keys_load_valid(const file *files, conf c)
{
    char fault[256] = "";
    token_keys *k = keys_load(files, c, fault, sizeof fault);
    ck_assert_msg(k != NULL, "%s", fault);
    return k;
}

char *base64url(arena *a, const void *data, size_t len)
{
    char *text = arena_alloc(a, len / 3 * 4 + 5);
    EVP_EncodeBlock((unsigned char *)text, data, (int)len);
    for (char *p = text; *p; p++) *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    text[strcspn(text, "=")] = '\0';
    return text;
}

char *sign_hmac(arena *a, const char *text, const char *key)
{
    unsigned char mac[32];
    HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)text, strlen(text), mac, NULL);
    return base64url(a, mac, sizeof mac);
}

static char *sign_public(arena *a, const char *text, EVP_PKEY *key)
{
    unsigned char sig[512], raw[64];
    size_t len = sizeof sig;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ck_assert(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1);
    ck_assert(EVP_DigestSign(ctx, sig, &len, (const unsigned char *)text, strlen(text)) == 1);
    EVP_MD_CTX_free(ctx);
    if (key != ec) return base64url(a, sig, len);
    const unsigned char *der = sig;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32);
    ECDSA_SIG_free(pair);
    return base64url(a, raw, sizeof raw);
}

char *token_make(arena *a, const char *header, const char *claims, signer by)
{
    char *text = arena_printf(a, "%s.%s", base64url(a, header, strlen(header)), base64url(a, claims, strlen(claims)));
    const char *signature = by == BY_RSA       ? sign_public(a, text, rsa)
                            : by == BY_EC      ? sign_public(a, text, ec)
                            : by == BY_NOBODY  ? ""
                            : by == BY_RSA_PEM ? sign_hmac(a, text, rsa_pem)
                            : by == BY_K2      ? sign_hmac(a, text, K2)
                                          : sign_hmac(a, text, by == BY_K1 ? K1 : "a stranger's secret of 32 bytes.");
    return arena_printf(a, "%s.%s", text, signature);
}

char *text_repeat(arena *a, const char *before, const char *fill, size_t times, const char *after)
{
    strbuf b = STRBUF(a);
    strbuf_puts(&b, before);
    for (; times > 0; times--) strbuf_puts(&b, fill);
    strbuf_puts(&b, after);
    return b.data;
}

/* RFC 6750 allows these characters in error_description. */
static void assert_public(const char *name, const char *reason)
{
    for (const char *p = reason; *p; p++)
        ck_assert_msg(*p >= ' ' && *p <= '~' && *p != '"' && *p != '\\', "%s: %s", name, reason);
}

void token_row_check(const token_row *r)
{
    arena *a = arena_new();
    token_keys *k = keys_load_valid(r->keys ? r->keys : one_key, r->c);
    const char *header = r->header_of ? r->header_of(a) : r->header ? r->header : HEAD;
    const char *claims = r->claims_of ? r->claims_of(a) : r->claims ? r->claims : ANN;
    char *token = token_make(a, header, claims, r->by);
    if (r->damage) token = r->damage(a, token);
    /* A copy of exactly its size, so that ASan and valgrind see a read beyond the end. The second time may be a hit of
     * the cache. */
    size_t len = strlen(token);
    char *copy = memcpy(malloc(len + !len), token, len);
    for (int time = 0; time < 2; time++) {
        const char *reason = NULL;
        token_identity who;
        rc code = token_verify(k, a, copy, len, NOW * 1000, &who, &reason);
        ck_assert_msg(code == (r->reason ? RC_UNAUTHORIZED : RC_OK), "%s: %s", r->name, reason ? reason : "accepted");
        ck_assert_msg(!r->reason == !reason, "%s", r->name);
        if (r->reason) ck_assert_msg(strcmp(reason, r->reason) == 0, "%s: %s", r->name, reason);
        if (r->reason) assert_public(r->name, reason);
        if (r->reason)
            ck_assert_msg(!who.user, "%s", r->name);
        else if (!r->claims_of)
            ck_assert_str_eq(who.user, r->user ? r->user : "ann");
    }
    free(copy);
    token_keys_free(k);
    arena_free(a);
}

rc token_try(token_keys *k, arena *a, const char *token, int64_t now_ms, token_identity *who)
{
    const char *reason;
    return token_verify(k, a, token, strlen(token), now_ms, who, &reason);
}
