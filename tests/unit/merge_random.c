#include "merge_random.h"

#include "base/json.h"
#include "merge_oracle.h"

enum { DEPTH = 4 };

static uint64_t random_state;

void random_seed(uint64_t seed)
{
    random_state = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1;
}

uint64_t rnd(void)
{
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return random_state;
}

bool chance(unsigned percent)
{
    return rnd() % 100 < percent;
}

json_t *keep(arena *owner, json_t *value)
{
    arena_defer(owner, json_release, value);
    return value;
}

static json_t *random_object(int depth);

static json_t *random_value(int depth)
{
    unsigned pick = rnd() % 12;
    if (pick < 4) return json_integer((json_int_t)(rnd() % 3));
    if (pick == 4) return json_null();
    if (pick == 5) return json_pack("[i]", (int)(rnd() % 2));
    if (pick == 6) return json_string("text");
    if (pick == 7) return json_object();
    return depth < DEPTH ? random_object(depth + 1) : json_true();
}

static json_t *random_object(int depth)
{
    static const char *const names[] = {
        "a", "a", "a", "b", "c", "~", "/", "", "a name so long that its marks have an object of their own"};
    json_t *object = json_object();
    for (unsigned count = 1 + rnd() % 3; count > 0; count--)
        json_object_set_new(object, names[rnd() % (sizeof names / sizeof *names)], random_value(depth));
    return object;
}

static json_t *random_element(void)
{
    static const char *const elements[] = {
        "\"a\"", "\"a\"",        "\"b\"", "\"c\"", "1", "1.0", "{\"x\":1,\"y\":[2]}", "{\"y\":[2.0],\"x\":1}",
        "null",  "\"\\\"\\\\\"", "-0.0",  "[]"};
    return json_loads(elements[rnd() % (sizeof elements / sizeof *elements)], JSON_DECODE_ANY, NULL);
}

static json_t *random_list(unsigned most)
{
    json_t *list = json_array();
    for (unsigned count = rnd() % (most + 1); count > 0; count--) json_array_append_new(list, random_element());
    return list;
}

static bool has_common(const json_t *x, const json_t *y)
{
    size_t i, j;
    json_t *a, *b;
    json_array_foreach(x, i, a) json_array_foreach(y, j, b) if (json_same(a, b)) return true;
    return false;
}

/* A value for a set; in a replacement of the entity never a change. */
static json_t *random_set(bool replaces)
{
    if (chance(4)) return random_value(1); /* from before it was a set */
    if (chance(7)) return json_null();
    if (replaces || chance(30)) return random_list(4);
    for (;;) {
        json_t *change = json_object();
        unsigned which = 1 + rnd() % 3;
        if (which & 1) json_object_set_new(change, "$add", random_list(3));
        if (which & 2) json_object_set_new(change, "$remove", random_list(2));
        if (!has_common(json_object_get(change, "$add"), json_object_get(change, "$remove"))) return change;
        json_decref(change);
    }
}

merge_edit random_edit(arena *owner, int64_t at)
{
    unsigned pick = rnd() % 100;
    merge_edit edit = {pick < 75 ? MERGE_PATCH : pick < 88 ? MERGE_DELETE : MERGE_REPLACE, NULL, at};
    if (edit.type == MERGE_DELETE) return edit;
    json_t *data = chance(4) ? json_object() : random_object(1);
    if (chance(30)) json_object_clear(data);
    for (const char *const *name = oracle_sets; *name; name++)
        if (chance(45)) json_object_set_new(data, *name, random_set(edit.type == MERGE_REPLACE));
    edit.data = keep(owner, data);
    return edit;
}
