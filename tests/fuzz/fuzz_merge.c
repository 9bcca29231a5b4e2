/*
 * merge.h: the promise of convergence. The bytes spell up to eight edits of one entity with timestamps that differ;
 * they are applied in the order they are spelled and in an order, with repeats and with trips through the database's
 * form, that the bytes spell too. Both states must be the same.
 */
#include "fuzz.h"
#include "merge.h"

enum { EDITS = 8, STEPS = 24, DEPTH = 5 };

typedef struct spelling {
    const uint8_t *at, *end;
} spelling;

static unsigned next(spelling *s)
{
    return s->at < s->end ? *s->at++ : 0;
}

static json_t *spell_object(spelling *s, int depth);

static json_t *spell_value(spelling *s, int depth)
{
    unsigned pick = next(s);
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
        return depth < DEPTH ? spell_object(s, depth + 1) : json_true();
    default:
        return json_integer(pick >> 4);
    }
}

static json_t *spell_object(spelling *s, int depth)
{
    static const char *const names[] = {"a", "b", "c", "~", "/", "", "~1", "a/b"};
    unsigned head = next(s);
    json_t *object = json_object();
    for (unsigned count = head % 4; count > 0; count--) {
        const char *name = names[next(s) % 8];
        json_object_set_new(object, name, spell_value(s, depth));
    }
    if (depth == 1 && head == 255) { /* wide enough for the index over children */
        char wide[8];
        for (int i = 0; i < 20; i++) {
            snprintf(wide, sizeof wide, "w%d", i);
            json_object_set_new(object, wide, json_integer(i));
        }
    }
    return object;
}

static size_t spell_edits(arena *a, spelling *s, merge_edit edits[EDITS])
{
    size_t count = 1 + next(s) % EDITS;
    for (size_t i = 0; i < count; i++) {
        unsigned type = next(s) % 8;
        edits[i] = (merge_edit){type == 7 ? MERGE_DELETE : type == 6 ? MERGE_REPLACE : MERGE_PATCH, NULL, 0};
        edits[i].at = (int64_t)(next(s) * EDITS + i) - 512; /* the index makes it unique */
        if (edits[i].type == MERGE_DELETE) continue;
        json_t *data = spell_object(s, 1);
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

/* As the database would give it back. */
static merge_state *stored(arena *a, const merge_state *s)
{
    strbuf marks = STRBUF(a);
    merge_row row = {.base = merge_write_marks(s, &marks), .edited = merge_edited(s), .deleted = merge_deleted(s)};
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
    spelling s = {data, data + size};
    arena *a = arena_new();
    merge_edit edits[EDITS];
    size_t count = spell_edits(a, &s, edits);
    bool done[EDITS] = {false};
    merge_state *x = merge_new(a), *y = merge_new(a);
    for (size_t i = 0; i < count; i++) {
        merge_effect said = merge_apply(x, &edits[i], true), did = merge_apply(x, &edits[i], false);
        REQUIRE(said.late == did.late && said.differing == did.differing);
        if (edits[i].type != MERGE_REPLACE) REQUIRE(said.applied == did.applied && said.changed == did.changed);
    }
    for (int i = 0; i < STEPS && s.at < s.end; i++) {
        unsigned pick = next(&s);
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
