// The database fails while the pool works.
import assert from 'node:assert/strict';
import test from 'node:test';

import { Load, sleep, sql, startPool, until, User } from './pool.mjs';

// Ends the pool's established connections. One that breaks while it is being made counts as an unreachable database,
// which is answered with 503 for a while.
const terminate = (pool) => sql(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
  WHERE application_name = '${pool.name}' AND backend_start < now() - interval '500 milliseconds'`);

test('database connections that break under load fail no read, and a repeated write is applied once', async (t) => {
  const pool = await startPool(t), load = new Load(pool, { retry: true });
  await load.reach(100);
  let broken = 0;
  for (let i = 0; i < 6; i++) {
    await sleep(700);
    broken += Number(await terminate(pool));
    await load.reach(50);
  }
  await load.check();
  assert.ok(broken >= 12, `${broken} connections were ended`);
  const metrics = await pool.metrics();
  assert.ok(metrics.value('booky_sync_db_connects_total') >= 12);
  assert.equal(metrics.value('booky_sync_worker_restarts_total'), 0);
  assert.equal(metrics.value('booky_sync_http_requests_total', { code: '500' }) ?? 0, 0);
  t.diagnostic(`${load.requests} requests, ${broken} connections ended, ${load.retries} writes repeated`);
});

test('a pool that starts without its database answers 503 until it is up, and the metrics say so', async (t) => {
  const pool = await startPool(t,
    { 'database.dsn': 'host=/nowhere dbname=none', 'pool.workers': 2, 'rate.requests': 1000 }), user = new User(pool);
  assert.equal((await user.request({ uri: '/api/sync/config' })).status, 200, 'it needs no database');
  assert.equal((await user.request({ uri: '/api/health' })).status, 503);
  const reply = await user.write();
  assert.deepEqual([reply.status, reply.headers['retry-after'], reply.json.success], [503, '2', false]);
  assert.equal((await pool.metrics()).value('booky_sync_db_up'), 0);
  assert.equal((await pool.metrics()).value('booky_sync_queue_waiting'), undefined);
  const other = await startPool(t);
  pool.configure({ 'database.dsn': other.settings['database.dsn'] });
  await pool.reload();
  assert.equal((await user.write()).status, 200);
  await until('the metrics say so', async () => (await pool.metrics()).value('booky_sync_db_up') === 1);
});
