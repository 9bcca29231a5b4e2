// Lists that merge (docs/api.md): single elements are added and removed. The rules are tested in every order by the
// unit tests (test_vectors.c, test_merge_set.c, test_merge_property.c); here over HTTP, with results and conflicts.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { User, ago, book, checkError, content, gone, literal, op, patch, request, sql } from './lib.mjs';

const add = (...elements) => ({ $add: elements });
const remove = (...elements) => ({ $remove: elements });
const tags = (value, minutes, more) => patch('b', { tags: value }, { timestamp: ago(minutes), ...more });
const shown = async (user, id = 'b') => (await user.read('book', id))?.tags;
const marks = async (user) => JSON.parse((await sql(
  `SELECT marks FROM entities WHERE user_id = ${literal(user.id)} AND entity_id = 'b'`))[0]);

// A user whose book `b` has these tags, written an hour ago by a phone. Resolves to { user, base, phone };
// `phone` sends an operation of the phone, which always knows the version before.
async function begin(list, more) {
  const user = new User();
  const first = book('b', { tags: list, ...more }, { timestamp: ago(60) });
  const { updatedAt } = await user.apply(first, { deviceId: 'phone' });
  let version = updatedAt;
  const phone = async (operation) => {
    const result = await user.apply({ baseVersion: version, ...operation }, { deviceId: 'phone' });
    version = result.updatedAt;
    return result;
  };
  return { user, base: updatedAt, phone };
}

test('GET /config names the sets of each kind', async () => {
  const { sets } = (await request('/api/sync/config')).json;
  assert.deepEqual(sets, { book: ['categories', 'subjects', 'tags'], collection: ['bookIds'] });
});

test('two devices add different books to one collection, and both succeed', async () => {
  const user = new User();
  const { updatedAt } = await user.apply(op('create', 'collection', 'c', { name: 'Best', bookIds: ['b1'] }));
  const results = [];
  for (const [deviceId, id] of [['phone', 'b2'], ['laptop', 'b3']])
    results.push(await user.apply(op('update', 'collection', 'c', { bookIds: add(id) },
      { baseVersion: updatedAt, timestamp: ago(3) }), { deviceId }));
  for (const { status, resolution, conflict } of results) {
    assert.equal(status, 'success');
    assert.equal(resolution, undefined);
    assert.equal(conflict, undefined);
  }
  assert.equal(results[0].data, undefined, 'the phone knew the version before');
  assert.deepEqual(content(results[1].data), { name: 'Best', bookIds: ['b1', 'b2', 'b3'] });
  assert.deepEqual((await user.read('collection', 'c')).bookIds, ['b1', 'b2', 'b3']);
  assert.equal((await user.status()).conflicts, 0);
});

test('every set of a book takes changes, and a member that is not one keeps them as data', async () => {
  const { user } = await begin(['a'], { categories: ['a'], authors: ['a'], own: { x: 1 } });
  await user.apply(patch('b', { tags: add('b'), categories: add('b'), subjects: add('b'), own: add('b') }));
  const { tags: t, categories, subjects, own } = await user.read('book', 'b');
  assert.deepEqual({ t, categories, subjects, own },
    { t: ['a', 'b'], categories: ['a', 'b'], subjects: ['b'], own: { x: 1, $add: ['b'] } });
  const result = await user.apply(patch('b', { authors: add('b') }));
  assert.equal(result.message, 'operations[0].data.authors: must be an array');
});

test('the vectors hold over HTTP, in several orders, singly and batched', async () => {
  const { sets } = JSON.parse(readFileSync(new URL('../contract/vectors.json', import.meta.url)));
  const start = Date.now() - 3_600_000;
  await Promise.all(sets.filter(({ edits }) => edits.every(({ type }) => type !== 'replace')).map(async (row) => {
    const operations = row.edits.map(({ type, at, data }) => op(type, 'book', 'b', data, { timestamp: start + at }));
    operations.push(op('create', 'book', 'b', { title: 'T' }, { timestamp: start + 9 }));
    const orders = [operations, [...operations].reverse(), [...operations.slice(1), operations[0]]];
    for (const order of orders) {
      const singly = new User(), batched = new User();
      for (const operation of [...order, order[0]]) await singly.apply(operation);
      await batched.send([...order, order[0]]);
      for (const user of [singly, batched])
        assert.deepEqual(content(await user.read('book', 'b')), { title: 'T', ...row.result }, row.name);
    }
  }));
});

// Results

test('a result has no data where the sender knows the list', async () => {
  const { user, phone } = await begin(['a', 'b']);
  const values = [add('c'), remove('a', 'x'), { $add: ['b', 'd'], $remove: ['c'] }, add()];
  for (const [i, value] of values.entries())
    assert.equal((await phone(tags(value, 10 - i))).data, undefined, JSON.stringify(value));
  assert.deepEqual(await shown(user), ['b', 'd']);
});

