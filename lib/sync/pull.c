#include "sync/pull.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "engine/cursor.h"
#include "engine/kind.h"
#include "store/query.h"
#include "store/rows.h"
#include "sync/change.h"
#include "sync/param.h"

enum { FLUSH_BYTES = 32 * 1024 };

/* The bytes that an entity has at least: {"type":"tag","data":{"id":"x","createdAt":"…","updatedAt":"…"}} */
enum { CHANGE_MIN = 100, MAX_BYTES_MAX = 1000000000 };

/* Parameters */

static rc read_since(sync_ctx *ctx, const char *text, position *p)
{
    char *end;
    int64_t since;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    bool is_number = *text && !*end && !errno && number >= CLOCK_MIN && number <= CLOCK_MAX;
    if (is_number)
        since = number;
    else if (!clock_parse(text, &since))
        return ctx_invalid(ctx, "since", "not an RFC 3339 instant or integer milliseconds since 1970");
    *p = (position){0, since, MERGE_NEVER, MERGE_NEVER, "", "", {0}};
    return RC_OK;
}

static rc read_kinds(sync_ctx *ctx, const char *text, db_array *out)
{
    const kind *const *last = kinds;
    while (*last) last++;
    bool *seen = arena_alloc(ctx->a, (size_t)(last - kinds) * sizeof *seen); /* a kind that occurs twice counts once */
    *out = db_array_new(ctx->a, DB_TEXT);
    for (const char *p = text;;) {
        size_t len = strcspn(p, ","), at = 0;
        while (kinds[at] && (strlen(kinds[at]->name) != len || memcmp(kinds[at]->name, p, len) != 0)) at++;
        if (!kinds[at]) return param_unknown_kind(ctx, "entities", p, len);
        if (!seen[at]) db_array_text(out, kinds[at]->name);
        seen[at] = true;
        if (!p[len]) return RC_OK;
        p += len + 1;
    }
}

/* The tag of a reply holds the user's clock and a hash of the query: while both are the same, so is the reply. */

static uint32_t fingerprint(const pull_query *q)
{
    const char *const parts[] = {q->since, q->cursor,    q->limit, q->entities, q->initial,
                                 q->times, q->max_bytes, q->count, q->delta};
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        for (const char *p = parts[i] ? parts[i] : "-"; p;) {
            hash = (hash ^ (unsigned char)*p) * 16777619u;
            p = *p ? p + 1 : NULL;
        }
    return hash;
}

static const char *etag_write(arena *a, const pull_clock *row, uint32_t print)
{
    return arena_printf(a, "\"%llx-%llx-%x\"", (unsigned long long)row->known.epoch,
                        (unsigned long long)row->known.clock, print);
}

/* What a tag says about the reply that the client holds. SQL_PULL alone compares it with the user's epoch and clock. */
typedef struct seen {
    bool any; /* false: no tag of this query */
    int64_t epoch, clock;
} seen;

/* Reads the first tag of If-None-Match that is for this query. Weak comparison: gzip weakens tags. */
static seen etag_read(const char *header, uint32_t print)
{
    for (const char *p = header; p && (p = strchr(p, '"')); p = strchr(p + 1, '"'), p = p ? p + 1 : NULL) {
        unsigned long long epoch, clock;
        unsigned int of;
        if (sscanf(p, "\"%llx-%llx-%x\"", &epoch, &clock, &of) == 3 && of == print)
            return (seen){true, (int64_t)epoch, (int64_t)clock};
    }
    return (seen){0};
}

/* The parameters of a pull, checked. */
typedef struct pull_request {
    position from;
    bool initial;      /* from the beginning, without the deletions of before */
    bool times;        /* with the times of each entity */
    bool count;        /* tell how many changes follow */
    bool delta;        /* an entity that the client holds may come as a patch */
    int64_t limit;     /* 0: none */
    int64_t max_bytes; /* 0: none */
    bool some;         /* only the kinds of `kinds` */
    db_array kinds;
    uint32_t print; /* see fingerprint */
    seen seen;
} pull_request;

