-- When autovacuum cleans a table. By default it waits until a fifth of a table is dead rows: late for a large table.

-- Every update of an entity leaves a dead row, because updated_at is indexed.
ALTER TABLE booky.entities SET (autovacuum_vacuum_scale_factor = 0.02);

-- One row a user, updated by every write. Most dead rows go without a vacuum (HOT), as long as the pages are not full.
ALTER TABLE booky.clocks SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
