# The database schema, forward only. `booky-sync migrate` reads the files from here.
migrationsdir = $(pkgdatadir)/migrations
dist_migrations_DATA = \
	migrations/0001_sync.sql \
	migrations/0002_recovery.sql \
	migrations/0003_operations.sql
