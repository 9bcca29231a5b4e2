# Files that the administrator copies to Prometheus, Grafana and rsyslog. The test of the rules is installed too, for those who
# change a threshold.
monitoringdir = $(pkgdatadir)/monitoring
dist_monitoring_DATA = \
	monitoring/booky-sync.rules.test.yml \
	monitoring/booky-sync.rules.yml \
	monitoring/grafana-dashboard.json \
	monitoring/rsyslog.conf
EXTRA_DIST += tests/monitoring
