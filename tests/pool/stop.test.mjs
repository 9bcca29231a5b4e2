// Ends of the pool: asked for, at once, and by force.
import assert from 'node:assert/strict';
import test from 'node:test';

import { childrenOf, isAlive, Pool, sleep, startPool, until, User } from './pool.mjs';

for (const name of ['SIGTERM', 'SIGQUIT'])
  test(`${name} lets a request under way finish and ends with exit code 0`, async (t) => {
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

test('SIGINT does not wait for a request under way', async (t) => {
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

test('a second SIGTERM ends at once', async (t) => {
  const pool = await startPool(t), user = new User(pool);
  await user.lock();
  const reply = user.write();
  await pool.busy();
  pool.signal('SIGTERM');
  await sleep(500);
  assert.ok(isAlive(pool.pid));
  await Promise.all([pool.stop('SIGTERM'), assert.rejects(reply)]);
});

test('a request that takes longer than pool.drain_timeout does not hold up the end', async (t) => {
  const pool = await startPool(t, { 'pool.drain_timeout': 1 }), user = new User(pool);
  await user.lock();
  const reply = user.write();
  await pool.busy();
  const from = Date.now();
  await Promise.all([pool.stop('SIGTERM'), assert.rejects(reply)]);
  assert.ok(Date.now() - from >= 900 && Date.now() - from < 4000, `${Date.now() - from} ms`);
});

test('when the master is killed its workers end, and a new pool can bind the sockets', async (t) => {
  const pool = await startPool(t), children = childrenOf(pool.pid);
  assert.equal(children.length, 5, 'four workers and the reporter');
  pool.signal('SIGKILL');
  await pool.exited;
  await until('they end', () => children.filter(isAlive).length === 0, 5);
  await pool.start();
  assert.equal((await new User(pool).write()).status, 200);
});

test('a second pool on the same socket is refused with exit code 78', async (t) => {
  const pool = await startPool(t), second = new Pool({ 'server.socket': pool.socket });
  second.env.ASAN_OPTIONS = 'detect_leaks=0'; // a program that is refused leaves its memory to the kernel
  second.launch();
  const end = await second.exited;
  assert.deepEqual(end, { code: 78, signal: null }, second.output);
  assert.match(second.output, /another process serves it/);
  second.stopped = true;
  await second.close();
  assert.equal((await new User(pool).write()).status, 200);
});
