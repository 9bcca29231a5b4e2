# Alerts for Prometheus; the tests of them are `promtool test rules`.
monitoringdir = $(pkgdatadir)/monitoring
dist_monitoring_DATA = monitoring/booky-sync.rules.yml
EXTRA_DIST += monitoring/booky-sync.rules.test.yml
