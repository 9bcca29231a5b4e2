// Database faults made on purpose. They affect every user of the stack, hence the separate folder: run these tests
// alone, and only against a stack made for tests.
import assert from 'node:assert/strict';
import https from 'node:https';
import test, { after } from 'node:test';
import {
  User, book, ca, checkError, literal, op, origin, request, sleep, sql, until, waiters, withSession,
} from '../lib.mjs';

const workers = `SELECT pid FROM pg_stat_activity WHERE usename = 'booky' AND application_name = 'booky-sync'`;
const disconnect = () => sql(workers.replace('pid', 'pg_terminate_backend(pid)'));
const connections = async () => (await sql(workers)).length;

// The number of connections; the lower of two counts, because a worker that is being replaced has two for a moment.
const settled = async () => {
  const first = await connections();
  await sleep(500);
  return Math.min(first, await connections());
};

// Waits until as many workers as before are connected again, so that the next fault hits a connection in use. One of
// the connections may belong to the process that serves the metrics.
const connected = (count) => until('every worker is connected', async () => {
  const replies = await Promise.all([...Array.from({ length: 16 }, () => request('/api/health')), request('/metrics')]);
  return replies.every(({ status }) => status === 200) && (await connections()) >= count;
});

// Runs the statements of `set`, then `work` on new connections, and then `undo`, whatever happens.
async function during(set, undo, work, { reconnect = true } = {}) {
  const count = await settled();
  try {
    for (const statement of set) await sql(statement);
    await disconnect();
    if (reconnect) await connected(count);
    return await work();
  } finally {
    for (const statement of undo) await sql(statement);
    await disconnect();
    await connected(count);
  }
}

after(() => sql('ALTER ROLE booky LOGIN'));

test('every endpoint answers 503 with Retry-After while the database is down, and recovers by itself', async () => {
  const user = new User();
  await user.apply(book('before'));
  const operations = [book('b1')];
  await during(['ALTER ROLE booky NOLOGIN'], ['ALTER ROLE booky LOGIN'], async () => {
    for (let i = 0; i < 8; i++)
      for (const ask of [() => user.post({ operations }), () => user.changes(), () => user.request('/status'),
        () => request('/api/health')]) {
        const reply = await ask();
        checkError(reply, 503, 'SYNC_FAILED');
        assert.match(reply.headers['retry-after'], /^\d+$/);
      }
    checkError(await request('/api/sync/status'), 401, 'UNAUTHORIZED');
    for (const { token } of [user, {}]) assert.equal((await request('/api/sync/config', { token })).status, 200);
    checkError(await user.request('/nothing'), 404, 'NOT_FOUND');
  }, { reconnect: false });
  assert.equal((await user.send(operations)).results[0].duplicate, undefined);
  assert.equal((await user.pull()).changes.length, 2);
});

test('writes get a 503 and reads succeed while the database is read-only, as after a failover', async () => {
  const user = new User();
  await user.apply(book('before'));
  const set = 'ALTER ROLE booky SET default_transaction_read_only = on';
  await during([set], ['ALTER ROLE booky RESET default_transaction_read_only'], async () => {
    checkError(await user.post({ operations: [book('b1')] }), 503, 'SYNC_FAILED');
    assert.equal((await user.pull()).changes.length, 1);
  });
  assert.equal((await user.apply(book('b1'))).status, 'success');
});

test('connections that broke while idle are reopened without a failed request', async () => {
  const user = new User();
  for (let i = 0; i < 5; i++) {
    await disconnect();
    const replies = await Promise.all(
      Array.from({ length: 8 }, (_, n) => user.post({ operations: [book(`b${i}-${n}`)] })));
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200]);
  }
  assert.equal((await user.pull()).changes.length, 40);
});

// A commit in doubt may have happened or not. Either way the retry with the same ids takes effect once.

const waiting = (event) =>
  until(`a commit waits in ${event}`, async () => (await sql(`${workers} AND wait_event = '${event}'`))[0]);

test('a connection that breaks during a failing commit gives a 503, and the retry is applied', async () => {
  const user = new User();
  const operations = [book('b1'), op('create', 'tag', 't1', { name: 'N' })];
  const set = [
    `CREATE FUNCTION booky.test_wait() RETURNS trigger LANGUAGE plpgsql AS` +
      ` 'BEGIN PERFORM pg_sleep(10); RETURN NULL; END'`,
    `CREATE CONSTRAINT TRIGGER test_wait AFTER INSERT ON booky.ledger DEFERRABLE INITIALLY DEFERRED FOR EACH ROW` +
      ` WHEN (NEW.user_id = ${literal(user.id)}) EXECUTE FUNCTION booky.test_wait()`,
  ];
  const undo = ['DROP TRIGGER IF EXISTS test_wait ON booky.ledger', 'DROP FUNCTION IF EXISTS booky.test_wait'];
  await during(set, undo, async () => {
    const write = user.post({ operations });
    await sql(`SELECT pg_terminate_backend(${await waiting('PgSleep')})`);
    const { message } = checkError(await write, 503, 'SYNC_FAILED');
    assert.match(message, /retry with the same operation ids/);
    assert.deepEqual((await user.pull()).changes, []);
  });
  const { results } = await user.send(operations);
  assert.deepEqual(results.map(({ status, duplicate }) => [status, duplicate]),
    [['success', undefined], ['success', undefined]]);
});

