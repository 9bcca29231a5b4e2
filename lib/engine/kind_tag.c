#include "engine/kind.h"

static const field fields[] = {
    {.name = "name", .type = FIELD_STRING, .required = true, .min = 1, .max = 100},
    {0},
};

const kind kind_tag = {.name = "tag", .plural = "tags", .rule = KIND_NAMES_CLASH, .key = "name", .fields = fields};
