// Stopping the pool: gracefully, at once, and by force.
import assert from 'node:assert/strict';
import test from 'node:test';

import { childrenOf, isAlive, Pool, restarts, signal, sleep, startPool, until, User } from './pool.mjs';

for (const name of ['SIGTERM', 'SIGQUIT'])
  test(`${name} lets a running request finish and stops the pool with exit code 0`, async (t) => {
    const pool = await startPool(t), user = new User(pool), release = await user.lock();
    const reply = user.write();
    await pool.busy();
    const end = pool.stop(name);
    await sleep(1000);
    assert.ok(isAlive(pool.pid), 'it waits for the request');
    await release();
    assert.equal((await reply).status, 200);
    assert.equal((await reply).json.results[0].status, 'success');
    assert.deepEqual(await end, { code: 0, signal: null });
    await pool.logged('pool', /^stopping, requests are finished first/);
    await pool.logged('pool', /^stopped$/);
  });

test('SIGINT does not wait for a running request', async (t) => {
  const pool = await startPool(t), user = new User(pool);
  await user.lock();
  const reply = user.write();
  await pool.busy();
  const from = Date.now(), workers = childrenOf(pool.pid);
  const [end] = await Promise.all([pool.stop('SIGINT'), assert.rejects(reply)]);
  assert.deepEqual(end, { code: 0, signal: null });
  assert.ok(Date.now() - from < 2000, `${Date.now() - from} ms`);
  assert.deepEqual(workers.filter(isAlive), []);
});

test('a second SIGTERM stops the pool at once', async (t) => {
  const pool = await startPool(t), user = new User(pool);
  await user.lock();
  const reply = user.write();
  await pool.busy();
  pool.signal('SIGTERM');
  await sleep(500);
  assert.ok(isAlive(pool.pid));
  await Promise.all([pool.stop('SIGTERM'), assert.rejects(reply)]);
});

test('the pool does not wait for a running request longer than pool.drain_timeout', async (t) => {
  const pool = await startPool(t, { 'pool.drain_timeout': 1 }), user = new User(pool);
  await user.lock();
  const reply = user.write();
  await pool.busy();
  const from = Date.now();
  await Promise.all([pool.stop('SIGTERM'), assert.rejects(reply)]);
  assert.ok(Date.now() - from >= 900 && Date.now() - from < 4000, `${Date.now() - from} ms`);
});

test('a worker that is killed at pool.drain_timeout is counted, and the log says what it was doing', async (t) => {
  const pool = await startPool(t, { 'pool.drain_timeout': 1 }), user = new User(pool), release = await user.lock();
  const lost = user.write(), { pid, 'request id': id } = await pool.busy();
  await Promise.all([pool.reload(), assert.rejects(lost)]);
  const row = await pool.logged('worker', /killed, it had not ended within pool\.drain_timeout/);
  assert.deepEqual([row.level, row.workerPid, row.requestId, row.endpoint], ['error', pid, id, 'operations']);
  assert.ok(row.us > 0);
  assert.deepEqual(await Promise.all(['drain', 'timeout', 'crash'].map((reason) => restarts(pool, reason))), [1, 0, 0]);
  await release();
  assert.equal((await user.write()).status, 200);
});

// The worker is stopped, as by a debugger, so it cannot end by itself.
for (const times of [1, 2])
  test(`a worker that does not end is killed by the program that follows, ${times} upgrades later`, async (t) => {
    const pool = await startPool(t, { 'pool.drain_timeout': 3, 'pool.workers': 2 }), user = new User(pool);
    await user.lock();
    const lost = user.write(), { pid, 'request id': id } = await pool.busy();
    signal(pid, 'SIGSTOP');
    const rejected = assert.rejects(lost);
    for (let i = 0; i < times; i++) {
      const started = (await pool.status())['start time'];
      pool.signal('SIGUSR2');
      await until('a new master', async () => {
        const status = await pool.status().catch(() => undefined);
        return status && status['start time'] !== started && status['idle processes'] === 2;
      });
    }
    assert.ok(!(await pool.workers()).includes(pid), 'the status page shows the workers of this program');
    await until('it is gone', () => !isAlive(pid), 10);
    await rejected;
    const row = await pool.logged('worker', /killed, it had not ended within pool\.drain_timeout/);
    assert.deepEqual([row.workerPid, row.requestId, row.endpoint, row.pid], [pid, id, 'operations', pool.pid]);
    assert.ok(row.us >= 3_000_000);
    assert.equal(await restarts(pool, 'drain'), 1);
  });

test('pool.request_timeout holds for the workers of the program before', async (t) => {
  const pool = await startPool(t, { 'pool.request_timeout': 2, 'pool.workers': 2 }), user = new User(pool);
  await user.lock();
  const reply = user.write();
  await pool.busy();
  pool.signal('SIGUSR2');
  assert.equal((await reply).status, 503);
  assert.match((await reply).json.message, /took too long and was cancelled/);
});

test('the workers end when the master is killed, and a new pool can bind the sockets', async (t) => {
  const pool = await startPool(t), children = childrenOf(pool.pid);
  assert.equal(children.length, 5, 'four workers and the reporter');
  pool.signal('SIGKILL');
  await pool.exited;
  await until('they end', () => children.filter(isAlive).length === 0, 5);
  await pool.start();
  assert.equal((await new User(pool).write()).status, 200);
});

test('a second pool on the same socket exits with code 78', async (t) => {
  const pool = await startPool(t), second = new Pool({ 'server.socket': pool.socket });
  second.env.ASAN_OPTIONS = 'detect_leaks=0'; // it exits without freeing its memory
  second.launch();
  const end = await second.exited;
  assert.deepEqual(end, { code: 78, signal: null }, second.output);
  assert.match(second.output, /another process serves it/);
  second.stopped = true;
  await second.close();
  assert.equal((await new User(pool).write()).status, 200);
});
