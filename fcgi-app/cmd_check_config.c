#include <getopt.h>
#include <stdio.h>

#include "cmd.h"
#include "db.h"
#include "token.h"

static const char help[] = "usage: booky-sync check-config [--config FILE]\n\n"
                           "Reads the settings and the keys and connects to the database, as `serve` would.\n"
                           "Exits with 0 when all is well, 78 when a setting or key is at fault, 1 when the database is.\n";

int cmd_check_config(int argc, char **argv)
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
    if (!cmd_load_conf(&path, &c)) return CMD_CONFIG;
    token_keys *keys = token_keys_load(&c, fault, sizeof fault);
    if (!keys) return fprintf(stderr, "booky-sync: %s\n", fault), CMD_CONFIG;
    token_keys_free(keys);
    db *d = db_new(&c);
    rc code = db_ready(d); /* says itself what is wrong */
    db_free(d);
    if (code != RC_OK) return CMD_FAILED;
    puts("configuration, keys and database are well");
    return CMD_OK;
}
