// The peer of the benchmark: the published endpoints in a plain implementation with Express and node-postgres. A batch
// is one transaction, and the later of two edits of an entity wins. Unlike the server it has no ledger of operations,
// no merge of members, no conflict log and no tombstones of a full sync. Usage: node server.mjs PORT
// FOLDER_OF_POSTGRESQLS_SOCKET KEY_FILE
import cluster from 'node:cluster';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import express from 'express';
import jwt from 'jsonwebtoken';
import pg from 'pg';

const [port, host, key] = process.argv.slice(2);
const PROCESSES = 2, CONNECTIONS = 8; // of each process
const kinds = { books: 'book', ratings: 'rating', tags: 'tag', collections: 'collection', readings: 'readingLog' };

if (cluster.isPrimary) {
  for (let i = 0; i < PROCESSES; i++) cluster.fork();
  cluster.on('exit', () => process.exit(1));
} else {
  serve();
}

function serve() {
  const pool = new pg.Pool({ host, user: 'peer', database: 'booky', max: CONNECTIONS, options: '-c search_path=peer' });
  const secret = readFileSync(key, 'utf8').trim();
  const app = express();
  app.disable('x-powered-by');
  app.use(express.json({ limit: '32mb' }));
  app.use((req, res, next) => {
    try {
      const { userId, sub } = jwt.verify(req.headers.authorization?.replace(/^Bearer /, '') ??
        '', secret, { algorithms: ['HS256'] });
      req.userId = userId ?? sub;
      next();
    } catch {
      res.status(401).json({ success: false, error: 'UNAUTHORIZED' });
    }
  });

  // A named statement is prepared once per connection.
  const query = (db, name, text, values) => db.query({ name, text, values });

  async function transaction(act) {
    const db = await pool.connect();
    try {
      await db.query('BEGIN');
      const result = await act(db);
      await db.query('COMMIT');
      return result;
    } catch (error) {
      await db.query('ROLLBACK');
      throw error;
    } finally {
      db.release();
    }
  }

  const route = (act) => (req, res) => act(req, res).catch((error) => {
    console.error(error);
    res.status(500).json({ success: false, error: 'SYNC_FAILED' });
  });

  function apply(db, userId, { type, entity, entityId, data, timestamp }) {
    const at = timestamp === undefined ? new Date() : new Date(timestamp);
    if (type === 'delete')
      return query(db, 'delete', `UPDATE entities SET deleted_at = $4, edited_at = $4, updated_at = now()
        WHERE user_id = $1 AND type = $2 AND entity_id = $3 AND edited_at <= $4`, [userId, entity, entityId, at]);
    return query(db, 'upsert', `INSERT INTO entities (user_id, type, entity_id, data, edited_at)
      VALUES ($1, $2, $3, $4, $5)
      ON CONFLICT (user_id, type, entity_id) DO UPDATE SET data = entities.data || excluded.data,
        edited_at = excluded.edited_at, updated_at = now(), deleted_at = NULL
      WHERE entities.edited_at <= excluded.edited_at`, [userId, entity, entityId, data, at]);
  }

  const sync = express.Router();

  sync.post('/operations', route(async (req, res) => {
    const { operations } = req.body;
    if (!Array.isArray(operations)) return res.status(400).json({ success: false, error: 'VALIDATION_ERROR' });
    // Sorted, so that there are no deadlocks.
    const ordered = [...operations].sort((a, b) => (a.entityId < b.entityId ? -1 : a.entityId > b.entityId ? 1 : 0));
    await transaction(async (db) => {
      for (const operation of ordered) await apply(db, req.userId, operation);
    });
    const results = operations.map(({ id, entity, entityId }) => ({ id, status: 'success', entity, entityId }));
    res.json({ success: true, results });
  }));

  sync.get('/status', route(async (req, res) => {
    const { rows: [row] } = await query(pool, 'status', `SELECT
      (SELECT max(updated_at) FROM entities WHERE user_id = $1) AS last,
      (SELECT count(*)::int FROM queue WHERE user_id = $1 AND NOT synced) AS pending`, [req.userId]);
    res.json({ success: true, status: 'ready', lastSync: row.last, pendingOperations: row.pending, conflicts: 0 });
  }));

  sync.get('/changes', route(async (req, res) => {
    const { since } = req.query;
    const { rows } = await query(pool, 'changes', `SELECT type, entity_id, data, created_at, updated_at, deleted_at
      FROM entities WHERE user_id = $1 AND updated_at > $2 ORDER BY updated_at`,
    [req.userId, new Date(/^\d+$/.test(since) ? Number(since) : since)]);
    const changes = rows.map((row) => {
      const { type, entity_id: id, data, created_at: createdAt, updated_at: updatedAt, deleted_at: deletedAt } = row;
      return deletedAt ? { type, deleted: true, data: { id, updatedAt, deletedAt } }
        : { type, data: { id, createdAt, updatedAt, ...data } };
    });
    res.json({ success: true, changes, since, hasMore: false });
  }));

  sync.post('/full', route(async (req, res) => {
    const given = Object.entries(kinds).filter(([name]) => Array.isArray(req.body[name]))
      .map(([name, type]) => [type, req.body[name]]);
    if (req.body.settings) given.push(['userSettings', [{ id: 'settings', ...req.body.settings }]]);
    await transaction(async (db) => {
      for (const [type, items] of given) {
        await query(db, 'clear_kind', 'DELETE FROM entities WHERE user_id = $1 AND type = $2', [req.userId, type]);
        await query(db, 'fill_kind', `INSERT INTO entities (user_id, type, entity_id, data, edited_at)
          SELECT $1, $2, item ->> 'id', item - 'id', now() FROM jsonb_array_elements($3::jsonb) AS item
          ON CONFLICT (user_id, type, entity_id) DO UPDATE SET data = excluded.data, edited_at = excluded.edited_at,
            updated_at = now(), deleted_at = NULL`, [req.userId, type, JSON.stringify(items)]);
      }
    });
    res.json({ success: true, syncedAt: new Date() });
  }));

  sync.post('/queue', route(async (req, res) => {
    const { type, entity, entityId, data } = req.body, id = req.body.id ?? randomUUID();
    const { rows: [row] } = await query(pool, 'queue', `INSERT INTO queue (id, user_id, type, entity, entity_id, data)
      VALUES ($1, $2, $3, $4, $5, $6) RETURNING created_at`, [id, req.userId, type, entity, entityId, data]);
    res.status(201).json(
      { success: true, operation: { id, type, entity, entityId, timestamp: row.created_at, synced: false } });
  }));

  sync.get('/pending', route(async (req, res) => {
    const { rows } = await query(pool, 'pending', `SELECT id, type, entity, entity_id AS "entityId", data,
        created_at AS timestamp, synced
      FROM queue WHERE user_id = $1 AND NOT synced ORDER BY created_at`, [req.userId]);
    res.json({ success: true, operations: rows });
  }));

  sync.post('/mark-synced', route(async (req, res) => {
    const { rowCount } = await query(pool, 'mark',
      'UPDATE queue SET synced = true WHERE user_id = $1 AND id = ANY ($2)', [req.userId, req.body.operationIds]);
    res.json({ success: true, message: `Marked ${rowCount} operations as synced` });
  }));

  sync.delete('/clear', route(async (req, res) => {
    await query(pool, 'clear', 'DELETE FROM queue WHERE user_id = $1 AND synced', [req.userId]);
    res.json({ success: true, message: 'Cleared synced operations' });
  }));

  app.use('/api/sync', sync);
  app.listen(Number(port), '127.0.0.1');
}
