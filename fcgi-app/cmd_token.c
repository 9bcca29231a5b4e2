/* `booky-sync token`: makes a token for trying things out, and says why one is refused. */
#include "cmd.h"

#include "clock.h"
#include "token.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char usage[] =
    "Usage: booky-sync token mint --user USER [--ttl SECONDS] [--kid KID] [--config FILE]\n"
    "       booky-sync token inspect TOKEN [--config FILE]\n"
    "\n"
    "mint      prints a token for USER, signed with a .hmac key of auth.keys_dir\n"
    "inspect   prints what TOKEN (- reads it from standard input) says, and whether this server accepts it\n"
    "\n"
    "  -u, --user USER      whom the token speaks for\n"
    "  -t, --ttl SECONDS    how long it is good for (default 3600)\n"
    "  -k, --kid KID        which key signs it (default: the first .hmac key by name)\n"
    "  -c, --config FILE    configuration file\n"
    "  -h, --help           this text\n"
    "\n"
    "Exit status: 0 done or accepted, 1 refused, 64 usage, 78 configuration.\n";

typedef struct options {
    const char *user, *kid, *config, *ttl, *token;
    int64_t ttl_s;
} options;

static int usage_refuse(const char *message)
{
    fprintf(stderr, "booky-sync token: %s\n%s", message, usage);
    return EX_USAGE;
}

/* Returns -1 to go on, or an exit status. */
static int read_options(int argc, char **argv, options *o)
{
    static const struct option table[] = {
        {"user", required_argument, NULL, 'u'}, {"ttl", required_argument, NULL, 't'},
        {"kid", required_argument, NULL, 'k'},  {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},       {0},
    };
    optind = 0; /* another subcommand table may have been read before */
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "u:t:k:c:h", table, NULL)) != -1;) {
        switch (c) {
        case 'u':
            o->user = optarg;
            break;
        case 't':
            o->ttl = optarg;
            break;
        case 'k':
            o->kid = optarg;
            break;
        case 'c':
            o->config = optarg;
            break;
        case 'h':
            return fputs(usage, stdout) < 0;
        default:
            return usage_refuse("unknown option, or one without its value");
        }
    }
    if (argc - optind > 1) return usage_refuse("too many arguments");
    o->token = argv[optind];
    return -1;
}

static bool read_ttl(options *o)
{
    char *end;
    errno = 0;
    o->ttl_s = o->ttl ? strtoll(o->ttl, &end, 10) : 3600;
    return !o->ttl || (end != o->ttl && !*end && !errno);
}

static int finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return EXIT_SUCCESS;
    fprintf(stderr, "booky-sync token: standard output: %s\n", strerror(errno));
    return EXIT_FAILURE;
}

static int run_mint(const token_keys *keys, arena *a, const options *o)
{
    char fault[512];
    const char *token = token_mint(keys, a, o->kid, o->user, o->ttl_s, clock_now(), fault, sizeof fault);
    if (!token) {
        fprintf(stderr, "booky-sync token: %s\n", fault);
        return EXIT_FAILURE;
    }
    puts(token);
    return finish_output();
}

/* The token from the command line or, so that it need not stand in the list of processes, from standard input. */
static const char *read_token(arena *a, const options *o)
{
    if (strcmp(o->token, "-") != 0) return o->token;
    char line[2 * TOKEN_MAX];
    size_t len = fread(line, 1, sizeof line, stdin);
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r')) len--;
    return arena_strndup(a, line, len);
}

static int run_inspect(const token_keys *keys, arena *a, const options *o)
{
    const char *token = read_token(a, o), *reason;
    token_identity who;
    char expires[CLOCK_TEXT];
    bool accepted = token_verify(keys, a, token, strlen(token), clock_now(), &who, &reason) == RC_OK;
    json_t *shown = token_peek(a, token, strlen(token));
    json_object_set_new(shown, "accepted", json_boolean(accepted));
    if (accepted) {
        json_object_set_new(shown, "user", json_string(who.user));
        json_object_set_new(shown, "expires", json_string(clock_format(who.expires * 1000, expires)));
    } else {
        json_object_set_new(shown, "reason", json_string(reason));
    }
    /* ASCII, because the text of a stranger's token must not reach a terminal as control sequences. */
    json_dumpf(shown, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    int status = finish_output();
    return accepted ? status : EXIT_FAILURE;
}

int cmd_token(int argc, char **argv)
{
    options o = {0};
    const char *what = argc > 1 ? argv[1] : "";
    bool mint = strcmp(what, "mint") == 0, inspect = strcmp(what, "inspect") == 0;
    int status = mint || inspect ? read_options(argc - 1, argv + 1, &o) : read_options(argc, argv, &o);
    if (status >= 0) return status;
    if (!mint && !inspect) return usage_refuse("say mint or inspect");
    if (mint && !o.user) return usage_refuse("mint needs --user");
    if (mint && o.token) return usage_refuse("mint takes no argument");
    if (mint && !read_ttl(&o)) return usage_refuse("--ttl is not a whole number of seconds");
    if (inspect && !o.token) return usage_refuse("inspect needs a token");
    if (inspect && (o.user || o.ttl || o.kid)) return usage_refuse("inspect takes no other option than --config");

    static conf c; /* its strings live until the process ends */
    char fault[512];
    if (!cmd_load_conf(&o.config, &c)) return EX_CONFIG;
    token_keys *keys = token_keys_load(&c, fault, sizeof fault);
    if (!keys) {
        fprintf(stderr, "booky-sync token: %s\n", fault);
        return EX_CONFIG;
    }
    arena *a = arena_new();
    status = mint ? run_mint(keys, a, &o) : run_inspect(keys, a, &o);
    arena_free(a);
    token_keys_free(keys);
    return status;
}
