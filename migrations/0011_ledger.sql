-- A plain success is not stored a second time: a repeat brings the operation along, and the row has the stamp.
ALTER TABLE booky.ledger ALTER COLUMN result DROP NOT NULL;
COMMENT ON COLUMN booky.ledger.result IS 'What the result says beyond a plain success: {id, status: success, entity, entityId, updatedAt: processed_at}';
COMMENT ON COLUMN booky.ledger.hash IS 'Of what was asked: 16 bytes of SHA-256 (before version 1.0.0 all 32), then the timestamp';