test('a result has data where the sender may not know the version before', async () => {
  const { user } = await begin(['a']);
  const result = await user.apply(tags(add('b'), 10), { deviceId: 'laptop' });
  assert.deepEqual(result.data.tags, ['a', 'b']);
  assert.equal(result.conflict, undefined);
});

test('a result has data where the added elements do not stand last', async () => {
  const { user, phone } = await begin(['a']);
  await phone(tags(add('d'), 10));
  for (const [value, list] of [[add('c'), ['a', 'c', 'd']], [add('c'), ['a', 'c', 'd']], [add('d'), ['a', 'c', 'd']]]) {
    const before = await user.read('book', 'b');
    const result = await phone(tags(value, 20));
    assert.deepEqual(result.data.tags, list);
    assert.equal(result.conflict, undefined);
    assert.notEqual(result.updatedAt, before.updatedAt, 'a device that ignores results pulls the list');
  }
});

test('a result has data where a list is not shown as it was written', async () => {
  const { user, phone } = await begin(['a']);
  await phone(tags(add('b'), 10));
  const result = await phone(tags(['b', 'a'], 20));
  assert.equal(result.conflict, undefined, 'the same elements');
  assert.deepEqual(result.data.tags, ['a', 'b']);
});

test('a result has data where a list becomes null again', async () => {
  const { user, phone } = await begin(null);
  assert.equal((await phone(tags(add('a'), 20))).data, undefined);
  const result = await phone(tags(remove('a'), 10));
  assert.equal(result.data.tags, null);
});

test('a repeat changes nothing', async () => {
  const { user } = await begin(['a']);
  const operation = tags(add('b'), 20);
  await user.apply(operation);
  await user.apply(tags(remove('b'), 10));
  assert.equal((await user.apply(operation)).duplicate, true);
  assert.deepEqual(await shown(user), ['a']);
});

// Conflicts

for (const [name, first, second, resolution, list] of [
  ['an addition of what was removed later', remove('c'), add('c'), 'server', ['a', 'b']],
  ['a removal of what was added later', add('c'), remove('c'), 'server', ['a', 'b', 'c']],
  ['some elements of several', remove('c'), add('c', 'd'), 'merged', ['a', 'b', 'd']],
  ['a later whole list says otherwise', ['x'], add('c'), 'server', ['x']],
  ['a later whole list has what is removed', ['x'], remove('x'), 'server', ['x']],
  ['a later null says otherwise', null, add('c'), 'server', null],
  ['a whole list without what was added later', add('c'), ['x'], 'merged', ['x', 'c']],
  ['a whole list with what was removed later', remove('a'), ['a', 'x'], 'merged', ['x']],
])
  test(`stale: ${name}`, async () => {
    const { user, phone } = await begin(['a', 'b']);
    await phone(tags(first, 10));
    const result = await phone(tags(second, 20));
    assert.equal(result.status, 'success');
    assert.equal(result.conflict?.reason, 'stale');
    assert.equal(result.resolution, resolution);
    assert.deepEqual(result.conflict.localData, { tags: second });
    assert.deepEqual(result.data.tags, list);
    assert.deepEqual(await shown(user), list);
  });

for (const [name, first, second, list] of [
  ['the same addition earlier', add('c'), add('c'), ['a', 'b', 'c']],
  ['the same removal earlier', remove('a'), remove('a'), ['b']],
  ['a later whole list says the same', ['x', 'c'], { $add: ['c'], $remove: ['a'] }, ['x', 'c']],
  ['a whole list that agrees with later edits', { $add: ['c'], $remove: ['a'] }, ['c', 'x'], ['x', 'c']],
  ['other elements', { $add: ['c'], $remove: ['a'] }, { $add: ['d'], $remove: ['b'] }, ['d', 'c']],
])
  test(`no conflict: ${name}`, async () => {
    const { user, phone } = await begin(['a', 'b']);
    await phone(tags(first, 10));
    const result = await phone(tags(second, 20));
    assert.equal(result.conflict, undefined);
    assert.deepEqual(await shown(user), list);
  });

test('a stale baseVersion is a conflict only where an element has an opposite edit', async () => {
  const { user, base, phone } = await begin(['a', 'b']);
  await user.apply(tags({ $add: ['c'], $remove: ['a'] }, 30), { deviceId: 'laptop' });
  const more = { baseVersion: base };
  const fine = await phone(tags({ $add: ['d'], $remove: ['b'] }, 20, more));
  assert.equal(fine.conflict, undefined);
  const against = await user.apply(tags(remove('c'), 10, more), { deviceId: 'phone2' });
  assert.equal(against.conflict?.reason, 'base');
  assert.deepEqual(against.data.tags, ['d']);
});

