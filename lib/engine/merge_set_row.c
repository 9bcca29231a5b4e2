/* A set as the database stores it: the visible list as JSON text, and the times of its elements in the marks. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_scan.h"
#include "engine/merge_set.h"
#include "engine/merge_set_state.h"

/* A walk over JSON text, without parsing it: a list or its times can be large. */
typedef struct walk {
    const char *text;
    size_t len, at;
} walk;

/* Enters an array; false when there is none, or it is empty. */
static bool enter(walk *w)
{
    w->at = json_skip_space(w->text, w->len, w->at);
    if (w->at >= w->len || w->text[w->at] != '[') return false;
    w->at = json_skip_space(w->text, w->len, w->at + 1);
    return w->at < w->len && w->text[w->at] != ']';
}

/* The element at hand. */
static json_slice element(walk *w)
{
    size_t start = w->at;
    w->at = json_skip_value(w->text, w->len, start);
    return (json_slice){NULL, w->text + start, w->at - start};
}

/* Goes to the next element; false at the end of the array, which is left. */
static bool next(walk *w)
{
    w->at = json_skip_space(w->text, w->len, w->at);
    bool more = w->at < w->len && w->text[w->at] == ',';
    if (w->at < w->len) w->at = json_skip_space(w->text, w->len, w->at + 1);
    return more && w->at < w->len;
}

static size_t count_elements(walk w)
{
    size_t count = 0;
    if (!enter(&w)) return 0;
    do {
        element(&w);
        count++;
    } while (next(&w));
    return count;
}

static bool read_time(walk *w, int64_t *at)
{
    json_slice time = element(w);
    bool is_number = time.len > 0 && (*time.text == '-' || (*time.text >= '0' && *time.text <= '9'));
    if (is_number) *at = strtoll(time.text, NULL, 10);
    return is_number;
}

static void load_edit(merge_set *s, json_slice value, int64_t at, bool added)
{
    uint32_t place = set_item_of_text(s, value.text, value.len);
    set_item *item = &s->items[place];
    set_edit(s, item, (mark){at, false}, added);
    item->text = value.text;
    item->len = (uint32_t)value.len;
    s->latest = mark_later(s->latest, set_mark(item));
}

/* The number of elements that the groups of "add" count. */
static size_t count_added(walk w)
{
    size_t count = 0;
    int64_t at, n;
    if (!enter(&w)) return 0;
    do {
        if (!enter(&w)) continue;
        if (read_time(&w, &at) && next(&w) && read_time(&w, &n) && n > 0 && n <= UINT32_MAX) count += (size_t)n;
        while (next(&w)) element(&w);
    } while (next(&w));
    return count;
}

/* The groups of "add", whose elements are the last ones of `list`. */
static void load_added(merge_set *s, walk groups, walk *list)
{
    int64_t at, n;
    if (!enter(&groups)) return;
    do {
        if (!enter(&groups)) continue;
        if (read_time(&groups, &at) && next(&groups) && read_time(&groups, &n) && n <= UINT32_MAX)
            for (; n > 0; n--, next(list)) load_edit(s, element(list), at, true);
        while (next(&groups)) element(&groups);
    } while (next(&groups));
}

static void load_removed(merge_set *s, walk groups)
{
    int64_t at;
    if (!enter(&groups)) return;
    do {
        if (!enter(&groups)) continue;
        bool timed = read_time(&groups, &at);
        while (next(&groups)) {
            json_slice value = element(&groups);
            if (timed && value.len > 0) load_edit(s, value, at, false);
        }
    } while (next(&groups));
}

/* The value of a member of the times. */
static walk find(const json_slice *members, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(members[i].key, name) == 0) return (walk){members[i].text, members[i].len, 0};
    return (walk){"", 0, 0};
}

