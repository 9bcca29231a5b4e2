#include "token/claims.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/must.h"

bool claims_rules_load(claims_rules *rules, const conf *c, char *fault, size_t fault_size)
{
    size_t n = 0;
    char *rest;
    rules->issuer = must(strdup(c->issuer));
    rules->audience = must(strdup(c->audience));
    rules->leeway = c->leeway * 1000;
    rules->names_text = must(strdup(c->user_claims));
    rules->user_claims = must(calloc(strlen(c->user_claims) + 1, sizeof *rules->user_claims));
    for (char *name = strtok_r(rules->names_text, ", \t", &rest); name; name = strtok_r(NULL, ", \t", &rest))
        rules->user_claims[n++] = name;
    if (n == 0) snprintf(fault, fault_size, "auth.user_claims: \"%s\" names no claim", c->user_claims);
    return n > 0;
}

void claims_rules_free(claims_rules *rules)
{
    free(rules->issuer);
    free(rules->audience);
    free(rules->names_text);
    free(rules->user_claims);
}

/* Reads a NumericDate as milliseconds. Jansson yields neither infinities nor NaN. Values beyond the bounds of the clock
 * become the bound. */
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

static const char *read_times(const json_t *payload, token_claims *out)
{
    const json_t *exp = json_object_get(payload, "exp"), *nbf = json_object_get(payload, "nbf");
    const json_t *iat = json_object_get(payload, "iat");
    int64_t ignored;
    out->nbf = -CLOCK_MAX;
    if (!exp) return "token has no exp claim";
    if (!read_date(exp, &out->exp)) return "token exp is not a number";
    if (nbf && !read_date(nbf, &out->nbf)) return "token nbf is not a number";
    if (iat && !read_date(iat, &ignored)) return "token iat is not a number";
    return NULL;
}

const char *claims_check_times(const claims_rules *rules, const token_claims *claims, int64_t now_ms)
{
    if (now_ms >= claims->exp + rules->leeway) return "token has expired";
    if (now_ms < claims->nbf - rules->leeway) return "token is not valid yet";
    return NULL;
}

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static const char *check_audience(const json_t *aud, const char *expected)
{
    size_t i;
    json_t *item;
    bool found = is_text(aud, expected);
    if (!aud) return "token has no aud claim";
    if (!json_is_string(aud) && !json_is_array(aud)) return "token aud is neither a string nor a list";
    json_array_foreach(aud, i, item)
    {
        if (!json_is_string(item)) return "token aud contains something other than strings";
        found = found || is_text(item, expected);
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

const char *claims_check_user(const char *user)
{
    if (!*user) return "the user claim is empty";
    if (strlen(user) > TOKEN_USER_MAX) return "the user claim is longer than 255 bytes";
    if (has_control(user)) return "the user claim contains control characters";
    return NULL;
}

static const char *read_user(const claims_rules *rules, const json_t *payload, token_claims *out)
{
    const json_t *claim = NULL;
    for (char **name = rules->user_claims; *name && !claim; name++) claim = json_object_get(payload, *name);
    if (!claim) return "token names no user";
    if (json_is_number(claim)) return "the user claim is a number and must be a string";
    if (!json_is_string(claim)) return "the user claim is not a string";
    const char *reason = claims_check_user(json_string_value(claim));
    if (!reason) memcpy(out->user, json_string_value(claim), json_string_length(claim) + 1);
    return reason;
}

const char *claims_check(const claims_rules *rules, const json_t *payload, int64_t now_ms, token_claims *out)
{
    const char *reason;
    const json_t *type = json_object_get(payload, "type");
    if ((reason = read_times(payload, out))) return reason;
    if ((reason = claims_check_times(rules, out, now_ms))) return reason;
    if (*rules->issuer && !is_text(json_object_get(payload, "iss"), rules->issuer)) return "token is of another issuer";
    if (*rules->audience && (reason = check_audience(json_object_get(payload, "aud"), rules->audience))) return reason;
    if (type && !is_text(type, "access")) return "token type is not access";
    return read_user(rules, payload, out);
}
