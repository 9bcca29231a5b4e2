#include "sync/change.h"

#include "base/json.h"
#include "engine/recent.h"

static bool is_deleted(const change_row *row)
{
    return row->gone_at != MERGE_NEVER;
}

void change_write(const change_row *row, strbuf *out)
{
    strbuf_putc(out, '{');
    json_write_member(out, "type", row->kind);
    if (is_deleted(row)) json_write_bool(out, "deleted", true);
    if (row->incomplete) json_write_bool(out, "incomplete", true);
    json_write_name(out, "data");
    if (is_deleted(row))
        entity_write_deleted(out, row->id, row->updated_at, row->gone_at);
    else
        entity_write_live(out, row->id, row->created_at, row->updated_at, row->data);
    /* of a rating or a log: after a restore it competes with the others of its book again */
    if (is_deleted(row) && row->times && row->data) json_write_raw(out, "beneath", row->data);
    if (row->times) json_write_raw(out, "times", row->times);
    strbuf_putc(out, '}');
}

void change_write_since(const change_row *row, int64_t base, arena *scratch, strbuf *out)
{
    strbuf patch = STRBUF(scratch);
    bool known = base != MERGE_NEVER && !is_deleted(row) &&
                 recent_patch(scratch, row->recent, row->updated_at, base, row->data, &patch);
    if (known) {
        strbuf_putc(out, '{');
        json_write_member(out, "type", row->kind);
        json_write_raw(out, "patch", patch.data);
        json_write_name(out, "data");
        strbuf_putc(out, '{');
        json_write_member(out, "id", row->id);
        json_write_instant(out, "updatedAt", row->updated_at);
        strbuf_putc(out, '}');
        if (row->times) json_write_raw(out, "times", row->times);
        strbuf_putc(out, '}');
    }
    arena_reset(scratch);
    if (!known) change_write(row, out);
}
