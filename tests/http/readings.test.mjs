// Reading logs: which of those of a book stand, and the policies where two logs or ratings of one book meet.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { ago, checkError, content, gone, op } from './lib.mjs';
import { Owner, checkOk } from './owner.mjs';

const { readings } = JSON.parse(readFileSync(new URL('../contract/vectors.json', import.meta.url)));

// A date as an instant, and a time of a vector as minutes before the present.
const instant = (value) => (/^\d{4}-\d\d-\d\d$/.test(value) ? `${value}T12:00:00Z` : value);
const instants = (data) => Object.fromEntries(Object.entries(data).map(([name, value]) => [name, instant(value)]));
const log = (id, data, minutes, more) =>
  op('create', 'readingLog', id, { bookId: 'b', ...data }, { timestamp: ago(minutes), ...more });
const want = (id, minutes, more) => log(id, { status: 'want_to_read' }, minutes, more);
const now = (id, startedAt, minutes, more) => log(id, { status: 'currently_reading', startedAt }, minutes, more);
const read = (id, startedAt, finishedAt, minutes, more) =>
  log(id, { status: 'read', startedAt, finishedAt }, minutes, more);
const live = async (user, kind = 'readingLog') =>
  (await user.pull()).changes.filter(({ type }) => type === kind).map(({ data }) => data.id).sort();

const orders = { 'in order': (list) => list, 'in reverse order': (list) => [...list].reverse() };
const ways = {
  'in one request': (user, list) => user.send(list),
  'each in its own request': async (user, list) => {
    for (const operation of list) await user.apply(operation);
  },
};

for (const { name, logs, live: expected } of readings)
  for (const [order, arrange] of Object.entries(orders))
    for (const [way, send] of Object.entries(ways))
      test(`${name}: ${order}, ${way}`, async () => {
        const user = new Owner();
        const edits = logs.flatMap(({ id, edits }) => edits.map(({ at, data }, i) => op(i ? 'update' : 'create',
          'readingLog', id, instants(data), { timestamp: ago(60 - at) })));
        await send(user, arrange(edits));
        assert.deepEqual(await live(user), expected);
      });

test('a log that is displaced is deleted as of the word of the other, and other devices pull it', async () => {
  const user = new Owner();
  await user.apply(now('l1', '2024-01-02T00:00:00Z', 9));
  const { cursor } = await user.pull();
  const result = await user.apply(read('l2', '2024-01-02T20:00:00Z', '2024-01-20T00:00:00Z', 5));
  assert.deepEqual([result.resolution, result.conflict.reason, result.conflict.otherId],
    ['client', 'one_per_book', 'l1']);
  const { changes } = await user.pull(`cursor=${cursor}`);
  const deleted = changes.find(({ data }) => data.id === 'l1');
  assert.deepEqual([deleted.deleted, deleted.data.deletedAt], [true, ago(5)]);
});

test('a deleted log still displaces: the log that it displaced does not come back', async () => {
  for (const order of [[0, 1, 2], [2, 1, 0], [1, 2, 0]]) {
    const user = new Owner();
    const operations = [now('l1', '2024-01-02T00:00:00Z', 9),
      read('l2', '2024-01-02T00:00:00Z', '2024-01-20T00:00:00Z', 5),
      gone('readingLog', 'l2', { timestamp: ago(3) })];
    for (const i of order) await user.apply(operations[i]);
    assert.deepEqual(await live(user), []);
  }
});

test('a log that moves to another book brings back the logs that it displaced', async () => {
  const user = new Owner();
  await user.send([want('l1', 9), now('l2', '2024-01-02T00:00:00Z', 8)]);
  assert.deepEqual(await live(user), ['l2']);
  await user.apply(op('update', 'readingLog', 'l2', { bookId: 'other' }, { timestamp: ago(2) }));
  assert.deepEqual(await live(user), ['l1', 'l2']);
});

// Policies

const rating = (id, stars, minutes, more) =>
  op('create', 'rating', id, { bookId: 'b', stars }, { timestamp: ago(minutes), ...more });
