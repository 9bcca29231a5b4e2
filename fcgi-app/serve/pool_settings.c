#include "serve/pool_settings.h"

#include <stdlib.h>
#include <string.h>

bool pool_settings_load(pool_settings *out, const char *conf_path, char *fault, size_t fault_size)
{
    *out = (pool_settings){.conf = calloc(1, sizeof *out->conf)};
    if (!out->conf) abort();
    if (conf_load(out->conf, conf_path, fault, fault_size) &&
        (out->keys = token_keys_load(out->conf, fault, fault_size)))
        return true;
    pool_settings_free(out);
    for (char *end = strchr(fault, '\n'); end; end = strchr(end, '\n')) *end = ';'; /* for one log event */
    return false;
}

void pool_settings_free(pool_settings *s)
{
    if (s->conf) conf_free(s->conf);
    free(s->conf);
    token_keys_free(s->keys);
    *s = (pool_settings){0};
}
