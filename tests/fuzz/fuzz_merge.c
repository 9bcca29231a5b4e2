/*
 * merge.h: convergence. The bytes encode up to eight edits of one entity with distinct timestamps, and a second order
 * for them, with repetitions and with stores between them. The edits in their own order and in the second order must
 * lead to the same state. The members "s" and "a" are sets.
 */
#include "engine/merge.h"
#include "fuzz.h"

enum { EDITS = 8, STEPS = 24, DEPTH = 5 };

typedef struct input {
    const uint8_t *at, *end;
} input;

static unsigned next(input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static const char *const sets[] = {"a", "s", NULL};

static json_t *decode_object(input *in, int depth);

static json_t *decode_list(input *in)
{
    static const char *const elements[] = {"x", "y", "z", "\"\\"};
    json_t *list = json_array();
    unsigned head = next(in);
    for (unsigned count = head % 5; count > 0; count--) {
        unsigned pick = next(in);
        json_array_append_new(list, pick & 4   ? json_integer(pick % 4)
                                    : pick & 8 ? json_real(pick % 4)
                                    : pick & 16
                                        ? json_pack("{s:i,s:[i]}", pick & 32 ? "p" : "q", 1, pick & 32 ? "q" : "p", 1)
                                        : json_string(elements[pick % 4]));
    }
    return list;
}

/* A change of a set; the two lists may have elements in common, which no request can contain. */
static json_t *decode_change(input *in)
{
    json_t *change = json_object();
    unsigned which = next(in);
    json_object_set_new(change, which & 1 ? "$add" : "$remove", decode_list(in));
    if (which & 2) json_object_set_new(change, which & 1 ? "$remove" : "$add", decode_list(in));
    return change;
}

static json_t *decode_set(input *in)
{
    unsigned pick = next(in) % 8;
    return pick < 5 ? decode_change(in) : pick < 7 ? decode_list(in) : json_null();
}

static json_t *decode_value(input *in, int depth)
{
    unsigned pick = next(in);
    switch (pick % 8) {
    case 0:
        return json_null();
    case 1:
        return json_string(pick & 8 ? "text" : "");
    case 2:
        return json_pack("[i]", (int)(pick >> 4));
    case 3:
        return json_object();
    case 4:
        return json_real(pick >> 4);
    case 5:
    case 6:
        return depth < DEPTH ? decode_object(in, depth + 1) : json_true();
    default:
        return json_integer(pick >> 4);
    }
}

static json_t *decode_object(input *in, int depth)
{
    static const char *const names[] = {
        "a", "b", "a name so long that its marks have an object of their own", "~", "/", "", "~1", "a/b"};
    unsigned head = next(in);
    json_t *object = json_object();
    for (unsigned count = head % 4; count > 0; count--) {
        const char *name = names[next(in) % 8];
        json_object_set_new(object, name, decode_value(in, depth));
    }
    if (depth == 1 && head & 64) json_object_set_new(object, sets[head & 1], decode_set(in));
    if (depth == 1 && head == 255) { /* wide enough for the index of the children */
        char wide[8];
        for (int i = 0; i < 20; i++) {
            snprintf(wide, sizeof wide, "w%d", i);
            json_object_set_new(object, wide, json_integer(i));
        }
    }
    return object;
}

static size_t decode_edits(arena *a, input *in, merge_edit edits[EDITS])
{
    size_t count = 1 + next(in) % EDITS;
    for (size_t i = 0; i < count; i++) {
        unsigned type = next(in) % 8;
        edits[i] = (merge_edit){type == 7 ? MERGE_DELETE : type == 6 ? MERGE_REPLACE : MERGE_PATCH, NULL, 0};
        edits[i].at = (int64_t)(next(in) * EDITS + i) - 512; /* the index makes it unique */
        if (edits[i].type == MERGE_DELETE) continue;
        json_t *data = decode_object(in, 1);
        arena_defer(a, json_release, data);
        edits[i].data = data;
    }
    return count;
}

static json_t *parsed(arena *a, const strbuf *text)
{
    json_fault fault;
    json_t *value = json_read(a, text->data, text->len, 100, &fault);
    REQUIRE(value);
    return value;
}

static json_t *visible(arena *a, const merge_state *s)
{
    strbuf out = STRBUF(a);
    merge_write(s, &out);
    return parsed(a, &out);
}

/* The state, stored and loaded. */
static merge_state *stored(arena *a, merge_state *s)
{
    strbuf marks = STRBUF(a);
    merge_row row = {.base = merge_write_marks(s, &marks), .edited = merge_edited(s), .deleted = merge_deleted(s)};
    row.sets = sets;
    strbuf data = STRBUF(a);
    merge_write(s, &data);
    row.data = data.data;
    row.marks = marks.data;
    merge_state *again = merge_load(a, &row);
    REQUIRE(json_same(visible(a, again), visible(a, s)));
    REQUIRE(merge_is(again, visible(a, s)));
    return again;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, data + size};
    arena *a = arena_new();
    merge_edit edits[EDITS];
    size_t count = decode_edits(a, &in, edits);
    bool done[EDITS] = {false};
    merge_state *x = merge_new_with(a, sets), *y = merge_new_with(a, sets);
    for (size_t i = 0; i < count; i++) {
        merge_effect dry = merge_apply(x, &edits[i], true), effect = merge_apply(x, &edits[i], false);
        REQUIRE(dry.late == effect.late && dry.differing == effect.differing);
        if (edits[i].type != MERGE_REPLACE) REQUIRE(dry.applied == effect.applied && dry.changed == effect.changed);
    }
    for (int i = 0; i < STEPS && in.at < in.end; i++) {
        unsigned pick = next(&in);
        merge_apply(y, &edits[pick % count], false);
        done[pick % count] = true;
        if (pick & 0x80) y = stored(a, y);
    }
    for (size_t i = count; i-- > 0;)
        if (!done[i]) merge_apply(y, &edits[i], false);
    REQUIRE(merge_is_deleted(x) == merge_is_deleted(y));
    REQUIRE(merge_edited(x) == merge_edited(y));
    REQUIRE(merge_deleted(x) == merge_deleted(y));
    REQUIRE(json_same(visible(a, x), visible(a, y)));
    REQUIRE(json_same(visible(a, stored(a, x)), visible(a, y)));
    arena_free(a);
    return 0;
}
