# What serves requests, as a library so that tests can run it in a process of their own.
noinst_LIBRARIES += libserver.a
libserver_a_SOURCES = \
	fcgi-app/api_account.c \
	fcgi-app/api_sync.c \
	fcgi-app/auth.c fcgi-app/auth.h \
	fcgi-app/board.c fcgi-app/board.h \
	fcgi-app/listen.c fcgi-app/listen.h \
	fcgi-app/metrics.c fcgi-app/metrics.h \
	fcgi-app/pool.c fcgi-app/pool.h \
	fcgi-app/reply.c fcgi-app/reply.h \
	fcgi-app/report.c fcgi-app/report.h \
	fcgi-app/request.c fcgi-app/request.h \
	fcgi-app/route.c fcgi-app/route.h \
	fcgi-app/worker.c fcgi-app/worker.h
libserver_a_CPPFLAGS = $(AM_CPPFLAGS) -iquote $(srcdir)/fcgi-app $(FCGI_CFLAGS)

# The program booky-sync: the server and its administration.
sbin_PROGRAMS += booky-sync
booky_sync_SOURCES = \
	fcgi-app/cmd.c fcgi-app/cmd.h \
	fcgi-app/cmd_check_config.c \
	fcgi-app/cmd_conflicts.c \
	fcgi-app/cmd_migrate.c \
	fcgi-app/cmd_purge.c \
	fcgi-app/cmd_push.c \
	fcgi-app/cmd_replay.c \
	fcgi-app/cmd_resync.c \
	fcgi-app/cmd_serve.c \
	fcgi-app/cmd_status.c \
	fcgi-app/cmd_token.c \
	fcgi-app/cmd_user.c \
	fcgi-app/main.c \
	fcgi-app/push.c fcgi-app/push.h \
	fcgi-app/push_metrics.c fcgi-app/push_metrics.h \
	fcgi-app/push_peers.c fcgi-app/push_peers.h \
	fcgi-app/streams.c fcgi-app/streams.h
booky_sync_CPPFLAGS = $(libserver_a_CPPFLAGS) $(WEBSOCKETS_CFLAGS)
booky_sync_LDADD = libserver.a libbooky.a $(FCGI_LIBS) $(WEBSOCKETS_LIBS) $(EV_LIBS) $(BOOKY_LIBS) -lm
