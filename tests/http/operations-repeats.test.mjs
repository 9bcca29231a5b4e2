// POST /operations: exactly-once processing by operation ids.
import assert from 'node:assert/strict';
import test from 'node:test';
import { User, ago, book, gone, ledgerRows, literal, ms, patch, sql, titles } from './lib.mjs';

test('a repeat in another request gets the stored result and changes nothing, not even the stamp', async () => {
  const user = new User();
  const operation = book('b1', { title: 'First' });
  const result = await user.apply(operation);
  assert.deepEqual(await user.apply(operation), { ...result, duplicate: true });
  await user.apply(patch('b1', { title: 'Second' }, { timestamp: ago(5) }));
  const { lastSync } = await user.status();
  const data = await user.read('book', 'b1');
  const current = { updatedAt: data.updatedAt, data };
  assert.deepEqual(await user.apply(operation), { ...result, duplicate: true, current });
  assert.equal((await user.status()).lastSync, lastSync);
  assert.equal((await user.read('book', 'b1')).title, 'Second');
});

test('a repeat tells the present version of an entity in place of the content that the first result had', async () => {
  const user = new User();
  await user.apply(book('b1', { genre: 'Old' }), { deviceId: 'laptop' });
  const operation = patch('b1', { title: 'Mine' }, { timestamp: ago(5) });
  const { data, ...result } = await user.apply(operation, { deviceId: 'phone' });
  assert.equal(data.genre, 'Old', 'the phone did not know the rest of the book');
  assert.deepEqual(await user.apply(operation), { ...result, data, duplicate: true });
  await user.apply(patch('b1', { genre: 'New' }, { timestamp: ago(4) }), { deviceId: 'laptop' });
  const now = await user.read('book', 'b1');
  assert.deepEqual(await user.apply(operation),
    { ...result, duplicate: true, current: { updatedAt: now.updatedAt, data: now } });
  await user.apply(gone('book', 'b1', { timestamp: ago(1) }));
  const { current } = await user.apply(operation);
  assert.deepEqual([current.deleted, current.data.id, current.data.title], [true, 'b1', undefined]);
  await sql(`DELETE FROM entities WHERE user_id = ${literal(user.id)}`); // as a purge does after the retention
  assert.deepEqual(await user.apply(operation), { ...result, duplicate: true, current: { deleted: true } });
});

test('syncedAt of a request with only repeats is not before the last write and before the next one', async () => {
  const user = new User();
  const operation = book('b1');
  await user.apply(operation);
  // The commit clock is ahead of the system clock, as after that was set back, so each write is one millisecond later.
  await sql(`UPDATE clocks SET clock = clock + 3600000 WHERE user_id = ${literal(user.id)}`);
  const { syncedAt: before } = await user.send([book('b2')]);
  const { syncedAt: repeat } = await user.send([operation]);
  const { syncedAt: next } = await user.send([book('b3')]);
  assert.ok(ms(repeat) >= ms(before) && ms(repeat) < ms(next), `${before} ${repeat} ${next}`);
  assert.deepEqual((await user.pull(`since=${repeat}`)).changes.map(({ data }) => data.id), ['b3']);
});

test('a repeat within one request gets the result of the first occurrence', async () => {
  const operation = book('b1');
  const { results } = await new User().send([operation, book('b2'), operation]);
  assert.deepEqual(results[2], { ...results[0], duplicate: true });
});

test('other client members or another spelling of the timestamp do not make another operation', async () => {
  const user = new User();
  const operation = { ...book('b1', { pages: { a: 1, b: 2 } }), timestamp: '2024-01-15T10:30:00Z' };
  await user.apply(operation);
  const again = [
    { ...operation, synced: true, retryCount: 3, priority: 'high', lastError: 'timeout' },
    { ...operation, timestamp: '2024-01-15T12:30:00.000+02:00' },
    { ...operation, timestamp: 1705314600000 },
    { ...operation, data: { pages: { b: 2, a: 1 }, title: operation.data.title } },
  ];
  for (const operation of again) assert.equal((await user.apply(operation)).duplicate, true, JSON.stringify(operation));
});

test('15 simultaneous copies over several connections take effect once and get one answer', async () => {
  const user = new User();
  const operation = book('b1', { title: 'Once' });
  const results = await Promise.all(Array.from({ length: 15 }, () => user.apply(operation)));
  assert.equal(results.filter((result) => !result.duplicate).length, 1);
  assert.equal(new Set(results.map((result) => result.updatedAt)).size, 1);
  assert.equal(await ledgerRows(user, operation.id), 1);
  const { changes } = await user.pull();
  assert.equal(changes.length, 1);
  assert.equal(changes[0].data.updatedAt, results[0].updatedAt);
  assert.equal((await user.status()).lastSync, results[0].updatedAt);
});

test('a batch that is sent twice simultaneously is applied once', async () => {
  const user = new User();
  const operations = Array.from({ length: 50 }, (_, i) => book(`b${i}`));
  const [one, two] = await Promise.all([user.send(operations), user.send(operations)]);
  const duplicates = (reply) => reply.results.filter((result) => result.duplicate).length;
  assert.deepEqual([duplicates(one), duplicates(two)].sort((x, y) => x - y), [0, 50]);
  assert.equal((await user.pull()).changes.length, 50);
});

const others = {
  'other data': { data: { title: 'Other' } }, 'another type': { type: 'update' }, 'another entity': { entityId: 'b2' },
  'another kind': { entity: 'collection', data: { name: 'N' } }, 'another time': { timestamp: ago(1) },
};

for (const [name, change] of Object.entries(others))
  test(`an operation id that is reused with ${name} fails, in the same request and in the next`, async () => {
    const user = new User();
    const operation = book('b1', { title: 'Right' });
    const { results } = await user.send([operation, { ...operation, ...change }]);
    for (const result of [results[1], await user.apply({ ...operation, ...change })]) {
      assert.equal(result.status, 'failed');
      assert.equal(result.error, 'OPERATION_ID_REUSED');
      assert.equal(result.retryable, false);
      assert.match(result.message, /^operations\[[01]\]\.id: /);
    }
    assert.deepEqual(titles(await user.pull()), { b1: 'Right' });
    assert.deepEqual(await user.apply(operation), { ...results[0], duplicate: true });
  });

test('a failed operation can be corrected and sent again under its id', async () => {
  const user = new User();
  const operation = book('b1', { title: '' });
  assert.equal((await user.apply(operation)).status, 'failed');
  const result = await user.apply({ ...operation, data: { title: 'Right' } });
  assert.equal(result.status, 'success');
  assert.equal(result.duplicate, undefined);
});

test('an operation without an id gets one, which is in the ledger', async () => {
  const user = new User();
  const { results } = await user.send([book('b1', {}, { id: undefined }), book('b2', {}, { id: null })]);
  for (const { id, status } of results) {
    assert.equal(status, 'success');
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(await ledgerRows(user, id), 1);
  }
  assert.notEqual(results[0].id, results[1].id);
});
