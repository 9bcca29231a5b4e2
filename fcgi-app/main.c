/* booky-sync: the sync server and its administration. Start reading at cmd_serve.c. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "log.h"

#ifndef BOOKY_SYSCONFDIR
#define BOOKY_SYSCONFDIR "/etc"
#endif
#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

typedef struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} command;

static const command commands[] = {
    {"serve", cmd_serve, "run the pool of workers in the foreground"},
    {"push", cmd_push, "hold the event streams and poke them"},
    {"check-config", cmd_check_config, "check the configuration, the keys and the database"},
    {"migrate", cmd_migrate, "create or update the database's tables"},
    {"token", cmd_token, "mint or inspect an access token"},
    {"status", cmd_status, "show the pool's and the database's state"},
    {"user", cmd_user, "list users; export or erase one"},
    {"conflicts", cmd_conflicts, "list conflicts; resolve one"},
    {"purge", cmd_purge, "delete what is past its retention"},
    {"resync", cmd_resync, "after a restored backup or a lossy failover: make devices pull anew"},
    {"replay", cmd_replay, "import operations or entities from a file"},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static int usage(FILE *out)
{
    fprintf(out, "usage: booky-sync COMMAND [OPTION…]\n\n");
    for (size_t i = 0; i < COMMANDS; i++) fprintf(out, "  %-14s%s\n", commands[i].name, commands[i].help);
    fprintf(out, "\n`booky-sync COMMAND --help` tells more.\n");
    return out == stdout ? CMD_OK : CMD_USAGE;
}

bool cmd_load_conf(const char **path, conf *c)
{
    static const char installed[] = BOOKY_SYSCONFDIR "/booky-sync/booky-sync.conf";
    char fault[8192];
    if (!*path && access(installed, F_OK) == 0) *path = installed;
    if (!conf_load(c, *path, fault, sizeof fault)) {
        fprintf(stderr, "booky-sync: %s\n", fault);
        return false;
    }
    log_set_level_name(c->log_level);
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 2) return usage(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) return usage(stdout);
    if (strcmp(argv[1], "--version") == 0) return printf("booky-sync %s\n", PACKAGE_VERSION) < 0;
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "booky-sync: %s: no such command\n", argv[1]);
    return usage(stderr);
}
