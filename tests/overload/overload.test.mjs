// Overload, and faults of the database: every answer is documented, in time and true, and everything works again
// without intervention afterwards.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { withSession } from '../http/lib.mjs';
import { request } from '../pool/fastcgi.mjs';
import { Load, Metrics, book, mint, restarts, signal, sleep, until } from '../pool/pool.mjs';
import { Cluster, User, count, percentiles, startStack } from './overload.mjs';

let cluster;
before(async () => (cluster = await Cluster.start()));
after(() => cluster?.stop());

// Checks that the pool has recovered: twenty sequential requests succeed, and the listen queue is empty.
async function checkWorks(pool, site, what) {
  const user = new User(site);
  for (let i = 0; i < 20; i++) {
    const reply = await user.write();
    assert.equal(reply.status, 200, `${what}: ${reply.text}`);
  }
  await pool.idle();
  assert.equal((await pool.status())['listen queue'], 0);
}

const lost = async (pool) => (await restarts(pool, 'crash')) + (await restarts(pool, 'timeout'));

// Overload

test('requests beyond the queue get a 503 with Retry-After at once, and each retry is served once', async (t) => {
  const { pool, site } = await startStack(t, cluster, { 'pool.workers': 2, 'server.backlog': 8 });
  const users = Array.from({ length: 30 }, () => new User(site));
  const operations = users.map(() => [book('b1')]);
  const workers = await pool.workers();
  for (const pid of workers) signal(pid, 'SIGSTOP');
  const replies = users.map((user, i) => user.write(operations[i]));
  const refused = [];
  for (const each of replies) void each.then((reply) => reply.status === 503 && refused.push(reply));
  await until('some are refused while all workers are stopped', () => refused.length >= users.length - 8 - 4);
  await until('the queue is full', async () => (await pool.status())['listen queue'] >= 8);
  assert.ok((await pool.status())['listen queue'] <= 9, 'the queue does not grow further');
  for (const { json } of refused) assert.match(json.message, /has not begun with the request; retry/);
  for (const pid of workers) signal(pid, 'SIGCONT');
  const first = await Promise.all(replies);
  assert.deepEqual([...new Set(first.map(({ status }) => status))].sort(), [200, 503]);
  await Promise.all(users.map(async (user, i) => {
    const again = (await user.writeAgain(operations[i])).json.results[0];
    assert.equal(again.duplicate, first[i].status === 200 ? true : undefined);
  }));
  for (const user of users) assert.deepEqual(await user.entities(), ['b1']);
  const longest = Math.round(Math.max(...refused.map(({ ms }) => ms)));
  t.diagnostic(`${count(first, 503)} of ${users.length} refused, the longest after ${longest} ms`);
  await checkWorks(pool, site, 'afterwards');
  assert.equal(await lost(pool), 0);
});

test('with more clients than workers every accepted request is answered in time, and nothing is lost', async (t) => {
  const { pool, site } = await startStack(t, cluster, { 'pool.workers': 2, 'server.backlog': 8 });
  const users = Array.from({ length: 28 }, () => new User(site));
  const written = users.map(() => []);
  const times = { 200: [], 503: [] };
  const end = performance.now() + 4000;
  await Promise.all(users.map(async (user, n) => {
    for (let i = 0; performance.now() < end; i++) {
      const operations = Array.from({ length: 5 }, (_, k) => book(`b${i}-${k}`));
      let reply = await user.write(operations);
      times[reply.status].push(reply.ms);
      if (reply.status === 503) reply = await user.writeAgain(operations);
      written[n].push(...operations.map(({ entityId }) => entityId));
    }
  }));
  for (const time of times[200]) assert.ok(time < 35_000, `${time} ms`); // fastcgi_read_timeout
  t.diagnostic(`answered: ${percentiles(times[200])}`);
  if (times[503].length) t.diagnostic(`refused: ${percentiles(times[503])}`);
  await checkWorks(pool, site, 'directly afterwards');
  for (const [n, user] of users.entries()) assert.deepEqual(await user.entities(), written[n].sort());
  assert.equal(await lost(pool), 0);
});

