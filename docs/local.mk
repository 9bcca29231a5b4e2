# Documents and man pages.
dist_doc_DATA += README.md CHANGELOG.md SECURITY.md docs/api.md docs/architecture.md docs/architecture.svg \
	docs/engines.md docs/openapi.yaml docs/operations.md docs/performance.md docs/reliability.md docs/scale.md
EXTRA_DIST += CONTRIBUTING.md docs/README.md docs/architecture.dot \
	docs/site/.npmrc docs/site/build.mjs docs/site/docs.css docs/site/package.json docs/site/package-lock.json \
	docs/site/reference.js
dist_man_MANS = docs/man/booky-sync.8 docs/man/booky-sync.conf.5

# The sample configuration lists every setting with its default. If there is no configuration, it is also installed as
# such; `make uninstall` removes that copy only if it is unchanged.
examplesdir = $(docdir)/examples
dist_examples_DATA = docs/examples/booky-sync.conf
# The configuration files of a deployment on several hosts, which docs/scale.md describes and tests/ha runs.
scaledir = $(examplesdir)/scale
dist_scale_DATA = \
	docs/examples/scale/booky-sync.conf \
	docs/examples/scale/etcd.env \
	docs/examples/scale/nginx-app.conf \
	docs/examples/scale/nginx-front.conf \
	docs/examples/scale/patroni.yml \
	docs/examples/scale/pg_hba.conf \
	docs/examples/scale/pgbouncer.ini \
	docs/examples/scale/postgresql.conf
# An example of containers, for `./dev image`.
containerdir = $(examplesdir)/container
dist_container_DATA = docs/examples/container/compose.yaml docs/examples/container/nginx.conf
dist_container_SCRIPTS = docs/examples/container/roles.sh
# The pages of /docs. `./dev docs` builds them with npm packages. They are installed, and go into the tarball, if they
# are there, so that a build needs no network.
pages = $(DESTDIR)$(pkgdatadir)/docs
confdir = $(DESTDIR)$(sysconfdir)/booky-sync

install-data-local:
	$(MKDIR_P) $(confdir)
	test -e $(confdir)/booky-sync.conf || \
	$(INSTALL) -m 640 $(srcdir)/docs/examples/booky-sync.conf $(confdir)/booky-sync.conf
	test ! -d $(srcdir)/docs/html || { rm -rf $(pages) && $(MKDIR_P) $(pages) && \
	cp -R $(srcdir)/docs/html/. $(pages) && chmod -R u+w,go+rX $(pages); }

dist-hook:
	test ! -d $(srcdir)/docs/html || cp -R $(srcdir)/docs/html $(distdir)/docs

uninstall-local:
	! cmp -s $(srcdir)/docs/examples/booky-sync.conf $(confdir)/booky-sync.conf || rm -f $(confdir)/booky-sync.conf
	rm -rf $(pages)
	-rmdir $(confdir) 2>/dev/null
