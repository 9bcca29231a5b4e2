#include <getopt.h>
#include <stdio.h>

#include "cmd.h"
#include "push.h"

static const char help[] =
    "usage: booky-sync push [--config FILE]\n\n"
    "Holds the event streams of GET /events, in the foreground, and tells them what the workers committed.\n"
    "Logs JSON lines to standard error. SIGTERM ends the streams, whose clients then come back.\n";

int cmd_push(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *path = NULL;
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        if (option == 'h') return fputs(help, stdout) < 0;
        if (option != 'c') return CMD_USAGE;
        path = optarg;
    }
    if (optind < argc) return fputs(help, stderr), CMD_USAGE;
    char fault[512];
    static conf c; /* the thread of push_peers.c may outlive this function */
    push_sockets sockets;
    if (!cmd_load_conf(&path, &c)) return CMD_CONFIG;
    if (!listen_open_push(&c, &sockets, fault, sizeof fault)) {
        fprintf(stderr, "booky-sync: %s\n", fault);
        return CMD_CONFIG;
    }
    return push_run(&c, &sockets);
}