/* Whether SQL_PULL_PAGE is needed: SQL_PULL reads less. */
static bool has_columns(const pull_request *r)
{
    return r->times || r->count || r->delta || r->max_bytes > 0;
}

/* Running */

/* What the position of a page holds as `bound`. A pull from the beginning is complete without deletions that are
 * forgotten, so its pages remember the clock at which it began: positive if the deletions up to it are left out, else
 * negative. Any other pull must know all deletions. */
enum { NOT_FROM_THE_BEGINNING = -1 };

static int64_t bound_of(const position *p, const pull_clock *row, bool initial)
{
    if (p->bound != MERGE_NEVER) return p->bound;
    if (initial) return row->known.clock;
    return p->stamp < row->started ? -row->known.clock : NOT_FROM_THE_BEGINNING;
}

/* Whether deletions are forgotten that the client may have to learn. A page of a pull from the beginning: those of
 * entities that earlier pages contained. */
static bool is_forgotten(const position *p, const pull_clock *row)
{
    if (p->bound == MERGE_NEVER) return p->stamp >= row->started && p->stamp < row->horizon;
    if (p->bound == NOT_FROM_THE_BEGINNING) return p->stamp < row->horizon;
    return (p->bound < 0 ? -p->bound : p->bound) < row->horizon;
}

/* A client reacts to the reason; the text is for people, and for clients that know no reasons. */
static const char *const resync_messages[] = {
    [RESYNC_ERASED] = "the account was erased since; remove what was synced, and pull from the beginning",
    [RESYNC_OTHER_SERVER] =
        "the cursor is from another server; send what is newer than `until`, and pull from the beginning",
    [RESYNC_RESTORED] = "the cursor is from before a backup was restored; send what is newer than `until`, and pull "
                        "from the beginning",
    [RESYNC_FORGOTTEN] = "deletions up to that time are no longer known; pull from the beginning"};

static rc check_position(sync_ctx *ctx, const position *p, const pull_clock *row)
{
    resync_facts facts = row->known;
    facts.forgotten = is_forgotten(p, row);
    const resync found = resync_judge(p, &facts);
    char text[CLOCK_TEXT];
    if (found.reason == RESYNC_NONE) return RC_OK;
    ctx->extra = STRBUF(ctx->a);
    strbuf_printf(&ctx->extra, ",\"reason\":\"%s\"", resync_name(found.reason));
    if (found.until != MERGE_NEVER) strbuf_printf(&ctx->extra, ",\"until\":\"%s\"", clock_format(found.until, text));
    if (found.erased_at != MERGE_NEVER)
        strbuf_printf(&ctx->extra, ",\"erasedAt\":\"%s\"", clock_format(found.erased_at, text));
    return ctx_fail(ctx, RC_RESYNC, "%s", resync_messages[found.reason]);
}

/* A pull returns the clock as its first row; zeroes when the user has not written yet. */
static rc read_clock(sync_ctx *ctx, pull_clock *clock)
{
    const PGresult *row;
    rc code = db_next_row(ctx->db, &row);
    if (code != RC_OK) return code;
    return row && rows_pull_clock(row, clock) ? RC_OK : RC_FAILED;
}

