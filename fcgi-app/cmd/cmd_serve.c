#include <err.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "serve/listen.h"
#include "serve/pool.h"

int cmd_serve(const cmdline *line, const conf *settings)
{
    char fault[512];
    listeners l;
    token_keys *keys = cmd_load_keys(settings);
    if (!keys) return CMD_CONFIG;
    if (!listen_open(settings, &l, fault, sizeof fault)) {
        warnx("%s", fault);
        token_keys_free(keys);
        return CMD_CONFIG;
    }
    conf *c = malloc(sizeof *c); /* for the pool, which frees its settings when it has read them again */
    if (!c) abort();
    *c = *settings;
    const char *config = line->config;
    char *const restart[] = {"booky-sync", "serve", config ? "--config" : NULL, (char *)config, NULL};
    return pool_run(c, keys, &l, config, restart);
}
