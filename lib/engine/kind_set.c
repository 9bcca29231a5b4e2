/* Checks members that are sets: written as a list or null, or, in an operation, as a change of single elements. */
#include <string.h>

#include "base/json.h"
#include "engine/kind.h"

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list", [JSON_STRING] = "a string", [JSON_INTEGER] = "a number",
        [JSON_REAL] = "a number",    [JSON_TRUE] = "true",    [JSON_FALSE] = "false",     [JSON_NULL] = "null"};
    return names[json_typeof(value)];
}

/* Whether `x` and `y` have an element in common; its place in `y` is in *place. */
static bool has_common(arena *a, const json_t *x, const json_t *y, size_t *place)
{
    json_t *value, *keys = json_new_object(a);
    strbuf key = STRBUF(a);
    size_t i;
    json_array_foreach(x, i, value)
    {
        key.len = 0;
        json_write_key(&key, value);
        json_put(a, keys, key.data, json_true());
    }
    json_array_foreach(y, i, value)
    {
        key.len = 0;
        json_write_key(&key, value);
        *place = i;
        if (json_object_get(keys, key.data)) return true;
    }
    return false;
}

static const char *check_change(arena *a, const json_t *change, const char **path)
{
    const json_t *add = json_object_get(change, "$add"), *remove = json_object_get(change, "$remove");
    const char *name;
    json_t *value;
    size_t place = 0;
    json_object_foreach((json_t *)change, name, value)
    {
        bool known = value == add || value == remove;
        if (!known) return "an object here is a change of the list: it has $add, $remove or both, and nothing else";
        if (json_is_array(value)) continue;
        *path = arena_printf(a, ".%s", name);
        return arena_printf(a, "must be a list, is %s", type_name(value));
    }
    if (!add && !remove) return "an object here is a change of the list: it needs $add, $remove or both";
    if (json_array_size(add) == 0 || !has_common(a, add, remove, &place)) return NULL;
    *path = arena_printf(a, ".$remove[%zu]", place);
    return "is in $add as well";
}

const char *kind_check_set(arena *a, const json_t *value, const char **path)
{
    if (json_is_array(value) || json_is_null(value)) return NULL;
    if (json_is_object(value)) return check_change(a, value, path);
    return arena_printf(a, "must be a list, null or a change {\"$add\": […], \"$remove\": […]}, is %s",
                        type_name(value));
}

const char *kind_check_lists(arena *a, const kind *k, const json_t *data, const merge_state *held, const char **path)
{
    for (const char *const *name = k->sets; name && *name; name++) {
        const json_t *value = json_object_get(data, *name);
        if (!value || json_is_array(value) || json_is_null(value)) continue;
        if (held && merge_holds(held, *name, value)) continue;
        *path = arena_printf(a, ".%s", *name);
        return arena_printf(a, "must be a list or null in a full sync, is %s%s", type_name(value),
                            json_is_object(value) ? "; changes of a list are for operations" : "");
    }
    return NULL;
}
