#include "engine/kind.h"

static const char *const statuses[] = {"want_to_read", "currently_reading", "read", "dnf", NULL};

static const field fields[] = {
    {.name = "bookId", .type = FIELD_STRING, .required = true, .min = 1, .max = 255},
    {.name = "status", .type = FIELD_CHOICE, .required = true, .choices = statuses},
    {.name = "startedAt", .type = FIELD_DATE},
    {.name = "finishedAt", .type = FIELD_DATE},
    {0},
};

const kind kind_reading_log = {.name = "readingLog",
                               .plural = "readings",
                               .alias = "readingLogs",
                               .rule = KIND_READINGS,
                               .key = "bookId",
                               .fields = fields};
