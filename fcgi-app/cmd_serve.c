#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd.h"
#include "listen.h"
#include "pool.h"
#include "token.h"

static const char help[] = "usage: booky-sync serve [--config FILE]\n\n"
                           "Runs the pool of workers in the foreground and logs JSON lines to standard error.\n"
                           "SIGTERM and SIGQUIT finish the requests under way first, SIGINT does not.\n";

int cmd_serve(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *path = NULL;
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        if (option == 'h') return fputs(help, stdout) < 0;
        if (option != 'c') return CMD_USAGE;
        path = optarg;
    }
    static conf c; /* its strings live until the process ends */
    char fault[512];
    if (optind < argc) return fputs(help, stderr), CMD_USAGE;
    if (!cmd_load_conf(path, &c)) return CMD_CONFIG;
    token_keys *keys = token_keys_load(&c, fault, sizeof fault);
    if (!keys) return fprintf(stderr, "booky-sync: %s\n", fault), CMD_CONFIG;
    int fd = listen_open(&c, fault, sizeof fault);
    if (fd < 0) return fprintf(stderr, "booky-sync: %s\n", fault), CMD_CONFIG;
    int code = pool_run(&c, keys, fd);
    token_keys_free(keys);
    return code;
}
