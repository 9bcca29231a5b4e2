// The number of workers: they are replaced when they die or reach pool.max_requests, and follow the load.
import assert from 'node:assert/strict';
import test from 'node:test';

import { Load, restarts, signal, sleep, startPool, until, User } from './pool.mjs';

const total = async (pool) => (await pool.workers()).length;

test('a worker that is killed is replaced, counted and logged', async (t) => {
  const pool = await startPool(t), [victim] = await pool.workers();
  signal(victim, 'SIGKILL');
  await until('it is replaced', async () => {
    const now = await pool.workers('idle');
    return now.length === 4 && !now.includes(victim);
  });
  assert.equal(await restarts(pool, 'crash'), 1);
  const row = await pool.logged('worker');
  assert.deepEqual([row.level, row.workerPid, row.message], ['error', victim, 'Killed']);
});

test('killing a worker loses its request and no other', async (t) => {
  const pool = await startPool(t), user = new User(pool), release = await user.lock(), lost = user.write();
  const { pid, 'request id': id } = await pool.busy(), load = new Load(pool, { clients: 4 });
  await load.reach(20);
  signal(pid, 'SIGKILL');
  await assert.rejects(lost);
  await release();
  await load.reach(100);
  await load.check();
  assert.equal((await pool.logged('worker')).requestId, id);
});

test('the master restarts itself and keeps its sockets when workers crash too often', async (t) => {
  const pool = await startPool(t, { 'pool.emergency_restart_threshold': 3 }),
    started = (await pool.status())['start time'];
  for (let i = 1; i <= 3; i++) {
    const [victim] = await until('an idle worker', async () => {
      const idle = await pool.workers('idle');
      return idle.length === 4 && idle;
    });
    signal(victim, 'SIGKILL');
    if (i < 3) await until('it is counted', async () => (await restarts(pool, 'crash')) === i);
  }
  const replies = [];
  await until('a new start', async () => {
    replies.push(await new User(pool).write()); // a refused connection fails the test
    const status = await pool.status().catch(() => undefined);
    return status && status['start time'] !== started && status['idle processes'] === 4;
  });
  for (const reply of replies) assert.equal(reply.status, 200);
  await pool.logged('pool', /restarting: too many workers have crashed/);
  assert.equal(await restarts(pool, 'crash'), 0);
});

test('without a threshold the master replaces crashed workers after a growing pause', async (t) => {
  const pool = await startPool(t, { 'pool.workers': 1, 'pool.emergency_restart_threshold': 0 }), pauses = [];
  for (let i = 0; i < 4; i++) {
    const [victim] = await until('an idle worker', async () => {
      const idle = await pool.workers('idle');
      return idle.length === 1 && idle;
    });
    const from = Date.now();
    signal(victim, 'SIGKILL');
    await until('a new one', async () => (await pool.workers()).some((pid) => pid !== victim));
    pauses.push(Date.now() - from);
  }
  assert.ok(pauses[3] >= 700, `${pauses}`);
  assert.equal((await new User(pool).write()).status, 200);
});

test('workers that have served pool.max_requests are replaced under load, and no request fails', async (t) => {
  const pool = await startPool(t, { 'pool.max_requests': 40 }), load = new Load(pool);
  await load.reach(1500);
  await load.check();
  const replaced = await restarts(pool, 'max_requests');
  // A worker serves 36 to 44 requests; up to four workers have not finished theirs.
  assert.ok(replaced >= load.requests / 44 - 4 && replaced <= load.requests / 36, `${replaced} for ${load.requests}`);
  assert.equal(await restarts(pool, 'crash'), 0);
});

test('a dynamic pool starts with min_spare, grows to pool.workers under load, and shrinks to max_spare', async (t) => {
  const pool = await startPool(
    t, { 'pool.mode': 'dynamic', 'pool.workers': 6, 'pool.min_spare': 1, 'pool.max_spare': 2 });
  assert.equal(await total(pool), 1);
  const user = new User(pool), release = await user.lock(), replies = [];
  for (let i = 0; i < 7; i++) replies.push(user.write());
  await until('six workers', async () => (await total(pool)) === 6);
  await until('the limit is counted', async () => (await pool.status())['max children reached'] > 0);
  await sleep(1000);
  assert.equal(await total(pool), 6);
  assert.equal((await pool.status())['max children reached'], 1, 'once, however long it lasts');
  await release();
  for (const reply of await Promise.all(replies)) assert.equal(reply.status, 200);
  await until('two workers', async () => (await total(pool)) === 2);
  await sleep(600);
  assert.equal(await total(pool), 2);
});

test('a dynamic pool that grows during a reload still reloads', async (t) => {
  const pool = await startPool(
    t, { 'pool.mode': 'dynamic', 'pool.min_spare': 1, 'pool.max_spare': 2, 'pool.start_timeout': 10 });
  const load = new Load(pool);
  for (let i = 0; i < 5; i++) await pool.reload();
  await load.check();
});

// With one worker for eight clients a connection always waits. A worker must nevertheless notice that it has to stop,
// before it is killed.
test('SIGTTIN adds a worker and SIGTTOU removes one, and no request fails', async (t) => {
  const pool = await startPool(t, { 'pool.workers': 2 }), load = new Load(pool);
  for (const [name, count] of [['SIGTTIN', 3], ['SIGTTIN', 4], ['SIGTTOU', 3], ['SIGTTOU', 2], ['SIGTTOU', 1],
    ['SIGTTOU', 1]]) {
    pool.signal(name);
    await until(`${count} workers after ${name}`, async () => (await total(pool)) === count, 5);
    await load.reach(20);
    assert.equal((await pool.status())['max processes'], count);
  }
  await load.check();
});