static rc read_query(sync_ctx *ctx, const pull_query *q, pull_request *r)
{
    rc code;
    if ((code = param_flag(ctx, "initial", q->initial, &r->initial)) != RC_OK) return code;
    if ((code = param_flag(ctx, "times", q->times, &r->times)) != RC_OK) return code;
    if ((code = param_flag(ctx, "count", q->count, &r->count)) != RC_OK) return code;
    if ((code = param_flag(ctx, "delta", q->delta, &r->delta)) != RC_OK) return code;
    r->initial = r->initial && !q->cursor;
    if (!q->cursor && !q->since && !r->initial)
        return ctx_invalid(ctx, "since", "is required (an instant, or cursor instead)");
    if (q->cursor && !position_read(ctx->a, q->cursor, &r->from)) return ctx_invalid(ctx, "cursor", "not one of ours");
    if (!q->cursor && q->since && (code = read_since(ctx, q->since, &r->from)) != RC_OK) return code;
    if (r->initial) r->from = (position){0, 0, MERGE_NEVER, MERGE_NEVER, "", "", {0}};
    if ((code = param_limit(ctx, q->limit, &r->limit)) != RC_OK) return code;
    if ((code = param_number(ctx, "maxBytes", q->max_bytes, MAX_BYTES_MAX, &r->max_bytes)) != RC_OK) return code;
    r->some = q->entities != NULL;
    if (r->some && (code = read_kinds(ctx, q->entities, &r->kinds)) != RC_OK) return code;
    r->print = fingerprint(q);
    r->seen = etag_read(q->if_none_match, r->print);
    return RC_OK;
}

static void send_pull(sync_ctx *ctx, sql_id id, pull_request *r)
{
    arena *a = ctx->a;
    const position *p = &r->from;
    db_param bound = r->initial ? db_null() : db_int(a, p->bound == MERGE_NEVER ? NOT_FROM_THE_BEGINNING : p->bound);
    bool whole_stamp = *p->kind == '\0'; /* after all rows of the stamp, so before those of the next one */
    /* One more than a page can have, to tell whether there are more. */
    int64_t rows = r->limit ? r->limit + 1 : 0, by_size = r->max_bytes / CHANGE_MIN + 2;
    if (r->max_bytes && (rows == 0 || by_size < rows)) rows = by_size;
    db_send(ctx->db, id,
            DB_PARAMS(db_text(ctx->user), db_int(a, whole_stamp ? p->stamp + 1 : p->stamp), db_text(p->kind),
                      db_text(p->id), bound, r->some ? db_array_param(&r->kinds) : db_null(),
                      db_int_or_null(a, rows, 0), r->seen.any ? db_int(a, r->seen.clock) : db_null(),
                      db_int_or_null(a, p->epoch, 0), r->seen.any ? db_int(a, r->seen.epoch) : db_null(),
                      db_text(r->times ? "true" : "false"), db_int_or_null(a, r->max_bytes, 0),
                      db_text(r->count ? "true" : "false"), db_text(r->delta ? "true" : "false")));
}

/* The stamp from which the client holds everything, or MERGE_NEVER: that of a cursor that the last page of a pull gave,
 * and the pages of a pull keep the base of its first page. */
static int64_t base_of(const position *p)
{
    if (p->base != MERGE_NEVER || p->epoch == 0) return p->base;
    return *p->kind == '\0' ? p->stamp : MERGE_NEVER;
}

/* The page that is being written. */
typedef struct page {
    const pull_request *r;
    arena *scratch;
    int64_t count, bytes; /* changes, and the bytes of their texts */
    bool full;            /* a further change does not fit, so there is a next page */
    position next;        /* where it begins */
    strbuf next_id;
} page;

/* The bytes by which maxBytes counts a change that was written with `written` bytes: of a patch, at least those of the
 * entity's data. SQL_PULL_PAGE sums these, so what a page reads is bounded as well. */
static int64_t size_of(const change_row *row, size_t written)
{
    size_t data = row->gone_at == MERGE_NEVER ? strlen(row->data) : 0;
    size_t bytes = written > data ? written : data;
    return (int64_t)(bytes > CHANGE_MIN ? bytes : CHANGE_MIN);
}

/* Appends the change to `out` unless the page is full. */
static void add_change(page *pg, const change_row *row, strbuf *out)
{
    const pull_request *r = pg->r;
    size_t before = out->len;
    pg->full = pg->full || (r->limit > 0 && pg->count == r->limit);
    if (pg->full) return;
    if (pg->count > 0) strbuf_putc(out, ',');
    change_write_since(row, r->delta ? base_of(&r->from) : MERGE_NEVER, pg->scratch, out);
    int64_t bytes = size_of(row, out->len - before);
    if (r->max_bytes > 0 && pg->count > 0 && pg->bytes + bytes > r->max_bytes) {
        pg->full = true;
        out->len = before;
        return;
    }
    pg->count++;
    pg->bytes += bytes;
    if (r->max_bytes == 0 && pg->count != r->limit) return; /* no page ends here */
    pg->next.stamp = row->updated_at;
    pg->next.kind = kind_find(row->kind)->name;
    pg->next_id.len = 0;
    strbuf_puts(&pg->next_id, row->id);
}

