#include "json_texts.h"

#include <stdlib.h>
#include <string.h>

char *copy_exact(const char *text, size_t len)
{
    char *copy = malloc(len);
    return len > 0 ? memcpy(copy, text, len) : copy;
}

json_t *read_exact(const char *text, size_t len, size_t depth, json_fault *fault)
{
    char *copy = copy_exact(text, len);
    json_t *value = json_read(a, copy, len, depth, fault);
    free(copy);
    return value;
}

const char *written(const json_t *value)
{
    strbuf out = STRBUF(a);
    json_write(&out, value);
    return out.data;
}
