-- Several conflicts of one request about one version of an entity share the server's side: the first of them keeps it, and the
-- others name its number. A late edit of a large book, repeated, would otherwise store the book each time.
ALTER TABLE booky.conflicts ADD COLUMN server_of integer;
COMMENT ON COLUMN booky.conflicts.server_of IS 'The number of the conflict with the same stamp that holds server_data for this one';