static rc stream(sync_ctx *ctx, const pull_query *q, const pull_request *r, const pull_clock *clock)
{
    strbuf out = STRBUF(ctx->a);
    const PGresult *result;
    page pg = {.r = r, .scratch = arena_child(ctx->a), .next = r->from, .next_id = STRBUF(ctx->a)};
    rc code;
    strbuf_puts(&out, "{\"success\":true,\"changes\":[");
    while ((code = db_next_row(ctx->db, &result)) == RC_OK && result) {
        const change_row row = rows_change(result);
        add_change(&pg, &row, &out);
        if (out.len < FLUSH_BYTES) continue;
        ctx->write(ctx->to, out.data, out.len);
        out.len = 0;
    }
    rc finished = db_finish(ctx->db); /* also after a fault: the next request must not meet the rest of the pipeline */
    if (code == RC_OK) code = finished;
    if (code != RC_OK) return code;
    position *next = &pg.next;
    next->epoch = clock->known.epoch;
    next->from = clock->known.here;
    next->bound = bound_of(&r->from, clock, r->initial);
    next->base = r->delta ? base_of(&r->from) : MERGE_NEVER;
    next->id = pg.next_id.data;
    strbuf_putc(&out, ']');
    json_write_member(&out, "since", q->since);
    json_write_member(&out, "cursor",
                      pg.full ? position_write(ctx->a, next)
                              : cursor_at(ctx->a, next->from, next->epoch, clock->known.clock));
    json_write_bool(&out, "hasMore", pg.full);
    if (r->count) json_write_int(&out, "remaining", clock->matching - pg.count);
    strbuf_putc(&out, '}');
    ctx->write(ctx->to, out.data, out.len);
    return RC_OK;
}

/* Opens the snapshot and reads the clock; the changes follow. */
static rc open_pull(sync_ctx *ctx, sql_id id, pull_request *r, pull_clock *clock)
{
    query snapshot = query_open(ctx->db, ctx->user, false);
    send_pull(ctx, id, r);
    rc code = query_start(&snapshot, ctx->a);
    if (code == RC_OK) code = read_clock(ctx, clock);
    if (code == RC_OK) return RC_OK;
    rc finished = db_finish(ctx->db);
    return finished == RC_OK ? code : finished;
}

/* SQL_PULL knows the present epoch only. */
static rc open_pull_of_any_epoch(sync_ctx *ctx, pull_request *r, pull_clock *clock)
{
    bool page = has_columns(r);
    rc code = open_pull(ctx, page ? SQL_PULL_PAGE : SQL_PULL, r, clock);
    bool present = r->from.epoch == 0 || r->from.epoch == clock->known.epoch;
    if (code != RC_OK || page || present) return code;
    code = db_finish(ctx->db);
    return code == RC_OK ? open_pull(ctx, SQL_PULL_PAGE, r, clock) : code;
}

rc pull_run(sync_ctx *ctx, const pull_query *q)
{
    pull_request r = {0};
    pull_clock clock = {0};
    rc code = read_query(ctx, q, &r);
    if (code == RC_OK) code = open_pull_of_any_epoch(ctx, &r, &clock);
    if (code != RC_OK) return code;
    ctx->etag = etag_write(ctx->a, &clock, r.print);
    rc refused = check_position(ctx, &r.from, &clock);
    if (refused == RC_OK && clock.seen) refused = RC_NOT_MODIFIED;
    if (refused == RC_OK) return stream(ctx, q, &r, &clock);
    code = db_finish(ctx->db);
    return code == RC_OK ? refused : code;
}
