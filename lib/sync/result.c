#include "sync/result.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

/* In the form of the ledger: the reply has the content of the entity here. */
static const char has_data[] = "hasData";

static void write_failed(const outcome *o, strbuf *text)
{
    const rc_row *row = rc_info(o->failed);
    json_write_member(text, "error", o->error ? o->error : row->error);
    json_write_member(text, "message", o->message);
    json_write_bool(text, "retryable", row->retryable);
}

/* Results describe the end of the request: an entity that this operation wrote may have been deleted or superseded
 * since, and one that it deleted may be back. The sender skips this version in its next pull, so the result tells it.
 */
static bool is_reversed(const operation *op, const entity *e)
{
    return (op->type == OPERATION_DELETE) != (e->status == ENTITY_DELETED);
}

static void write_content(const entity *e, int64_t stamp, strbuf *text)
{
    if (e->status == ENTITY_ABSENT) return;
    if (e->status == ENTITY_DELETED) json_write_bool(text, "deleted", true);
    json_write_name(text, "data");
    entity_write(e, stamp, text);
}

static void write_applied(const resolver *r, const operation *op, const outcome *o, result_form form, strbuf *text)
{
    const entity *e = o->entity;
    if (e->dirty || e->known) json_write_instant(text, "updatedAt", e->dirty ? r->stamp : e->updated_at);
    if (o->resolution) json_write_member(text, "resolution", o->resolution);
    if (o->adjusted) json_write_bool(text, "timestampAdjusted", true);
    if (e->status == ENTITY_INCOMPLETE) json_write_bool(text, "incomplete", true);
    if (o->status == OUTCOME_CONFLICT) {
        json_write_member(text, "error", rc_info(RC_CONFLICT)->error);
        json_write_member(text, "message", RESULT_NEEDS_DECISION);
        json_write_bool(text, "retryable", false);
    }
    if (o->has_conflict) {
        json_write_name(text, "conflict");
        conflict_write(&r->log, o->conflict, r->stamp, form == RESULT_REPLY, text);
    }
    if ((!o->show_data && !is_reversed(op, e)) || e->status == ENTITY_ABSENT) return;
    if (form == RESULT_REPLY)
        write_content(e, r->stamp, text);
    else
        json_write_bool(text, has_data, true);
}

void result_write_plain(const operation *op, int64_t stamp, strbuf *text)
{
    strbuf_putc(text, '{');
    json_write_member(text, "id", op->id);
    json_write_member(text, "status", "success");
    json_write_member(text, "entity", op->kind_name);
    json_write_member(text, "entityId", op->entity_id);
    json_write_instant(text, "updatedAt", stamp);
    strbuf_putc(text, '}');
}

void result_write(const resolver *r, const operation *op, const outcome *o, result_form form, strbuf *text)
{
    static const char *const names[] = {"success", "conflict", "failed"};
    strbuf_putc(text, '{');
    json_write_member(text, "id", op->id);
    json_write_member(text, "status", names[o->status]);
    json_write_member(text, "entity", op->kind_name);
    json_write_member(text, "entityId", op->entity_id);
    if (o->status == OUTCOME_FAILED)
        write_failed(o, text);
    else
        write_applied(r, op, o, form, text);
    strbuf_putc(text, '}');
}

/* A conflict in the form of the ledger; one from before that form has its sides already. */
static void write_conflict(const json_slice *conflict, const ledger_row *row, strbuf *text)
{
    if (!row->is_short) {
        strbuf_add(text, conflict->text, conflict->len);
        return;
    }
    strbuf_add(text, conflict->text, conflict->len - 1);
    conflict_write_sides(row->local_data, row->server_data, text);
}

static const json_slice *find_member(const json_slice *members, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(members[i].key, name) == 0) return &members[i];
    return NULL;
}

static int64_t version_of(const entity *e, int64_t stamp)
{
    return e->dirty ? stamp : e->updated_at;
}

/* Whether the entity has another version than the result tells. */
static bool has_moved_on(const json_slice *updated_at, const entity *e, int64_t stamp)
{
    char now[CLOCK_TEXT];
    if (e->status == ENTITY_ABSENT) return true;
    const char *text = clock_format(version_of(e, stamp), now);
    return !updated_at || updated_at->len != strlen(text) + 2 ||
           memcmp(updated_at->text + 1, text, updated_at->len - 2) != 0;
}

/* The entity as it is now, also where it is no longer remembered. */
static void write_current(const entity *e, int64_t stamp, strbuf *text)
{
    json_write_name(text, "current");
    strbuf_putc(text, '{');
    if (e->status == ENTITY_ABSENT) {
        json_write_bool(text, "deleted", true);
    } else {
        json_write_instant(text, "updatedAt", version_of(e, stamp));
        if (e->status == ENTITY_INCOMPLETE) json_write_bool(text, "incomplete", true);
        write_content(e, stamp, text);
    }
    strbuf_putc(text, '}');
}

/* A result from before the ledger's form holds `data` itself, which is left out where the entity has moved on. */
static bool is_left_out(const char *name, bool moved_on)
{
    return strcmp(name, has_data) == 0 || (moved_on && (strcmp(name, "data") == 0 || strcmp(name, "deleted") == 0));
}

void result_write_repeat(const ledger_row *row, const entity *e, int64_t stamp, strbuf *text)
{
    json_slice *members;
    size_t count;
    json_fault fault;
    if (!json_split(text->a, '{', row->result, strlen(row->result), SIZE_MAX, &members, &count, &fault)) abort();
    bool moved_on = has_moved_on(find_member(members, count, "updatedAt"), e, stamp);
    strbuf_putc(text, '{');
    for (size_t i = 0; i < count; i++) {
        if (is_left_out(members[i].key, moved_on)) continue;
        json_write_name(text, members[i].key);
        if (strcmp(members[i].key, "conflict") == 0)
            write_conflict(&members[i], row, text);
        else
            strbuf_add(text, members[i].text, members[i].len);
    }
    if (moved_on)
        write_current(e, stamp, text);
    else if (find_member(members, count, has_data))
        write_content(e, stamp, text);
    json_write_bool(text, "duplicate", true);
    strbuf_putc(text, '}');
}

size_t result_repeat_size(const ledger_row *row)
{
    enum { REST = 64 };
    return strlen(row->result) + (row->local_data ? strlen(row->local_data) : 0) +
           (row->server_data ? strlen(row->server_data) : 0) + REST;
}

void result_write_copy(const strbuf *first, strbuf *text)
{
    strbuf_add(text, first->data, first->len - 1);
    strbuf_puts(text, ",\"duplicate\":true}");
}
