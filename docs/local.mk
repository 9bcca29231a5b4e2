# What to read.
dist_doc_DATA += README.md SECURITY.md docs/api.md docs/openapi.yaml docs/operations.md docs/performance.md docs/reliability.md \
	docs/scale.md
dist_man_MANS = docs/man/booky-sync.8 docs/man/booky-sync.conf.5

# The sample configuration names every setting with its default. It is also installed as the configuration where there is
# none; `make uninstall` removes that only as long as it is unchanged.
examplesdir = $(docdir)/examples
dist_examples_DATA = docs/examples/booky-sync.conf
# Those of a deployment on several hosts, which docs/scale.md describes and tests/ha runs.
scaledir = $(examplesdir)/scale
dist_scale_DATA = \
	docs/examples/scale/booky-sync.conf \
	docs/examples/scale/nginx-app.conf \
	docs/examples/scale/nginx-front.conf \
	docs/examples/scale/pg_hba.conf \
	docs/examples/scale/pgbouncer.ini \
	docs/examples/scale/postgresql.conf
confdir = $(DESTDIR)$(sysconfdir)/booky-sync

install-data-local:
	$(MKDIR_P) $(confdir)
	test -e $(confdir)/booky-sync.conf || \
	$(INSTALL) -m 640 $(srcdir)/docs/examples/booky-sync.conf $(confdir)/booky-sync.conf

uninstall-local:
	! cmp -s $(srcdir)/docs/examples/booky-sync.conf $(confdir)/booky-sync.conf || rm -f $(confdir)/booky-sync.conf
	-rmdir $(confdir) 2>/dev/null
