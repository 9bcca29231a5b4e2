#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/merge.h"

enum { THINGS_MAX = 32 };

static const struct cast {
    const char *kind;
    const char *ids[6];
} casts[] = {
    {"book", {"import_1", "import_2", "a \\\"b\\\" / ü"}},
    {"rating", {"r1", "r2", "r3", "r4"}},
    {"readingLog", {"l1", "l2", "l3"}},
    {"tag", {"t1", "t2", "t3", "t4"}},
    {"collection", {"import_1", "c2", "c3"}},
    {"userSettings", {"settings", "u-17", "me"}},
};

enum { CASTS = sizeof casts / sizeof *casts };

/* What operations write. Few values, so that they meet; trees that grow, shrink and take each other's place. */
static const struct member {
    const char *kind, *name, *values[12];
} members[] = {
    {"book", "title", {"\"Dune\"", "\"Emma\""}},
    {"book", "publishedYear", {"null", "1965", "1965.0", "9007199254740993"}},
    {"book", "averageRating", {"4.1", "0.30000000000000004", "null"}},
    {"book", "authors", {"[]", "[\"A\"]", "[{\"name\":\"A\"}]", "null"}},
    {"book",
     "externalIds",
     {"{}", "null", "{\"isbn\":{\"ten\":\"X\"}}", "{\"isbn\":{\"13\":\"Y\"}}", "{\"isbn\":[1]}", "{\"isbn\":{}}",
      "{\"oclc\":7}", "{\"isbn\":null,\"oclc\":8}"}},
    {"book",
     "tags",
     {"[]", "[\"a\",\"b\"]", "[\"b\",\"a\",\"b\"]", "{\"$add\":[\"a\"]}", "{\"$add\":[\"c\",\"b\"]}",
      "{\"$remove\":[\"a\"]}", "{\"$add\":[\"c\"],\"$remove\":[\"a\",\"x\"]}", "{\"$add\":[{\"x\":1,\"y\":2}]}",
      "{\"$remove\":[{\"y\":2,\"x\":1},\"c\"]}", "{\"$remove\":[]}"}},
    {"book",
     "own",
     {"1", "\"x\"", "{}", "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":{\"c\":2}}}", "{\"a\":{}}", "{\"a\":5}",
      "{\"a\":{\"d\":[{}]},\"e\":null}", "{\"a/b\":{\"~\":1,\"~1\":{}}}", "{\"\":{\"\":3}}", "{\"a/b\":4,\"\":{}}"}},
    {"rating", "bookId", {"\"b1\"", "\"b2\"", "\"b3\""}},
    {"rating", "stars", {"1", "4.5", "5"}},
    {"rating", "why", {"\"fun\"", "{\"plot\":1}", "{\"plot\":{}}"}},
    {"readingLog", "bookId", {"\"b1\"", "\"b2\""}},
    {"readingLog", "status", {"\"read\"", "\"dnf\"", "\"want_to_read\""}},
    {"readingLog", "startedAt", {"null", "\"2024-01-15T00:30:00+02:00\"", "1704000000000", "\"2023-11-01\""}},
    {"readingLog",
     "finishedAt",
     {"null", "\"2024-01-15T10:30:00+02:00\"", "\"2024-01-15\"", "1700000000000", "\"2024-01-14T23:00:00Z\""}},
    {"readingLog", "notes", {"\"n\"", "{\"page\":90}"}},
    {"tag", "name", {"\"Fantasy\"", "\"Horror\"", "\"fantasy\""}},
    {"tag", "color", {"\"red\"", "null"}},
    {"collection", "name", {"\"Best\"", "\"Worst\""}},
    {"collection",
     "bookIds",
     {"[\"b1\"]", "{\"$add\":[\"b2\",\"b3\"]}", "{\"$add\":[\"b1\"]}", "{\"$remove\":[\"b2\"]}"}},
    {"collection", "isSmart", {"true", "false"}},
    {"collection", "smartRules", {"[]", "{}", "{\"all\":[1]}", "{\"all\":{\"x\":1}}", "null"}},
    {"userSettings", "theme", {"\"dark\"", "\"light\"", "null"}},
    {"userSettings",
     "notificationPreferences",
     {"{\"mail\":true}", "{\"push\":{\"at\":9}}", "{\"push\":null}", "null"}},
};

enum { MEMBERS = sizeof members / sizeof *members };

/* Making histories */

static size_t count_of(const char *const *list, size_t room)
{
    size_t n = 0;
    while (n < room && list[n]) n++;
    return n;
}

static bool is_required(const kind *k, const char *name)
{
    for (const field *f = k->fields; f->name; f++)
        if (strcmp(f->name, name) == 0) return f->required;
    return false;
}

static json_t *data_new(dice *d, const kind *k, bool whole)
{
    json_t *data = json_object();
    for (size_t i = 0; i < MEMBERS; i++) {
        const struct member *m = &members[i];
        bool needed = whole && is_required(k, m->name);
        if (strcmp(m->kind, k->name) != 0 || (!needed && !dice_chance(d, 35))) continue;
        const char *text = m->values[dice_below(d, count_of(m->values, 12))];
        json_object_set_new(data, m->name, json_loads(text, JSON_DECODE_ANY, NULL));
    }
    return data;
}

void history_make(history *h, dice *d, bool crowd)
{
    static const char *const crowd_ids[] = {"01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12",
                                            "13", "14", "15", "16", "17", "18", "19", "20", "21", "22", "23", "24"};
    static const char *const types[] = {"create", "create", "update", "update", "update", "delete"};
    size_t cast = dice_below(d, crowd ? CASTS : CASTS + 1);
    h->count = crowd ? OPS_MAX : 2 + dice_below(d, OPS_MAX - 2);
    int64_t at = clock_now() - 100 * CLOCK_DAY;
    for (size_t i = 0; i < h->count; i++) {
        bool any = cast == CASTS || (!crowd && dice_chance(d, 15));
        const struct cast *c = &casts[any ? dice_below(d, CASTS) : cast];
        const char *id = crowd ? DICE_PICK(d, crowd_ids) : c->ids[dice_below(d, count_of(c->ids, 6))];
        const char *type = DICE_PICK(d, types);
        const kind *k = kind_find(c->kind);
        at += 1 + (int64_t)dice_below(d, dice_chance(d, 50) ? 3 : 4000000);
        h->ops[i] = (op){.number = (int)i,
                         .type = type,
                         .kind = k,
                         .id = id,
                         .data = *type == 'd' ? NULL : data_new(d, k, *type == 'c'),
                         .at = at};
    }
}

void history_free(history *h)
{
    for (size_t i = 0; i < h->count; i++) json_decref(h->ops[i].data);
    json_decref(h->times);
    free(h);
}

json_t *history_operation(const op *o)
{
    return json_pack("{s:o, s:s, s:s, s:s, s:I, s:O*}", "id", json_sprintf("op-%d", o->number), "type", o->type,
                     "entity", o->kind->name, "entityId", o->id, "timestamp", (json_int_t)o->at, "data", o->data);
}

/* What is stored */

/* The times of all leaves and empty objects: `base`, but for those that `marks` names. */
static void spell_times(const json_t *data, const char *path, json_t *base, json_t *times)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)data, key, value)
    {
        char below[1024];
        size_t n = (size_t)snprintf(below, sizeof below, "%s/", path);
        for (const char *c = key; *c; c++)
            n += (size_t)sprintf(below + n, *c == '~' ? "~0" : *c == '/' ? "~1" : "%c", *c);
        if (!json_is_object(value))
            json_object_set(times, below, base);
        else if (json_object_size(value) == 0)
            json_object_set(times, strcat(below, "/~"), base);
        else
            spell_times(value, below, base, times);
    }
}

