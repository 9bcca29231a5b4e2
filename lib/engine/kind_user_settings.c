#include "engine/kind.h"

static const char *const themes[] = {"light", "dark", "system", NULL};
static const char *const displays[] = {"stars", "numbers", NULL};

static const field fields[] = {
    {.name = "theme", .type = FIELD_CHOICE, .choices = themes},
    {.name = "defaultFormat", .type = FIELD_STRING},
    {.name = "ratingDisplay", .type = FIELD_CHOICE, .choices = displays},
    {.name = "dateFormat", .type = FIELD_STRING},
    {.name = "notificationPreferences", .type = FIELD_OBJECT},
    {0},
};

const kind kind_user_settings = {.name = "userSettings",
                                 .plural = "settings",
                                 .alias = "userSettings",
                                 .rule = KIND_ONE_PER_USER,
                                 .fixed_id = "settings",
                                 .fields = fields};
