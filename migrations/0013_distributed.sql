-- What a distributed database needs (database.distributed). Elsewhere nothing uses it.

-- Tells row-level security who the user is, on this node and on the shard. Citus passes on only SET LOCAL itself, not
-- set_config, and only where citus.propagate_set_commands says so. lock_timeout goes along: the locks are on the shard.
CREATE FUNCTION booky.identify(name text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
    BEGIN
        PERFORM pg_catalog.set_config('citus.propagate_set_commands', 'local', true);
        EXECUTE pg_catalog.format('SET LOCAL booky.user_id = %L', name);
        EXECUTE pg_catalog.format('SET LOCAL lock_timeout = %L', pg_catalog.current_setting('lock_timeout'));
    END
    $$;
REVOKE ALL ON FUNCTION booky.identify(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION booky.identify(text) TO booky_worker;
