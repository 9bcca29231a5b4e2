# The engine and what it stands on. Knows nothing of HTTP or FastCGI.
noinst_LIBRARIES += libbooky.a
libbooky_a_SOURCES = \
	lib/account.c lib/account.h \
	lib/arena.c lib/arena.h \
	lib/batch.c lib/batch.h \
	lib/call.c lib/call.h \
	lib/clock.c lib/clock.h \
	lib/conf.c lib/conf.h \
	lib/conflict.c lib/conflict.h \
	lib/cursor.c lib/cursor.h \
	lib/db.c lib/db.h \
	lib/entity.c lib/entity.h \
	lib/full.c lib/full.h \
	lib/json.c lib/json.h \
	lib/kind.c lib/kind.h \
	lib/kind_book.c \
	lib/kind_collection.c \
	lib/kind_rating.c \
	lib/kind_reading_log.c \
	lib/kind_tag.c \
	lib/kind_user_settings.c \
	lib/log.c lib/log.h \
	lib/merge.c lib/merge.h \
	lib/operation.c lib/operation.h \
	lib/poke.c lib/poke.h \
	lib/pull.c lib/pull.h \
	lib/queue.c lib/queue.h \
	lib/rc.c lib/rc.h \
	lib/replica.c lib/replica.h \
	lib/resolve.c lib/resolve.h \
	lib/review.c lib/review.h \
	lib/sql.c lib/sql.h \
	lib/status.c lib/status.h \
	lib/token.c lib/token.h