/* The times that `marks` names, by whole pointers. */
static void spell_marks(const json_t *marks, const char *pointer, json_t *times)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)marks, name, value)
    {
        char whole[1024];
        snprintf(whole, sizeof whole, "%s%s", pointer, name);
        bool set = strcmp(name, "/tags") == 0 || strcmp(name, "/bookIds") == 0; /* with the times of its elements */
        if (json_is_object(value) && !set)
            spell_marks(value, whole, times);
        else
            json_object_set(times, whole, value);
    }
}

json_t *history_times(const json_t *data, json_t *base, const json_t *marks)
{
    json_t *times = json_object();
    spell_times(data, "", base, times);
    spell_marks(marks, "", times);
    return times;
}

/* The model */

typedef struct thing {
    const kind *kind;
    const char *id;
    json_t *data;
    int64_t edited, deleted, word; /* word: of the latest edit that counts for a reading log */
} thing;

typedef struct model {
    thing things[THINGS_MAX];
    size_t count;
} model;

static bool contains(const json_t *list, const json_t *value)
{
    size_t i;
    json_t *other;
    json_array_foreach(list, i, other) if (json_equal(other, value)) return true;
    return false;
}

/* The list after a change: what it names is removed, what it adds is appended. */
static json_t *changed(const json_t *list, const json_t *change)
{
    const json_t *add = json_object_get(change, "$add"), *gone = json_object_get(change, "$remove");
    json_t *result = json_array(), *value;
    size_t i;
    json_array_foreach(list, i, value) if (!contains(add, value) && !contains(gone, value))
        json_array_append(result, value);
    json_array_foreach(add, i, value) json_array_append(result, value);
    return result;
}

