#include "sync/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "store/query.h"
#include "store/rows.h"
#include "sync/full.h"

/* The names of kinds in `list` are separated by commas. Returns the first one's length, and moves *list on. */
static size_t next_name(const char **list)
{
    size_t len = strcspn(*list, ",");
    *list += len + ((*list)[len] == ',');
    return len;
}

rc snapshot_list(sync_ctx *ctx, strbuf *reply)
{
    PGresult *rows;
    rc code = query_one(ctx->db, ctx->a, ctx->user, SQL_SNAPSHOTS_LIST, DB_PARAMS(db_text(ctx->user)), &rows);
    if (code != RC_OK) return code;
    strbuf_putc(reply, '{');
    json_write_bool(reply, "success", true);
    json_write_name(reply, "snapshots");
    strbuf_putc(reply, '[');
    for (int i = 0; i < PQntuples(rows); i++) {
        int64_t stamp = db_column_int(rows, i, COL_SNAPSHOT_STAMP, 0);
        strbuf_puts(reply, i > 0 ? ",{" : "{");
        json_write_member(reply, "id", db_column(rows, i, COL_SNAPSHOT_STAMP));
        json_write_instant(reply, "createdAt", stamp);
        json_write_instant(reply, "expiresAt", stamp + ctx->conf->snapshot_days * CLOCK_DAY);
        json_write_int(reply, "entities", db_column_int(rows, i, COL_SNAPSHOT_ENTITIES, 0));
        json_write_name(reply, "kinds");
        strbuf_putc(reply, '[');
        for (const char *list = db_column(rows, i, COL_SNAPSHOT_KINDS), *name = list; *list; name = list) {
            if (name != db_column(rows, i, COL_SNAPSHOT_KINDS)) strbuf_putc(reply, ',');
            json_write_string(reply, name, next_name(&list));
        }
        strbuf_puts(reply, "]}");
    }
    strbuf_puts(reply, "]}");
    return RC_OK;
}

static void add_kinds(library *l, const char *list)
{
    while (*list) {
        const char *name = list;
        size_t len = next_name(&list);
        for (const kind *const *k = kinds; *k; k++)
            if (strlen((*k)->name) == len && memcmp((*k)->name, name, len) == 0) l->kinds[l->kind_count++] = *k;
    }
}

/* Fills `l` with the ids of the snapshot; full_store reads the data page by page. */
static rc read_snapshot(sync_ctx *ctx, const char *id, int64_t *stamp, library *l)
{
    char *end;
    *stamp = strtoll(id, &end, 10);
    bool is_id = *id && !*end;
    PGresult *list, *ids;
    db_param user = db_text(ctx->user);
    rc code =
        QUERY_SNAPSHOT(ctx->db, ctx->a, ctx->user, {.id = SQL_SNAPSHOTS_LIST, .params = &user, .result = &list},
                       {.id = SQL_SNAPSHOT_IDS, .params = DB_PARAMS(user, db_int(ctx->a, *stamp)), .result = &ids});
    if (code != RC_OK) return code;
    int row = rows_find_snapshot(list, *stamp);
    if (!is_id || row < 0) return ctx_fail(ctx, RC_NOT_FOUND, "there is no such snapshot");
    add_kinds(l, db_column(list, row, COL_SNAPSHOT_KINDS));
    for (int i = 0; i < PQntuples(ids); i++) {
        const kept_row kept = rows_kept(ids, i);
        library_item item = {.kind = kind_find(kept.kind), .id = kept.id, .len = kept.size, .path = "snapshot"};
        if (!item.kind) {
            log_event(LOG_LEVEL_ERROR, "database", "a snapshot lists an entity of an unknown kind");
            return RC_FAILED;
        }
        library_add(l, ctx->a, &item);
    }
    return RC_OK;
}

rc snapshot_restore(sync_ctx *ctx, const char *id, strbuf *reply)
{
    library l = library_new(ctx);
    full_options options = {0};
    rc code = read_snapshot(ctx, id, &options.snapshot, &l);
    return code == RC_OK ? full_store(ctx, &l, &options, reply) : code;
}
