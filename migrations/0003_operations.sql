-- What the pool needs besides the users' data.

-- The exact request limit (rate.requests), shared by all hosts. Unlogged: a crash may forget a window.
CREATE UNLOGGED TABLE booky.rate_windows (
    user_id text COLLATE "C" PRIMARY KEY,
    started bigint NOT NULL,
    n       bigint NOT NULL
) WITH (fillfactor = 50);
ALTER TABLE booky.rate_windows ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON booky.rate_windows TO booky_worker USING (user_id = current_setting('booky.user_id', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON booky.rate_windows TO booky_worker;
COMMENT ON TABLE booky.rate_windows IS 'Requests counted per user and window';

-- Sums over all users for the metrics, which the workers' role cannot see row by row.
CREATE FUNCTION booky.totals(OUT waiting bigint, OUT review bigint, OUT open bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = booky
    AS $$
        SELECT (SELECT count(*) FROM queue WHERE synced_at IS NULL),
               (SELECT count(*) FROM queue WHERE synced_at IS NULL AND attempts >= 5),
               (SELECT count(*) FROM conflicts WHERE status = 'open')
    $$;
REVOKE ALL ON FUNCTION booky.totals() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION booky.totals() TO booky_worker;
