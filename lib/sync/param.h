/* Parameters that several endpoints have. */
#ifndef BOOKY_PARAM_H
#define BOOKY_PARAM_H

#include <jansson.h>

#include "sync/ctx.h"

enum { LIMIT_MAX = 100000 };

/* Parses the JSON text at `path` of the body ("": the body itself), with at most as many values as one operation may
 * have. *out lives in the arena. RC_TOO_LARGE or RC_VALIDATION. */
rc param_json(sync_ctx *ctx, const char *path, const char *text, size_t len, size_t depth, json_t **out);

/* Reads the query parameter `name`, a whole number from 1 to `max`; NULL leaves *out alone. */
rc param_number(sync_ctx *ctx, const char *name, const char *text, int64_t max, int64_t *out);

/* The same for `limit`. */
rc param_limit(sync_ctx *ctx, const char *text, int64_t *limit);

/* Reads the query parameter `name`, true or false; NULL leaves *out alone. */
rc param_flag(sync_ctx *ctx, const char *name, const char *text, bool *out);

/* Refuses the parameter `name`: the `len` bytes at `found` are not the name of a kind. */
rc param_unknown_kind(sync_ctx *ctx, const char *name, const char *found, size_t len);

/* Reads the member `deviceId`, whose text lives as long as `value`. */
rc param_device(sync_ctx *ctx, const json_t *value, const char **device);

#endif
