#include "engine/rivals.h"

#include <string.h>

#include "engine/readings.h"

/* The place of the latest edit of `e` in this request: 0, an earlier request made it; 1, an earlier chunk of this full
 * sync, whose rows have the stamp of this transaction. */
static size_t turn_of(const resolver *r, const entity *e)
{
    return e->edited_by ? e->edited_by + 1 : e->known && e->updated_at == r->stamp;
}

/* Whether x supersedes y, which has the same key: the later edit does. At equal times the stored entity does, and among
 * entities of one request the later operation. */
static bool outranks(const resolver *r, const entity *x, const entity *y)
{
    int64_t x_at = merge_edited(x->state), y_at = merge_edited(y->state);
    size_t x_turn = turn_of(r, x), y_turn = turn_of(r, y);
    if (x_at != y_at) return x_at > y_at;
    if (x_turn && y_turn && x_turn != y_turn) return x_turn > y_turn;
    bool x_holds = x->superseded_at == MERGE_NEVER, y_holds = y->superseded_at == MERGE_NEVER;
    if (x_holds != y_holds) return x_holds;
    if ((x_turn != 0) != (y_turn != 0)) return y_turn != 0;
    /* A full sync deletes an unlisted entity that the other one superseded; it must not supersede that one now. */
    if (merge_is_deleted(x->state) != merge_is_deleted(y->state)) return merge_is_deleted(y->state);
    return strcmp(x->id, y->id) < 0;
}

/* The place of an entity among those with its key. */
typedef struct place {
    entity *e, *by;        /* by: the entity that displaces it; NULL: it stands */
    int64_t superseded_at; /* MERGE_NEVER: it stands */
} place;

/* Of all entities of the key, deleted or not, the one with the latest edit supersedes the others, as of that edit.
 * Deleted ones count: otherwise the outcome would depend on whether an old edit arrives before or after the deletion of
 * a newer one. */
static size_t places_one_per_key(const resolver *r, const entity_group *g, place *places)
{
    entity *holder = NULL;
    size_t count = 0;
    for (size_t i = 0; i < g->count; i++) {
        entity *e = g->list[i];
        if (entity_is_candidate(e) && (!holder || outranks(r, e, holder))) holder = e;
    }
    for (size_t i = 0; i < g->count; i++) {
        entity *e = g->list[i];
        if (!entity_is_candidate(e)) continue;
        places[count++] = e == holder ? (place){e, NULL, MERGE_NEVER} : (place){e, holder, merge_edited(holder->state)};
    }
    return count;
}

static size_t places_of_readings(const entity_group *g, const resolver *r, place *places)
{
    size_t count;
    const reading *list = readings_settle(g, r->stamp, r->scratch, &count);
    for (size_t i = 0; i < count; i++) {
        const reading *by = list[i].by;
        places[i] = (place){list[i].e, by ? by->e : NULL, by ? by->word : MERGE_NEVER};
    }
    return count;
}

/* The places of the complete entities of a key. They are computed anew each time and live until `scratch` is reset. */
static place *find_places(resolver *r, const kind *k, const char *key, size_t *count)
{
    if (!r->scratch) r->scratch = arena_child(r->a);
    const entity_group *g = entity_group_of(&r->entities, k, key);
    place *places = arena_alloc(r->scratch, (g->count + 1) * sizeof *places);
    *count = k->rule == KIND_READINGS ? places_of_readings(g, r, places) : places_one_per_key(r, g, places);
    return places;
}

static const place *place_of(const place *places, size_t count, const entity *e)
{
    for (size_t i = 0; i < count; i++)
        if (places[i].e == e) return &places[i];
    return NULL;
}

/* Puts one entity into its place. */
static void move(step *s, const place *p)
{
    entity *e = p->e;
    bool was_superseded = e->superseded_at != MERGE_NEVER, superseded = p->by != NULL;
    bool logged = superseded && e->status == ENTITY_LIVE && e != s->e;
    const char *server_data = logged ? step_text(s->r, e) : NULL;
    e->superseded_at = p->superseded_at;
    e->dirty = true;
    e->written = NULL;
    if (was_superseded && !superseded && e != s->e) e->device = NULL; /* its last writer may have dropped it */
    entity_refresh(e);
    if (!logged) return;
    step_log(s, CONFLICT_ONE_PER_KEY, "client", e, merge_edited(e->state), server_data);
    if (!s->out->resolution) s->out->resolution = "client";
}

/* A rating that is superseded already keeps the time at which it was: usually only the latest rating of a book is
 * loaded. The logs of a book are loaded, so that the time does not depend on the order of arrival. */
static bool is_placed(const place *p)
{
    if (p->e->kind->rule == KIND_READINGS) return p->e->superseded_at == p->superseded_at;
    return (p->e->superseded_at != MERGE_NEVER) == (p->by != NULL);
}

static void settle_key(step *s, const char *key)
{
    size_t count;
    const place *places = find_places(s->r, s->e->kind, key, &count), *own = place_of(places, count, s->e);
    entity *holder = own ? own->by : NULL;
    for (size_t i = 0; i < count; i++)
        if (!merge_is_deleted(places[i].e->state) && !is_placed(&places[i])) move(s, &places[i]);
    arena_reset(s->r->scratch);
    if (!holder || s->e->superseded_at == MERGE_NEVER || s->op->type == OPERATION_DELETE) return;
    step_log(s, CONFLICT_ONE_PER_KEY, "server", holder, merge_edited(holder->state), step_text(s->r, holder));
    s->out->resolution = "server";
    s->out->show_data = true;
    s->e->dirty = true;
}

bool rivals_displace(const kind *k)
{
    return k->rule == KIND_ONE_PER_KEY || k->rule == KIND_READINGS;
}

