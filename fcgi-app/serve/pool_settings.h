/* Configuration and keys of the pool, which are loaded and replaced together. */
#ifndef BOOKY_POOL_SETTINGS_H
#define BOOKY_POOL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "token/keys.h"

typedef struct pool_settings {
    conf *conf; /* NULL: empty */
    token_keys *keys;
} pool_settings;

/* Reads both from the files. Returns false with a line in `fault`. Release with pool_settings_free. */
bool pool_settings_load(pool_settings *out, const char *conf_path, char *fault, size_t fault_size);

/* Frees both and leaves `s` empty; it may be empty already. */
void pool_settings_free(pool_settings *s);

#endif
