-- What each user stores, so that a quota is checked without counting rows.

-- Each transaction that writes changes the counters along with the rows. lib/store/sql_usage.h says what a row counts.
-- NULL: not counted yet. A user from before this migration is counted at their next write, or by `booky-sync purge`.
ALTER TABLE booky.clocks
    ADD COLUMN used_entities bigint, -- live and incomplete ones
    ADD COLUMN used_bytes bigint,    -- of their data, of operations that wait in the queue, and of open conflicts
    ADD COLUMN hidden_bytes bigint,  -- of everything else: deletions, times, `recent`, resolved conflicts, ledger, snapshots
    -- How far the search for deleted entities has come, by stamp: to drop their content, and to forget them.
    ADD COLUMN cleared_to bigint NOT NULL DEFAULT 0,
    ADD COLUMN forgotten_to bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN booky.clocks.used_bytes IS 'Bounded by quota.bytes';
COMMENT ON COLUMN booky.clocks.hidden_bytes IS 'Bounded by quota.hidden: over it, the oldest is dropped';
