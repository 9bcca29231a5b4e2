/* verify.[ch]: format, header, key and signature of a token. */
#include <stdlib.h>
#include <string.h>

#include "tokens.h"

static char *claims_9k(arena *a)
{
    return text_repeat(a, "{\"userId\":\"ann\",\"exp\":" LATER ",\"pad\":\"", "x", 6800, "\"}");
}

static char *claims_just_8k(arena *a)
{
    return text_repeat(a, "{\"userId\":\"ann\",\"exp\":" LATER ",\"pad\":\"", "x", 6020, "\"}");
}

static char *header_kid_long(arena *a)
{
    return text_repeat(a, "{\"alg\":\"HS256\",\"kid\":\"", "k", 3000, "\"}");
}

static char *damage_payload(arena *a, char *t)
{
    const char *bob = "{\"userId\":\"bob\",\"exp\":" LATER "}";
    return arena_printf(a, "%.*s.%s%s", (int)strcspn(t, "."), t, base64url(a, bob, strlen(bob)), strrchr(t, '.'));
}

static char *damage_signature(arena *a, char *t)
{
    (void)a;
    char *p = strrchr(t, '.') + 1;
    *p = *p == 'A' ? 'B' : 'A';
    return t;
}

/* 43 characters have 258 bits, 2 more than the signature: another encoding of the same bytes. */
static char *damage_encoding(arena *a, char *t)
{
    (void)a;
    t[strlen(t) - 1]++;
    return t;
}

static char *damage_plus(arena *a, char *t)
{
    (void)a;
    strrchr(t, '.')[1] = '+';
    return t;
}

static char *damage_truncate(arena *a, char *t)
{
    return arena_strndup(a, t, strlen(t) - strlen(strrchr(t, '.') + 1) % 4); /* whole bytes remain */
}

/* The stray bits of the last character become the first bits of one more byte, which is 0. */
static char *damage_longer(arena *a, char *t)
{
    return arena_printf(a, "%sA", t);
}

static char *damage_length(arena *a, char *t)
{
    return arena_printf(a, "%sAA", t); /* 45 characters: 4n + 1 is no length of base64 */
}

static char *damage_pad(arena *a, char *t)
{
    return arena_printf(a, "%s=", t);
}

static char *damage_fourth_part(arena *a, char *t)
{
    return arena_printf(a, "%s.AAAA", t);
}

static char *damage_one_dot(arena *a, char *t)
{
    *strrchr(t, '.') = 'A';
    return arena_strdup(a, t);
}

static char *damage_all(arena *a, char *t)
{
    (void)t;
    return arena_strdup(a, "");
}

static char *damage_dots(arena *a, char *t)
{
    (void)t;
    return arena_strdup(a, "..");
}

static char *damage_newline(arena *a, char *t)
{
    return arena_printf(a, "%s\n", t);
}

#define HEAD_AT "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}"
#define HEAD_EC_AT "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"ec\"}"

#define WRONG_ALG "token alg is not the algorithm of its key"
#define FORGED "token signature is not valid"
#define UNKNOWN "token kid is not a key of this server"
#define NOT_HEADER "token header is not a valid JSON object"
#define NOT_PARTS "token is no JWT: that has three parts, with a dot between them"
#define NOT_BASE64 "token is not base64url"

