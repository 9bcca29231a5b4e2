# What the sysadmin copies to Prometheus and Grafana. The test of the rules comes along for those who change a threshold.
monitoringdir = $(pkgdatadir)/monitoring
dist_monitoring_DATA = \
	monitoring/booky-sync.rules.test.yml \
	monitoring/booky-sync.rules.yml \
	monitoring/grafana-dashboard.json
EXTRA_DIST += tests/monitoring