test('a flood beyond the rate limit gets 429, also with invented tokens, and another address is served', async (t) => {
  const { pool, site } = await startStack(t, cluster, { 'pool.workers': 2 }, { rate: 'rate' });
  const [one, other] = [new User(site), new User(site)];
  const pids = (await pool.workers()).sort();
  const invented = () => ({ token: `${mint('nobody').slice(0, -4)}${Math.random().toString(36).slice(2, 6)}` });
  const flood = Promise.all(Array.from({ length: 32 }, async (_, n) => {
    const replies = [];
    for (let i = 0; i < 40; i++) replies.push(await one.request('/status', n % 2 ? invented() : {}));
    return replies;
  }));
  const calm = [];
  for (let i = 0; i < 20; i++) calm.push(await other.request('/status', { from: '127.0.0.2' }));
  const replies = (await flood).flat();
  assert.deepEqual([...new Set(replies.map(({ status }) => status))].sort(), [200, 401, 429]);
  assert.ok(count(replies, 200) >= 1 && count(replies, 200) <= 101, `${count(replies, 200)} of one token`);
  assert.equal(count(calm, 200), calm.length);
  const counts = [200, 401, 429].map((status) => `${count(replies, status)} × ${status}`).join(', ');
  t.diagnostic(`${replies.length} requests: ${counts}; the other address: ${percentiles(calm.map(({ ms }) => ms))}`);
  assert.deepEqual((await pool.workers()).sort(), pids);
});

// Faults of the database

test('a user whose row is locked gets a 503 within the time limit, and other users are served', async (t) => {
  const { pool, site } = await startStack(t, cluster, { 'pool.workers': 4, 'database.statement_timeout': 1000 });
  const [stuck, ...others] = Array.from({ length: 9 }, () => new User(site));
  assert.equal((await stuck.write()).status, 200);
  await withSession(async (session) => {
    await session.query('BEGIN');
    await session.query(`SELECT FROM booky.clocks WHERE user_id = '${stuck.id}' FOR UPDATE`);
    const some = Array.from({ length: 3 }, () => stuck.write()); // one worker is left
    await pool.busy(3);
    const served = await Promise.all(others.map((user) => user.write()));
    assert.equal(count(served, 200), others.length);
    assert.equal(count(await Promise.all(some), 503), 3);
    const all = Array.from({ length: 12 }, () => stuck.write()); // no worker is left, for three rounds of a second
    await pool.busy(4);
    const late = await Promise.all(others.map((user) => user.write()));
    assert.equal(count(late, 200), others.length, 'they wait until a worker is free and are served');
    const replies = await Promise.all(all);
    assert.equal(count(replies, 503), 12);
    for (const { ms, json } of replies) {
      assert.ok(ms < 1000 * (12 / 4 + 1) + 6000, `${ms} ms`);
      assert.match(json.message, /nothing was applied, retry/);
    }
    const [stuckTimes, otherTimes] = [replies, late].map((list) => percentiles(list.map(({ ms }) => ms)));
    t.diagnostic(`stuck: ${stuckTimes}; others at the same time: ${otherTimes}`);
    await session.query('ROLLBACK');
  }, cluster.admin);
  assert.equal((await stuck.write()).status, 200);
  assert.equal((await stuck.entities()).length, 2);
  await checkWorks(pool, site, 'afterwards');
  assert.equal(await lost(pool), 0);
});

