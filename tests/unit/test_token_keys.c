/* keys.[ch]: the folder of key files. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "token/mint.h"
#include "tokens.h"

typedef struct folder {
    const char *name;
    const char *fault; /* part of it; NULL: loads */
    file files[4];
    const char *user_claims;
} folder;

#define X60 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const folder folders[] = {
    {"other files are ignored", NULL, {{"a.hmac", K1, 0}, {"a.txt", "x", 0}, {"hmac", "x", 0}, {0}}, NULL},
    {"hidden files are ignored", NULL, {{"a.hmac", K1, 0}, {".b.hmac", "x", 0}, {".pem", "x", 0}}, NULL},
    {"a newline at the end of a PEM is ignored", NULL, {{"a.pem", "@ec", 0}}, NULL},
    {"a kid of 128 bytes loads", NULL, {{X60 X60 "12345678.hmac", K1, 0}}, NULL},
    {"a folder without keys is refused", "contains no KID.hmac and no KID.pem", {{"README", "x", 0}}, NULL},
    {"a short HMAC key is refused",
     "/a.hmac: a secret of 31 bytes is below 32 bytes",
     {{"a.hmac", "0123456789abcdef0123456789abcde", 0}},
     NULL},
    {"the newline does not count",
     "a secret of 31 bytes is below 32",
     {{"a.hmac", "0123456789abcdef0123456789abcde\n", 0}},
     NULL},
    {"an empty HMAC key is refused", "/a.hmac: is empty", {{"a.hmac", "", 0}}, NULL},
    {"an empty PEM is refused", "/a.pem: is empty", {{"b.hmac", K1, 0}, {"a.pem", "", 0}}, NULL},
    {"an oversized key is refused", "/a.hmac: is longer than 16384 bytes", {{"a.hmac", "@long", 0}}, NULL},
    {"a public key as an HMAC secret is refused", "/a.hmac: contains PEM", {{"a.hmac", "@rsa", 0}}, NULL},
    {"a PEM file without PEM is refused",
     "/a.pem: 0 PEM blocks where exactly 1 is expected",
     {{"a.pem", "hello", 0}},
     NULL},
    {"a truncated PEM is refused", "/a.pem: is not a PEM public key", {{"a.pem", "@rsa truncated", 0}}, NULL},
    {"a certificate is refused",
     "/a.pem: is not a PEM public key",
     {{"a.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0}},
     NULL},
    {"two keys in a PEM are refused", "/a.pem: 2 PEM blocks", {{"a.pem", "@rsa twice", 0}}, NULL},
    {"a private RSA key is refused", "/a.pem: contains a private key", {{"a.pem", "@rsa private", 0}}, NULL},
    {"a private EC key is refused",
     "/a.private.pem: contains a private key",
     {{"a.private.pem", "@ec private", 0}},
     NULL},
    {"a private key after a public one is refused",
     "/a.pem: contains a private key",
     {{"a.pem", "@rsa both", 0}},
     NULL},
    {"an RSA key of 1024 bits is refused",
     "/a.pem: an RSA key of 1024 bits is below 2048 bits",
     {{"a.pem", "@rsa1024", 0}},
     NULL},
    {"a P-384 key is refused", "/a.pem: an EC curve secp384r1 is not P-256", {{"a.pem", "@p384", 0}}, NULL},
    {"an Ed25519 key is refused",
     "/a.pem: a key of type ED25519 is neither RSA nor EC",
     {{"a.pem", "@ed25519", 0}},
     NULL},
    {"one kid with two files is refused",
     "/a.pem: the kid a has another file",
     {{"a.hmac", K1, 0}, {"a.pem", "@ec", 0}},
     NULL},
    {"a kid of 129 bytes is refused",
     "a kid of 129 bytes is above 128 bytes",
     {{X60 X60 "123456789.hmac", K1, 0}},
     NULL},
    {"a kid with a newline is refused on one line",
     "/a?b.hmac: a kid may contain printable ASCII only",
     {{"a\nb.hmac", K1, 0}},
     NULL},
    {"an empty list of claims is refused", "auth.user_claims: \" ,\" names no claim", {{"a.hmac", K1, 0}}, " ,"},
};

START_TEST(a_folder_is_loaded_or_refused)
{
    const folder *f = &folders[_i];
    char fault[512] = "";
    token_keys *k = keys_load(f->files, (conf){.user_claims = f->user_claims}, fault, sizeof fault);
    ck_assert_msg(!k == !!f->fault, "%s: %s", f->name, fault);
    if (f->fault) ck_assert_msg(strstr(fault, f->fault) && !strchr(fault, '\n'), "%s: %s", f->name, fault);
    token_keys_free(k);
}
END_TEST

START_TEST(a_missing_folder_is_refused)
{
    char fault[256] = "", small[20] = "";
    conf c = {.keys_dir = "/nonexistent/keys", .issuer = "", .audience = "", .user_claims = "sub"};
    ck_assert_ptr_null(token_keys_load(&c, fault, sizeof fault));
    ck_assert_str_eq(fault, "auth.keys_dir: /nonexistent/keys: No such file or directory");
    ck_assert_ptr_null(token_keys_load(&c, small, sizeof small));
    ck_assert_uint_eq(strlen(small), sizeof small - 1);
    ck_assert_ptr_null(keys_load((const file[]){{"a.hmac", "short", 0}, {0}}, (conf){0}, small, sizeof small));
}
END_TEST

START_TEST(an_hmac_key_is_bytes)
{
    static const char key[] = "\0\xff\n\0binary secret of 33 bytes...\n\n";
    arena *a = arena_new();
    token_keys *k = keys_load_valid((const file[]){{"bin.hmac", key, sizeof key - 1}, {0}}, (conf){0});
    unsigned char mac[32];
    char fault[256];
    char *token = token_mint(k, a, NULL, "ann", 60, NOW * 1000, fault, sizeof fault);
    size_t len = (size_t)(strrchr(token, '.') - token);
    HMAC(EVP_sha256(), key, (int)sizeof key - 2, (unsigned char *)token, len, mac, NULL); /* without one newline */
    ck_assert_str_eq(token + len + 1, base64url(a, mac, sizeof mac));
    token_keys_free(k);
    arena_free(a);
}
END_TEST

Suite *suite_token_keys(void);

Suite *suite_token_keys(void)
{
    Suite *s = suite_create("token_keys");
    TCase *t = tcase_create("token_keys");
    tcase_add_unchecked_fixture(t, tokens_setup, tokens_teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_folder_is_loaded_or_refused, 0, COUNT(folders));
    tcase_add_test(t, a_missing_folder_is_refused);
    tcase_add_test(t, an_hmac_key_is_bytes);
    suite_add_tcase(s, t);
    return s;
}
