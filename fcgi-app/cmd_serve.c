#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd.h"
#include "listen.h"
#include "pool.h"
#include "token.h"

static const char help[] = "usage: booky-sync serve [--config FILE]\n\n"
                           "Runs the pool of workers in the foreground and logs JSON lines to standard error.\n"
                           "SIGTERM and SIGQUIT finish the requests under way first, SIGINT does not. SIGHUP reads the\n"
                           "configuration and the keys again, SIGUSR2 starts the installed program anew, SIGTTIN and\n"
                           "SIGTTOU add and remove a worker.\n";

int cmd_serve(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *path = NULL;
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        if (option == 'h') return fputs(help, stdout) < 0;
        if (option != 'c') return CMD_USAGE;
        path = optarg;
    }
    char fault[512];
    if (optind < argc) return fputs(help, stderr), CMD_USAGE;
    conf *c = calloc(1, sizeof *c);
    if (!c) return CMD_FAILED;
    if (!cmd_load_conf(&path, c)) return CMD_CONFIG;
    token_keys *keys = token_keys_load(c, fault, sizeof fault);
    listeners l;
    if (!keys || !listen_open(c, &l, fault, sizeof fault)) {
        fprintf(stderr, "booky-sync: %s\n", fault);
        token_keys_free(keys);
        conf_free(c);
        free(c);
        return CMD_CONFIG;
    }
    return pool_run(c, keys, &l, path, (char *const[]){"booky-sync", "serve", path ? "--config" : NULL, (char *)path, NULL});
}
