// Faults of the database, made on purpose. They hit everybody who uses the stack, so they stand in a folder of their own:
// run them alone, and only against a stack made for tests.
import assert from 'node:assert/strict';
import https from 'node:https';
import test, { after } from 'node:test';
import { User, book, ca, checkError, literal, op, origin, patch, request, sleep, sql, until, withSession } from '../lib.mjs';

const workers = `SELECT pid FROM pg_stat_activity WHERE usename = 'booky' AND application_name = 'booky-sync'`;
const disconnect = () => sql(workers.replace('pid', 'pg_terminate_backend(pid)'));
const connections = async () => (await sql(workers)).length;

// The fewer of two looks: a worker that is being replaced has two connections for a moment.
const settled = async () => {
  const first = await connections();
  await sleep(500);
  return Math.min(first, await connections());
};

// Waits until as many workers as there were are connected again, so that the next fault meets a connection in use. One of the
// connections may be that of the process for metrics.
const connected = (count) => until('every worker is connected', async () => {
  const replies = await Promise.all([...Array.from({ length: 16 }, () => request('/api/health')), request('/metrics')]);
  return replies.every(({ status }) => status === 200) && (await connections()) >= count;
});

// Sets something in the database, runs `work` on new connections and takes it back, whatever happens.
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

test('the database is away: every endpoint says so and when to come again, and goes on by itself when it is back', async () => {
  const user = new User();
  await user.apply(book('before'));
  const operations = [book('b1')];
  await during(['ALTER ROLE booky NOLOGIN'], ['ALTER ROLE booky LOGIN'], async () => {
    for (let i = 0; i < 8; i++)
      for (const reply of [await user.post({ operations }), await user.changes(), await user.request('/status'), await request('/api/health')]) {
        checkError(reply, 503, 'SYNC_FAILED');
        assert.match(reply.headers['retry-after'], /^\d+$/);
      }
    checkError(await request('/api/sync/status'), 401, 'UNAUTHORIZED');
    checkError(await user.request('/nothing'), 404, 'NOT_FOUND');
  }, { reconnect: false });
  assert.equal((await user.send(operations)).results[0].duplicate, undefined);
  assert.equal((await user.pull()).changes.length, 2);
});

test('the database became read-only, as after a failover: writes are 503, reads go on', async () => {
  const user = new User();
  await user.apply(book('before'));
  const set = 'ALTER ROLE booky SET default_transaction_read_only = on';
  await during([set], ['ALTER ROLE booky RESET default_transaction_read_only'], async () => {
    checkError(await user.post({ operations: [book('b1')] }), 503, 'SYNC_FAILED');
    assert.equal((await user.pull()).changes.length, 1);
  });
  assert.equal((await user.apply(book('b1'))).status, 'success');
});

test('connections that were cut while idle are made anew without anyone noticing', async () => {
  const user = new User();
  for (let i = 0; i < 5; i++) {
    await disconnect();
    const replies = await Promise.all(Array.from({ length: 8 }, (_, n) => user.post({ operations: [book(`b${i}-${n}`)] })));
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200]);
  }
  assert.equal((await user.pull()).changes.length, 40);
});

// What a commit in doubt may be: not done, or done. Either way the retry with the same ids has one effect.

const waiting = (event) =>
  until(`a commit waits in ${event}`, async () => (await sql(`${workers} AND wait_event = '${event}'`))[0]);

test('a connection that breaks during a commit that fails: 503, and the retry is applied', async () => {
  const user = new User();
  const operations = [book('b1'), op('create', 'tag', 't1', { name: 'N' })];
  const set = [
    `CREATE FUNCTION booky.test_wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(10); RETURN NULL; END'`,
    `CREATE CONSTRAINT TRIGGER test_wait AFTER INSERT ON booky.ledger DEFERRABLE INITIALLY DEFERRED FOR EACH ROW` +
      ` WHEN (NEW.user_id = ${literal(user.id)}) EXECUTE FUNCTION booky.test_wait()`,
  ];
  await during(set, ['DROP TRIGGER IF EXISTS test_wait ON booky.ledger', 'DROP FUNCTION IF EXISTS booky.test_wait'], async () => {
    const write = user.post({ operations });
    await sql(`SELECT pg_terminate_backend(${await waiting('PgSleep')})`);
    const { message } = checkError(await write, 503, 'SYNC_FAILED');
    assert.match(message, /retry with the same operation ids/);
    assert.deepEqual((await user.pull()).changes, []);
  });
  const { results } = await user.send(operations);
  assert.deepEqual(results.map(({ status, duplicate }) => [status, duplicate]), [['success', undefined], ['success', undefined]]);
});

test('a connection that breaks during a commit that succeeds: 503, and the retry gets the stored result', async () => {
  const user = new User();
  const operations = [book('b1'), op('create', 'tag', 't1', { name: 'N' })];
  // A standby that does not exist: the commit is done here and waits for its confirmation.
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
  assert.equal((await user.changes()).text, before, 'nothing was done twice');
});

// A pull that breaks in the middle

// Resolves to { status, bytes, whole } of a reply that may break off.
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

test('a pull that breaks in the middle does not look like a whole one', async () => {
  const user = new User();
  const notes = 'x'.repeat(5000);
  await user.send(Array.from({ length: 200 }, (_, i) => book(`b${String(i).padStart(3, '0')}`, { notes })));
  await user.send([book('the-end')]);
  const set = [
    `CREATE FUNCTION booky.test_wait(id text) RETURNS boolean LANGUAGE plpgsql AS` +
      ` 'BEGIN IF id = ''the-end'' THEN PERFORM pg_sleep(10); END IF; RETURN true; END'`,
    `CREATE POLICY test_wait ON booky.entities AS RESTRICTIVE FOR SELECT TO booky_worker` +
      ` USING (user_id <> ${literal(user.id)} OR booky.test_wait(entity_id))`,
    'ALTER ROLE booky SET enable_sort = off', // or the policy's price would make the planner sort
  ];
  const undo = ['ALTER ROLE booky RESET enable_sort', 'DROP POLICY IF EXISTS test_wait ON booky.entities', 'DROP FUNCTION IF EXISTS booky.test_wait'];
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
