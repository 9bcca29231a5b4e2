/* The claims of a token: times, issuer, audience, type and user. Says nothing about the signature. */
#ifndef BOOKY_CLAIMS_H
#define BOOKY_CLAIMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"

enum { TOKEN_USER_MAX = 255 }; /* bytes of a user's name */

/* The settings of [auth] that claims are checked against. */
typedef struct claims_rules {
    char *issuer, *audience; /* "" for any */
    char *names_text;        /* owns the names in `user_claims` */
    char **user_claims;      /* names of the user claims in order of preference, ended by NULL */
    int64_t leeway;          /* milliseconds */
} claims_rules;

/* What a token says, once it has been checked. */
typedef struct token_claims {
    int64_t exp, nbf;              /* milliseconds since 1970 */
    char user[TOKEN_USER_MAX + 1]; /* UTF-8 without control characters */
} token_claims;

/* Copies the rules out of `c`. Returns false, and one line in `fault`, when auth.user_claims names no claim. Release
 * with claims_rules_free in both cases. */
bool claims_rules_load(claims_rules *rules, const conf *c, char *fault, size_t fault_size);
void claims_rules_free(claims_rules *rules);

/* Each check returns NULL, or the reason of the refusal: a constant sentence for the client. */

/* Checks the payload of a token at `now_ms` and fills *out. */
const char *claims_check(const claims_rules *rules, const json_t *payload, int64_t now_ms, token_claims *out);

/* Checks exp and nbf only, for claims that were checked before. */
const char *claims_check_times(const claims_rules *rules, const token_claims *claims, int64_t now_ms);

const char *claims_check_user(const char *user);

#endif