static const token_row rows[] = {
    /* Accepted. */
    {"an HS256 token is accepted", .reason = NULL},
    {"an RS256 token is accepted", .keys = all_keys, .by = BY_RSA, .header = HEAD_RSA},
    {"an ES256 token is accepted", .keys = all_keys, .by = BY_EC, .header = HEAD_EC},
    {"a token without typ is accepted", .header = "{\"alg\":\"HS256\",\"kid\":\"k1\"}"},
    {"typ may be written in lower case", .header = "{\"alg\":\"HS256\",\"typ\":\"jwt\"}"},
    {"typ at+jwt is accepted under HS256", .header = HEAD_AT},
    {"typ at+jwt is accepted under RS256", .keys = one_rsa, .by = BY_RSA,
     .header = "{\"alg\":\"RS256\",\"typ\":\"AT+JWT\"}"},
    {"typ at+jwt is accepted under ES256", .keys = all_keys, .by = BY_EC, .header = HEAD_EC_AT},
    {"a token without kid is accepted when there is one key", .header = "{\"alg\":\"HS256\"}"},
    {"during a rotation the old key is accepted", .keys = two_keys},
    {"during a rotation the new key is accepted", .keys = two_keys, .by = BY_K2,
     .header = "{\"alg\":\"HS256\",\"kid\":\"k2\"}"},
    {"unknown header members are ignored",
     .header = "{\"alg\":\"HS256\",\"kid\":\"k1\",\"jku\":\"http://x/\",\"b64\":true}"},
    {"a token of just under 8 KiB is accepted", .claims_of = claims_just_8k},

    /* Algorithms. */
    {"alg none without a signature is refused", "token is not signed", .by = BY_NOBODY, .header = "{\"alg\":\"none\"}"},
    {"alg none with a signature is refused", WRONG_ALG, .header = "{\"alg\":\"none\",\"kid\":\"k1\"}"},
    {"HS256 signed with the RSA public PEM is refused", WRONG_ALG, .keys = one_rsa, .by = BY_RSA_PEM,
     .header = "{\"alg\":\"HS256\",\"kid\":\"rsa\"}"},
    {"HS256 signed with the RSA public PEM, labelled RS256, is refused", FORGED, .keys = one_rsa, .by = BY_RSA_PEM,
     .header = HEAD_RSA},
    {"HS256 signed with the RSA public PEM, labelled at+jwt, is refused", WRONG_ALG, .keys = one_rsa, .by = BY_RSA_PEM,
     .header = "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"rsa\"}"},
    {"alg in lower case is refused", WRONG_ALG, .header = "{\"alg\":\"hs256\",\"kid\":\"k1\"}"},
    {"alg HS512 is refused under an HS256 key", WRONG_ALG, .header = "{\"alg\":\"HS512\",\"kid\":\"k1\"}"},
    {"alg PS256 is refused under an RS256 key", WRONG_ALG, .keys = one_rsa, .by = BY_RSA,
     .header = "{\"alg\":\"PS256\"}"},
    {"alg ES256 is refused under an RS256 key", WRONG_ALG, .keys = all_keys, .by = BY_EC,
     .header = "{\"alg\":\"ES256\",\"kid\":\"rsa\"}"},
    {"a header without alg is refused", WRONG_ALG, .header = "{\"kid\":\"k1\"}"},
    {"an alg that is no string is refused", WRONG_ALG, .header = "{\"alg\":[\"HS256\"],\"kid\":\"k1\"}"},

    /* Signatures. */
    {"a changed payload is refused", FORGED, .damage = damage_payload},
    {"a changed HS256 signature is refused", FORGED, .damage = damage_signature},
    {"a changed RS256 signature is refused", FORGED, .keys = one_rsa, .by = BY_RSA, .header = HEAD_RSA,
     .damage = damage_signature},
    {"a changed ES256 signature is refused", FORGED, .keys = all_keys, .by = BY_EC, .header = HEAD_EC,
     .damage = damage_signature},
    {"a changed at+jwt signature is refused", FORGED, .header = HEAD_AT, .damage = damage_signature},
    {"a changed ES256 at+jwt signature is refused", FORGED, .keys = all_keys, .by = BY_EC, .header = HEAD_EC_AT,
     .damage = damage_signature},
    {"a truncated HS256 signature is refused", FORGED, .damage = damage_truncate},
    {"a truncated RS256 signature is refused", FORGED, .keys = one_rsa, .by = BY_RSA, .header = HEAD_RSA,
     .damage = damage_truncate},
    {"an HMAC in place of an ES256 signature is refused", FORGED, .keys = all_keys, .by = BY_K1, .header = HEAD_EC},
    {"an HMAC in place of an ES256 at+jwt signature is refused", FORGED, .keys = all_keys, .by = BY_K1,
     .header = HEAD_EC_AT},
    {"an RSA signature in place of an HMAC is refused", FORGED, .by = BY_RSA},
    {"an RSA signature in place of an at+jwt HMAC is refused", FORGED, .by = BY_RSA, .header = HEAD_AT},
    {"an HS256 signature with one more byte is refused", FORGED, .damage = damage_longer},
    {"an at+jwt HMAC with one more byte is refused", FORGED, .header = HEAD_AT, .damage = damage_longer},
    {"an ES256 signature with one more byte is refused", FORGED, .keys = all_keys, .by = BY_EC, .header = HEAD_EC,
     .damage = damage_longer},
    {"an ES256 at+jwt signature with one more byte is refused", FORGED, .keys = all_keys, .by = BY_EC,
     .header = HEAD_EC_AT, .damage = damage_longer},
    {"a truncated ES256 at+jwt signature is refused", FORGED, .keys = all_keys, .by = BY_EC, .header = HEAD_EC_AT,
     .damage = damage_truncate},
    {"a signature with an unknown secret is refused", FORGED, .by = BY_STRANGER},
    {"the other key of a rotation is refused under this kid", FORGED, .keys = two_keys, .by = BY_K2},
    {"an empty signature is refused", "token is not signed", .by = BY_NOBODY},

    /* The key. */
    {"an unknown kid is refused", UNKNOWN, .header = "{\"alg\":\"HS256\",\"kid\":\"k3\"}"},
    {"an empty kid is refused", UNKNOWN, .header = "{\"alg\":\"HS256\",\"kid\":\"\"}"},
    {"a kid with a path is refused", UNKNOWN, .header = "{\"alg\":\"HS256\",\"kid\":\"../keys.d/k1\"}"},
    {"a kid with the suffix of the file is refused", UNKNOWN, .header = "{\"alg\":\"HS256\",\"kid\":\"k1.hmac\"}"},
    {"a kid of 3,000 characters is refused", UNKNOWN, .header_of = header_kid_long},
    {"a kid that is a number is refused", "token kid is not a string", .header = "{\"alg\":\"HS256\",\"kid\":1}"},
    {"a kid that is null is refused", "token kid is not a string", .header = "{\"alg\":\"HS256\",\"kid\":null}"},
    {"a token without kid is refused when there are two keys", "token has no kid, and several keys are in use",
     .keys = two_keys, .header = "{\"alg\":\"HS256\"}"},

    /* The header. */
    {"crit is refused", "token has critical extensions, which are not supported",
     .header = "{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"kid\":\"k1\"}"},
    {"an empty crit is refused", "token has critical extensions, which are not supported",
     .header = "{\"alg\":\"HS256\",\"crit\":[]}"},
    {"another typ is refused", "token typ is neither JWT nor at+jwt", .header = "{\"alg\":\"HS256\",\"typ\":\"JOSE\"}"},
    {"a typ that is null is refused", "token typ is neither JWT nor at+jwt",
     .header = "{\"alg\":\"HS256\",\"typ\":null}"},
    {"a header with alg twice is refused", NOT_HEADER, .header = "{\"alg\":\"none\",\"alg\":\"HS256\"}"},
    {"a header that is a list is refused", NOT_HEADER, .header = "[\"HS256\"]"},
    {"an empty header is refused", NOT_HEADER, .header = ""},

    /* The format. */
    {"three dots are refused", NOT_PARTS, .damage = damage_fourth_part},
    {"one dot is refused", NOT_PARTS, .damage = damage_one_dot},
    {"an empty token is refused", NOT_PARTS, .damage = damage_all},
    {"only dots are refused", "token is not signed", .damage = damage_dots},
    {"base64 of an invalid length is refused", NOT_BASE64, .damage = damage_length},
    {"standard base64 is refused", NOT_BASE64, .damage = damage_plus},
    {"base64 padding is refused", NOT_BASE64, .damage = damage_pad},
    {"a newline at the end is refused", NOT_BASE64, .damage = damage_newline},
    {"another encoding of the same signature is refused", NOT_BASE64, .damage = damage_encoding},
    {"a token of 9 KiB is refused", "token is longer than 8192 bytes", .claims_of = claims_9k},
};

