#include "engine/readings.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

const char *const reading_members[] = {"bookId", "status", "startedAt", "finishedAt", NULL};

/* The UTC day of an instant or of a date. */
static int64_t day_of(const json_t *value)
{
    enum { DATE = 10 }; /* "2024-01-15" */
    int64_t ms;
    if (!value || json_is_null(value)) return READINGS_NO_DAY;
    if (!json_instant(value, &ms)) {
        char text[DATE + sizeof "T00:00:00Z"] = "";
        if (!json_is_string(value) || json_string_length(value) != DATE) return READINGS_NO_DAY;
        memcpy(text, json_string_value(value), DATE);
        strcpy(text + DATE, "T00:00:00Z");
        if (!clock_parse(text, &ms)) return READINGS_NO_DAY;
    }
    return ms / CLOCK_DAY - (ms % CLOCK_DAY < 0);
}

static int64_t find_word(const entity *e, bool *fresh)
{
    int64_t word = MERGE_NEVER;
    *fresh = false;
    for (const char *const *name = reading_members; *name; name++) {
        bool is_fresh;
        int64_t at = merge_written(e->state, *name, &is_fresh);
        if (at == MERGE_NEVER || at < word) continue;
        *fresh = is_fresh && (at > word || *fresh);
        word = at;
    }
    return word;
}

int64_t reading_word(const entity *e)
{
    bool fresh;
    return find_word(e, &fresh);
}

static bool is_finished(const reading *r)
{
    return r->finish != READINGS_NO_DAY;
}

static int compare(const void *x, const void *y)
{
    const reading *a = x, *b = y;
    if (a->word != b->word) return a->word > b->word ? -1 : 1;
    if (a->fresh != b->fresh) return a->fresh ? 1 : -1;
    if (a->fresh && a->e->touched != b->e->touched) return a->e->touched > b->e->touched ? -1 : 1;
    bool a_holds = a->e->superseded_at == MERGE_NEVER, b_holds = b->e->superseded_at == MERGE_NEVER;
    if (a_holds != b_holds) return a_holds ? -1 : 1;
    if (is_finished(a) != is_finished(b)) return is_finished(b) ? -1 : 1;
    return strcmp(a->e->id, b->e->id);
}

/* The standing logs by a day: a hash table without deletion, at most half full. */
typedef struct day_table {
    reading **slots;
    size_t mask;
    bool finish; /* by the finish day, else by the start day */
} day_table;

static day_table table_new(arena *a, size_t count, bool finish)
{
    size_t size = 4;
    while (size < 2 * count) size *= 2;
    return (day_table){arena_alloc(a, size * sizeof(reading *)), size - 1, finish};
}

static int64_t table_day(const day_table *t, const reading *r)
{
    return t->finish ? r->finish : r->start;
}

/* The slot of the day of `r`: empty if no standing log has that day. */
static reading **table_slot(const day_table *t, const reading *r)
{
    int64_t day = table_day(t, r);
    size_t i = (size_t)((uint64_t)day * UINT64_C(0x9E3779B97F4A7C15) >> 32) & t->mask;
    while (t->slots[i] && table_day(t, t->slots[i]) != day) i = (i + 1) & t->mask;
    return &t->slots[i];
}

/* The logs that stand so far. */
typedef struct standing {
    day_table starts, finishes;
    reading *unfinished; /* at most one can stand */
    reading **last;      /* finished logs that no later entry outlasts: their finish days fall from entry to entry */
    size_t count;
} standing;

/* The last entry of st->last that is finished on or after `day`, or NULL. */
static reading *find_finish(const standing *st, int64_t day)
{
    size_t low = 0, high = st->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (st->last[middle]->finish >= day)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? st->last[low - 1] : NULL;
}

static reading *older(reading *x, reading *y)
{
    return !x || y > x ? y : x; /* both are in one list, from the latest word to the oldest */
}

static reading *find_displacer(const standing *st, const reading *r)
{
    reading *by = NULL;
    if (r->start != READINGS_NO_DAY) by = *table_slot(&st->starts, r);
    if (is_finished(r)) return older(by, *table_slot(&st->finishes, r));
    by = older(by, st->unfinished);
    return older(by, find_finish(st, r->start)); /* READINGS_NO_DAY is before any day */
}

static void stand(standing *st, reading *r)
{
    if (r->start != READINGS_NO_DAY) *table_slot(&st->starts, r) = r;
    if (!is_finished(r)) {
        st->unfinished = r;
        return;
    }
    *table_slot(&st->finishes, r) = r;
    while (st->count > 0 && st->last[st->count - 1]->finish <= r->finish) st->count--;
    st->last[st->count++] = r;
}

reading *readings_settle(const entity_group *g, int64_t stamp, arena *scratch, size_t *count)
{
    reading *list = arena_alloc(scratch, (g->count + 1) * sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < g->count; i++) {
        entity *e = g->list[i];
        if (!entity_is_candidate(e)) continue;
        reading *r = &list[n++];
        *r = (reading){.e = e};
        r->word = find_word(e, &r->fresh);
        if (e->known && e->updated_at == stamp) r->fresh = true;
        r->start = day_of(merge_get(e->state, "startedAt"));
        r->finish = day_of(merge_get(e->state, "finishedAt"));
    }
    qsort(list, n, sizeof *list, compare);
    standing st = {.starts = table_new(scratch, n, false),
                   .finishes = table_new(scratch, n, true),
                   .last = arena_alloc(scratch, (n + 1) * sizeof *st.last)};
    for (size_t i = 0; i < n; i++) {
        list[i].by = find_displacer(&st, &list[i]);
        if (!list[i].by) stand(&st, &list[i]);
    }
    *count = n;
    return list;
}
