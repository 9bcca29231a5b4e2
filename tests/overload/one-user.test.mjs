// What one user may do to the others: the worst requests that one token can send, with the shipped limits and the
// smallest sensible pool.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test, { after, before } from 'node:test';
import { withSession } from '../http/lib.mjs';
import { HOST } from '../nginx/site/lib.mjs';
import { book, restarts, sleep, until } from '../pool/pool.mjs';
import { Cluster, User, count, percentiles, startStack } from './overload.mjs';

const WORKERS = 4;
const IN_FLIGHT = 3; // limit_conn in burst.conf

let cluster;
before(async () => (cluster = await Cluster.start()));
after(() => cluster?.stop());

// The shipped limits, but without the rate: only what limits the requests in flight protects the others.
const unlimitedRate = { rate: 'rate', changes: { 'burst.conf': [['burst=99', 'burst=99999'],
  ['burst=200', 'burst=99999']] } };
const start = (t, settings) => startStack(t, cluster, { 'pool.workers': WORKERS, ...settings }, unlimitedRate);

// Requests and small writes of another user, one after the other, while `over` is not set.
async function live(user, state) {
  const replies = [];
  while (!state.over) {
    replies.push(await user.request('/status'), await user.write());
    await sleep(20);
  }
  return replies;
}

// `clients` clients of one token send `ask` again and again while `over` is not set; resolves to all replies.
async function flood(clients, ask, state) {
  const all = await Promise.all(Array.from({ length: clients }, async () => {
    const replies = [];
    while (!state.over) {
      replies.push(await ask());
      await sleep(10);
    }
    return replies;
  }));
  return all.flat();
}

const lost = async (pool) => (await restarts(pool, 'crash')) + (await restarts(pool, 'timeout'));

function checkOthers(t, replies, refused) {
  assert.ok(replies.length >= 20, `${replies.length} requests of the other user were answered`);
  assert.equal(count(replies, 200), replies.length);
  for (const { ms } of replies) assert.ok(ms < 5000, `${ms} ms`);
  t.diagnostic(`the other user: ${percentiles(replies.map(({ ms }) => ms))}; ` +
    `the flood: ${refused.length} answers, ${count(refused, 429)} × 429, ${count(refused, 503)} × 503`);
}

// Sixteen clients repeat the full sync of a large library: each holds the user's clock for as long as it runs, and the
// others of the same token wait for it.
test('full syncs of one token, sixteen at once, leave a worker to other users', async (t) => {
  const { pool, site } = await start(t);
  const [greedy, other] = [new User(site), new User(site)];
  const books = Array.from({ length: 3000 }, (_, i) => ({ id: `b${i}`, title: `Book ${i}`, notes: 'n'.repeat(200) }));
  const body = JSON.stringify({ books });
  const state = {};
  const replies = flood(16, () => greedy.request('/full', { method: 'POST', body }), state);
  const others = live(other, state);
  const SAMPLES = 40;
  let held = 0; // samples in which every worker had a full sync
  for (let i = 0; i < SAMPLES; i++) {
    const { processes } = await pool.status();
    held += processes.filter((row) => row.state === 'busy' && /full/.test(JSON.stringify(row))).length === WORKERS;
    await sleep(100);
  }
  state.over = true;
  const refused = await replies;
  // A worker that has answered is busy for another moment, while nginx already passes on the next request.
  assert.ok(held < SAMPLES / 4, `all workers had a full sync in ${held} of ${SAMPLES} samples`);
  assert.deepEqual(refused.filter(({ status }) => status >= 500 && status !== 503), []);
  assert.ok(count(refused, 200) > 0 && count(refused, 429) > 0);
  checkOthers(t, await others, refused);
  assert.equal(await lost(pool), 0);
});