const meetings = {
  'a later rating': ['rating', rating('x', 2, 9), (more) => rating('y', 4, 5, more)],
  'an earlier rating': ['rating', rating('x', 2, 5), (more) => rating('y', 4, 9, more)],
  'a later log': ['readingLog', want('x', 9), (more) => now('y', '2024-01-02T00:00:00Z', 5, more)],
  'an earlier log': ['readingLog', now('x', '2024-01-02T00:00:00Z', 5), (more) => want('y', 9, more)],
};

for (const [name, [kind, first, second]] of Object.entries(meetings)) {
  test(`${name} of a book with manual: the first one stays, and a person decides`, async () => {
    for (const decision of ['keep_local', 'keep_server']) {
      const user = new Owner();
      await user.apply(first, { deviceId: 'a' });
      const { cursor } = await user.pull();
      const result = await user.apply(second({ conflictResolution: 'manual' }), { deviceId: 'b' });
      assert.deepEqual([result.status, result.error], ['conflict', 'CONFLICT_DETECTED']);
      assert.deepEqual((await user.pull(`cursor=${cursor}`)).changes, [], 'nothing was applied');
      const [conflict, ...others] = await user.conflicts('?status=open');
      assert.deepEqual(others, []);
      assert.deepEqual([conflict.reason, conflict.entityId, conflict.otherId, conflict.resolution],
        ['one_per_book', 'y', 'x', null]);
      assert.deepEqual([content(conflict.localData), content(conflict.serverData)], [second().data, first.data]);
      const reply = checkOk(await user.resolve(conflict.id, { resolution: decision }));
      assert.equal(reply.conflict.status, 'resolved');
      assert.deepEqual(await live(user, kind), decision === 'keep_local' ? ['y'] : ['x']);
      assert.equal((await user.status()).conflicts, 0);
      assert.equal(checkOk(await user.resolve(conflict.id, { resolution: decision })).conflict.status, 'resolved');
    }
  });

  test(`${name} of a book with server is dropped, and the sender pulls its deletion`, async () => {
    const user = new Owner();
    await user.apply(first, { deviceId: 'a' });
    const { cursor } = await user.pull();
    const result = await user.apply(second({ conflictResolution: 'server' }), { deviceId: 'b' });
    assert.deepEqual([result.status, result.resolution, result.conflict.reason, result.deleted],
      ['success', 'server', 'one_per_book', true]);
    assert.deepEqual((await user.pull(`cursor=${cursor}`)).changes.map(({ deleted, data }) => [data.id, deleted]),
      [['y', true]]);
    assert.deepEqual(await live(user, kind), ['x']);
    assert.equal((await user.status()).conflicts, 0);
  });

  test(`${name} of a book with local wins`, async () => {
    const user = new Owner();
    await user.apply(first);
    assert.equal((await user.apply(second({ conflictResolution: 'local' }))).resolution, 'client');
    assert.deepEqual(await live(user, kind), ['y']);
  });
}

test('readings side by side do not meet: manual and server apply the edit', async () => {
  for (const conflictResolution of ['manual', 'server']) {
    const user = new Owner();
    await user.apply(read('old', '2015-03-01T00:00:00Z', '2015-04-01T00:00:00Z', 9));
    const { status, conflict } = await user.apply(now('again', '2024-01-02T00:00:00Z', 5, { conflictResolution }));
    assert.deepEqual([status, conflict], ['success', undefined]);
    const note = op('update', 'readingLog', 'old', { notes: 'n' }, { timestamp: ago(1), conflictResolution });
    assert.equal((await user.apply(note)).conflict, undefined);
    assert.deepEqual(await live(user), ['again', 'old']);
  }
});

test('a move to another book meets the log there: manual applies nothing', async () => {
  const user = new Owner();
  await user.send([want('x', 9), want('y', 8, {})].map((o, i) => ({ ...o, data: { ...o.data, bookId: `b${i}` } })));
  const move = op('update', 'readingLog', 'y', { bookId: 'b0' }, { timestamp: ago(2), conflictResolution: 'manual' });
  assert.equal((await user.apply(move)).status, 'conflict');
  assert.deepEqual((await user.pull()).changes.map(({ data }) => data.bookId).sort(), ['b0', 'b1']);
});