test('a statement over its time limit is cancelled with 503 and not applied, and the connection is kept', async (t) => {
  const { pool, site } = await startStack(t, cluster, { 'pool.workers': 2, 'database.statement_timeout': 300 });
  const user = new User(site);
  await cluster.sql(`CREATE FUNCTION booky.test_wait() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(5); RETURN NEW; END'`);
  await cluster.sql(`CREATE TRIGGER test_wait BEFORE INSERT ON booky.ledger
    FOR EACH ROW WHEN (NEW.user_id = '${user.id}') EXECUTE FUNCTION booky.test_wait()`);
  const operations = [book('b1'), book('b2')];
  for (let i = 0; i < 4; i++) {
    const reply = await user.write(operations);
    assert.equal(reply.status, 503, reply.text);
    assert.ok(reply.ms < 300 + 5000);
  }
  assert.deepEqual(await user.entities(), [], 'the entities were written before the ledger and rolled back with it');
  await cluster.sql('DROP TRIGGER test_wait ON booky.ledger');
  await cluster.sql('DROP FUNCTION booky.test_wait');
  assert.equal((await user.write(operations)).json.results[0].duplicate, undefined);
  assert.deepEqual(await user.entities(), ['b1', 'b2']);
  await checkWorks(pool, site, 'afterwards');
  assert.ok((await pool.metrics()).value('booky_sync_db_connects_total') <= 2,
    'each worker still has its first connection');
});

test('workers that get no connection at the start answer 503 and connect later without a restart', async (t) => {
  await cluster.sql('ALTER ROLE booky CONNECTION LIMIT 1');
  t.after(() => cluster.sql('ALTER ROLE booky CONNECTION LIMIT -1'));
  const { pool, site } = await startStack(t, cluster, { 'pool.workers': 4 });
  const pids = (await pool.workers()).sort();
  const replies = [];
  for (let i = 0; i < 40; i++) replies.push(await new User(site).write());
  assert.equal(count(replies, 200) + count(replies, 503), replies.length);
  assert.ok(count(replies, 503) > 0);
  await pool.logged('database', /cannot connect: .*too many connections/);
  await cluster.sql('ALTER ROLE booky CONNECTION LIMIT -1');
  await until('every worker has its connection', async () => {
    const now = await Promise.all(Array.from({ length: 16 }, () => new User(site).write()));
    return count(now, 200) === now.length;
  });
  await checkWorks(pool, site, 'afterwards');
  assert.deepEqual((await pool.workers()).sort(), pids);
});

test('requests end within the deadline while the database hangs, and succeed when it continues', async (t) => {
  const { pool, site } = await startStack(t, cluster, { 'pool.workers': 3, 'database.statement_timeout': 500 });
  const users = Array.from({ length: 6 }, () => new User(site));
  const operations = users.map(() => [book('b1')]);
  await Promise.all(users.map((user) => user.write([book('before')])));
  cluster.signal('SIGSTOP');
  let hung = true;
  const replies = users.map((user, i) => user.write(operations[i]));
  try {
    await Promise.race([Promise.all(replies.slice(0, 3)), sleep(16_000)]);
    for (const reply of await Promise.all(replies)) {
      assert.equal(reply.status, 503, reply.text);
      // The deadline of a statement and of a new connection, for this request and for the one before it in the queue.
      assert.ok(reply.ms < 2 * (500 + 5000 + 5000) + 5000, `${reply.ms} ms`);
    }
    cluster.signal('SIGCONT');
    hung = false;
  } finally {
    if (hung) cluster.signal('SIGCONT');
  }
  t.diagnostic(`while it hung: ${percentiles((await Promise.all(replies)).map(({ ms }) => ms))}`);
  await Promise.all(users.map((user, i) => user.writeAgain(operations[i])));
  for (const user of users) assert.deepEqual(await user.entities(), ['b1', 'before']);
  await checkWorks(pool, site, 'afterwards');
  assert.equal(await lost(pool), 0);
});