test('conflictResolution applies to changes', async () => {
  const { user } = await begin(['a']);
  await user.apply(tags(remove('c'), 10));
  const send = (value, conflictResolution) => user.apply(tags(value, 20, { conflictResolution }));
  assert.equal((await send(add('c'), 'server')).resolution, 'server');
  assert.deepEqual(await shown(user), ['a']);
  const open = await send(add('c', 'd'), 'manual');
  assert.equal(open.status, 'conflict');
  assert.deepEqual(await shown(user), ['a']);
  const reply = await user.request(`/conflicts/${open.conflict.id}/resolve`, { method: 'POST',
    headers: { 'content-type': 'application/json' }, body: '{"resolution":"keep_local"}' });
  assert.equal(reply.status, 200, reply.text);
  assert.deepEqual(reply.json.data.tags, ['a', 'c', 'd']);
  await user.apply(tags(remove('d'), 5, { timestamp: undefined }));
  assert.equal((await send(add('d', 'e'), 'local')).resolution, 'client');
  assert.deepEqual(await shown(user), ['a', 'c', 'd', 'e']);
});

test('a decision can hold a change', async () => {
  const { user } = await begin(['a']);
  await user.apply(tags(remove('c'), 10));
  const { conflict } = await user.apply(tags(add('c'), 20, { conflictResolution: 'manual' }));
  const decide = (mergedData) => user.request(`/conflicts/${conflict.id}/resolve`, { method: 'POST',
    headers: { 'content-type': 'application/json' }, body: JSON.stringify({ resolution: 'merge', mergedData }) });
  checkError(await decide({ tags: { $add: 'x' } }), 400, 'VALIDATION_ERROR');
  for (let i = 0; i < 2; i++) assert.deepEqual((await decide({ tags: add('x') })).json.data.tags, ['a', 'x']);
  checkError(await decide({ tags: add('y') }), 409, 'CONFLICT_DETECTED');
});

// Deletion, full sync, the queue

test('a deletion touches no element', async () => {
  const { user } = await begin(['a']);
  await user.apply(tags({ $add: ['c'], $remove: ['a'] }, 40));
  await user.apply(gone('book', 'b', { timestamp: ago(30) }));
  await user.apply(tags(add('d'), 35));
  assert.equal(await user.read('book', 'b').then((data) => data?.tags), undefined);
  await user.apply(patch('b', { notes: 'n' }, { timestamp: ago(20) }));
  assert.deepEqual(await shown(user), ['c', 'd']);
});

const full = (user, body) => user.request('/full', { method: 'POST', body: JSON.stringify(body),
  headers: { 'content-type': 'application/json' } });

test('a full sync writes lists whole', async () => {
  const { user } = await begin(['a']);
  await user.apply(tags(add('c'), 1));
  const merged = await full(user, { mode: 'merge', books: [{ id: 'b', title: 'T', tags: ['x'], updatedAt: ago(10) }] });
  assert.equal(merged.json.conflicts, 1, merged.text);
  assert.deepEqual(await shown(user), ['x', 'c']);
  assert.equal((await full(user, { books: [{ id: 'b', title: 'T', tags: ['y'] }] })).status, 200);
  assert.deepEqual(await shown(user), ['y']);
  assert.equal((await user.apply(tags(add('old'), 5))).resolution, 'server', 'the replacement is later');
  await user.apply(op('update', 'book', 'b', { tags: add('z') }, { timestamp: undefined }));
  assert.deepEqual(await shown(user), ['y', 'z']);
  const { snapshot } = (await full(user, { mode: 'replace', books: [] })).json;
  assert.equal((await user.request(`/snapshots/${snapshot}/restore`, { method: 'POST' })).status, 200);
  assert.deepEqual(await shown(user), ['y', 'z']);
});

test('a parked change is applied like one that is sent', async () => {
  const { user } = await begin(['a']);
  const body = JSON.stringify(tags(add('c'), 10));
  assert.equal((await user.request('/queue', { method: 'POST', body })).status, 201);
  await user.request('/pending/apply', { method: 'POST' });
  assert.deepEqual(await shown(user), ['a', 'c']);
});

// Refusals

