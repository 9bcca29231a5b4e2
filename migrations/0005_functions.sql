-- Nothing in a session can take the place of what a function with the owner's rights names.

-- PostgreSQL searches the temporary schema first unless search_path says where it stands. So a temporary view named
-- "queue" took the place of the table, and its functions ran with the rights of the owner, who can switch row-level
-- security off. Now each table has its schema, and the temporary schema stands last.
CREATE OR REPLACE FUNCTION booky.totals(OUT waiting bigint, OUT review bigint, OUT open bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = booky, pg_temp
    AS $$
        SELECT (SELECT count(*) FROM booky.queue WHERE synced_at IS NULL),
               (SELECT count(*) FROM booky.queue WHERE synced_at IS NULL AND attempts >= 5),
               (SELECT count(*) FROM booky.conflicts WHERE status = 'open')
    $$;

-- booky.instant() and the views need nothing: their bodies were bound to tables and functions when they were created,
-- and they run with the rights of the caller or only read.

-- The workers create no temporary objects. PostgreSQL allows them to everybody unless the database's owner says
-- otherwise.
DO $$
BEGIN
    IF (SELECT pg_has_role(current_user, datdba, 'USAGE') FROM pg_database WHERE datname = current_database()) THEN
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC, booky_worker', current_database());
    ELSE
        RAISE WARNING 'the schema''s owner does not own the database; as its owner run:'
                      ' REVOKE TEMPORARY ON DATABASE % FROM PUBLIC', quote_ident(current_database());
    END IF;
END
$$;