test('a connection that breaks during a successful commit gives a 503, and the retry the stored result', async () => {
  const user = new User();
  const operations = [book('b1'), op('create', 'tag', 't1', { name: 'N' })];
  // The standby does not exist, so the commit is done on the primary and waits for a confirmation.
  const set = `ALTER SYSTEM SET synchronous_standby_names = 'nobody'`;
  const reload = 'SELECT pg_reload_conf()';
  await during([set, reload], ['ALTER SYSTEM RESET synchronous_standby_names', reload], async () => {
    const write = user.post({ operations });
    await sql(`SELECT pg_terminate_backend(${await waiting('SyncRep')})`);
    checkError(await write, 503, 'SYNC_FAILED');
  });
  const before = (await user.changes()).text;
  const { results } = await user.send(operations);
  assert.deepEqual(results.map(({ status, duplicate }) => [status, duplicate]), [['success', true], ['success', true]]);
  assert.equal((await user.changes()).text, before, 'nothing was applied twice');
});

test('a write that is cancelled before its commit: 503, and the reply says that nothing was applied', async () => {
  const user = new User();
  const operations = [book('b1')];
  await user.apply(book('before'));
  const { message } = await withSession(async (session) => {
    await session.query('BEGIN');
    // The write of the operation's ledger row waits for this one; COMMIT is sent behind it.
    await session.query(`INSERT INTO ledger (user_id, operation_id, processed_at, hash, result)` +
      ` VALUES (${literal(user.id)}, ${literal(operations[0].id)}, 0, '', '{}')`);
    const write = user.post({ operations });
    const [pid] = await until('the write waits', async () => {
      const pids = await waiters(session);
      return pids.length > 0 && pids;
    });
    await sql(`SELECT pg_cancel_backend(${pid})`);
    return checkError(await write, 503, 'SYNC_FAILED');
  });
  assert.match(message, /nothing was applied/);
  assert.equal((await user.pull()).changes.length, 1);
  assert.equal((await user.apply(operations[0])).duplicate, undefined);
});

// A pull that breaks off

// Pulls; resolves to { status, bytes, whole } of a reply that may break off.
function pullRaw(user) {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${user.token}` };
    const req = https.get(`${origin}/api/sync/changes?since=0`, { headers, ca, agent: false }, (res) => {
      let bytes = 0;
      res.on('data', (chunk) => (bytes += chunk.length));
      res.on('error', () => {});
      res.on('close', () => resolve({ status: res.statusCode, bytes, whole: res.complete }));
    });
    req.on('error', () => resolve({ whole: false }));
  });
}

test('a pull that breaks off is recognisably incomplete', async () => {
  const user = new User();
  const notes = 'x'.repeat(5000);
  await user.send(Array.from({ length: 200 }, (_, i) => book(`b${String(i).padStart(3, '0')}`, { notes })));
  await user.send([book('the-end')]);
  const set = [
    `CREATE FUNCTION booky.test_wait(id text) RETURNS boolean LANGUAGE plpgsql AS` +
      ` 'BEGIN IF id = ''the-end'' THEN PERFORM pg_sleep(10); END IF; RETURN true; END'`,
    `CREATE POLICY test_wait ON booky.entities AS RESTRICTIVE FOR SELECT TO booky_worker` +
      ` USING (user_id <> ${literal(user.id)} OR booky.test_wait(entity_id))`,
    'ALTER ROLE booky SET enable_sort = off', // otherwise the cost of the policy makes the planner sort
  ];
  const undo = ['ALTER ROLE booky RESET enable_sort', 'DROP POLICY IF EXISTS test_wait ON booky.entities',
    'DROP FUNCTION IF EXISTS booky.test_wait'];
  await during(set, undo, async () => {
    const pull = pullRaw(user);
    await sql(`SELECT pg_terminate_backend(${await waiting('PgSleep')})`);
    const { status, bytes, whole } = await pull;
    assert.equal(whole, false, `${status}, ${bytes} bytes`);
  });
  const { whole, bytes } = await pullRaw(user);
  assert.equal(whole, true);
  assert.ok(bytes > 1_000_000);
});