for (const [value, path, message] of [
  [{ $add: ['a', 'b'], $remove: ['b'] }, '.$remove[0]', 'is in $add as well'],
  [{ $add: ['a'], x: 1 }, '', 'an object here is a change of the list: it has $add, $remove or both, and nothing else'],
  [{}, '', 'an object here is a change of the list: it needs $add, $remove or both'],
  [{ $add: 'a' }, '.$add', 'must be a list, is a string'],
  ['a', '', 'must be a list, null or a change {"$add": […], "$remove": […]}, is a string'],
  [7, '', 'must be a list, null or a change {"$add": […], "$remove": […]}, is a number'],
])
  test(`refused: ${JSON.stringify(value)}`, async () => {
    const user = new User();
    const { results } = await user.send([book('b', { tags: value }), book('c')]);
    assert.equal(results[0].status, 'failed');
    assert.equal(results[0].error, 'VALIDATION_ERROR');
    assert.equal(results[0].message, `operations[0].data.tags${path}: ${message}`);
    assert.equal(results[1].status, 'success');
    assert.equal(await user.read('book', 'b'), undefined);
  });

test('a full sync takes lists and null only', async () => {
  const { user } = await begin(['a']);
  for (const mode of ['replace', 'merge']) {
    const books = [{ id: 'b', title: 'T', tags: add('x') }, { id: 'c', title: 'T', subjects: 'x' }];
    const error = checkError(await full(user, { mode, books }), 400, 'VALIDATION_ERROR');
    assert.deepEqual(error.details, [
      { path: 'books[0].tags',
        message: 'must be a list or null in a full sync, is an object; changes of a list are for operations' },
      { path: 'books[1].subjects', message: 'must be a list or null in a full sync, is a string' }]);
  }
  assert.deepEqual(await shown(user), ['a']);
});

// Bounds

test('the times of elements count towards limits.entity', async () => {
  const { user } = await begin(['a']);
  const many = (n) => Array.from({ length: 30_000 }, (_, i) => `${n} ${i} ${'x'.repeat(20)}`);
  assert.equal((await user.apply(tags({ $remove: many(0) }, 30))).status, 'success');
  const result = await user.apply(tags({ $remove: many(1) }, 20));
  assert.equal(result.error, 'PAYLOAD_TOO_LARGE', result.message);
  assert.match(result.message, /^operations\[0\]\.data: the entity would have \d+ bytes, limits\.entity is 1048576$/);
  assert.equal((await user.apply(tags(['a'], 10))).status, 'success', 'a whole list makes them smaller');
  assert.equal((await user.apply(tags({ $remove: many(1) }, 5))).status, 'success');
});

test('a thousand changes of a large list in one request cost much less than a thousand requests', async () => {
  const user = new User(), timed = async (operations) => {
    const before = performance.now();
    const { results } = await user.send(operations);
    assert.ok(results.every(({ status }) => status === 'success'));
    return performance.now() - before;
  };
  await user.apply(book('b', { tags: Array.from({ length: 60_000 }, (_, i) => `tag ${i}`) }, { timestamp: ago(60) }));
  const changes = Array.from({ length: 1001 },
    (_, i) => tags({ $add: [`new ${i}`], $remove: [`tag ${i}`] }, 30 - i / 1000));
  const one = await timed(changes.splice(0, 1)), thousand = await timed(changes);
  assert.ok(thousand < 100 * one, `one: ${one} ms, a thousand: ${thousand} ms`);
  const list = await shown(user);
  assert.equal(list.length, 60_000);
  assert.deepEqual([list[0], list.at(-1)], ['tag 1001', 'new 1000']);
});

test('element times older than retention.tombstones go at a write', async () => {
  const day = 24 * 60, user = new User();
  await user.apply(book('b', { tags: ['a', 'b'] }, { timestamp: ago(300 * day) }));
  await user.apply(tags({ $add: ['c'], $remove: ['a'] }, 170 * day));
  assert.deepEqual(Object.keys((await marks(user))['/tags']), ['', 'add', 'remove']);
  await user.apply(tags({ $add: ['d'], $remove: ['b'] }, 200 * day));
  assert.deepEqual(await shown(user), ['d', 'c']);
  const kept = (await marks(user))['/tags'];
  assert.equal(kept.add.length, 1);
  assert.deepEqual(kept.remove.map(([, ...elements]) => elements), [['a']]);
});

// Rows from before

test('a value from before, which is no list, is kept until something is added', async () => {
  const user = new User();
  await user.apply(op('create', 'collection', 'c', { name: 'Best' }, { timestamp: ago(60) }));
  const read = async () => content(await user.read('collection', 'c'));
  for (const value of ['"text"', '{"x": {"y": 1}}', '7']) {
    await sql(`UPDATE entities SET data = '{"name": "Best", "bookIds": ${value}}', marks = NULL
      WHERE user_id = ${literal(user.id)}`);
    await user.apply(op('update', 'collection', 'c', { notes: value }, { timestamp: undefined }));
    assert.deepEqual(await read(), { name: 'Best', bookIds: JSON.parse(value), notes: value });
    await user.apply(op('update', 'collection', 'c', { bookIds: add('b1') }, { timestamp: undefined }));
    assert.deepEqual(await read(), { name: 'Best', bookIds: ['b1'], notes: value });
  }
});
