# The database schema, forward only. `booky-sync migrate` reads the files from here.
migrationsdir = $(pkgdatadir)/migrations
dist_migrations_DATA = \
	migrations/0001_sync.sql \
	migrations/0002_recovery.sql \
	migrations/0003_operations.sql \
	migrations/0004_conflict_sides.sql \
	migrations/0005_functions.sql \
	migrations/0006_lookups.sql \
	migrations/0007_epochs.sql \
	migrations/0008_recent.sql \
	migrations/0009_sets.sql \
	migrations/0010_quota.sql \
	migrations/0011_ledger.sql \
	migrations/0012_autovacuum.sql \
	migrations/0013_distributed.sql