test('a write waits a few seconds for the lock of the same user, then gets a 503, and others are served', async (t) => {
  const { pool, site } = await start(t);
  const [stuck, other] = [new User(site), new User(site)];
  assert.equal((await stuck.write()).status, 200);
  await withSession(async (session) => {
    await session.query('BEGIN');
    await session.query(`SELECT FROM booky.clocks WHERE user_id = '${stuck.id}' FOR UPDATE`);
    const state = {};
    const operations = [book('b1')];
    const waiting = Array.from({ length: IN_FLIGHT }, () => stuck.write(operations));
    await pool.busy(IN_FLIGHT);
    const refused = await stuck.write(operations);
    assert.equal(refused.status, 429, 'one more than may be in flight');
    assert.equal(refused.headers['retry-after'], '2');
    const others = live(other, state);
    const replies = await Promise.all(waiting);
    state.over = true;
    for (const { status, json, headers, ms } of replies) {
      assert.equal(status, 503);
      assert.match(json.message, /another request of this user is not done yet; nothing was applied, retry/);
      assert.equal(headers['retry-after'], '2');
      assert.ok(ms < 10_000, `${ms} ms: it waits for lock_timeout and not for statement_timeout`);
    }
    checkOthers(t, await others, [refused, ...replies]);
    await session.query('ROLLBACK');
    const again = await stuck.writeAgain(operations);
    assert.equal(again.json.results[0].duplicate, undefined, 'nothing was applied');
  }, cluster.admin);
  assert.equal(await lost(pool), 0);
});

// nginx takes such a reply off the worker up to fastcgi_max_temp_file_size, which is small here.
test('a worker that hangs in a transaction keeps the lock of its user as long as a statement may run', async (t) => {
  const { pool, site } = await start(t, { 'database.statement_timeout': 5000, 'database.lock_timeout': 4000 });
  const user = new User(site);
  assert.equal((await user.write()).status, 200);
  let hung, pid;
  await withSession(async (session) => {
    await session.query('BEGIN');
    await session.query('LOCK TABLE booky.ledger');
    hung = user.write();
    await until('it has locked its clock and waits', async () => (await session.query(
      `SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'booky.ledger'::regclass`)).length > 0);
    ({ pid } = await pool.busy());
    process.kill(pid, 'SIGSTOP');
    await session.query('ROLLBACK');
  }, cluster.admin);
  try {
    await until('a write of the user succeeds', async () => (await user.write()).status === 200, 60);
    assert.match(readFileSync(`/proc/${pid}/stat`, 'utf8'), /\) T /, 'the worker still hangs');
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  assert.equal((await hung).status, 200, 'when it goes on, it processes the request in a new session');
});

test('clients that do not read a large reply hold no worker beyond its time limit, and none is killed', async (t) => {
  const { pool, site } = await startStack(t, cluster, { 'pool.workers': WORKERS, 'pool.request_timeout': 3 },
    { changes: { 'fastcgi.conf': [['fastcgi_max_temp_file_size 256m;', 'fastcgi_max_temp_file_size 2m;']] } });
  const [idle, other] = [new User(site), new User(site)];
  for (let i = 0; i < 40; i++)
    assert.equal((await idle.write([book(`large-${i}`, { notes: 'x'.repeat(900_000) })])).status, 200);
  const pids = (await pool.workers()).sort();
  const sockets = [];
  for (let i = 0; i < WORKERS; i++) {
    const socket = await site.connect();
    sockets.push(socket.pause());
    const head = `GET /api/sync/changes?since=0 HTTP/1.1\r\nHost: ${HOST}\r\n`;
    socket.write(`${head}Authorization: Bearer ${idle.token}\r\n\r\n`);
  }
  await pool.busy(WORKERS);
  assert.equal((await other.request('/status')).status, 200, 'served when their time is over');
  await pool.idle();
  await sleep(6000); // until the master would kill a worker
  assert.deepEqual((await pool.workers()).sort(), pids);
  assert.equal(await lost(pool), 0);
  for (const socket of sockets) socket.destroy();
});

test('notices of the database are events of the log', async (t) => {
  const { pool, site } = await startStack(t, cluster, { 'log.level': 'debug' });
  const user = new User(site);
  await cluster.sql(`CREATE FUNCTION booky.test_notice() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RAISE WARNING ''a warning with "quotes"''; RAISE NOTICE ''a notice''; RETURN NEW; END'`);
  await cluster.sql(`CREATE TRIGGER test_notice BEFORE INSERT ON booky.ledger
    FOR EACH ROW WHEN (NEW.user_id = '${user.id}') EXECUTE FUNCTION booky.test_notice()`);
  assert.equal((await user.write()).status, 200);
  const event = await pool.logged('database', /a warning with "quotes"/);
  assert.deepEqual([event.level, event.severity, event.sqlstate], ['debug', 'WARNING', '01000']);
  await pool.logged('database', /a notice/);
  await cluster.sql('DROP TRIGGER test_notice ON booky.ledger');
  await cluster.sql('DROP FUNCTION booky.test_notice');
  for (const line of pool.output.trim().split('\n')) assert.match(line, /^<\d>\{.*\}$/);
});