test('the status pages answer while the database hangs, with the totals that are known', async (t) => {
  const { pool, site } = await startStack(t, cluster, { 'pool.workers': 2 });
  assert.equal((await new User(site).write()).status, 200);
  const totals = ['queue_waiting', 'queue_review', 'conflicts_open', 'totals_timestamp_seconds'];
  const read = async () => {
    const { status, text } = await request(pool.statusSocket, { uri: '/metrics', timeout: 5000 });
    assert.equal(status, 200);
    const metrics = new Metrics(text);
    return [metrics.value('booky_sync_db_up'), totals.map((name) => metrics.value(`booky_sync_${name}`))];
  };
  const [up, before] = await read();
  assert.equal(up, 1);
  assert.ok(before.every((value) => value >= 0), `${before}`);
  cluster.signal('SIGSTOP');
  try {
    await until('the metrics say that the database does not answer', async () => (await read())[0] === 0, 20);
    assert.deepEqual((await read())[1], before);
    for (const uri of ['/ping', '/pool?json&full', '/metrics', '/ping'])
      assert.equal((await request(pool.statusSocket, { uri, timeout: 5000 })).status, 200, uri);
    const together = Array.from({ length: 8 }, (_, i) =>
      request(pool.statusSocket, { uri: i % 2 ? '/ping' : '/metrics', timeout: 5000 }));
    for (const { status } of await Promise.all(together)) assert.equal(status, 200);
  } finally {
    cluster.signal('SIGCONT');
  }
  await until('the metrics say that the database answers', async () => {
    const [now, [, , , time]] = await read();
    return now === 1 && time > before[3];
  }, 30);
});

// A full disk

const large = (id) => book(
  id, { notes: Array.from({ length: 20_000 }, () => Math.random().toString(36).slice(2)).join('') });

test('a full disk gives a 503 for writes and leaves nothing of them, and reads succeed', async (t) => {
  const { pool, site } = await startStack(t, cluster, { 'pool.workers': 2 });
  const user = new User(site);
  assert.equal((await user.write([book('before')])).status, 200);
  cluster.fill('/base/');
  t.after(() => cluster.empty());
  const operations = [book('b1'), large('b2'), book('b3')];
  for (let i = 0; i < 6; i++) assert.equal((await user.write(operations)).status, 503);
  assert.match(cluster.log, /No space left on device/);
  assert.deepEqual(await user.entities(), ['before']);
  assert.equal((await user.request('/status')).status, 200);
  const [row] = await pool.log('database').filter(({ sqlstate }) => sqlstate === '53100');
  assert.ok(row, pool.output.slice(-2000));
  cluster.empty();
  const { results } = (await user.write(operations)).json;
  assert.deepEqual(results.map(({ status, duplicate }) => [status, duplicate]), Array(3).fill(['success', undefined]));
  assert.deepEqual(await user.entities(), ['b1', 'b2', 'b3', 'before']);
  await checkWorks(pool, site, 'afterwards');
  assert.equal(await lost(pool), 0);
});

test('every acknowledged write survives a database crash because of a full disk', async (t) => {
  const { pool, site } = await startStack(t, cluster, { 'pool.workers': 3 });
  const load = new Load(pool, { clients: 4, retry: true });
  await load.reach(60);
  const user = new User(site);
  cluster.fill('/pg_wal/');
  t.after(() => cluster.empty());
  await until('the database has crashed', () => /PANIC: .*No space left on device/.test(cluster.log));
  cluster.empty();
  await until('the database is up', () => cluster.sql('SELECT 1').catch(() => false));
  await user.writeAgain([book('after')]);
  await load.reach(60);
  await load.stop();
  assert.deepEqual(load.failures.filter((failure) => !/read \d+: +503/.test(failure)), []);
  for (const { id } of load.users) {
    const ledger = await cluster.sql(`SELECT operation_id FROM booky.ledger WHERE user_id = '${id}'`);
    const missing = load.written.get(id).filter((one) => !ledger.includes(one));
    assert.deepEqual(missing, [], 'every acknowledged operation is in the ledger');
  }
  await checkWorks(pool, site, 'afterwards');
  assert.equal(await lost(pool), 0);
});
