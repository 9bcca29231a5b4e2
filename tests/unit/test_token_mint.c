/* mint.[ch]: tokens that the server makes. */
#include "token/mint.h"

#include <string.h>

#include "tokens.h"

START_TEST(a_minted_token_is_accepted)
{
    arena *a = arena_new();
    conf c = {.issuer = "https://id.example", .audience = "sync"};
    token_keys *k = keys_load_valid(all_keys, c);
    char fault[256];
    token_identity who;
    char *token = token_mint(k, a, NULL, "анна \"x\"", 60, NOW * 1000 + 999, fault, sizeof fault);
    ck_assert_ptr_nonnull(token);
    ck_assert_int_eq(token_try(k, a, token, NOW * 1000, &who), RC_OK);
    ck_assert_str_eq(who.user, "анна \"x\"");
    ck_assert_int_eq(who.expires, NOW + 60);
    size_t len = (size_t)(strrchr(token, '.') - token);
    ck_assert_str_eq(token + len + 1, sign_hmac(a, arena_strndup(a, token, len), K1));

    json_t *shown = token_peek(a, token, strlen(token));
    json_t *expected = json_pack("{s:{ss ss ss} s:{ss ss ss ss ss si si}}", "header", "alg", "HS256", "typ", "JWT",
                                 "kid", "k1", "claims", "userId", "анна \"x\"", "sub", "анна \"x\"", "type", "access",
                                 "iss", "https://id.example", "aud", "sync", "iat", (int)NOW, "exp", (int)NOW + 60);
    ck_assert(json_equal(shown, expected));
    json_decref(expected);
    token_keys_free(k);
    arena_free(a);
}
END_TEST

typedef struct mint_row {
    const char *name, *fault, *kid, *user;
    int64_t ttl;
    const file *keys;
    const char *user_claims;
} mint_row;

static const mint_row mint_rows[] = {
    {"the first key by name signs", NULL, NULL, "ann", 60, two_keys, NULL},
    {"a named key signs", NULL, "k2", "ann", 60, two_keys, NULL},
    {"the user claim may be sub", NULL, NULL, "ann", 60, one_key, "sub"},
    {"an unknown key is refused", "kid: there is no key k3", "k3", "ann", 60, two_keys, NULL},
    {"a public key is refused", "kid: rsa is a public RS256 key", "rsa", "ann", 60, all_keys, NULL},
    {"a folder without a secret is refused", "kid: there is no key KID.hmac", NULL, "ann", 60, one_rsa, NULL},
    {"an empty user is refused", "user: the user claim is empty", NULL, "", 60, one_key, NULL},
    {"a user with a newline is refused", "user: the user claim contains control", NULL, "a\n", 60, one_key, NULL},
    {"a user that is not UTF-8 is refused", "user: not UTF-8", NULL, "a\xff", 60, one_key, NULL},
    {"a lifetime of 0 is refused", "ttl: 0 is not within 1..315360000 seconds", NULL, "ann", 0, one_key, NULL},
    {"an endless lifetime is refused", "ttl: 9223372036854775807 is not within", NULL, "ann", INT64_MAX, one_key, NULL},
    {"a user claim that has another use is refused", "auth.user_claims begins with", NULL, "ann", 60, one_key, "type"},
};

START_TEST(a_token_is_minted_or_refused)
{
    const mint_row *r = &mint_rows[_i];
    arena *a = arena_new();
    token_keys *k = keys_load_valid(r->keys, (conf){.user_claims = r->user_claims});
    char fault[256] = "";
    token_identity who;
    char *token = token_mint(k, a, r->kid, r->user, r->ttl, NOW * 1000, fault, sizeof fault);
    ck_assert_msg(!token == !!r->fault, "%s: %s", r->name, fault);
    if (r->fault)
        ck_assert_msg(strstr(fault, r->fault) != NULL, "%s: %s", r->name, fault);
    else
        ck_assert_msg(token_try(k, a, token, NOW * 1000, &who) == RC_OK, "%s", r->name);
    token_keys_free(k);
    arena_free(a);
}
END_TEST

Suite *suite_token_mint(void);

Suite *suite_token_mint(void)
{
    Suite *s = suite_create("token_mint");
    TCase *t = tcase_create("token_mint");
    tcase_add_unchecked_fixture(t, tokens_setup, tokens_teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_minted_token_is_accepted);
    tcase_add_loop_test(t, a_token_is_minted_or_refused, 0, COUNT(mint_rows));
    suite_add_tcase(s, t);
    return s;
}
