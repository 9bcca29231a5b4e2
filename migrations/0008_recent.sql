-- What a pull with delta=true needs: the leaves of a row that were written lately.

-- The stamp of the row, the stamp from which the list is complete, then stamps, each followed by JSON pointers:
-- [30,10,20,"/title",30,"/notes","/format"]. Null, or of another stamp than updated_at: the leaves are not known.
ALTER TABLE booky.entities ADD COLUMN recent json;
COMMENT ON COLUMN booky.entities.recent IS 'The leaves that were written lately: [updated_at, complete since, stamp, pointer, ...]';
