# Units, the account and the folders. configure sets the paths in the units.
units = \
	systemd/booky-sync.service \
	systemd/booky-sync-backup.service \
	systemd/booky-sync-migrate.service \
	systemd/booky-sync-push.service \
	systemd/booky-sync-purge.service \
	systemd/booky-sync-restore-test.service
other_units = \
	systemd/booky-sync.socket \
	systemd/booky-sync-backup.timer \
	systemd/booky-sync-push.socket \
	systemd/booky-sync-purge.timer \
	systemd/booky-sync-restore-test.timer
EXTRA_DIST += $(units:=.in)
CLEANFILES += $(units)

$(units): %: %.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && \
	$(SED) -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' \
	-e 's|@pkgdatadir[@]|$(pkgdatadir)|g' $(srcdir)/$@.in > $@.tmp && mv $@.tmp $@

if HAVE_SYSTEMD
systemdsystemunit_DATA = $(units)
dist_systemdsystemunit_DATA = $(other_units)
dist_pkgdata_SCRIPTS = systemd/backup.sh
sysusersdir = $(prefix)/lib/sysusers.d
dist_sysusers_DATA = systemd/sysusers.d/booky-sync.conf
tmpfilesdir = $(prefix)/lib/tmpfiles.d
dist_tmpfiles_DATA = systemd/tmpfiles.d/booky-sync.conf
else
EXTRA_DIST += $(other_units) systemd/backup.sh \
	systemd/sysusers.d/booky-sync.conf systemd/tmpfiles.d/booky-sync.conf
endif
