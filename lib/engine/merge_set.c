#include "engine/merge_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "engine/merge_set_state.h"

bool set_is_change(const json_t *value)
{
    const json_t *add = json_object_get(value, "$add"), *remove = json_object_get(value, "$remove");
    size_t lists = (size_t)json_is_array(add) + (size_t)json_is_array(remove);
    return lists > 0 && json_object_size(value) == lists;
}

merge_set *set_new(arena *a, const json_t *value)
{
    merge_set *s = arena_alloc(a, sizeof *s);
    *s = (merge_set){.a = a, .latest = mark_never, .oldest = INT64_MAX, .key = STRBUF(a)};
    set_put(s, value, MARK_NEVER);
    return s;
}

merge_set *set_copy(arena *a, const merge_set *s)
{
    merge_set *copy = arena_alloc(a, sizeof *copy);
    *copy = *s;
    copy->a = a;
    copy->key = STRBUF(a);
    copy->scratch = a;
    if (s->slot_count > 0) {
        copy->slots = arena_alloc(a, s->slot_count * sizeof *s->slots);
        memcpy(copy->slots, s->slots, s->slot_count * sizeof *s->slots);
    }
    copy->capacity = s->count;
    copy->list_capacity = s->listed;
    if (s->count > 0) {
        copy->items = arena_alloc(a, s->count * sizeof *s->items);
        memcpy(copy->items, s->items, s->count * sizeof *s->items);
    }
    if (s->listed > 0) {
        copy->list = arena_alloc(a, s->listed * sizeof *s->list);
        memcpy(copy->list, s->list, s->listed * sizeof *s->list);
    }
    return copy;
}

arena *set_scratch(merge_set *s)
{
    enum { SMALL = 1000 }; /* items for which an arena of their own does not pay */
    if (!s->scratch && s->count > SMALL) s->scratch = arena_child(s->a);
    return s->scratch ? s->scratch : s->a;
}

void set_scratch_end(merge_set *s)
{
    if (s->scratch && s->scratch != s->a) arena_reset(s->scratch);
}

static void resize_slots(merge_set *s, size_t count)
{
    s->slot_count = 16;
    while (s->slot_count < 2 * count) s->slot_count *= 2;
    s->slots = arena_alloc(s->a, s->slot_count * sizeof *s->slots);
    for (size_t i = 0; i < s->count; i++) {
        size_t slot = s->items[i].hash & (s->slot_count - 1);
        while (s->slots[slot]) slot = (slot + 1) & (s->slot_count - 1);
        s->slots[slot] = (uint32_t)i + 1;
    }
}

void set_reserve(merge_set *s, size_t count)
{
    if (count == 0) return;
    s->capacity = s->count + count;
    s->items = arena_grow(s->a, s->items, s->count * sizeof *s->items, s->capacity * sizeof *s->items);
    resize_slots(s, s->capacity);
}

/* The place of the item with that key. `lasting`: the key lives as long as the set. */
static uint32_t find_item(merge_set *s, const char *key, size_t len, bool lasting)
{
    uint32_t hash = (uint32_t)hash_bytes(key, len);
    if (s->slot_count < 2 * (s->count + 1)) resize_slots(s, 2 * (s->count + 1));
    size_t slot = hash & (s->slot_count - 1);
    for (; s->slots[slot]; slot = (slot + 1) & (s->slot_count - 1)) {
        const set_item *item = &s->items[s->slots[slot] - 1];
        if (item->hash == hash && item->key_len == len && memcmp(item->key, key, len) == 0) return s->slots[slot] - 1;
    }
    s->items = arena_grow_list(s->a, s->items, s->count, &s->capacity, sizeof *s->items);
    if (!lasting) key = arena_strndup(s->a, key, len);
    s->items[s->count++] = (set_item){.key = key, .key_len = (uint32_t)len, .hash = hash, .at = MARK_NEVER};
    s->slots[slot] = (uint32_t)s->count;
    return (uint32_t)s->count - 1;
}

uint32_t set_item_of(merge_set *s, const json_t *value)
{
    s->key.len = 0;
    json_write_key(&s->key, value);
    return find_item(s, s->key.data, s->key.len, false);
}

/* Whether a text is its own key, so that it need not be parsed: a string without escapes, or a short whole number. */
static bool is_key(const char *text, size_t len)
{
    if (*text == '"') return !memchr(text, '\\', len);
    size_t digits = 0;
    while (digits < len && text[digits] >= '0' && text[digits] <= '9') digits++;
    return digits == len && len < 18;
}