START_TEST(a_token_is_accepted_or_refused)
{
    token_row_check(&rows[_i]);
}
END_TEST

START_TEST(no_character_of_a_token_can_be_changed)
{
    static const char *const heads[] = {HEAD, "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}", HEAD_EC};
    arena *a = arena_new();
    token_keys *k = keys_load_valid(all_keys, (conf){0});
    token_identity who;
    char *token = token_make(a, heads[_i], ANN, _i == 2 ? BY_EC : BY_K1);
    ck_assert_int_eq(token_try(k, a, token, NOW * 1000, &who), RC_OK);
    for (char *p = token; *p; p++) {
        char kept_char = *p;
        for (const char *other = "Aa0-_.=!"; *other; other++) {
            if (*other == kept_char) continue;
            *p = *other;
            ck_assert_msg(token_try(k, a, token, NOW * 1000, &who) == RC_UNAUTHORIZED, "%zu: %c", (size_t)(p - token),
                          *p);
        }
        *p = kept_char;
    }
    token_keys_free(k);
    arena_free(a);
}
END_TEST

START_TEST(peeking_shows_what_can_be_read)
{
    static const struct {
        const char *header, *claims, *shown;
        char *(*damage)(arena *, char *);
    } table[] = {
        {"{\"alg\":\"none\"}", "{\"a\":1}", "{\"header\":{\"alg\":\"none\"},\"claims\":{\"a\":1}}", NULL},
        {"[]", "{\"a\":1}", "{\"header\":null,\"claims\":{\"a\":1}}", NULL},
        {"{}", "{\"a\":1,\"a\":2}", "{\"header\":{},\"claims\":null}", NULL},
        {"{}", "{}", "{\"header\":null,\"claims\":null}", damage_one_dot},
    };
    arena *a = arena_new();
    char *token = token_make(a, table[_i].header, table[_i].claims, BY_NOBODY);
    if (table[_i].damage) token = table[_i].damage(a, token);
    char *shown = json_dumps(token_peek(a, token, strlen(token)), JSON_COMPACT);
    ck_assert_str_eq(shown, table[_i].shown);
    free(shown);
    arena_free(a);
}
END_TEST

Suite *suite_token_verify(void);

Suite *suite_token_verify(void)
{
    Suite *s = suite_create("token_verify");
    TCase *t = tcase_create("token_verify");
    tcase_add_unchecked_fixture(t, tokens_setup, tokens_teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_token_is_accepted_or_refused, 0, COUNT(rows));
    tcase_add_loop_test(t, no_character_of_a_token_can_be_changed, 0, 3);
    tcase_add_loop_test(t, peeking_shows_what_can_be_read, 0, 4);
    suite_add_tcase(s, t);
    return s;
}
