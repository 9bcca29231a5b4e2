# Files that the administrator copies to /etc/nginx: the site, and the folder that it includes.
nginxdir = $(pkgdatadir)/nginx
dist_nginx_DATA = \
	nginx/booky-sync.conf
nginxincludedir = $(nginxdir)/booky-sync
dist_nginxinclude_DATA = \
	nginx/booky-sync/burst.conf \
	nginx/booky-sync/cors.conf \
	nginx/booky-sync/docs.conf \
	nginx/booky-sync/events.conf \
	nginx/booky-sync/fastcgi.conf \
	nginx/booky-sync/headers.conf \
	nginx/booky-sync/http.conf \
	nginx/booky-sync/preflight.conf \
	nginx/booky-sync/rate.conf \
	nginx/booky-sync/rate-off.conf \
	nginx/booky-sync/server.conf