void json_patch(json_t *to, json_t *from)
{
    const char *key;
    json_t *value;
    json_object_foreach(from, key, value)
    {
        if (!json_is_object(value)) {
            json_object_set(to, key, value);
            continue;
        }
        if (json_object_get(value, "$add") || json_object_get(value, "$remove")) { /* only sets have such values here */
            json_object_set_new(to, key, changed(json_object_get(to, key), value));
            continue;
        }
        if (!json_is_object(json_object_get(to, key))) json_object_set_new(to, key, json_object());
        json_patch(json_object_get(to, key), value);
    }
}

static void model_apply(model *m, const op *o)
{
    const char *id = o->kind->fixed_id ? o->kind->fixed_id : o->id;
    thing *t = NULL;
    for (size_t i = 0; i < m->count && !t; i++)
        if (m->things[i].kind == o->kind && strcmp(m->things[i].id, id) == 0) t = &m->things[i];
    if (!t) {
        t = &m->things[m->count++];
        *t = (thing){o->kind, id, json_object(), MERGE_NEVER, MERGE_NEVER, MERGE_NEVER};
    }
    if (!o->data) {
        t->deleted = o->at;
        return;
    }
    json_patch(t->data, o->data);
    t->edited = o->at;
    static const char *const words[] = {"bookId", "status", "startedAt", "finishedAt"};
    for (size_t i = 0; i < 4; i++)
        if (json_object_get(o->data, words[i])) t->word = o->at;
}

static bool is_whole(const thing *t)
{
    if (t->edited == MERGE_NEVER) return false;
    for (const field *f = t->kind->fields; f->name; f++)
        if (f->required && !json_object_get(t->data, f->name)) return false;
    return true;
}

static bool same_key(const thing *x, const thing *y)
{
    if (x->kind != y->kind || !x->kind->key) return false;
    const json_t *a = json_object_get(x->data, x->kind->key), *b = json_object_get(y->data, y->kind->key);
    return a && b && json_equal(a, b);
}

/* The UTC day of a member of a log; false when it has none. */
static bool day_of(const thing *t, const char *name, int64_t *day)
{
    const json_t *value = json_object_get(t->data, name);
    int64_t ms = json_integer_value(value);
    if (!value || json_is_null(value)) return false;
    const char *text = json_string_value(value);
    if (text && !clock_parse(text, &ms) && !clock_parse_date(text, &ms)) return false;
    *day = ms / CLOCK_DAY; /* none is before 1970 */
    return true;
}

