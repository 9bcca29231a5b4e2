/* Joins two states of a set: what merge_join.c does to other members. */
#include "base/json.h"
#include "engine/merge_set.h"
#include "engine/merge_set_state.h"

/* Takes the list of the whole write of `from` over, without the elements that an edit of `s` names. Those that an edit
 * of `from` names are not in it. */
static void take_list(merge_set *s, const merge_set *from, int64_t at)
{
    set_put(s, from->null ? json_null() : NULL, at);
    for (size_t i = 0; i < from->listed; i++) {
        const set_entry *entry = &from->list[i];
        if (from->items[entry->item].number > entry->number) continue;
        uint32_t item = set_item_of_text(s, entry->text, entry->len);
        if (s->items[item].at == MARK_NEVER) set_append(s, item, entry->text, entry->len);
    }
}

/* Takes over the edits that added elements, or those that removed some. Returns whether there are any. */
static bool take_edits(merge_set *s, const merge_set *from, bool added, const set_joining *how)
{
    size_t count;
    bool changed = false;
    const set_place *places = set_order(from, s->a, added, INT64_MAX, &count);
    for (size_t i = 0; i < count; i++) {
        const set_item *edited = &from->items[places[i].item];
        int64_t at = mark_lowered(edited->at, how->latest, how->now);
        if (!mark_yields_to(how->after, at)) continue;
        uint32_t place = set_item_of_text(s, edited->text, edited->len);
        set_item *item = &s->items[place];
        if (item->at != MARK_NEVER && !mark_yields_to(set_mark(item), at)) continue;
        set_edit(s, item, (mark){at, true}, added);
        item->text = edited->text;
        item->len = edited->len;
        changed = true;
    }
    return changed;
}

bool set_join(merge_set *s, const merge_set *from, const set_joining *how)
{
    int64_t latest = mark_lowered(from->latest.at, how->latest, how->now);
    if (how->whole) take_list(s, from, how->after.at);
    bool added = take_edits(s, from, true, how), removed = take_edits(s, from, false, how);
    bool later = latest > s->latest.at && mark_yields_to(how->after, latest);
    if (later) s->latest = (mark){latest, true};
    return how->whole || added || removed || later;
}
