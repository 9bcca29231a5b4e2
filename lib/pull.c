#include "pull.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "cursor.h"
#include "entity.h"
#include "json.h"

enum { FLUSH_BYTES = 32 * 1024 };

typedef struct clock_row {
    int64_t clock, started, epoch, horizon;
} clock_row;

/* Parameters */

static rc read_since(call *c, const char *text, position *p)
{
    char *end;
    int64_t since;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    bool is_number = *text && !*end && !errno && number >= CLOCK_MIN && number <= CLOCK_MAX;
    if (is_number) since = number;
    else if (!clock_parse(text, &since))
        return call_invalid(c, "since", "not an RFC 3339 instant or integer milliseconds since 1970");
    *p = (position){0, since, MERGE_NEVER, "", ""};
    return RC_OK;
}

static rc read_kinds(call *c, const char *text, db_array *out)
{
    *out = db_array_new(c->a, DB_TEXT);
    for (const char *p = text;;) {
        size_t len = strcspn(p, ",");
        const kind *k = kind_find(arena_strndup(c->a, p, len));
        if (!k) return call_invalid(c, "entities", "must be a comma-separated list of entity kinds");
        db_array_text(out, k->name);
        if (!p[len]) return RC_OK;
        p += len + 1;
    }
}

/* The tag of a reply is the user's clock and what was asked: while both are the same, so is the reply. */

static uint32_t fingerprint(const pull_query *q)
{
    const char *const parts[] = {q->since, q->cursor, q->limit, q->entities};
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        for (const char *p = parts[i] ? parts[i] : "-"; p;) {
            hash = (hash ^ (unsigned char)*p) * 16777619u;
            p = *p ? p + 1 : NULL;
        }
    return hash;
}

static const char *etag_write(arena *a, const clock_row *row, uint32_t print)
{
    return arena_printf(a, "\"%llx-%llx-%x\"", (unsigned long long)row->epoch, (unsigned long long)row->clock, print);
}

/* The clock in the first tag of If-None-Match that is for this query (compared weakly: gzip weakens tags). */
static bool etag_find(const char *header, uint32_t print, unsigned long long *clock)
{
    for (const char *p = header; p && (p = strchr(p, '"')); p = strchr(p + 1, '"'), p = p ? p + 1 : NULL) {
        unsigned long long epoch, at;
        unsigned int of;
        if (sscanf(p, "\"%llx-%llx-%x\"", &epoch, &at, &of) == 3 && of == print) {
            *clock = at;
            return true;
        }
    }
    return false;
}

/* Running */

static rc check_position(call *c, const position *p, const clock_row *row)
{
    if (p->epoch != 0 && p->epoch != row->epoch)
        return call_fail(c, RC_RESYNC, "the cursor is of another epoch (the data was erased); pull from the beginning");
    if (p->epoch != 0 && p->stamp > row->clock)
        return call_fail(c, RC_RESYNC, "the cursor is from the future (a backup was restored); pull from the beginning");
    if ((p->stamp >= row->started || p->bound == -1) && p->stamp < row->horizon)
        return call_fail(c, RC_RESYNC, "deletions up to that time are no longer known; pull from the beginning");
    return RC_OK;
}

enum { KIND, ID, CREATED, UPDATED, GONE, DATA };

/* The clock comes as the first row, see SQL_PULL; zeroes when the user has not written yet. */
static rc read_clock(call *c, clock_row *clock)
{
    const PGresult *row;
    rc code = db_next_row(c->db, &row);
    if (code != RC_OK || !row) return code == RC_OK ? RC_FAILED : code;
    *clock = (clock_row){.clock = db_column_int(row, 0, CREATED, 0),
                         .started = db_column_int(row, 0, UPDATED, 0),
                         .epoch = db_column_int(row, 0, GONE, 0),
                         .horizon = db_column_int(row, 0, ID, 0)};
    return db_column(row, 0, KIND) == NULL ? RC_OK : RC_FAILED;
}

static void write_change(const PGresult *row, strbuf *out)
{
    const char *kind = db_column(row, 0, KIND), *id = db_column(row, 0, ID);
    bool deleted = db_column(row, 0, GONE) != NULL;
    int64_t created = db_column_int(row, 0, CREATED, 0), updated = db_column_int(row, 0, UPDATED, 0);
    strbuf_putc(out, '{');
    json_write_member(out, "type", kind);
    if (deleted) json_write_bool(out, "deleted", true);
    json_write_name(out, "data");
    if (deleted) entity_write_deleted(out, id, updated, db_column_int(row, 0, GONE, 0));
    else entity_write_live(out, id, created, updated, db_column(row, 0, DATA));
    strbuf_putc(out, '}');
}

