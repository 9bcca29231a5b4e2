/* cache.[ch]: tokens that are verified again. */
#include "tokens.h"

START_TEST(a_remembered_token_still_expires)
{
    arena *a = arena_new();
    token_keys *k = keys_load_valid(one_key, (conf){0});
    token_identity who;
    int64_t now = NOW * 1000;
    char *token = token_make(a, HEAD, "{\"userId\":\"ann\",\"nbf\":1700000000,\"exp\":1700000010}", BY_K1);
    ck_assert_int_eq(token_try(k, a, token, now, &who), RC_OK);
    ck_assert_int_eq(token_try(k, a, token, now + 39999, &who), RC_OK);
    ck_assert_int_eq(who.expires, 1700000010);
    ck_assert_str_eq(who.user, "ann");
    ck_assert_int_eq(token_try(k, a, token, now + 40000, &who), RC_UNAUTHORIZED);
    ck_assert_ptr_null(who.user);
    ck_assert_int_eq(token_try(k, a, token, now - 30001, &who),
                     RC_UNAUTHORIZED); /* the clock was set back before nbf */
    ck_assert_int_eq(token_try(k, a, token, now - 30000, &who), RC_OK);
    token_keys_free(k);
    arena_free(a);
}
END_TEST

START_TEST(remembered_tokens_do_not_mix)
{
    enum { N = 700 }; /* more than there are slots */
    arena *a = arena_new();
    token_keys *k = keys_load_valid(one_key, (conf){0});
    token_identity who;
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < N; i++) {
            char *user = arena_printf(a, "user %d", i);
            char *claims = arena_printf(a, "{\"userId\":\"%s\",\"exp\":%d}", user, 1700003600 + i);
            ck_assert_int_eq(token_try(k, a, token_make(a, HEAD, claims, BY_K1), NOW * 1000 + round * 50000, &who),
                             RC_OK);
            ck_assert_str_eq(who.user, user);
            ck_assert_int_eq(who.expires, 1700003600 + i);
        }
    token_keys_free(k);
    arena_free(a);
}
END_TEST

Suite *suite_token_cache(void);

Suite *suite_token_cache(void)
{
    Suite *s = suite_create("token_cache");
    TCase *t = tcase_create("token_cache");
    tcase_add_unchecked_fixture(t, tokens_setup, tokens_teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_remembered_token_still_expires);
    tcase_add_test(t, remembered_tokens_do_not_mix);
    suite_add_tcase(s, t);
    return s;
}
