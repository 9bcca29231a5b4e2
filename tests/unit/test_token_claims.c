/* claims.[ch]: the payload of a token whose signature is valid. */
#include <string.h>

#include "tokens.h"

static char *claims_deep(arena *a)
{
    return text_repeat(a, "{\"userId\":\"ann\",\"exp\":" LATER ",\"deep\":", "[", 3000, "");
}

static char *claims_user_255(arena *a)
{
    return text_repeat(a, "{\"exp\":" LATER ",\"userId\":\"", "u", 255, "\"}");
}

static char *claims_user_256(arena *a)
{
    return text_repeat(a, "{\"exp\":" LATER ",\"userId\":\"", "u", 256, "\"}");
}

#define ANN_AND(more) "{\"userId\":\"ann\",\"exp\":" LATER "," more "}"

#define NOT_OBJECT "token payload is not a valid JSON object"
#define EXPIRED "token has expired"
#define CONTROL "the user claim contains control characters"

static const token_row rows[] = {
    /* The payload. */
    {"a payload that is a list is refused", NOT_OBJECT, .claims = "[1]"},
    {"a payload that is a string is refused", NOT_OBJECT, .claims = "\"ann\""},
    {"an empty payload is refused", NOT_OBJECT, .claims = ""},
    {"a payload with text after it is refused", NOT_OBJECT, .claims = ANN "x"},
    {"a claim given twice is refused", NOT_OBJECT, .claims = ANN_AND("\"userId\":\"bob\"")},
    {"a claim given twice, once escaped, is refused", NOT_OBJECT, .claims = ANN_AND("\"\\u0075serId\":\"bob\"")},
    {"a payload that is not UTF-8 is refused", NOT_OBJECT, .claims = ANN_AND("\"x\":\"\xff\"")},
    {"a payload of 3,000 levels is refused", NOT_OBJECT, .claims_of = claims_deep},

    /* Times. */
    {"a token that expired a minute ago is refused", EXPIRED, .claims = EXP("1699999940")},
    {"a token that expired within the leeway is accepted", .claims = EXP("1699999971")},
    {"the leeway ends with its last second", EXPIRED, .claims = EXP("1699999970")},
    {"exp may be a fraction", .claims = EXP("1699999970.5")},
    {"exp may be a fraction in the past", EXPIRED, .claims = EXP("1699999969.5")},
    {"exp that is missing is refused", "token has no exp claim", .claims = "{\"userId\":\"ann\"}"},
    {"exp that is a string is refused", "token exp is not a number", .claims = EXP("\"1700003600\"")},
    {"exp that is null is refused", "token exp is not a number", .claims = EXP("null")},
    {"exp that is true is refused", "token exp is not a number", .claims = EXP("true")},
    {"exp of the greatest integer is accepted", .claims = EXP("9223372036854775807")},
    {"exp of the least integer is refused", EXPIRED, .claims = EXP("-9223372036854775808")},
    {"exp beyond 64 bits is refused", NOT_OBJECT, .claims = EXP("9223372036854775808")},
    {"exp of 1e300 is accepted", .claims = EXP("1e300")},
    {"exp of -1e300 is refused", EXPIRED, .claims = EXP("-1e300")},
    {"exp of 1e400 is refused", NOT_OBJECT, .claims = EXP("1e400")},
    {"nbf in a minute is refused", "token is not valid yet", .claims = ANN_AND("\"nbf\":1700000060")},
    {"nbf within the leeway is accepted", .claims = ANN_AND("\"nbf\":1700000030")},
    {"nbf that is a string is refused", "token nbf is not a number", .claims = ANN_AND("\"nbf\":\"1699990000\"")},
    {"nbf of 1e300 is refused", "token is not valid yet", .claims = ANN_AND("\"nbf\":1e300")},
    {"iat may be a fraction", .claims = ANN_AND("\"iat\":1699990000.25")},
    {"iat that is a string is refused", "token iat is not a number", .claims = ANN_AND("\"iat\":\"yesterday\"")},

    /* Issuer, audience and type. */
    {"the issuer is accepted", .c.issuer = "https://id.example", .claims = ANN_AND("\"iss\":\"https://id.example\"")},
    {"another issuer is refused", "token is of another issuer", .c.issuer = "https://id.example",
     .claims = ANN_AND("\"iss\":\"https://id.example/\"")},
    {"a missing issuer is refused", "token is of another issuer", .c.issuer = "https://id.example"},
    {"an issuer in a list is refused", "token is of another issuer", .c.issuer = "a",
     .claims = ANN_AND("\"iss\":[\"a\"]")},
    {"any issuer is accepted if none is set", .claims = ANN_AND("\"iss\":\"anyone\"")},
    {"the audience as a string is accepted", .c.audience = "sync", .claims = ANN_AND("\"aud\":\"sync\"")},
    {"the audience in a list is accepted", .c.audience = "sync", .claims = ANN_AND("\"aud\":[\"web\",\"sync\"]")},
    {"another audience is refused", "token is for another audience", .c.audience = "sync",
     .claims = ANN_AND("\"aud\":\"sync2\"")},
    {"a list of other audiences is refused", "token is for another audience", .c.audience = "sync",
     .claims = ANN_AND("\"aud\":[\"web\"]")},
    {"an empty list of audiences is refused", "token is for another audience", .c.audience = "sync",
     .claims = ANN_AND("\"aud\":[]")},
    {"a list of audiences with a number is refused", "token aud contains something other than strings",
     .c.audience = "sync", .claims = ANN_AND("\"aud\":[\"sync\",7]")},
    {"an audience that is an object is refused", "token aud is neither a string nor a list", .c.audience = "sync",
     .claims = ANN_AND("\"aud\":{\"sync\":1}")},
    {"a missing audience is refused", "token has no aud claim", .c.audience = "sync"},
    {"type access is accepted", .claims = ANN_AND("\"type\":\"access\"")},
    {"type refresh is refused", "token type is not access", .claims = ANN_AND("\"type\":\"refresh\"")},
    {"a type that is a number is refused", "token type is not access", .claims = ANN_AND("\"type\":1")},
    {"a type that is null is refused", "token type is not access", .claims = ANN_AND("\"type\":null")},

    /* The user. */
    {"userId comes before sub", .claims = "{\"sub\":\"bob\",\"userId\":\"ann\",\"exp\":" LATER "}"},
    {"sub comes before userId if the setting says so", .user = "bob", .c.user_claims = " sub , userId ",
     .claims = "{\"sub\":\"bob\",\"userId\":\"ann\",\"exp\":" LATER "}"},
    {"sub is used if userId is missing", .user = "bob", .claims = "{\"sub\":\"bob\",\"exp\":" LATER "}"},
    {"a claim with a long name may name the user", .user = "bob", .c.user_claims = "https://id.example/user",
     .claims = "{\"https://id.example/user\":\"bob\",\"exp\":" LATER "}"},
    {"a token without a user is refused", "token names no user", .claims = "{\"exp\":" LATER ",\"email\":\"a@b\"}"},
    {"a user that is a number is refused", "the user claim is a number and must be a string",
     .claims = "{\"userId\":42,\"sub\":\"bob\",\"exp\":" LATER "}"},
    {"a user that is null is refused", "the user claim is not a string",
     .claims = "{\"userId\":null,\"sub\":\"bob\",\"exp\":" LATER "}"},
    {"a user that is empty is refused", "the user claim is empty",
     .claims = "{\"userId\":\"\",\"sub\":\"bob\",\"exp\":" LATER "}"},
    {"a user of 256 bytes is refused", "the user claim is longer than 255 bytes", .claims_of = claims_user_256},
    {"a user with a newline is refused", CONTROL, .claims = "{\"userId\":\"a\\nb\",\"exp\":" LATER "}"},
    {"a user with DEL is refused", CONTROL, .claims = "{\"userId\":\"a\\u007f\",\"exp\":" LATER "}"},
    {"a user with a C1 control is refused", CONTROL, .claims = "{\"userId\":\"a\\u009b31m\",\"exp\":" LATER "}"},
    {"a user with NUL is refused", NOT_OBJECT, .claims = "{\"userId\":\"ann\\u0000x\",\"exp\":" LATER "}"},
    {"a user in any script is accepted", .user = "анна\u00a0\u00e9中😀",
     .claims = "{\"userId\":\"анна\u00a0\u00e9中😀\",\"exp\":" LATER "}"},
};