merge_set *set_load(arena *a, const char *list, size_t len, const char *times, size_t times_len)
{
    merge_set *s = set_new(a, NULL);
    json_slice *members = NULL;
    json_fault fault;
    size_t parts = 0;
    int64_t at;
    if (times_len == 0 || !json_split(a, '{', times, times_len, SIZE_MAX, &members, &parts, &fault)) parts = 0;
    walk w = {list, len, 0}, add = find(members, parts, "add"), latest = find(members, parts, "at");
    size_t count = count_elements(w), added = count_added(add);
    size_t kept = added > count ? count : count - added;
    set_reserve(s, count);
    if (enter(&w))
        for (size_t i = 0; i < kept; i++, next(&w)) {
            json_slice value = element(&w);
            set_append(s, set_item_of_text(s, value.text, value.len), value.text, value.len);
        }
    s->null = *find(members, parts, "null").text == 't' || (len == 4 && memcmp(list, "null", 4) == 0);
    if (added <= count) load_added(s, add, &w);
    load_removed(s, find(members, parts, "remove"));
    if (read_time(&latest, &at)) s->latest = mark_later(s->latest, (mark){at, false});
    return s;
}

/* The time of the first group of `name`, or INT64_MAX. An element may contain the same text, but only behind it. */
static int64_t first_time(const char *times, size_t len, const char *name)
{
    const char *found = memmem(times, len, name, strlen(name));
    return found ? strtoll(found + strlen(name), NULL, 10) : INT64_MAX;
}

bool set_is_older(const char *times, size_t len, int64_t before)
{
    return first_time(times, len, "\"add\":[[") < before || first_time(times, len, "\"remove\":[[") < before ||
           first_time(times, len, "\"at\":") < before;
}

/* Writing */

static void write_item(strbuf *out, const char *text, size_t len)
{
    if (out->data[out->len - 1] != '[') strbuf_putc(out, ',');
    strbuf_add(out, text, len);
}

void set_write(merge_set *s, strbuf *out)
{
    size_t added;
    if (s->null && s->added == 0) {
        strbuf_puts(out, "null");
        return;
    }
    strbuf_putc(out, '[');
    for (size_t i = 0; i < s->listed; i++) {
        const set_entry *entry = &s->list[i];
        if (s->items[entry->item].number < entry->number) write_item(out, entry->text, entry->len);
    }
    const set_place *places = set_order(s, set_scratch(s), true, INT64_MAX, &added);
    for (size_t i = 0; i < added; i++) write_item(out, s->items[places[i].item].text, s->items[places[i].item].len);
    strbuf_putc(out, ']');
    set_scratch_end(s);
}

static void begin_group(strbuf *out, int64_t at)
{
    strbuf_puts(out, out->data[out->len - 1] == '[' ? "[" : ",[");
    strbuf_int(out, at);
}

static void write_added(const set_place *places, size_t count, strbuf *out)
{
    json_write_name(out, "add");
    strbuf_putc(out, '[');
    for (size_t i = 0, run = 0; i < count; i++) {
        run++;
        if (i + 1 < count && places[i + 1].at == places[i].at) continue;
        begin_group(out, places[i].at);
        strbuf_putc(out, ',');
        strbuf_int(out, (long long)run);
        strbuf_putc(out, ']');
        run = 0;
    }
    strbuf_putc(out, ']');
}

static void write_removed(const merge_set *s, const set_place *places, size_t count, strbuf *out)
{
    json_write_name(out, "remove");
    strbuf_putc(out, '[');
    for (size_t i = 0; i < count; i++) {
        const set_item *item = &s->items[places[i].item];
        if (i == 0 || places[i - 1].at != places[i].at) {
            if (i > 0) strbuf_putc(out, ']');
            begin_group(out, places[i].at);
        }
        strbuf_putc(out, ',');
        strbuf_add(out, item->text, item->len);
    }
    strbuf_puts(out, "]]");
}

void set_write_times(merge_set *s, int64_t whole, strbuf *out)
{
    size_t added, removed;
    const set_place *adds = set_order(s, set_scratch(s), true, INT64_MAX, &added),
                    *removals = set_order(s, set_scratch(s), false, INT64_MAX, &removed);
    int64_t newest = MARK_NEVER;
    if (added > 0) newest = adds[added - 1].at;
    if (removed > 0 && removals[removed - 1].at > newest) newest = removals[removed - 1].at;
    strbuf_putc(out, '{');
    if (whole != MARK_NEVER) json_write_int(out, "", whole);
    if (s->latest.at > newest) json_write_int(out, "at", s->latest.at);
    if (s->null) json_write_bool(out, "null", true);
    if (added > 0) write_added(adds, added, out);
    if (removed > 0) write_removed(s, removals, removed, out);
    strbuf_putc(out, '}');
    set_scratch_end(s);
}
