-- Why a device must resync: installation, generation, remembered and erased epochs (docs/operations.md, What devices see).

-- The installation: which database the cursors come from. A restored backup is the same installation, a new volume is not.
-- One row. `id` is random; `generation` counts the resyncs of all users.
CREATE TABLE booky.installation (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    id         bigint NOT NULL,
    generation bigint NOT NULL DEFAULT 1
);
INSERT INTO booky.installation (id)
    SELECT ('x' || encode(substr(sha256(uuid_send(gen_random_uuid())), 1, 8), 'hex'))::bit(64)::bigint
           & 9223372036854775807 | 1;
COMMENT ON TABLE booky.installation IS 'Identifies this database to the devices';

-- A cursor of an erased account is found by its epoch alone, so epochs of all users must differ: 63 random bits instead
-- of 32. Not 64: version 1 refuses a negative epoch, and must be able to read the cursors after a downgrade.
ALTER TABLE booky.clocks ALTER COLUMN epoch SET DEFAULT
    ('x' || encode(substr(sha256(uuid_send(gen_random_uuid())), 1, 8), 'hex'))::bit(64)::bigint
    & 9223372036854775807 | 1;

-- The epochs that a user had before. Up to the stamp `until` their history is that of the present epoch. `installation`
-- is another one where a user was imported.
CREATE TABLE booky.epochs (
    user_id      text COLLATE "C" NOT NULL,
    epoch        bigint NOT NULL,
    until        bigint NOT NULL,
    installation bigint NOT NULL,
    PRIMARY KEY (user_id, epoch)
);
ALTER TABLE booky.epochs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON booky.epochs TO booky_worker USING (user_id = current_setting('booky.user_id', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON booky.epochs TO booky_worker;
COMMENT ON TABLE booky.epochs IS 'Earlier epochs of users, before a restore or an import';

-- The epochs of erased accounts: random numbers, nothing of a person. They are never removed, because a device may come
-- back after years, and without its row it would send everything again.
CREATE TABLE booky.erased_epochs (
    epoch     bigint PRIMARY KEY,
    erased_at bigint NOT NULL
);
COMMENT ON TABLE booky.erased_epochs IS 'Epochs of erased accounts';

GRANT SELECT ON booky.installation TO booky_worker;
GRANT SELECT, INSERT ON booky.erased_epochs TO booky_worker;
