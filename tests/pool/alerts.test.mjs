// alerts.command: the three published alerts, told when they begin and when they end, without Prometheus. A window of
// one second stands for five minutes.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { Pool, User, book, until } from './pool.mjs';

// A pool whose command appends what it reads to a file; it fails while the file `refuse` is there.
async function startAlerts(t, settings = {}) {
  const pool = new Pool({ 'pool.workers': 2, 'alerts.window': 1, ...settings });
  t.after(() => pool.close());
  const told = path.join(pool.folder, 'told'), refuse = path.join(pool.folder, 'refuse');
  pool.configure({ 'alerts.command': `test ! -e ${refuse} && cat >>${told}` });
  await pool.start();
  const documents = (name) => (existsSync(told) ? readFileSync(told, 'utf8').split('\n').filter(Boolean) : [])
    .map((line) => JSON.parse(line)).filter((row) => row.alert === name);
  return { pool, user: new User(pool), refuse, documents };
}

// Calls `action` again and again until the alert is firing, then waits for its end. Returns the two documents.
async function firing({ documents }, name, action) {
  for (let i = 0; i < 600 && documents(name).length === 0; i++) await action();
  await until(`${name} has ended`, () => documents(name).length >= 2, 30);
  return documents(name);
}

test('the conflict rate: fires, and ends when the conflicts end', async (t) => {
  const alerts = await startAlerts(t), { user, pool } = alerts;
  await user.write([book('b1')]);
  const late = () => ({ id: randomBytes(8).toString('hex'), type: 'update', entity: 'book', entityId: 'b1',
    timestamp: '2020-01-01T00:00:00Z', data: { title: randomBytes(4).toString('hex') } });
  const [begin, end] = await firing(alerts, 'BookySyncConflictRateHigh',
    () => user.write(Array.from({ length: 20 }, late)));
  assert.deepEqual(Object.keys(begin),
    ['alert', 'state', 'severity', 'summary', 'value', 'threshold', 'since', 'at', 'host', 'runbook']);
  assert.deepEqual([begin.state, begin.severity, begin.threshold], ['firing', 'warning', 0.1]);
  assert.ok(begin.value > 0.1 && begin.since <= begin.at, JSON.stringify(begin));
  assert.deepEqual([end.state, end.since], ['resolved', begin.since]);
  const logged = () => pool.log('alert').filter((row) => row.alert === begin.alert);
  await until('both are logged', () => logged().length >= 2);
  assert.deepEqual(logged().map(({ state, level }) => [state, level]), [['firing', 'info'], ['resolved', 'info']]);
});

test('the failure rate: a command that fails is called again', async (t) => {
  const alerts = await startAlerts(t, { 'database.lock_timeout': 10 }), { user, pool, refuse, documents } = alerts;
  await user.write();
  const name = 'BookySyncFailureRateHigh', release = await user.lock();
  writeFileSync(refuse, '');
  await until('the command has failed', async () => {
    await user.write();
    return pool.log('alert').some((row) => row.alert === name && row.level === 'error');
  });
  assert.match(pool.log('alert').find((row) => row.alert === name).message, /failed with exit status 1$/);
  assert.deepEqual(documents(name), []);
  rmSync(refuse);
  const [begin] = await firing(alerts, name, () => user.write());
  assert.deepEqual([begin.state, begin.severity, begin.threshold], ['firing', 'critical', 0.05]);
  await release();
});

test('the queue: more than 100 operations of all users wait', async (t) => {
  const alerts = await startAlerts(t), { user, documents } = alerts, name = 'BookySyncQueueLarge';
  const queue = (n) => user.request({ method: 'POST', uri: '/api/sync/queue', body: JSON.stringify({
    type: 'create', entity: 'book', entityId: `b${n}`, data: { title: 'T' } }) });
  for (let n = 0; n < 101; n++) assert.equal((await queue(n)).status, 201);
  await until(`${name} is firing`, () => documents(name).length > 0, 60);
  assert.ok(documents(name)[0].value >= 101);
  assert.equal((await user.request({ method: 'DELETE', uri: '/api/sync/account' })).status, 200);
});