/* Whether the log y, which stands and has the later word, takes the place of x: the rules of docs/api.md. */
static bool displaces(const thing *y, const thing *x)
{
    int64_t x_start, y_start, x_finish, y_finish;
    bool x_started = day_of(x, "startedAt", &x_start), x_finished = day_of(x, "finishedAt", &x_finish);
    bool y_started = day_of(y, "startedAt", &y_start), y_finished = day_of(y, "finishedAt", &y_finish);
    if (x_started && y_started && x_start == y_start) return true;
    if (x_finished) return y_finished && x_finish == y_finish;
    return !y_finished || !x_started || y_finish >= x_start;
}

/* The word of the log that takes the place of `t`, or 0. Of several the oldest word counts. */
static int64_t displaced_at(const model *m, const thing *t)
{
    int64_t at = 0;
    for (size_t i = 0; i < m->count; i++) {
        const thing *y = &m->things[i];
        if (!same_key(t, y) || !is_whole(y) || y->word <= t->word || displaced_at(m, y)) continue;
        if (displaces(y, t) && (at == 0 || y->word < at)) at = y->word;
    }
    return at;
}

/* Whether another entity has its place: of all ratings of a book the one that was edited last holds it, deleted or not.
 * Of a log since when. */
static int64_t superseded(const model *m, const thing *t)
{
    bool rating = t->kind->rule == KIND_ONE_PER_KEY, reading = t->kind->rule == KIND_READINGS;
    if ((!rating && !reading) || !is_whole(t) || t->deleted > t->edited) return 0;
    if (reading) return displaced_at(m, t);
    for (size_t i = 0; i < m->count; i++)
        if (same_key(t, &m->things[i]) && is_whole(&m->things[i]) && m->things[i].edited > t->edited) return 1;
    return 0;
}

static const char *status_of(const model *m, const thing *t)
{
    if (t->deleted > t->edited || superseded(m, t)) return "deleted";
    return is_whole(t) ? "live" : "incomplete";
}

static json_t *time_or_null(int64_t at)
{
    return at == MERGE_NEVER ? json_null() : json_integer(at);
}

json_t *entity_name(const char *kind, const char *id)
{
    return json_sprintf("%s %s", kind, id);
}

json_t *history_outcome(const history *h)
{
    model m = {.count = 0};
    for (size_t i = 0; i < h->count; i++) model_apply(&m, &h->ops[i]);
    json_t *entities = json_object(), *pulled = json_object(), *open = json_object();
    for (size_t i = 0; i < m.count; i++) {
        thing *t = &m.things[i];
        const char *status = status_of(&m, t);
        json_t *name = entity_name(t->kind->name, t->id);
        int64_t deleted = t->deleted > t->edited ? t->deleted : MERGE_NEVER;
        json_object_set_new(entities, json_string_value(name),
                            json_pack("{s:s, s:O, s:o, s:o, s:I}", "status", status, "data", t->data, "edited",
                                      time_or_null(t->edited), "deleted", time_or_null(deleted), "superseded",
                                      (json_int_t)superseded(&m, t)));
        if (strcmp(status, "live") == 0) json_object_set(pulled, json_string_value(name), t->data);
        if (strcmp(status, "incomplete") == 0)
            json_object_set_new(open, json_string_value(name), json_string("incomplete"));
        for (size_t j = 0; t->kind->rule == KIND_NAMES_CLASH && j < m.count; j++) {
            const thing *u = &m.things[j];
            if (!same_key(t, u) || strcmp(t->id, u->id) >= 0) continue;
            if (strcmp(status, "live") != 0 || strcmp(status_of(&m, u), "live") != 0) continue;
            json_t *pair = json_sprintf("%s %s + %s", t->kind->name, t->id, u->id);
            json_object_set_new(open, json_string_value(pair), json_string("same_name"));
            json_decref(pair);
        }
        json_decref(name);
    }
    for (size_t i = 0; i < m.count; i++) json_decref(m.things[i].data);
    return json_pack("{s:o, s:o, s:o}", "entities", entities, "pulled", pulled, "open", open);
}
