-- The member bookIds of collections is known now, so the view has a column for it. It comes last: a view can only be
-- extended at its end.
CREATE OR REPLACE VIEW booky.collections AS
SELECT user_id, entity_id AS id, booky.instant(created_at) AS created_at, booky.instant(updated_at) AS updated_at,
       data ->> 'name' AS name,
       (data ->> 'isSmart')::boolean AS is_smart,
       data -> 'smartRules' AS smart_rules,
       data,
       data -> 'bookIds' AS book_ids
FROM booky.entities WHERE kind = 'collection' AND status = 'live';