static bool leaves_key(const step *s)
{
    return s->key_before && (!s->e->key || strcmp(s->key_before, s->e->key) != 0);
}

void rivals_settle(step *s)
{
    entity *e = s->e;
    if (leaves_key(s)) {
        e->superseded_at = MERGE_NEVER;
        entity_refresh(e);
        settle_key(s, s->key_before);
    }
    if (e->key) settle_key(s, e->key);
}

/* Of the entities with `key`: the one that displaces that of `s`, or the latest live one that would be displaced. */
static entity *meet_key(step *s, const char *key)
{
    size_t count;
    entity *other = NULL;
    const place *places = find_places(s->r, s->e->kind, key, &count), *own = place_of(places, count, s->e);
    if (own && !merge_is_deleted(s->e->state)) other = own->by;
    for (size_t i = 0; i < count && !(own && own->by); i++) {
        entity *e = places[i].e;
        if (e == s->e || !places[i].by || e->status != ENTITY_LIVE) continue;
        if (!other || merge_edited(e->state) > merge_edited(other->state)) other = e;
    }
    return other;
}

/* The edit is applied to a copy of the state, which takes the place of the state while the entities are compared. */
entity *rivals_meet(step *s)
{
    entity *e = s->e, before = *e, *other = NULL;
    if (!s->r->scratch) s->r->scratch = arena_child(s->r->a);
    e->state = merge_copy(s->r->scratch, before.state);
    merge_apply(e->state, &s->edit, false);
    e->touched = SIZE_MAX; /* later than the operations before it */
    entity_refresh(e);
    if (leaves_key(s)) e->superseded_at = MERGE_NEVER;
    if (leaves_key(s)) other = meet_key(s, s->key_before);
    if (!other && e->key) other = meet_key(s, e->key);
    e->state = before.state;
    e->touched = before.touched;
    e->superseded_at = before.superseded_at;
    entity_refresh(e);
    e->written = before.written;
    arena_reset(s->r->scratch);
    return other;
}

/* Two live entities of one name both stay, and an open conflict asks a person. It closes when one of them is renamed or
 * deleted. Of many entities with one name only QUESTIONS are asked about: the number of pairs is quadratic. */
void rivals_names(step *s)
{
    enum { QUESTIONS = 25 }; /* so many siblings are loaded (sql.c) */
    entity *e = s->e;
    bool was = s->status_before == ENTITY_LIVE && s->key_before, is = e->status == ENTITY_LIVE && e->key;
    if (was && is && strcmp(s->key_before, e->key) == 0) return;
    if (was) conflict_close(&s->r->log, e->kind->name, e->id, CONFLICT_SAME_NAME);
    const entity_group *g = is ? entity_group_of(&s->r->entities, e->kind, e->key) : NULL;
    for (size_t i = 0, asked = 0; is && i < g->count && asked < QUESTIONS; i++) {
        entity *other = g->list[i];
        if (other == e || other->status != ENTITY_LIVE) continue;
        step_log(s, CONFLICT_SAME_NAME, NULL, other, merge_edited(other->state), step_text(s->r, other));
        asked++;
    }
}

/* The time that counts when `e` competes for its key. */
static int64_t rank_of(const entity *e)
{
    return e->kind->rule == KIND_READINGS ? reading_word(e) : merge_edited(e->state);
}

/* A time from `at` on that is later than those of the rivals: the complete entities that have the key after the edit.
 * Only at the stamp it may equal one of this request, of which the later operation wins. `deleted`: only of those that
 * are deleted. */
static int64_t time_after_rivals(const step *s, int64_t at, bool deleted)
{
    const json_t *sent = s->e->kind->key ? json_object_get(s->op->data, s->e->kind->key) : NULL;
    const char *key = json_is_string(sent) ? json_string_value(sent) : s->e->key;
    if (!rivals_displace(s->e->kind) || !key) return at;
    const entity_group *g = entity_group_of(&s->r->entities, s->e->kind, key);
    for (size_t i = 0; i < g->count; i++) {
        const entity *other = g->list[i];
        if (other == s->e || !entity_is_candidate(other) || (deleted && !merge_is_deleted(other->state))) continue;
        int64_t rank = rank_of(other), wins = rank + (turn_of(s->r, other) == 0 || rank < s->r->stamp);
        if (wins > at) at = wins;
    }
    return at;
}

/* The time of an edit that must win: later than every edit that it competes with (time_after_rivals). The commit clock
 * is not behind any timestamp that was accepted, so this is the stamp at most. (In a row from before that rule a time
 * may be later than the stamp.) An incomplete entity does not compete for its key, so it counts neither when the
 * request names it nor when it does not. */
int64_t rivals_winning_time(const step *s, bool in_conflict)
{
    int64_t at = s->edit.at, next = merge_winning(s->e->state);
    if (in_conflict && next > at) at = next;
    return time_after_rivals(s, at, false);
}

int64_t rivals_replacing_time(const step *s)
{
    int64_t at = s->edit.at, next = merge_winning(s->e->state);
    if (next > at) at = next;
    return time_after_rivals(s, at, s->e->kind->rule == KIND_READINGS && !s->r->restores && !s->e->was_live);
}

const entity *rivals_holder(resolver *r, const entity *e)
{
    size_t count;
    if (e->superseded_at == MERGE_NEVER || !e->key) return NULL;
    const place *places = find_places(r, e->kind, e->key, &count), *own = place_of(places, count, e);
    const entity *holder = own ? own->by : NULL;
    arena_reset(r->scratch);
    return holder && holder->status == ENTITY_LIVE ? holder : NULL;
}
