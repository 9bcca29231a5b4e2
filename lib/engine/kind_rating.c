#include "engine/kind.h"

static const field fields[] = {
    {.name = "bookId", .type = FIELD_STRING, .required = true, .min = 1, .max = 255},
    {.name = "stars", .type = FIELD_NUMBER, .required = true, .min = 0.5, .max = 5, .step = 0.5},
    {0},
};

const kind kind_rating = {
    .name = "rating", .plural = "ratings", .rule = KIND_ONE_PER_KEY, .key = "bookId", .fields = fields};
