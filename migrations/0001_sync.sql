-- The tables of the sync server.
--
-- Every key begins with user_id and every statement of the workers names one user: all of a user's rows can live on one
-- shard. Instants are milliseconds since 1970 (bigint), because an ISO string with milliseconds must be an exact cursor.
-- Texts that are compared have the "C" collation: ids are bytes, not words.

DO $$
BEGIN
    -- The role of the workers: owns nothing, bypasses nothing. Login roles are made members of it.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'booky_worker') THEN
        CREATE ROLE booky_worker NOLOGIN;
    END IF;
END
$$;

GRANT USAGE ON SCHEMA booky TO booky_worker;

-- The commit clock. The first statement of every write transaction upserts, and thereby locks, the user's row.
CREATE TABLE booky.clocks (
    user_id text COLLATE "C" PRIMARY KEY,
    clock   bigint NOT NULL, -- the stamp of the user's last write
    started bigint NOT NULL, -- the stamp of the first
    horizon bigint NOT NULL DEFAULT 0, -- tombstones up to this stamp may be gone
    epoch   bigint NOT NULL DEFAULT floor(random() * 4294967296) -- tells this row from an erased one's
) WITH (fillfactor = 50);
COMMENT ON TABLE booky.clocks IS 'One commit clock per user: stamp order is commit order';

-- One row per entity. `data` is the visible tree; `base_at` the time of each of its leaves, but for those that `marks`
-- names (JSON pointer to time).
CREATE TABLE booky.entities (
    user_id       text COLLATE "C" NOT NULL,
    kind          text COLLATE "C" NOT NULL,
    entity_id     text COLLATE "C" NOT NULL,
    updated_at    bigint NOT NULL, -- the stamp of the transaction that wrote the row last
    created_at    bigint NOT NULL,
    edited_at     bigint,          -- when a person edited it last; null: only a deletion is known
    deleted_at    bigint,          -- the deletion that is in force
    superseded_at bigint,          -- the edit of the other entity that has taken its place (one rating per book)
    base_at       bigint,
    status        text COLLATE "C" NOT NULL CHECK (status IN ('live', 'deleted', 'incomplete')),
    key           text COLLATE "C", -- what must be unique or is asked about: a rating's book, a tag's name
    device        text,             -- the last writer
    marks         json,
    data          json NOT NULL,
    PRIMARY KEY (user_id, kind, entity_id)
);
CREATE UNIQUE INDEX entities_pull ON booky.entities (user_id, updated_at, kind, entity_id);
CREATE INDEX entities_key ON booky.entities (user_id, kind, key, edited_at DESC) WHERE key IS NOT NULL;
COMMENT ON TABLE booky.entities IS 'Books, ratings, tags, collections, reading logs and settings, live and deleted';

-- The ledger: each operation takes effect once, and a repeat gets the stored result.
CREATE TABLE booky.ledger (
    user_id      text COLLATE "C" NOT NULL,
    operation_id text COLLATE "C" NOT NULL,
    processed_at bigint NOT NULL,
    hash         bytea NOT NULL, -- of what was asked: SHA-256, then the timestamp
    result       json NOT NULL,
    PRIMARY KEY (user_id, operation_id)
);
COMMENT ON TABLE booky.ledger IS 'Operation ids that were processed, with their results';

-- Operations that a client has parked on the server.
CREATE TABLE booky.queue (
    user_id      text COLLATE "C" NOT NULL,
    operation_id text COLLATE "C" NOT NULL,
    queued_at    bigint NOT NULL,
    made_at      bigint NOT NULL, -- the operation's timestamp
    synced_at    bigint,          -- null: waits
    attempts     integer NOT NULL DEFAULT 0,
    type         text NOT NULL CHECK (type IN ('create', 'update', 'delete')),
    kind         text COLLATE "C" NOT NULL,
    entity_id    text COLLATE "C" NOT NULL,
    last_error   text,
    data         json,
    PRIMARY KEY (user_id, operation_id)
);
CREATE INDEX queue_waiting ON booky.queue (user_id, made_at, operation_id) WHERE synced_at IS NULL;
COMMENT ON TABLE booky.queue IS 'Operations stored for later, applied on request';

