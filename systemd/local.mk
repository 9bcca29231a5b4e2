# Units, the account and the folders. The units' paths are those of configure.
units = \
	systemd/booky-sync.service \
	systemd/booky-sync-migrate.service \
	systemd/booky-sync-push.service \
	systemd/booky-sync-purge.service
EXTRA_DIST += $(units:=.in)
CLEANFILES += $(units)

$(units): %: %.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && \
	$(SED) -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' $(srcdir)/$@.in > $@.tmp && mv $@.tmp $@

if HAVE_SYSTEMD
systemdsystemunit_DATA = $(units)
dist_systemdsystemunit_DATA = systemd/booky-sync.socket systemd/booky-sync-push.socket systemd/booky-sync-purge.timer
sysusersdir = $(prefix)/lib/sysusers.d
dist_sysusers_DATA = systemd/sysusers.d/booky-sync.conf
tmpfilesdir = $(prefix)/lib/tmpfiles.d
dist_tmpfiles_DATA = systemd/tmpfiles.d/booky-sync.conf
else
EXTRA_DIST += systemd/booky-sync.socket systemd/booky-sync-push.socket systemd/booky-sync-purge.timer \
	systemd/sysusers.d/booky-sync.conf systemd/tmpfiles.d/booky-sync.conf
endif
