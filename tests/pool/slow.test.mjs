// Requests that take too long: cancelled, logged, and their workers killed when nothing else helps.
import assert from 'node:assert/strict';
import net from 'node:net';
import test from 'node:test';

import { encode, request } from './fastcgi.mjs';
import { book, restarts, signal, sleep, sql, startPool, until, User } from './pool.mjs';

test('a request over pool.request_timeout is answered with 503, applies nothing, and its worker survives', async (t) => {
  const pool = await startPool(t, { 'pool.request_timeout': 1 }), before = (await pool.workers()).sort();
  const user = new User(pool), release = await user.lock(), operation = book(), from = Date.now();
  const reply = await user.write([operation]), took = Date.now() - from;
  assert.equal(reply.status, 503, reply.text);
  assert.ok(took >= 950 && took < 4000, `${took} ms`);
  assert.equal(reply.headers['retry-after'], '2');
  assert.equal(reply.json.success, false);
  assert.match(reply.json.message, /took too long and was cancelled/);
  assert.equal(reply.json.requestId, reply.headers['x-request-id']);
  await release();
  assert.equal(await sql(`SELECT count(*) FROM booky.ledger WHERE operation_id = '${operation.id}'`), '0');
  assert.equal((await user.write([operation])).json.results[0].status, 'success');
  assert.equal((await user.write([operation])).json.results[0].duplicate, true);
  assert.deepEqual((await pool.workers()).sort(), before);
  assert.equal(await restarts(pool, 'timeout'), 0);
  await pool.logged('worker', /pool\.request_timeout, cancelled/);
});

test('a worker that does not answer the cancellation is killed and replaced', async (t) => {
  const pool = await startPool(t, { 'pool.request_timeout': 1, 'pool.workers': 2 });
  const user = new User(pool), release = await user.lock(), lost = user.write();
  const { pid, 'request id': id } = await pool.busy();
  signal(pid, 'SIGSTOP');
  await assert.rejects(lost);
  await until('it is replaced', async () => {
    const now = await pool.workers('idle');
    return now.length === 2 && !now.includes(pid);
  });
  assert.equal(await restarts(pool, 'timeout'), 1);
  assert.equal(await restarts(pool, 'crash'), 0);
  const row = await pool.logged('worker', /killed, its request took too long/);
  assert.deepEqual([row.workerPid, row.requestId], [pid, id]);
  await release();
  assert.equal((await user.write()).status, 200);
});

test('connections that stop in the middle of a request hold their workers no longer than pool.request_timeout', async (t) => {
  const pool = await startPool(t, { 'pool.request_timeout': 1, 'pool.workers': 2 }), before = (await pool.workers()).sort();
  const whole = encode({ method: 'POST', uri: '/api/sync/operations', headers: { Authorization: 'Bearer x' }, body: '{"operations":[]}' });
  for (const bytes of [9, 30, 60, whole.length - 12]) {
    const held = Array.from({ length: 2 }, () => net.connect(pool.socket).on('error', () => {}).resume());
    const closed = held.map((connection) => new Promise((resolve) => connection.on('close', resolve)));
    for (const connection of held) connection.write(whole.subarray(0, bytes));
    const reply = await request(pool.socket, { uri: '/api/health', timeout: 8000 });
    assert.equal(reply.status, 200, `after ${bytes} bytes`);
    await Promise.all(closed);
  }
  assert.deepEqual((await pool.workers()).sort(), before);
  assert.equal(await restarts(pool, 'timeout'), 0);
});

test('what an operation was about is logged with log.level = debug only', async (t) => {
  for (const level of ['info', 'debug']) {
    const pool = await startPool(t, { 'log.level': level }), user = new User(pool);
    await user.write([book('name@example.org', { title: 7 }), book('name@example.org'), book('name@example.org', { title: 'another' })]);
    await pool.logged('operation');
    await pool.close();
    const [refused] = pool.log('operation');
    assert.deepEqual([refused.status, Boolean(refused.entityId), Boolean(refused.message)], ['failed', level === 'debug', level === 'debug']);
    assert.equal(pool.output.includes('name@example.org'), level === 'debug');
  }
});

test('the slow log names the stage and the statement, and neither body nor token', async (t) => {
  const pool = await startPool(t, { 'pool.slow_log': 300 }), user = new User(pool), release = await user.lock();
  const reply = user.write([book('b1', { title: 'Geheimnisvoller Titel' })], { headers: { 'X-Request-Id': 'slow-request-1' } });
  await pool.busy();
  await sleep(500);
  await release();
  assert.equal((await reply).status, 200);
  const row = await pool.logged('slow');
  assert.deepEqual([row.level, row.requestId, row.endpoint, row.status, row.stage], ['warn', 'slow-request-1', 'operations', 200, 'run']);
  assert.match(row.statement, /\bclock_advance\b/); // statements of one round trip are waited for together
  assert.ok(row.statementUs >= 300_000 && row.statementUs <= row.stageUs && row.stageUs <= row.us, JSON.stringify(row));
  assert.doesNotMatch(pool.output, /Geheimnis/);
  assert.ok(!pool.output.includes(user.token) && !pool.output.includes(user.token.split('.')[2]));
  assert.equal((await pool.status())['slow requests'], 1);
  assert.equal((await user.read()).status, 200);
  assert.equal(pool.log('slow').length, 1);
});
