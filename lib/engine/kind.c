#include "engine/kind.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

const kind *const kinds[] = {
    &kind_book, &kind_rating, &kind_tag, &kind_collection, &kind_reading_log, &kind_user_settings, NULL,
};

const kind *kind_find(const char *name)
{
    for (const kind *const *k = kinds; *k; k++)
        if (strcmp((*k)->name, name) == 0) return *k;
    return NULL;
}

static const field *field_find(const kind *k, const char *name)
{
    for (const field *f = k->fields; f->name; f++)
        if (*f->name == *name && strcmp(f->name, name) == 0) return f;
    return NULL;
}

bool kind_is_set(const kind *k, const char *name)
{
    const field *f = field_find(k, name);
    return f && f->type == FIELD_SET;
}

const char *kind_names(arena *a)
{
    strbuf out = STRBUF(a);
    for (const kind *const *k = kinds; *k; k++) strbuf_printf(&out, "%s%s", out.len > 0 ? ", " : "", (*k)->name);
    return out.data;
}

static const char *check_string(arena *a, const field *f, const json_t *value)
{
    if (!json_is_string(value)) return "must be a string";
    if (f->max == 0) return NULL;
    size_t length = json_characters(json_string_value(value), json_string_length(value));
    if ((double)length >= f->min && (double)length <= f->max) return NULL;
    return arena_printf(a, "must have %.0f to %.0f characters, has %zu", f->min, f->max, length);
}

static const char *check_number(arena *a, const field *f, const json_t *value)
{
    if (!json_is_number(value)) return "must be a number";
    if (f->min == 0 && f->max == 0) return NULL;
    double number = json_number_value(value);
    if (number < f->min || number > f->max) return arena_printf(a, "must be between %g and %g", f->min, f->max);
    if (f->step != 0 && fmod(number, f->step) != 0) return arena_printf(a, "must be a multiple of %g", f->step);
    return NULL;
}

static const char *check_choice(arena *a, const field *f, const json_t *value)
{
    strbuf list = STRBUF(a);
    for (const char *const *choice = f->choices; *choice; choice++) {
        if (json_is_string(value) && strcmp(json_string_value(value), *choice) == 0) return NULL;
        strbuf_printf(&list, "%s%s", list.len ? ", " : "", *choice);
    }
    return arena_printf(a, "must be one of %s", list.data);
}

static const char *check_date(const json_t *value)
{
    int64_t ms;
    if (json_is_string(value) && clock_parse_date(json_string_value(value), &ms)) return NULL;
    const char *fault = json_instant_fault(value, &ms);
    return fault && !json_is_integer(value) ? "must be a date, an RFC 3339 instant or integer milliseconds since 1970"
                                            : fault;
}

static const char *check_field(arena *a, const field *f, const json_t *value, const char **path)
{
    int64_t ms;
    if (json_is_null(value)) return f->required ? "is required and cannot be null" : NULL;
    switch (f->type) {
    case FIELD_STRING:
        return check_string(a, f, value);
    case FIELD_NUMBER:
        return check_number(a, f, value);
    case FIELD_BOOLEAN:
        return json_is_boolean(value) ? NULL : "must be true or false";
    case FIELD_ARRAY:
        return json_is_array(value) ? NULL : "must be an array";
    case FIELD_OBJECT:
        return json_is_object(value) ? NULL : "must be an object";
    case FIELD_INSTANT:
        return json_instant_fault(value, &ms);
    case FIELD_DATE:
        return check_date(value);
    case FIELD_CHOICE:
        return check_choice(a, f, value);
    case FIELD_TREE:
        return json_is_object(value) || json_is_array(value) ? NULL : "must be an object or an array";
    case FIELD_SET:
        return kind_check_set(a, value, path);
    }
    return NULL;
}

const char *kind_missing(arena *a, const kind *k, const json_t *data, const char **path)
{
    for (const field *f = k->fields; f->name; f++) {
        if (!f->required || json_object_get(data, f->name)) continue;
        *path = arena_printf(a, ".%s", f->name);
        return "is required";
    }
    return NULL;
}

const char *kind_check(arena *a, const kind *k, const json_t *data, const merge_state *held, const char **path)
{
    const char *name, *message;
    json_t *value;
    json_object_foreach((json_t *)data, name, value)
    {
        const field *f = field_find(k, name);
        const char *within = "";
        if (!f || !(message = check_field(a, f, value, &within))) continue;
        if (held && merge_holds(held, name, value)) continue;
        *path = arena_printf(a, ".%s%s", f->name, within);
        return message;
    }
    return NULL;
}
