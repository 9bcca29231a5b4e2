#include "engine/conflict.h"

#include <string.h>

#include "base/json.h"
#include "engine/merge.h"
#include "engine/usage.h"

const char *conflict_reason_name(conflict_reason reason)
{
    static const char *const names[CONFLICT_REASONS] = {
        [CONFLICT_STALE] = "stale",
        [CONFLICT_DELETED] = "deleted",
        [CONFLICT_EDITED] = "edited",
        [CONFLICT_BASE] = "base",
        [CONFLICT_ONE_PER_KEY] = "one_per_book",
        [CONFLICT_SAME_NAME] = "same_name",
        [CONFLICT_INCOMPLETE] = "incomplete",
        [CONFLICT_BEYOND_HORIZON] = "beyond_horizon",
    };
    return names[reason];
}

conflict_log conflict_log_new(arena *a, size_t first)
{
    return (conflict_log){.a = a, .first = first};
}

size_t conflict_add(conflict_log *log, const conflict *row)
{
    log->list = arena_grow_list(log->a, log->list, log->count, &log->capacity, sizeof *log->list);
    log->list[log->count] = *row;
    log->list[log->count].size = conflict_size(row, true);
    return log->count++;
}

size_t conflict_bytes(const conflict_log *log, size_t from)
{
    enum { ROW = 512 }; /* without the two sides */
    size_t bytes = 0;
    for (size_t i = from; i < log->count; i++) {
        const conflict *row = &log->list[i];
        bytes +=
            ROW + (row->local_data ? strlen(row->local_data) : 0) + (row->server_data ? strlen(row->server_data) : 0);
    }
    return bytes;
}

size_t conflict_size(const conflict *row, bool with_server_side)
{
    return USAGE_CONFLICT + (row->local_data ? strlen(row->local_data) : 0) +
           (row->server_data && with_server_side ? strlen(row->server_data) : 0);
}

size_t conflict_open_bytes(const conflict_log *log)
{
    size_t bytes = 0;
    for (size_t i = 0; i < log->count; i++)
        if (log->list[i].open) bytes += log->list[i].size;
    return bytes;
}

void conflict_close(conflict_log *log, const char *kind, const char *id, conflict_reason reason)
{
    for (size_t i = 0; i < log->count; i++) {
        conflict *row = &log->list[i];
        if (!row->open || row->reason != reason) continue;
        bool about = strcmp(row->entity_id, id) == 0 || (row->other_id && strcmp(row->other_id, id) == 0);
        if (!about || strcmp(row->kind, kind) != 0) continue;
        row->open = false;
        row->resolution = "client";
    }
    log->closings =
        arena_grow_list(log->a, log->closings, log->closing_count, &log->closing_capacity, sizeof *log->closings);
    log->closings[log->closing_count++] = (conflict_closing){kind, id, reason};
}

void conflict_write_sides(const char *local_data, const char *server_data, strbuf *out)
{
    json_write_raw(out, "localData", local_data);
    json_write_raw(out, "serverData", server_data);
    strbuf_putc(out, '}');
}

void conflict_write(const conflict_log *log, size_t index, int64_t stamp, bool sides, strbuf *out)
{
    const conflict *row = &log->list[index];
    strbuf_putc(out, '{');
    json_write_member(out, "id", arena_printf(out->a, "%lld-%zu", (long long)stamp, log->first + index));
    json_write_member(out, "reason", conflict_reason_name(row->reason));
    json_write_member(out, "entity", row->kind);
    json_write_member(out, "entityId", row->entity_id);
    if (row->other_id) json_write_member(out, "otherId", row->other_id);
    json_write_instant_unless(out, "localTimestamp", row->local_at, MERGE_NEVER);
    json_write_instant_unless(out, "serverTimestamp", row->server_at, MERGE_NEVER);
    if (sides)
        conflict_write_sides(row->local_data, row->server_data, out);
    else
        strbuf_putc(out, '}');
}
