/* `booky-sync token`: makes a token for a test, and explains why a token is refused. */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "token/mint.h"
#include "token/verify.h"

enum { TTL_DEFAULT_S = 3600 };

static bool read_ttl(const char *text, int64_t *ttl_s)
{
    char *end;
    errno = 0;
    *ttl_s = strtoll(text, &end, 10);
    return end != text && !*end && !errno;
}

int cmd_token_mint(const cmdline *line, const conf *settings)
{
    const char *user = cmdline_get(line, "user"), *ttl = cmdline_get(line, "ttl"), *kid = cmdline_get(line, "kid");
    int64_t ttl_s = TTL_DEFAULT_S;
    if (ttl && !read_ttl(ttl, &ttl_s)) return cmdline_refuse(line, "--ttl %s: must be a whole number of seconds", ttl);
    token_keys *keys = cmd_load_keys(settings);
    if (!keys) return CMD_CONFIG;
    char fault[512];
    arena *a = arena_new();
    const char *token = token_mint(keys, a, kid, user, ttl_s, clock_now(), fault, sizeof fault);
    if (token)
        puts(token);
    else
        warnx("%s", fault);
    arena_free(a);
    token_keys_free(keys);
    return token ? CMD_OK : CMD_FAILED;
}

/* The token from the command line or, for "-", from standard input, so that it does not show in the process list. */
static const char *read_token(arena *a, const char *operand)
{
    if (strcmp(operand, "-") != 0) return operand;
    char text[2 * TOKEN_MAX];
    size_t len = fread(text, 1, sizeof text, stdin);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r')) len--;
    return arena_strndup(a, text, len);
}

int cmd_token_inspect(const cmdline *line, const conf *settings)
{
    token_keys *keys = cmd_load_keys(settings);
    if (!keys) return CMD_CONFIG;
    arena *a = arena_new();
    const char *token = read_token(a, line->operands[0]), *reason;
    token_identity identity;
    char expires[CLOCK_TEXT];
    bool accepted = token_verify(keys, a, token, strlen(token), clock_now(), &identity, &reason) == RC_OK;
    json_t *shown = token_peek(a, token, strlen(token));
    json_object_set_new(shown, "accepted", json_boolean(accepted));
    if (accepted) {
        json_object_set_new(shown, "user", json_string(identity.user));
        json_object_set_new(shown, "expires", json_string(clock_format(identity.expires * 1000, expires)));
    } else {
        json_object_set_new(shown, "reason", json_string(reason));
    }
    /* ASCII, so that the text of an untrusted token reaches no terminal as control sequences. */
    json_dumpf(shown, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    arena_free(a);
    token_keys_free(keys);
    return accepted ? CMD_OK : CMD_FAILED;
}