-- What devices disagreed about, with both sides; open ones wait for a person.
CREATE TABLE booky.conflicts (
    user_id      text COLLATE "C" NOT NULL,
    stamp        bigint NOT NULL,
    n            integer NOT NULL, -- the stamp and this number are the conflict's id
    local_at     bigint,
    server_at    bigint,
    resolved_at  bigint,
    kind         text COLLATE "C" NOT NULL,
    entity_id    text COLLATE "C" NOT NULL,
    other_id     text COLLATE "C", -- the other entity, where two are in each other's way
    reason       text COLLATE "C" NOT NULL,
    status       text COLLATE "C" NOT NULL CHECK (status IN ('open', 'resolved')),
    resolution   text CHECK (resolution IN ('client', 'server', 'merged')),
    operation_id text,
    device       text,
    local_data   json,
    server_data  json,
    PRIMARY KEY (user_id, stamp, n)
);
CREATE INDEX conflicts_open ON booky.conflicts (user_id, stamp, n) WHERE status = 'open';
COMMENT ON TABLE booky.conflicts IS 'The conflict log';

-- Row-level security repeats the isolation of users inside the database: a mistake in a WHERE clause shows nobody's data.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['clocks', 'entities', 'ledger', 'queue', 'conflicts'] LOOP
        EXECUTE format('ALTER TABLE booky.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_rows ON booky.%I TO booky_worker'
                       ' USING (user_id = current_setting(''booky.user_id'', true))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON booky.%I TO booky_worker', name);
    END LOOP;
END
$$;

-- Plain views for analysts: columns instead of JSON. They show all users, so grant them with care; the workers have no
-- access.
CREATE FUNCTION booky.instant(ms bigint) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN timestamptz 'epoch' + ms * interval '1 millisecond';

