#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"

void json_release(void *value)
{
    json_decref(value);
}

json_t *json_new_object(arena *a)
{
    json_t *object = json_object();
    if (!object) arena_exhausted(a);
    arena_defer(a, json_release, object);
    return object;
}

void json_put(arena *a, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new_nocheck(object, key, value) != 0) arena_exhausted(a);
}

bool json_within_depth(const json_t *value, size_t depth)
{
    const char *key;
    size_t index;
    json_t *item;
    if (!json_is_object(value) && !json_is_array(value)) return true;
    if (depth == 0) return false;
    json_object_foreach((json_t *)value, key, item) if (!json_within_depth(item, depth - 1)) return false;
    json_array_foreach(value, index, item) if (!json_within_depth(item, depth - 1)) return false;
    return true;
}

bool json_real_is_whole(double real, json_int_t *whole)
{
    if (!(real >= -0x1p63 && real < 0x1p63 && real == trunc(real))) return false;
    *whole = (json_int_t)real;
    return true;
}

static bool same_number(const json_t *x, const json_t *y)
{
    if (json_typeof(x) == json_typeof(y))
        return json_is_integer(x) ? json_integer_value(x) == json_integer_value(y)
                                  : json_real_value(x) == json_real_value(y);
    double real = json_real_value(json_is_real(x) ? x : y);
    json_int_t whole;
    return json_real_is_whole(real, &whole) && whole == json_integer_value(json_is_real(x) ? y : x);
}

bool json_same(const json_t *x, const json_t *y)
{
    const char *key;
    size_t index;
    json_t *item;
    if (json_is_number(x) && json_is_number(y)) return same_number(x, y);
    if (json_typeof(x) != json_typeof(y)) return false;
    switch (json_typeof(x)) {
    case JSON_OBJECT:
        if (json_object_size(x) != json_object_size(y)) return false;
        json_object_foreach((json_t *)x, key, item)
        {
            const json_t *other = json_object_get(y, key);
            if (!other || !json_same(item, other)) return false;
        }
        return true;
    case JSON_ARRAY:
        if (json_array_size(x) != json_array_size(y)) return false;
        json_array_foreach(x, index, item) if (!json_same(item, json_array_get(y, index))) return false;
        return true;
    case JSON_STRING:
        return json_string_length(x) == json_string_length(y) &&
               memcmp(json_string_value(x), json_string_value(y), json_string_length(x)) == 0;
    default:
        return true;
    }
}

bool json_instant(const json_t *value, int64_t *ms)
{
    if (json_is_string(value)) return clock_parse(json_string_value(value), ms);
    if (!json_is_integer(value)) return false;
    json_int_t number = json_integer_value(value);
    if (number < CLOCK_MIN || number > CLOCK_MAX) return false;
    *ms = number;
    return true;
}

const char *json_instant_fault(const json_t *value, int64_t *ms)
{
    if (!json_instant(value, ms)) return "must be an RFC 3339 instant or integer milliseconds since 1970";
    json_int_t number = json_integer_value(value);
    bool small = number > -INT64_C(100000000000) && number < INT64_C(100000000000);
    return json_is_integer(value) && small ? "looks like seconds; milliseconds are expected" : NULL;
}

size_t json_characters(const char *s, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) count += ((unsigned char)s[i] & 0xC0) != 0x80;
    return count;
}
