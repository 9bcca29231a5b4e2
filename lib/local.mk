# The engine and what it stands on. Knows nothing of HTTP or FastCGI. The folders are floors, from the lowest to the
# highest; a floor calls only the floors above it in this list.
noinst_LIBRARIES += libbooky.a
libbooky_a_SOURCES = \
	lib/base/arena.c lib/base/arena.h \
	lib/base/clock.c lib/base/clock.h \
	lib/base/conf.c lib/base/conf_read.c lib/base/conf.h \
	lib/base/hash.c lib/base/hash.h \
	lib/base/json.c lib/base/json.h \
	lib/base/json_check.c lib/base/json_quick.c \
	lib/base/json_read.c \
	lib/base/json_scan.c lib/base/json_scan.h \
	lib/base/json_split.c \
	lib/base/json_write.c \
	lib/base/log.c lib/base/log.h \
	lib/base/must.h \
	lib/base/rc.c lib/base/rc.h \
	lib/base/utf8.c lib/base/utf8.h \
	lib/base/version.h \
	lib/token/cache.c lib/token/cache.h \
	lib/token/claims.c lib/token/claims.h \
	lib/token/keys.c lib/token/keys.h \
	lib/token/mint.c lib/token/mint.h \
	lib/token/verify.c lib/token/verify.h \
	lib/engine/conflict.c lib/engine/conflict.h \
	lib/engine/cursor.c lib/engine/cursor.h \
	lib/engine/entity.c lib/engine/entity.h \
	lib/engine/kind.c lib/engine/kind.h \
	lib/engine/kind_book.c \
	lib/engine/kind_collection.c \
	lib/engine/kind_rating.c \
	lib/engine/kind_reading_log.c \
	lib/engine/kind_set.c \
	lib/engine/kind_tag.c \
	lib/engine/kind_user_settings.c \
	lib/engine/merge.c lib/engine/merge.h \
	lib/engine/merge_effect.h lib/engine/merge_mark.h \
	lib/engine/merge_join.c \
	lib/engine/merge_marks.c lib/engine/merge_marks.h \
	lib/engine/merge_row.c \
	lib/engine/merge_set.c lib/engine/merge_set.h \
	lib/engine/merge_set_join.c \
	lib/engine/merge_set_row.c lib/engine/merge_set_state.h \
	lib/engine/merge_tree.c lib/engine/merge_tree.h \
	lib/engine/operation.c lib/engine/operation.h \
	lib/engine/quota.c lib/engine/quota.h \
	lib/engine/readings.c lib/engine/readings.h \
	lib/engine/recent.c lib/engine/recent.h \
	lib/engine/resolve.c lib/engine/resolve.h \
	lib/engine/resync.c lib/engine/resync.h \
	lib/engine/rivals.c lib/engine/rivals.h \
	lib/engine/step.c lib/engine/step.h \
	lib/engine/times.c lib/engine/times.h \
	lib/engine/undo.c lib/engine/undo.h \
	lib/engine/usage.c lib/engine/usage.h \
	lib/store/db.h \
	lib/store/db_array.c lib/store/db_array.h \
	lib/store/db_connect.c lib/store/db_connect.h \
	lib/store/db_handle.c lib/store/db_internal.h \
	lib/store/db_pipeline.c \
	lib/store/db_slow.c lib/store/db_slow.h \
	lib/store/query.c lib/store/query.h \
	lib/store/replica.c lib/store/replica.h \
	lib/store/rows.c lib/store/rows.h \
	lib/store/rows_conflicts.c \
	lib/store/sql.c lib/store/sql.h lib/store/sql_citus.c \
	lib/store/sql_full.h lib/store/sql_parts.h lib/store/sql_usage.h \
	lib/store/txn.c lib/store/txn.h \
	lib/sync/batch.c lib/sync/batch.h \
	lib/sync/change.c lib/sync/change.h \
	lib/sync/changes.c lib/sync/changes.h \
	lib/sync/config.c lib/sync/config.h \
	lib/sync/ctx.c lib/sync/ctx.h \
	lib/sync/decision.c lib/sync/decision.h \
	lib/sync/digest.c lib/sync/digest.h \
	lib/sync/envelope.c lib/sync/envelope.h \
	lib/sync/erase.c lib/sync/erase.h \
	lib/sync/events.c lib/sync/events.h \
	lib/sync/export.c lib/sync/export.h \
	lib/sync/full.c lib/sync/full.h lib/sync/full_work.h \
	lib/sync/full_apply.c lib/sync/full_load.c \
	lib/sync/held.c lib/sync/held.h \
	lib/sync/import.c lib/sync/import.h \
	lib/sync/journal.c lib/sync/journal.h \
	lib/sync/ledger.c lib/sync/ledger.h \
	lib/sync/library.c lib/sync/library.h \
	lib/sync/one.c lib/sync/one.h \
	lib/sync/param.c lib/sync/param.h \
	lib/sync/poke.c lib/sync/poke.h \
	lib/sync/pull.c lib/sync/pull.h \
	lib/sync/queue.c lib/sync/queue.h \
	lib/sync/result.c lib/sync/result.h \
	lib/sync/review.c lib/sync/review.h \
	lib/sync/snapshot.c lib/sync/snapshot.h \
	lib/sync/status.c lib/sync/status.h \
	lib/sync/tally.c lib/sync/tally.h
