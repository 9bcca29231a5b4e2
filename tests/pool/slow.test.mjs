// Requests that take too long are cancelled and logged, and their workers are killed as a last resort.
import assert from 'node:assert/strict';
import net from 'node:net';
import test from 'node:test';

import { encode, isComplete, request } from './fastcgi.mjs';
import { book, restarts, signal, sleep, sql, startPool, until, User } from './pool.mjs';

test('a request over pool.request_timeout gets a 503, applies nothing, and its worker survives', async (t) => {
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

test('a worker that does not react to the cancellation is killed and replaced', async (t) => {
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

test('a connection that stalls within a request holds its worker no longer than pool.request_timeout', async (t) => {
  const pool = await startPool(t, { 'pool.request_timeout': 1, 'pool.workers': 2 }),
    before = (await pool.workers()).sort();
  const whole = encode(
    { method: 'POST', uri: '/api/sync/operations', headers: { Authorization: 'Bearer x' }, body: '{"operations":[]}' });
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

test('each of several connections that stall one after the other has its own time', async (t) => {
  const pool = await startPool(t, { 'pool.request_timeout': 1, 'pool.workers': 1 }), before = await pool.workers();
  const held = Array.from({ length: 7 }, () => net.connect(pool.socket).on('error', () => {}).resume());
  const closed = held.map((connection) => new Promise((resolve) => connection.on('close', resolve)));
  for (const connection of held) connection.write(Buffer.from([1, 1, 0]));
  await Promise.all(closed);
  assert.deepEqual(await pool.workers(), before);
  assert.equal(await restarts(pool, 'timeout'), 0);
});

test('a request whose client went away while it waited for a worker is not run', async (t) => {
  const pool = await startPool(t, { 'pool.workers': 1 });
  const user = new User(pool), [worker] = await pool.workers(), operations = [book(), book()];
  signal(worker, 'SIGSTOP');
  const whole = operations.map((operation) => encode({ method: 'POST', uri: '/api/sync/operations',
    headers: { Authorization: `Bearer ${user.token}` }, body: JSON.stringify({ operations: [operation] }) }));
  const [gone, stays] = whole.map((bytes) => {
    const connection = net.connect(pool.socket).on('error', () => {}).resume();
    connection.write(bytes);
    return connection;
  });
  await until('both wait', async () => (await pool.status())['listen queue'] >= 2);
  gone.destroy();
  const closed = new Promise((resolve) => stays.on('close', resolve));
  signal(worker, 'SIGCONT');
  await closed;
  await pool.idle();
  assert.equal(await sql(`SELECT operation_id FROM booky.ledger WHERE user_id = '${user.id}'`), operations[1].id);
});

// The library of `user` becomes larger than what the socket and the buffers on both sides hold.
async function fill(user) {
  for (let i = 0; i < 8; i++)
    assert.equal((await user.write([book(`large-${i}`, { notes: 'x'.repeat(900_000) })])).status, 200);
}

for (const uri of ['/api/sync/changes?since=0', '/api/sync/export']) {
  test(`a client that does not read ${uri} holds its worker no longer than pool.request_timeout`, async (t) => {
    const pool = await startPool(t, { 'pool.request_timeout': 1, 'pool.workers': 2 });
    const user = new User(pool), before = (await pool.workers()).sort();
    await fill(user);
    const held = Array.from({ length: 2 }, () => net.connect(pool.socket).on('error', () => {}).pause());
    for (const connection of held)
      connection.write(encode({ uri, headers: { Authorization: `Bearer ${user.token}` } }));
    await pool.busy(2);
    assert.equal((await user.read()).status, 200, 'served when the time of the others is over');
    await pool.idle();
    assert.deepEqual((await pool.workers()).sort(), before);
    assert.equal(await restarts(pool, 'timeout'), 0);
    for (const connection of held) {
      let bytes = Buffer.alloc(0);
      for await (const chunk of connection) bytes = Buffer.concat([bytes, chunk]);
      assert.ok(bytes.length > 1000 && !isComplete(bytes), 'the reply ends early and does not look complete');
    }
  });
}

test('a pull ends when its client goes away, and that is no error of the server', async (t) => {
  const pool = await startPool(t, { 'pool.workers': 1 });
  const user = new User(pool), before = await pool.workers();
  await fill(user);
  const connection = net.connect(pool.socket).on('error', () => {});
  connection.write(encode({ uri: '/api/sync/changes?since=0', headers: { Authorization: `Bearer ${user.token}` } }));
  await new Promise((resolve) => connection.once('data', resolve));
  connection.destroy();
  assert.equal((await user.read()).status, 200);
  const [row] = await until('it is logged', () => {
    const rows = pool.log('request').filter(({ endpoint }) => endpoint === 'changes');
    return rows.length > 0 && rows;
  });
  assert.deepEqual([row.level, row.status], ['info', 200]);
  assert.ok(row.bytesOut < 4_000_000, `${row.bytesOut} of 7,200,000 bytes were written`);
  assert.deepEqual(await pool.workers(), before);
});

test('the entity of an operation is logged only with log.level = debug', async (t) => {
  for (const level of ['info', 'debug']) {
    const pool = await startPool(t, { 'log.level': level }), user = new User(pool);
    await user.write([book('name@example.org', { title: 7 }), book('name@example.org'),
      book('name@example.org', { title: 'another' })]);
    await pool.logged('operation');
    await pool.close();
    const [refused] = pool.log('operation');
    assert.deepEqual([refused.status, Boolean(refused.entityId), Boolean(refused.message)],
      ['failed', level === 'debug', level === 'debug']);
    assert.equal(pool.output.includes('name@example.org'), level === 'debug');
  }
});

test('the slow log names the stage and the statement, and neither body nor token', async (t) => {
  const pool = await startPool(t, { 'pool.slow_log': 300 }), user = new User(pool), release = await user.lock();
  const reply = user.write([book('b1', { title: 'Geheimnisvoller Titel' })],
    { headers: { 'X-Request-Id': 'slow-request-1' } });
  await pool.busy();
  await sleep(500);
  await release();
  assert.equal((await reply).status, 200);
  const row = await pool.logged('slow');
  assert.deepEqual([row.level, row.requestId, row.endpoint, row.status, row.stage],
    ['warn', 'slow-request-1', 'operations', 200, 'run']);
  assert.match(row.statement, /\bclock_advance\b/); // the statements of one round trip are awaited together
  assert.ok(row.statementUs >= 300_000 && row.statementUs <= row.stageUs && row.stageUs <= row.us, JSON.stringify(row));
  assert.doesNotMatch(pool.output, /Geheimnis/);
  assert.ok(!pool.output.includes(user.token) && !pool.output.includes(user.token.split('.')[2]));
  assert.equal((await pool.status())['slow requests'], 1);
  assert.equal((await user.read()).status, 200);
  assert.equal(pool.log('slow').length, 1);
});
