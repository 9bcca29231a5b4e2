#include "engine/kind.h"

static const char *const sets[] = {"bookIds", NULL};

static const field fields[] = {
    {.name = "name", .type = FIELD_STRING, .required = true, .min = 1, .max = 200},
    {.name = "isSmart", .type = FIELD_BOOLEAN},
    {.name = "smartRules", .type = FIELD_TREE},
    {.name = "bookIds", .type = FIELD_SET},
    {0},
};

const kind kind_collection = {.name = "collection",
                              .plural = "collections",
                              .rule = KIND_NAMES_CLASH,
                              .key = "name",
                              .fields = fields,
                              .sets = sets};