uint32_t set_item_of_text(merge_set *s, const char *text, size_t len)
{
    if (is_key(text, len)) return find_item(s, text, len, true);
    const json_t *value = json_parse(set_scratch(s), text, len, NULL);
    uint32_t item = set_item_of(s, value ? value : json_null());
    set_scratch_end(s);
    return item;
}

void set_append(merge_set *s, uint32_t item, const char *text, size_t len)
{
    s->list = arena_grow_list(s->a, s->list, s->listed, &s->list_capacity, sizeof *s->list);
    s->list[s->listed++] = (set_entry){text, (uint32_t)len, item, ++s->numbers};
    s->items[item].copies++;
    s->alive++;
}

void set_edit(merge_set *s, set_item *item, mark at, bool added)
{
    s->alive -= item->copies;
    s->added -= item->added;
    s->edits += item->at == MARK_NEVER;
    s->added += added;
    item->copies = 0;
    item->at = at.at;
    item->fresh = at.fresh;
    item->added = added;
    if (at.at < s->oldest) s->oldest = at.at;
    item->number = ++s->numbers;
}

/* As if the item had never been edited; the entries that its edit removed stay gone. */
static void drop_edit(merge_set *s, set_item *item)
{
    s->edits--;
    s->added -= item->added;
    item->at = MARK_NEVER;
    item->added = false;
}

static bool is_edited(const set_item *item)
{
    return item->at != MARK_NEVER;
}

static bool is_present(const set_item *item)
{
    return is_edited(item) ? item->added : item->copies > 0;
}

static int compare_places(const void *x, const void *y)
{
    const set_place *a = x, *b = y;
    if (a->at != b->at) return a->at > b->at ? 1 : -1;
    return (a->number > b->number) - (a->number < b->number);
}

set_place *set_order(const merge_set *s, arena *a, bool added, int64_t before, size_t *count)
{
    size_t wanted = added ? s->added : s->edits - s->added, seen = 0, capacity = 0;
    set_place *places = NULL;
    bool sorted = true;
    *count = 0;
    if (before == INT64_MAX && wanted > 0) places = arena_alloc(a, (capacity = wanted) * sizeof *places);
    for (size_t i = 0; i < s->count && seen < wanted; i++) {
        const set_item *item = &s->items[i];
        if (!is_edited(item) || item->added != added) continue;
        seen++;
        if (item->at >= before) continue;
        places = arena_grow_list(a, places, *count, &capacity, sizeof *places);
        places[*count] = (set_place){item->at, item->number, (uint32_t)i};
        if (*count > 0 && compare_places(&places[*count - 1], &places[*count]) > 0) sorted = false;
        ++*count;
    }
    if (!sorted) qsort(places, *count, sizeof *places, compare_places);
    return places;
}

bool set_has_times(const merge_set *s)
{
    return s->edits > 0 || s->latest.at != MARK_NEVER;
}

int64_t set_latest(const merge_set *s)
{
    return s->latest.at;
}

bool set_is(merge_set *s, const json_t *value)
{
    if (s->null && s->added == 0) return json_is_null(value);
    if (!json_is_array(value) || json_array_size(value) != s->alive + s->added) return false;
    size_t n = 0, added;
    for (size_t i = 0; i < s->listed; i++) {
        const set_entry *entry = &s->list[i];
        if (s->items[entry->item].number > entry->number) continue;
        if (set_item_of(s, json_array_get(value, n++)) != entry->item) return false;
    }
    const set_place *places = set_order(s, s->a, true, INT64_MAX, &added);
    for (size_t i = 0; i < added; i++)
        if (set_item_of(s, json_array_get(value, n++)) != places[i].item) return false;
    return true;
}

/* Changes */

typedef struct change {
    merge_set *set;
    int64_t at;
    bool late, dry_run;
    size_t added; /* how many elements are added now, as set->added */
    merge_effect *effect;
} change;

static void write_text(merge_set *s, set_item *item, const json_t *value)
{
    strbuf text = STRBUF(s->a);
    json_write(&text, value);
    item->text = text.data;
    item->len = (uint32_t)text.len;
}