START_TEST(a_token_is_accepted_or_refused)
{
    token_row_check(&rows[_i]);
}
END_TEST

START_TEST(a_user_of_255_bytes_is_whole)
{
    arena *a = arena_new();
    token_keys *k = keys_load_valid(one_key, (conf){0});
    token_identity who;
    ck_assert_int_eq(token_try(k, a, token_make(a, HEAD, claims_user_255(a), BY_K1), NOW * 1000, &who), RC_OK);
    ck_assert_uint_eq(strlen(who.user), 255);
    ck_assert_int_eq(who.expires, 1700003600);
    ck_assert_int_eq(token_try(k, a, token_make(a, HEAD, EXP("1e300"), BY_K1), NOW * 1000, &who), RC_OK);
    ck_assert_int_eq(who.expires, 253402300799);
    token_keys_free(k);
    arena_free(a);
}
END_TEST

Suite *suite_token_claims(void);

Suite *suite_token_claims(void)
{
    Suite *s = suite_create("token_claims");
    TCase *t = tcase_create("token_claims");
    tcase_add_unchecked_fixture(t, tokens_setup, tokens_teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_token_is_accepted_or_refused, 0, COUNT(rows));
    tcase_add_test(t, a_user_of_255_bytes_is_whole);
    suite_add_tcase(s, t);
    return s;
}
