-- What a full sync, the parked queue and the review list need beyond the first tables.

-- The stamp before the last one: what If-Match is compared with, under the lock.
ALTER TABLE booky.clocks ADD COLUMN previous bigint NOT NULL DEFAULT 0;

-- Of what the parked operation asks, so that a repeat can be told from another operation under the same id.
ALTER TABLE booky.queue ADD COLUMN hash bytea NOT NULL;

-- The operation's conflictResolution and baseVersion.
ALTER TABLE booky.queue ADD COLUMN policy text, ADD COLUMN base_at bigint;

-- The state before each replacement, kept for retention.snapshots days.
CREATE TABLE booky.snapshots (
    user_id  text COLLATE "C" NOT NULL,
    stamp    bigint NOT NULL, -- of the transaction that replaced it; the snapshot's id
    entities bigint NOT NULL,
    kinds    text[] NOT NULL, -- those that were replaced
    PRIMARY KEY (user_id, stamp)
);
CREATE TABLE booky.snapshot_entities (
    user_id    text COLLATE "C" NOT NULL,
    stamp      bigint NOT NULL,
    created_at bigint NOT NULL,
    edited_at  bigint NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    entity_id  text COLLATE "C" NOT NULL,
    data       json NOT NULL,
    PRIMARY KEY (user_id, stamp, kind, entity_id)
);
COMMENT ON TABLE booky.snapshots IS 'The states before each replacement';
COMMENT ON TABLE booky.snapshot_entities IS 'What was live in a snapshot';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['snapshots', 'snapshot_entities'] LOOP
        EXECUTE format('ALTER TABLE booky.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_rows ON booky.%I TO booky_worker'
                       ' USING (user_id = current_setting(''booky.user_id'', true))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON booky.%I TO booky_worker', name);
    END LOOP;
END
$$;
