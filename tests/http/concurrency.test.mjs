// The commit clock: the order of stamps is the order of commits, whatever happens at the same time.
import assert from 'node:assert/strict';
import test from 'node:test';
import { User, ago, book, holdClock, literal, ms, patch, sleep, until, waiters, withSession } from './lib.mjs';

test('two simultaneous first writes of a new user both succeed with different stamps', async () => {
  for (let round = 0; round < 5; round++) {
    const user = new User();
    const replies = await Promise.all([user.send([book('b1')]), user.send([book('b2')])]);
    assert.notEqual(replies[0].syncedAt, replies[1].syncedAt);
    const { changes } = await user.pull();
    assert.deepEqual(changes.map(({ data }) => data.id).sort(), ['b1', 'b2']);
    assert.deepEqual(changes.map(({ data }) => data.updatedAt).sort(), replies.map(({ syncedAt }) => syncedAt).sort());
  }
});

test('simultaneous edits of one entity are serialized, and none is lost', async () => {
  const user = new User();
  await user.apply(book('b1'));
  const names = Array.from({ length: 12 }, (_, i) => `x${i}`);
  const replies = await Promise.all(
    names.map((name) => user.send([patch('b1', { [name]: 1 }, { timestamp: ago(5) })])));
  assert.equal(new Set(replies.map(({ syncedAt }) => syncedAt)).size, names.length);
  const data = await user.read('book', 'b1');
  for (const name of names) assert.equal(data[name], 1, name);
  assert.equal(data.updatedAt, replies.map(({ syncedAt }) => syncedAt).sort().at(-1));
});

test('of three simultaneous first ratings of one book the latest stays', async () => {
  const user = new User();
  const rate = (n) => user.apply({ id: `op${n}`, type: 'create', entity: 'rating', entityId: `r${n}`,
    data: { bookId: 'b', stars: n }, timestamp: ago(10 - n) });
  await Promise.all([1, 2, 3].map(rate));
  assert.deepEqual((await user.pull()).changes.map(({ data }) => data.id), ['r3']);
});

test('a user whose write waits can read and does not block another user', async () => {
  const [slow, other] = [new User(), new User()];
  await slow.apply(book('b0'));
  await withSession(async (session) => {
    await holdClock(session, slow);
    const write = slow.send([book('b1')]);
    await until('the write waits', async () => (await waiters(session)).length === 1);
    await other.send([book('b2')]);
    assert.deepEqual((await slow.pull()).changes.map(({ data }) => data.id), ['b0']);
    assert.equal((await other.pull()).changes.length, 1);
    await session.query('COMMIT');
    assert.equal((await write).results[0].status, 'success');
  });
});

// A slow transaction takes its stamp, writes, and commits late. Fast transactions arrive meanwhile, and pollers
// continue from what they have seen. If the clock were not locked until the commit, the rows of the slow transaction
// would appear before the position of the pollers.
test('pollers miss nothing however long a transaction takes between its stamp and its commit', async () => {
  const user = new User();
  await user.apply(book('b0'));
  const seen = { cursor: new Set(), since: new Set() };
  let stop = false;

  async function pollByCursor() {
    let query = 'since=1970-01-01T00:00:00Z';
    do {
      const pull = await user.pull(query);
      for (const { data } of pull.changes) seen.cursor.add(data.id);
      query = `cursor=${pull.cursor}`;
      if (!stop) await sleep(5);
    } while (!stop);
    for (const { data } of (await user.pull(query)).changes) seen.cursor.add(data.id);
  }

  async function pollByInstant() {
    let since = '1970-01-01T00:00:00Z';
    const poll = async () => {
      const { changes } = await user.pull(`since=${since}`);
      for (const { data } of changes) {
        assert.ok(ms(data.updatedAt) > ms(since), 'nothing comes twice');
        seen.since.add(data.id);
      }
      since = changes.at(-1)?.data.updatedAt ?? since;
    };
    while (!stop) {
      await poll();
      await sleep(5);
    }
    await poll();
  }

  const pollers = [pollByCursor(), pollByInstant()];
  const written = ['b0'];
  for (let round = 0; round < 4; round++)
    await withSession(async (session) => {
      const stamp = await holdClock(session, user);
      const slow = `slow${round}`;
      await session.query(
        `INSERT INTO entities (user_id, kind, entity_id, updated_at, created_at, edited_at, base_at, status, data)` +
          ` VALUES (${literal(user.id)}, 'book', '${slow}', ${stamp}, ${stamp}, ${stamp}, ${stamp}, 'live',` +
          ` '{"title":"Slow"}')`);
      const fast = [0, 1].map((n) => `fast${round}-${n}`);
      const writes = fast.map((id) => user.send([book(id)]));
      await until('the fast ones wait', async () => (await waiters(session)).length > 0);
      await sleep(60); // the pollers poll a few times
      await session.query('COMMIT');
      for (const write of writes) assert.ok(ms((await write).syncedAt) > stamp);
      written.push(slow, ...fast);
    });
  stop = true;
  await Promise.all(pollers);
  assert.deepEqual([...seen.cursor].sort(), [...written].sort());
  assert.deepEqual([...seen.since].sort(), [...written].sort());
});

test('pollers miss nothing while several devices write as fast as they can', async () => {
  const user = new User();
  const seen = new Map();
  let stop = false;
  const poller = (async () => {
    let query = 'since=0';
    for (let last = false; !last; ) {
      last = stop;
      const pull = await user.pull(`${query}&limit=7`);
      for (const { data } of pull.changes) seen.set(data.id, data.n);
      query = `cursor=${pull.cursor}`;
      if (pull.hasMore) last = false;
    }
  })();
  const device = async (name) => {
    for (let i = 0; i < 25; i++)
      await user.send([book(`${name}-${i}`, { n: 0 }, { timestamp: undefined }),
        patch('shared', { title: 'S', n: `${name}-${i}` }, { timestamp: undefined })]);
  };
  await Promise.all(['a', 'b', 'c'].map(device));
  stop = true;
  await poller;
  assert.equal(seen.size, 3 * 25 + 1);
  assert.equal(seen.get('shared'), (await user.read('book', 'shared')).n);
});