static rc stream(call *c, const pull_query *q, position p, const clock_row *clock, int64_t limit)
{
    strbuf out = STRBUF(c->a);
    const PGresult *row;
    int64_t count = 0;
    bool more = false;
    rc code;
    if (p.bound == MERGE_NEVER) p.bound = p.stamp < clock->started ? clock->clock : -1;
    strbuf_puts(&out, "{\"success\":true,\"changes\":[");
    while ((code = db_next_row(c->db, &row)) == RC_OK && row) {
        more = limit > 0 && count == limit;
        if (!more) {
            if (count++ > 0) strbuf_putc(&out, ',');
            write_change(row, &out);
        }
        if (!more && count == limit) { /* should there be more, the next page goes on here */
            p.stamp = db_column_int(row, 0, UPDATED, 0);
            p.kind = kind_find(db_column(row, 0, KIND))->name;
            p.id = arena_strdup(c->a, db_column(row, 0, ID));
        }
        if (out.len < FLUSH_BYTES) continue;
        c->write(c->to, out.data, out.len);
        out.len = 0;
    }
    rc finished = db_finish(c->db); /* also after a fault: what is left in the pipeline would meet the next request */
    if (code == RC_OK) code = finished;
    if (code != RC_OK) return code;
    p.epoch = clock->epoch;
    strbuf_putc(&out, ']');
    json_write_member(&out, "since", q->since);
    json_write_member(&out, "cursor", more ? position_write(c->a, &p) : cursor_at(c->a, clock->epoch, clock->clock));
    json_write_bool(&out, "hasMore", more);
    strbuf_putc(&out, '}');
    c->write(c->to, out.data, out.len);
    return RC_OK;
}

rc pull_run(call *c, const pull_query *q)
{
    position p = {0};
    int64_t limit = 0;
    db_array kinds;
    PGresult *identified;
    clock_row clock;
    unsigned long long seen = 0;
    rc code;
    if (!q->cursor && !q->since) return call_invalid(c, "since", "is required (an instant, or cursor instead)");
    if (q->cursor && !position_read(c->a, q->cursor, &p)) return call_invalid(c, "cursor", "not one of ours");
    if (!q->cursor && (code = read_since(c, q->since, &p)) != RC_OK) return code;
    if ((code = limit_read(c, q->limit, &limit)) != RC_OK) return code;
    if (q->entities && (code = read_kinds(c, q->entities, &kinds)) != RC_OK) return code;
    uint32_t print = fingerprint(q);
    bool has_tag = etag_find(q->if_none_match, print, &seen);

    db_param user = db_text(c->user);
    bool whole_stamp = *p.kind == '\0'; /* behind all rows of the stamp: before the next one's */
    db_send(c->db, SQL_IDENTIFY, &user);
    db_send(c->db, SQL_PULL,
            DB_PARAMS(user, db_int(c->a, whole_stamp ? p.stamp + 1 : p.stamp), db_text(p.kind), db_text(p.id),
                      p.bound == MERGE_NEVER ? db_null() : db_int(c->a, p.bound),
                      q->entities ? db_array_param(&kinds) : db_null(), limit ? db_int(c->a, limit + 1) : db_null(),
                      has_tag ? db_int(c->a, (int64_t)seen) : db_null(),
                      p.epoch ? db_int(c->a, p.epoch) : db_null()));
    db_flush(c->db);
    code = db_take(c->db, c->a, &identified);
    if (code == RC_OK) code = read_clock(c, &clock);
    if (code != RC_OK) {
        rc finished = db_finish(c->db);
        return finished == RC_OK ? code : finished;
    }
    c->etag = etag_write(c->a, &clock, print);
    rc refused = check_position(c, &p, &clock);
    if (refused == RC_OK && has_tag && q->if_none_match && strstr(q->if_none_match, c->etag)) refused = RC_NOT_MODIFIED;
    if (refused == RC_OK) return stream(c, q, p, &clock, limit);
    code = db_finish(c->db);
    return code == RC_OK ? refused : code;
}