static void change_element(change *c, const json_t *value, bool add)
{
    merge_set *s = c->set;
    uint32_t place = set_item_of(s, value);
    set_item *item = &s->items[place];
    if (item->named == s->operations) return; /* a copy */
    item->named = s->operations;
    bool opposite = is_present(item) != add;
    if (opposite) c->effect->differing++;
    if (opposite && is_edited(item)) c->effect->overwritten++;
    if (c->late || (is_edited(item) && !mark_yields_to(set_mark(item), c->at))) {
        c->effect->lost += opposite;
        c->effect->unlike |= add;
        return;
    }
    c->effect->applied++;
    c->effect->changed = true;
    c->added += add;
    c->added -= item->added;
    if (c->dry_run) return;
    set_edit(s, item, (mark){c->at, true}, add);
    write_text(s, item, value);
}

static void change_elements(change *c, const json_t *list, bool add)
{
    size_t i;
    json_t *value;
    json_array_foreach(list, i, value) change_element(c, value, add);
}

/* Whether an element that was added later than `at` stands behind those that are added at `at`. */
static bool has_later(const merge_set *s, int64_t at)
{
    if (s->latest.at <= at || s->added == 0) return false;
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].added && s->items[i].at > at) return true;
    return false;
}

void set_change(merge_set *s, const json_t *value, int64_t at, bool late, bool dry_run, merge_effect *effect)
{
    bool was_list = s->added > 0;
    change c = {s, at, late, dry_run, s->added, effect};
    const json_t *add = json_object_get(value, "$add"), *remove = json_object_get(value, "$remove");
    s->operations++;
    if (json_array_size(add) > 0 && has_later(s, at)) effect->unlike = true;
    change_elements(&c, add, true);
    change_elements(&c, remove, false);
    if (late) return;
    if (s->null && was_list && c.added == 0) effect->unlike = true;             /* null again, and not an empty list */
    if (json_array_size(add) + json_array_size(remove) == 0) effect->applied++; /* an edit without an element */
    if (at > s->latest.at) effect->changed = true;
    if (!dry_run && at >= s->latest.at) s->latest = (mark){at, at > s->latest.at || s->latest.fresh};
}

/* Whole writes */

void set_meet(merge_set *s, const json_t *value, int64_t at, merge_effect *effect)
{
    size_t i, staying = 0, agreed = 0, removed = 0;
    json_t *element;
    s->operations++;
    json_array_foreach(value, i, element)
    {
        uint32_t place = set_item_of(s, element); /* may move the items */
        set_item *item = &s->items[place];
        if (item->named == s->operations || !is_edited(item) || mark_yields_to(set_mark(item), at)) continue;
        item->named = s->operations;
        agreed += item->added;
        removed += !item->added;
    }
    for (i = 0; s->added > 0 && i < s->count; i++) {
        const set_item *item = &s->items[i];
        staying += item->added && !mark_yields_to(set_mark(item), at);
    }
    effect->applied++;
    effect->changed = true;
    bool is_list = json_is_array(value) || json_is_null(value) || mark_yields_to(s->latest, at);
    effect->lost += staying > agreed || removed > 0 || !is_list;
    effect->unlike |= staying > 0 || removed > 0 || !is_list;
}

void set_put(merge_set *s, const json_t *value, int64_t at)
{
    size_t i;
    json_t *element;
    for (i = 0; i < s->count; i++) {
        set_item *item = &s->items[i];
        item->copies = 0;
        if (is_edited(item) && mark_yields_to(set_mark(item), at)) drop_edit(s, item);
    }
    if (mark_yields_to(s->latest, at)) s->latest = mark_never;
    s->listed = s->alive = 0;
    s->null = json_is_null(value);
    json_array_foreach(value, i, element)
    {
        uint32_t item = set_item_of(s, element);
        if (is_edited(&s->items[item])) continue;
        strbuf text = STRBUF(s->a);
        json_write(&text, element);
        set_append(s, item, text.data, text.len);
    }
}

void set_forget(merge_set *s, int64_t before)
{
    size_t count;
    if (s->latest.at < before) s->latest = mark_never;
    if (s->oldest >= before) return;
    s->oldest = INT64_MAX;
    const set_place *places = set_order(s, s->a, true, before, &count);
    for (size_t i = 0; i < count; i++) {
        set_item *item = &s->items[places[i].item];
        drop_edit(s, item);
        set_append(s, places[i].item, item->text, item->len);
        s->null = false;
    }
    for (size_t i = 0; s->edits > 0 && i < s->count; i++) {
        set_item *item = &s->items[i];
        if (!is_edited(item)) continue;
        if (item->at < before)
            drop_edit(s, item);
        else if (item->at < s->oldest)
            s->oldest = item->at;
    }
}
