# What serves requests, as a library so that tests can run it in a process of their own.
noinst_LIBRARIES += libserver.a
libserver_a_SOURCES = \
	fcgi-app/http/api.h \
	fcgi-app/http/api_account.c \
	fcgi-app/http/api_conflicts.c \
	fcgi-app/http/api_events.c \
	fcgi-app/http/api_full.c \
	fcgi-app/http/api_queue.c \
	fcgi-app/http/api_server.c \
	fcgi-app/http/api_sync.c \
	fcgi-app/http/auth.c fcgi-app/http/auth.h \
	fcgi-app/http/body.c fcgi-app/http/body.h \
	fcgi-app/http/progress.h \
	fcgi-app/http/rate.c fcgi-app/http/rate.h \
	fcgi-app/http/reply.c fcgi-app/http/reply.h \
	fcgi-app/http/request.c fcgi-app/http/request.h \
	fcgi-app/http/route.c fcgi-app/http/route.h \
	fcgi-app/http/stages.c fcgi-app/http/stages.h \
	fcgi-app/serve/accept.c fcgi-app/serve/accept.h \
	fcgi-app/serve/alerts.c fcgi-app/serve/alerts.h \
	fcgi-app/serve/board.c fcgi-app/serve/board.h \
	fcgi-app/serve/handover.c fcgi-app/serve/handover.h \
	fcgi-app/serve/listen.c fcgi-app/serve/listen.h \
	fcgi-app/serve/listen_queue.c fcgi-app/serve/listen_queue.h \
	fcgi-app/serve/members.c fcgi-app/serve/members.h \
	fcgi-app/serve/metrics.c fcgi-app/serve/metrics.h \
	fcgi-app/serve/notify.c fcgi-app/serve/notify.h \
	fcgi-app/serve/pool.c fcgi-app/serve/pool.h \
	fcgi-app/serve/pool_page.c fcgi-app/serve/pool_page.h \
	fcgi-app/serve/pool_settings.c fcgi-app/serve/pool_settings.h \
	fcgi-app/serve/pool_state.c fcgi-app/serve/pool_state.h \
	fcgi-app/serve/reap.c fcgi-app/serve/reap.h \
	fcgi-app/serve/reload.c fcgi-app/serve/reload.h \
	fcgi-app/serve/report.c fcgi-app/serve/report.h \
	fcgi-app/serve/scale.c fcgi-app/serve/scale.h \
	fcgi-app/serve/totals.c fcgi-app/serve/totals.h \
	fcgi-app/serve/upgrade.c fcgi-app/serve/upgrade.h \
	fcgi-app/serve/worker.c fcgi-app/serve/worker.h
libserver_a_CPPFLAGS = $(AM_CPPFLAGS) -iquote $(srcdir)/fcgi-app $(FCGI_CFLAGS)

# The program booky-sync: the server and its administration.
sbin_PROGRAMS += booky-sync
booky_sync_SOURCES = \
	fcgi-app/cmd/cmd.c fcgi-app/cmd/cmd.h \
	fcgi-app/cmd/cmd_check_config.c fcgi-app/cmd/cmd_check_nginx.c \
	fcgi-app/cmd/cmd_conflicts.c \
	fcgi-app/cmd/cmd_distribute.c \
	fcgi-app/cmd/cmd_each_user.c \
	fcgi-app/cmd/cmd_erased.c \
	fcgi-app/cmd/cmd_migrate.c \
	fcgi-app/cmd/cmd_purge.c \
	fcgi-app/cmd/cmd_push.c \
	fcgi-app/cmd/cmd_replay.c \
	fcgi-app/cmd/cmd_resync.c \
	fcgi-app/cmd/cmd_serve.c \
	fcgi-app/cmd/cmd_pages.c \
	fcgi-app/cmd/cmd_queue.c \
	fcgi-app/cmd/cmd_restamp.c \
	fcgi-app/cmd/cmd_snapshots.c \
	fcgi-app/cmd/cmd_statement.c \
	fcgi-app/cmd/cmd_status.c \
	fcgi-app/cmd/cmd_user_show.c \
	fcgi-app/cmd/cmd_token.c \
	fcgi-app/cmd/cmd_user.c \
	fcgi-app/cmd/cmdline.c fcgi-app/cmd/cmdline.h \
	fcgi-app/cmd/main.c \
	fcgi-app/push/connections.c fcgi-app/push/connections.h \
	fcgi-app/push/push.c fcgi-app/push/push.h \
	fcgi-app/push/push_metrics.c fcgi-app/push/push_metrics.h \
	fcgi-app/push/push_peers.c fcgi-app/push/push_peers.h \
	fcgi-app/push/push_state.c fcgi-app/push/push_state.h \
	fcgi-app/push/stream_writer.c fcgi-app/push/stream_writer.h \
	fcgi-app/push/streams.c fcgi-app/push/streams.h
booky_sync_CPPFLAGS = $(libserver_a_CPPFLAGS) $(WEBSOCKETS_CFLAGS)
booky_sync_LDADD = libserver.a libbooky.a $(FCGI_LIBS) $(WEBSOCKETS_LIBS) $(EV_LIBS) $(BOOKY_LIBS) -lm