test('a decision is refused when the other rating has changed since', async () => {
  const user = new Owner();
  await user.apply(rating('x', 2, 9));
  await user.apply(rating('y', 4, 5, { conflictResolution: 'manual' }));
  await user.apply(op('update', 'rating', 'x', { stars: 3 }, { timestamp: ago(1) }));
  const [{ id }] = await user.conflicts('?status=open');
  checkError(await user.resolve(id, { resolution: 'keep_local' }), 409, 'CONFLICT_DETECTED');
  const { updatedAt } = await user.read('rating', 'x');
  checkOk(await user.resolve(id, { resolution: 'keep_local', baseVersion: updatedAt }));
  assert.deepEqual(await live(user, 'rating'), ['y']);
});

// Full sync

const item = (operation) => ({ id: operation.entityId, ...operation.data, updatedAt: operation.timestamp });
const finished = read('read', '2015-03-01T00:00:00Z', '2015-04-01T00:00:00Z', 30);
const wanted = want('want', 20);

test('a full sync stores all logs of a new account by their own times, in whatever order they are listed', async () => {
  const logs = [want('1', 30), now('2', '2024-01-02T00:00:00Z', 20),
    read('3', '2024-01-02T00:00:00Z', '2024-01-20T00:00:00Z', 10)].map(item);
  for (const readings of [logs, [...logs].reverse()])
    for (const mode of ['replace', 'merge']) {
      const user = new Owner();
      await user.replace({ readings, mode });
      assert.deepEqual(await live(user), ['3'], mode);
      const again = await user.replace({ readings, mode });
      assert.deepEqual([again.created, again.updated, again.deleted], [0, 0, 0], mode);
      assert.deepEqual(await live(user), ['3'], mode);
    }
});

test('a full sync that changes a finished reading keeps the log that stands beside it', async () => {
  for (const arrange of Object.values(orders)) {
    const user = new Owner();
    await user.send([finished, wanted]);
    const pulled = (await user.pull()).changes.map(({ data }) => data);
    const readings = arrange(pulled).map((data) => (data.id === 'read' ? { ...data, notes: 'n' } : data));
    await user.replace({ readings, mode: 'replace' });
    assert.deepEqual(await live(user), ['read', 'want']);
    assert.equal((await user.read('readingLog', 'read')).notes, 'n');
  }
});

test('a restore brings back all logs of a book that stood', async () => {
  // The names are in both orders, because a restore reads them sorted.
  for (const [first, second] of [['a', 'b'], ['b', 'a']]) {
    const user = new Owner();
    const logs = [{ ...finished, entityId: first }, { ...wanted, entityId: second }];
    await user.send(logs);
    const { snapshot } = await user.replace({ readings: [], mode: 'replace' });
    assert.deepEqual(await live(user), []);
    const restored = checkOk(await user.restore(snapshot));
    assert.deepEqual([restored.created, restored.conflicts], [2, 0]);
    assert.deepEqual(await live(user), ['a', 'b']);
    await user.apply(op('update', 'readingLog', first, { notes: 'n' }, { timestamp: ago(0) }));
    assert.deepEqual(await live(user), ['a', 'b']);
  }
});

test('a restore takes back a later edit of a finished reading that displaced another log', async () => {
  const user = new Owner();
  await user.send([finished, wanted]);
  const { snapshot } = await user.replace({ readings: [item(wanted), { ...item(finished), notes: 'n' }],
    mode: 'replace' });
  await user.apply(op('update', 'readingLog', 'read', { status: 'dnf' }, { timestamp: ago(0) }));
  assert.deepEqual(await live(user), ['read']);
  checkOk(await user.restore(snapshot));
  assert.deepEqual(await live(user), ['read', 'want']);
  assert.equal((await user.read('readingLog', 'read')).status, 'read');
});

test('a restore in several parts brings back logs that stood side by side', async () => {
  const user = new Owner();
  const others = Array.from({ length: 1100 }, (_, i) => ({ ...item(finished), id: `o${i}`, bookId: `o${i}` }));
  await user.replace({ readings: [item(finished), ...others, item(wanted)], mode: 'replace' });
  const { snapshot } = await user.replace({ readings: [], mode: 'replace' });
  assert.equal(checkOk(await user.restore(snapshot)).created, 1102);
  assert.equal((await live(user)).length, 1102);
  await user.apply(op('update', 'readingLog', 'read', { notes: 'n' }, { timestamp: ago(0) }));
  assert.equal((await live(user)).length, 1102);
});
