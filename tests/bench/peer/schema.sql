-- The tables of the server that the benchmark compares with.
CREATE SCHEMA peer;
CREATE TABLE peer.entities (
    user_id    text NOT NULL,
    type       text NOT NULL,
    entity_id  text NOT NULL,
    data       jsonb NOT NULL,
    edited_at  timestamptz NOT NULL, -- by the client's clock; the last edit wins
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    PRIMARY KEY (user_id, type, entity_id)
);
CREATE INDEX entities_changes ON peer.entities (user_id, updated_at);
CREATE TABLE peer.queue (
    id         text NOT NULL,
    user_id    text NOT NULL,
    type       text NOT NULL,
    entity     text NOT NULL,
    entity_id  text NOT NULL,
    data       jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    synced     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (user_id, id)
);
CREATE INDEX queue_waiting ON peer.queue (user_id, created_at) WHERE NOT synced;
CREATE ROLE peer LOGIN;
GRANT USAGE ON SCHEMA peer TO peer;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA peer TO peer;