CREATE FUNCTION booky.instant(value json) RETURNS timestamptz
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    RETURN CASE json_typeof(value)
        WHEN 'number' THEN booky.instant((value #>> '{}')::bigint)
        -- In parts: PostgreSQL's own reading knows neither the year 0000 nor offsets beyond 15:59, and would round.
        WHEN 'string' THEN (
            SELECT (CASE WHEN t LIKE '0000%' THEN ('0004' || substr(t, 5, 15))::timestamp - interval '1461 days'
                         ELSE left(t, 19)::timestamp END
                    + coalesce(substring(t FROM '\.\d{1,3}'), '0')::float8 * interval '1 second'
                    - coalesce(substring(t FROM '[+-]\d\d:\d\d$'), '00:00')::interval) AT TIME ZONE 'UTC'
            FROM (SELECT value #>> '{}' AS t) AS x)
    END;

CREATE VIEW booky.books AS
SELECT user_id, entity_id AS id, booky.instant(created_at) AS created_at, booky.instant(updated_at) AS updated_at,
       data ->> 'title' AS title,
       data ->> 'subtitle' AS subtitle,
       data ->> 'isbn13' AS isbn13,
       data ->> 'coverUrl' AS cover_url,
       data ->> 'localCoverPath' AS local_cover_path,
       data ->> 'description' AS description,
       data ->> 'publisher' AS publisher,
       data ->> 'publishedDate' AS published_date,
       data ->> 'genre' AS genre,
       data ->> 'language' AS language,
       data ->> 'notes' AS notes,
       data ->> 'readingStatus' AS reading_status,
       data ->> 'printType' AS print_type,
       data ->> 'weight' AS weight,
       data ->> 'country' AS country,
       data ->> 'languageCode' AS language_code,
       data ->> 'previewLink' AS preview_link,
       data ->> 'infoLink' AS info_link,
       data ->> 'canonicalVolumeLink' AS canonical_volume_link,
       data ->> 'webReaderLink' AS web_reader_link,
       data ->> 'textToSpeechPermission' AS text_to_speech_permission,
       data ->> 'seriesName' AS series_name,
       data ->> 'edition' AS edition,
       data ->> 'volume' AS volume,
       data ->> 'oclcNumber' AS oclc_number,
       data ->> 'lccn' AS lccn,
       data ->> 'deweyDecimal' AS dewey_decimal,
       data ->> 'saleability' AS saleability,
       data ->> 'contentVersion' AS content_version,
       data ->> 'maturityRating' AS maturity_rating,
       (data ->> 'publishedYear')::numeric AS published_year,
       (data ->> 'pageCount')::numeric AS page_count,
       (data ->> 'averageRating')::numeric AS average_rating,
       (data ->> 'seriesVolume')::numeric AS series_volume,
       (data ->> 'isEbook')::boolean AS is_ebook,
       (data ->> 'epubAvailable')::boolean AS epub_available,
       (data ->> 'pdfAvailable')::boolean AS pdf_available,
       (data ->> 'allowAnonLogging')::boolean AS allow_anon_logging,
       (data ->> 'needsSync')::boolean AS needs_sync,
       (data ->> 'localOnly')::boolean AS local_only,
       data -> 'authors' AS authors,
       data -> 'categories' AS categories,
       data -> 'subjects' AS subjects,
       data -> 'tags' AS tags,
       data -> 'authorDetails' AS author_details,
       data -> 'externalIds' AS external_ids,
       data -> 'dimensions' AS dimensions,
       data -> 'listPrice' AS list_price,
       data ->> 'format' AS format,
       booky.instant(data -> 'addedAt') AS added_at,
       booky.instant(data -> 'notesUpdatedAt') AS notes_updated_at,
       booky.instant(data -> 'lastSyncedAt') AS last_synced_at,
       data
FROM booky.entities WHERE kind = 'book' AND status = 'live';

CREATE VIEW booky.ratings AS
SELECT user_id, entity_id AS id, booky.instant(created_at) AS created_at, booky.instant(updated_at) AS updated_at,
       data ->> 'bookId' AS book_id,
       (data ->> 'stars')::numeric AS stars,
       data
FROM booky.entities WHERE kind = 'rating' AND status = 'live';

CREATE VIEW booky.tags AS
SELECT user_id, entity_id AS id, booky.instant(created_at) AS created_at, booky.instant(updated_at) AS updated_at,
       data ->> 'name' AS name,
       data
FROM booky.entities WHERE kind = 'tag' AND status = 'live';

CREATE VIEW booky.collections AS
SELECT user_id, entity_id AS id, booky.instant(created_at) AS created_at, booky.instant(updated_at) AS updated_at,
       data ->> 'name' AS name,
       (data ->> 'isSmart')::boolean AS is_smart,
       data -> 'smartRules' AS smart_rules,
       data
FROM booky.entities WHERE kind = 'collection' AND status = 'live';

CREATE VIEW booky.reading_logs AS
SELECT user_id, entity_id AS id, booky.instant(created_at) AS created_at, booky.instant(updated_at) AS updated_at,
       data ->> 'bookId' AS book_id,
       data ->> 'status' AS status,
       booky.instant(data -> 'startedAt') AS started_at,
       booky.instant(data -> 'finishedAt') AS finished_at,
       data
FROM booky.entities WHERE kind = 'readingLog' AND status = 'live';

CREATE VIEW booky.user_settings AS
SELECT user_id, entity_id AS id, booky.instant(created_at) AS created_at, booky.instant(updated_at) AS updated_at,
       data ->> 'theme' AS theme,
       data ->> 'defaultFormat' AS default_format,
       data ->> 'ratingDisplay' AS rating_display,
       data ->> 'dateFormat' AS date_format,
       data -> 'notificationPreferences' AS notification_preferences,
       data
FROM booky.entities WHERE kind = 'userSettings' AND status = 'live';

