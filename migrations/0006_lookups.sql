-- Indexes, so that a request reads a bounded number of rows.

-- The open conflicts about an entity. Without an index, closing them was quadratic: 503 for a user with 20,000 of them.
CREATE INDEX conflicts_open_entity ON booky.conflicts (user_id, kind, entity_id, reason) WHERE status = 'open';
CREATE INDEX conflicts_open_other ON booky.conflicts (user_id, kind, other_id, reason)
    WHERE status = 'open' AND other_id IS NOT NULL;

-- The entities that compete for a key, the latest first: live ones, and of the kinds with one entity per key also those
-- that were superseded, or deleted with all required members. lib/store/sql.c repeats the condition. The index replaces
-- one of all entities with a key, in which a search could pass any number of others.
CREATE INDEX entities_rivals ON booky.entities
    (user_id, kind, key, edited_at DESC, (status <> 'live'), (superseded_at IS NOT NULL))
    WHERE key IS NOT NULL
    AND (status = 'live'
         OR (kind IN ('rating', 'readingLog') AND status = 'deleted'
             AND (superseded_at IS NOT NULL
                  OR (data ->> CASE kind WHEN 'rating' THEN 'stars' ELSE 'status' END) IS NOT NULL)));
DROP INDEX booky.entities_key;
