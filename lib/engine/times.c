#include "engine/times.h"

#include <string.h>

#include "base/clock.h"
#include "engine/operation.h"

static bool fail(times_fault *fault, const char *path, const char *message)
{
    *fault = (times_fault){RC_VALIDATION, path, message};
    return false;
}

static bool is_instant(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= CLOCK_MIN && json_integer_value(value) <= CLOCK_MAX;
}

/* Reads an optional instant; absent or null leaves *out alone. */
static bool read_instant(const json_t *from, const char *name, const char *path, int64_t *out, times_fault *fault)
{
    const json_t *value = json_object_get(from, name);
    if (!value || json_is_null(value)) return true;
    if (!is_instant(value)) return fail(fault, path, "must be an instant in integer milliseconds");
    *out = json_integer_value(value);
    return true;
}

/* Edits of the elements of a set (set_write_times), by time: a number of added ones, or the removed ones. */
static bool are_edits(const json_t *groups, bool added)
{
    size_t i;
    json_t *group;
    json_array_foreach(groups, i, group)
    {
        size_t size = json_array_size(group);
        if (size < 2 || !is_instant(json_array_get(group, 0))) return false;
        if (added && (size != 2 || json_integer_value(json_array_get(group, 1)) < 1)) return false;
    }
    return true;
}

/* Instants, and objects of them. */
static bool are_marks(const json_t *marks)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)marks, name, value)
    {
        bool add = strcmp(name, "add") == 0, edits = add || strcmp(name, "remove") == 0;
        if (edits && json_is_array(value) ? !are_edits(value, add)
            : json_is_object(value)       ? !are_marks(value)
            : strcmp(name, "null") == 0   ? !json_is_boolean(value)
                                          : !is_instant(value))
            return false;
    }
    return true;
}

static bool read_marks(arena *a, const json_t *marks, times *out, times_fault *fault)
{
    if (!marks || json_is_null(marks)) return true;
    if (!json_is_object(marks) || !are_marks(marks))
        return fail(fault, ".marks", "must be an object of instants in integer milliseconds");
    strbuf text = STRBUF(a);
    json_write(&text, marks);
    out->marks = text.data;
    out->marks_size = text.len;
    return true;
}

bool times_read(arena *a, const conf *c, const json_slice *text, times *out, times_fault *fault)
{
    json_fault broken;
    enum { ABOVE = 4 }; /* levels: an element is up to four levels deeper here than in the data */
    int64_t superseded = MERGE_NEVER;
    *out = (times){.base = MERGE_NEVER, .edited = MERGE_NEVER, .deleted = MERGE_NEVER};
    if (text->len > (size_t)c->entity || json_count_values(text->text, text->len) > OPERATION_ITEM_VALUES_MAX) {
        *fault = (times_fault){RC_TOO_LARGE, "", ""};
        fault->message = arena_printf(a, "%zu bytes, limits.entity is %lld, or more than %d values", text->len,
                                      (long long)c->entity, OPERATION_ITEM_VALUES_MAX);
        return false;
    }
    json_t *from = json_read(a, text->text, text->len, (size_t)c->depth + ABOVE, &broken);
    if (!from) return fail(fault, broken.path, broken.message);
    if (!json_is_object(from)) return fail(fault, "", "must be the object that a pull gave");
    if (!read_instant(from, "base", ".base", &out->base, fault) ||
        !read_instant(from, "edited", ".edited", &out->edited, fault) ||
        !read_instant(from, "deleted", ".deleted", &out->deleted, fault) ||
        !read_instant(from, "superseded", ".superseded", &superseded, fault) ||
        !read_marks(a, json_object_get(from, "marks"), out, fault))
        return false;
    out->superseded = superseded != MERGE_NEVER;
    if ((out->base == MERGE_NEVER) != (out->edited == MERGE_NEVER))
        return fail(fault, "", "needs both `base` and `edited`, or neither");
    if (out->base != MERGE_NEVER || out->deleted != MERGE_NEVER || out->superseded) return true;
    return fail(fault, "", "must be the object that a pull gave: `base` and `edited`, `deleted` or `superseded`");
}
