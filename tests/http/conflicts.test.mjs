// Conflicts between devices. Times are minutes ago: a smaller number is a later edit.
import assert from 'node:assert/strict';
import test from 'node:test';
import { User, ago, book, content, forget, gone, ms, op, patch } from './lib.mjs';

const at = (minutes, more) => ({ timestamp: ago(minutes), ...more });
const phone = { deviceId: 'phone' };
const laptop = { deviceId: 'laptop' };

// Members

test('a later edit wins and is no conflict', async () => {
  const user = new User();
  await user.apply(book('b1', { title: 'Old' }, at(9)), phone);
  const result = await user.apply(patch('b1', { title: 'New' }, at(8)), laptop);
  assert.deepEqual([result.status, result.resolution, result.conflict, result.data],
    ['success', undefined, undefined, undefined]);
  assert.equal((await user.read('book', 'b1')).title, 'New');
});

test('an older edit loses, and its result holds both sides and the current state', async () => {
  const user = new User();
  await user.apply(book('b1', { title: 'New', createdAt: '2020-01-01T00:00:00.000Z' }, at(8)), phone);
  const result = await user.apply(patch('b1', { title: 'Old' }, at(9)), laptop);
  assert.equal(result.status, 'success');
  assert.equal(result.resolution, 'server');
  const { conflict, data } = result;
  assert.equal(conflict.entity, 'book');
  assert.equal(conflict.entityId, 'b1');
  assert.deepEqual(conflict.localData, { title: 'Old' });
  assert.equal(conflict.serverData.title, 'New');
  assert.equal(conflict.localTimestamp, ago(9));
  assert.equal(conflict.serverTimestamp, ago(8));
  assert.deepEqual(data, await user.read('book', 'b1'));
  assert.equal(data.updatedAt, result.updatedAt);
  assert.equal((await user.status()).conflicts, 0, 'it is resolved');
});

test('a create of an existing entity is an edit of it, and the result holds its other members', async () => {
  const user = new User();
  await user.apply(book('b1', { title: 'T', notes: 'n' }, at(9)), phone);
  const more = await user.apply(book('b1', { title: 'New' }, at(8)), laptop);
  assert.deepEqual([more.status, more.resolution, content(more.data)],
    ['success', undefined, { title: 'New', notes: 'n' }]);
  const same = await user.apply(book('b1', { title: 'New', notes: 'n' }, at(7)), laptop);
  assert.deepEqual([same.status, same.resolution, same.data], ['success', undefined, undefined]);
});

test('edits of different members do not affect each other, in whatever order they arrive', async () => {
  for (const order of [[0, 1, 2], [2, 1, 0]]) {
    const user = new User();
    const edits = [book('b1', { title: 'T', notes: 'old' }, at(9)), patch('b1', { notes: 'new' }, at(8)),
      patch('b1', { pageCount: 300 }, at(8.5))];
    for (const i of order) await user.apply(edits[i]);
    assert.deepEqual(content(await user.read('book', 'b1')), { title: 'T', notes: 'new', pageCount: 300 });
  }
});

test('an edit that wins some members and loses others is merged', async () => {
  const user = new User();
  await user.apply(book('b1', { title: 'T', notes: 'old' }, at(9)), phone);
  await user.apply(patch('b1', { title: 'New' }, at(5)), phone);
  const result = await user.apply(patch('b1', { title: 'Mine', notes: 'mine' }, at(7)), laptop);
  assert.equal(result.resolution, 'merged');
  assert.deepEqual(content(result.data), { title: 'New', notes: 'mine' });
});

test('objects are merged member by member, lists are replaced as a whole, and null is a value', async () => {
  const user = new User();
  await user.apply(book('b1', { externalIds: { a: 1, b: { c: 1 } }, tags: ['x', 'y'], notes: 'n' }, at(9)));
  await user.apply(patch('b1', { externalIds: { b: { d: 2 } }, tags: ['z'], notes: null }, at(8)));
  assert.deepEqual(content(await user.read('book', 'b1')), {
    title: 'Book b1', externalIds: { a: 1, b: { c: 1, d: 2 } }, tags: ['z'], notes: null,
  });
});

test('at equal times the stored value stays, and within one request the later operation wins', async () => {
  const user = new User();
  await user.send([book('b1', { title: 'First' }, at(9)), patch('b1', { title: 'Second' }, at(9))]);
  assert.equal((await user.read('book', 'b1')).title, 'Second');
  const result = await user.apply(patch('b1', { title: 'Third' }, at(9)));
  assert.equal(result.resolution, 'server');
  assert.equal((await user.read('book', 'b1')).title, 'Second');
});

test('an edit with the stored values is no conflict, however old it is', async () => {
  const user = new User();
  await user.apply(book('b1', { title: 'Same', tags: ['a', { b: 1 }], pageCount: 10 }, at(5)), phone);
  const result = await user.apply(
    patch('b1', { title: 'Same', tags: ['a', { b: 1.0 }], pageCount: 10 }, at(9, { baseVersion: ago(60) })), laptop);
  assert.equal(result.status, 'success');
  assert.equal(result.conflict, undefined);
});

// The version that an edit is based on

const bases = {
  'an older version, and a device that did not write last': ['conflict', laptop, -1, {}],
  'an older version, named by lastSync': ['conflict', laptop, undefined, { lastSync: -1 }],
  'an older version, by a device without a name': ['conflict', {}, -1, {}],
  'an older version, and the device that wrote last': ['none', phone, -1, {}],
  'the current version': ['none', laptop, 0, {}],
  'the current version, named by lastSync': ['none', laptop, undefined, { lastSync: 0 }],
  'no named version': ['none', laptop, undefined, {}],
  'an older version, and no device has a name': ['conflict', {}, -1, {}, {}],
  'a later version, as after a restore of the server': ['none', laptop, 60_000, {}],
  'the current version, named by baseVersion, which has precedence over lastSync': ['none', laptop, 0,
    { lastSync: -1 }],
};

for (const [name, [outcome, device, base, envelope, first = phone]] of Object.entries(bases))
  test(`a later edit is ${outcome === 'conflict' ? 'a' : 'no'} conflict if it is based on ${name}`, async () => {
    const user = new User();
    const { updatedAt } = await user.apply(book('b1', { title: 'T', notes: 'n' }, at(9)), first);
    const version = (offset) => (offset === undefined ? undefined : new Date(ms(updatedAt) + offset).toISOString());
    const edit = patch('b1', { title: 'Mine' }, at(8, { baseVersion: version(base) }));
    const result = await user.apply(edit, { ...device, lastSync: version(envelope.lastSync) });
    assert.equal(result.status, 'success');
    assert.equal(result.resolution, outcome === 'conflict' ? 'client' : undefined);
    assert.equal(result.conflict?.serverData.title, outcome === 'conflict' ? 'T' : undefined);
    assert.equal((await user.read('book', 'b1')).title, 'Mine', 'the later edit wins in both cases');
  });

test('the second of two edits of a request does not conflict with the first', async () => {
  const user = new User();
  const { updatedAt } = await user.apply(book('b1', { title: 'T' }, at(9)));
  const baseVersion = new Date(ms(updatedAt) - 1).toISOString();
  const { results } = await user.send(
    [patch('b1', { title: 'A' }, at(8, { baseVersion })), patch('b1', { title: 'B' }, at(7, { baseVersion }))]);
  assert.deepEqual(results.map(({ conflict }) => conflict?.reason), ['base', undefined]);
});

test('an edit based on an older version that changes nothing is no conflict', async () => {
  const user = new User();
  await user.apply(book('b1', { title: 'T', notes: 'n' }, at(9)), phone);
  const result = await user.apply(patch('b1', { notes: 'n' }, at(8, { baseVersion: ago(60) })), laptop);
  assert.equal(result.conflict, undefined);
});

// Policies. `title` on the server was edited eight minutes ago.

const policies = [
  ['merge', 9, { status: 'success', resolution: 'server', title: 'Server' }],
  ['merge', 7, { status: 'success', title: 'Mine' }],
  ['local', 9, { status: 'success', resolution: 'client', title: 'Mine' }],
  ['local', 7, { status: 'success', title: 'Mine' }],
  ['server', 9, { status: 'success', resolution: 'server', title: 'Server' }],
  ['server', 7, { status: 'success', title: 'Mine' }],
  ['server', 7, { status: 'success', resolution: 'server', title: 'Server' }, { baseVersion: ago(60) }],
  ['manual', 9, { status: 'conflict', title: 'Server' }],
  ['manual', 7, { status: 'success', title: 'Mine' }],
  ['manual', 7, { status: 'conflict', title: 'Server' }, { baseVersion: ago(60) }],
];

const policyName = (policy, minutes, title, more) =>
  `conflictResolution ${policy} keeps the value "${title}" for ${minutes > 8 ? 'an older' : 'a later'} edit` +
  (more ? ' based on an old version' : '');

for (const [policy, minutes, { status, resolution, title }, more] of policies)
  test(policyName(policy, minutes, title, more), async () => {
    const user = new User();
    await user.apply(book('b1', { title: 'Server', notes: 'n' }, at(8)), phone);
    const result = await user.apply(
      patch('b1', { title: 'Mine' }, at(minutes, { conflictResolution: policy, ...more })), laptop);
    assert.equal(result.status, status);
    assert.equal(result.resolution, resolution);
    assert.deepEqual(content(await user.read('book', 'b1')), { title, notes: 'n' });
    assert.equal((await user.status()).conflicts, status === 'conflict' ? 1 : 0);
    if (status !== 'conflict') return;
    assert.equal(result.error, 'CONFLICT_DETECTED');
    assert.equal(result.retryable, false);
    assert.deepEqual(result.conflict.localData, { title: 'Mine' });
    assert.equal(result.data.title, 'Server');
  });

test('local is not raised above an incomplete rating, whether the request names it or not', async () => {
  for (const named of [false, true]) {
    const user = new User();
    const [rating, incomplete] = [(data, when) => op('create', 'rating', 'r1', data, when),
      (data, when) => op('update', 'rating', 'r2', data, when)];
    await user.send([rating({ bookId: 'b1', stars: 1 }, at(9)), incomplete({ bookId: 'b1' }, at(4))]);
    const mine = rating({ stars: 2, bookId: 'b1' }, at(8, { conflictResolution: 'local' }));
    await user.send(named ? [mine, incomplete({ why: 'x' }, at(8))] : [mine]);
    const result = await user.apply(op('update', 'rating', 'r1', { stars: 3 }, at(6)));
    assert.deepEqual([result.status, result.conflict], ['success', undefined], `named: ${named}`);
    assert.equal((await user.read('rating', 'r1')).stars, 3);
  }
});

test('local also wins over edits that arrive later with a time in between', async () => {
  const user = new User();
  await user.apply(book('b1', { title: 'Server' }, at(5)), phone);
  await user.apply(patch('b1', { title: 'Mine' }, at(9, { conflictResolution: 'local' })), laptop);
  await user.apply(patch('b1', { title: 'Late' }, at(7)), phone);
  assert.equal((await user.read('book', 'b1')).title, 'Mine');
});

test('a repeat of an operation with a manual conflict gets the same answer and logs no second conflict', async () => {
  const user = new User();
  await user.apply(book('b1', { title: 'Server' }, at(8)));
  const operation = patch('b1', { title: 'Mine' }, at(9, { conflictResolution: 'manual' }));
  const result = await user.apply(operation);
  assert.deepEqual(await user.apply(operation), { ...result, duplicate: true });
  assert.equal((await user.status()).conflicts, 1);
});

// Deletions

test('a deletion later than every edit deletes, and an older one does not', async () => {
  const user = new User();
  await user.send([book('b1', {}, at(9)), book('b2', {}, at(9)), patch('b2', { notes: 'n' }, at(7))], phone);
  const { results } = await user.send([gone('book', 'b1', at(8)), gone('book', 'b2', at(8))], laptop);
  assert.equal(results[0].resolution, undefined);
  assert.equal(results[1].resolution, 'server');
  assert.equal(results[1].data.notes, 'n');
  assert.equal(results[1].conflict.localData, null);
  assert.deepEqual((await user.pull()).changes.map(({ data }) => data.id), ['b2']);
});

test('a deletion of an unknown entity is remembered against an older create, but not a later one', async () => {
  const user = new User();
  const deletion = await user.apply(gone('book', 'b1', at(8)));
  assert.equal(deletion.status, 'success');
  const older = await user.apply(book('b1', { title: 'Old' }, at(9)));
  assert.equal(older.status, 'success');
  assert.equal(older.resolution, 'server');
  assert.equal(older.deleted, true);
  assert.equal(older.data.deletedAt, ago(8));
  assert.deepEqual((await user.pull()).changes, []);
  await user.apply(book('b1', { title: 'New' }, at(7)));
  assert.equal((await user.read('book', 'b1')).title, 'New');
});

test('an entity that was edited while deleted returns with those edits', async () => {
  const user = new User();
  await user.send([book('b1', { title: 'T', notes: 'old', pageCount: 1 }, at(10)), gone('book', 'b1', at(5))]);
  await user.apply(patch('b1', { notes: 'edited offline' }, at(7)));
  assert.equal(await user.read('book', 'b1'), undefined);
  await user.apply(patch('b1', { pageCount: 2 }, at(3)));
  assert.deepEqual(content(await user.read('book', 'b1')), { title: 'T', notes: 'edited offline', pageCount: 2 });
});

test('two devices that delete the same entity are not in conflict', async () => {
  const user = new User();
  await user.apply(book('b1', {}, at(9)));
  await user.apply(gone('book', 'b1', at(5)), phone);
  for (const minutes of [7, 3]) {
    const result = await user.apply(gone('book', 'b1', at(minutes)), laptop);
    assert.deepEqual([result.status, result.conflict], ['success', undefined]);
  }
});

test('a deletion of a superseded entity is not in conflict', async () => {
  const user = new User();
  await user.send([1, 2].map((n) => op('create', 'rating', `r${n}`, { bookId: 'b1', stars: n }, at(10 - n))), phone);
  const result = await user.apply(gone('rating', 'r1', at(9.5)), laptop);
  assert.deepEqual([result.status, result.conflict], ['success', undefined]);
  assert.deepEqual((await user.pull()).changes.map(({ data }) => data.id), ['r2']);
});

// Any order

test('the outcome is the same in whatever order and batches edits arrive', async () => {
  const edits = [
    book('b1', { title: 'One', x: { a: 1 } }, at(10)), patch('b1', { notes: null, tags: ['x'] }, at(9.5)),
    patch('b1', { title: 'Two', notes: 'n' }, at(9)), gone('book', 'b1', at(8)),
    patch('b1', { x: { a: 2, b: 2 } }, at(7)),
    patch('b1', { x: 'a scalar in its place' }, at(6)), patch('b1', { x: { b: 3 } }, at(5)),
    patch('b1', { tags: [] }, at(4)),
  ];
  let seed = 1; // the same orders in each run
  const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
  for (let round = 0; round < 30; round++) {
    const user = new User();
    const left = [...edits];
    const order = [];
    while (left.length) {
      const batch = Array.from({ length: Math.min(left.length, 1 + random(3)) },
        () => left.splice(random(left.length), 1)[0]);
      order.push(batch.map((operation) => edits.indexOf(operation)));
      await user.send(batch, { deviceId: `device-${random(3)}` });
    }
    const outcome = { title: 'Two', notes: 'n', tags: [], x: { b: 3 } };
    assert.deepEqual(content(await user.read('book', 'b1')), outcome, `in the order ${JSON.stringify(order)}`);
  }
});

test('an update that arrives before its create is hidden until the create arrives', async () => {
  const user = new User();
  const { syncedAt } = await user.send([gone('tag', 't1')]);
  const early = await user.apply(patch('b1', { notes: 'first here' }, at(8)));
  assert.equal(early.status, 'success');
  assert.equal(early.incomplete, true);
  for (const query of [undefined, `since=${syncedAt}`]) assert.deepEqual((await user.pull(query)).changes, []);
  assert.equal((await user.status()).conflicts, 1);
  const late = await user.apply(book('b1', { title: 'T', createdAt: '2020-01-01T00:00:00.000Z' }, at(9)));
  assert.equal(late.incomplete, undefined);
  const data = await user.read('book', 'b1');
  assert.deepEqual(content(data), { notes: 'first here', title: 'T' });
  assert.equal(data.createdAt, '2020-01-01T00:00:00.000Z');
  assert.equal((await user.status()).conflicts, 0, 'the conflict is closed');
});


// Beyond the tombstone retention

test('an edit from before a deletion that may be forgotten is applied and opens a conflict', async () => {
  const user = new User();
  await forget(user, 190 * 24 * 60);
  const old = at(200 * 24 * 60);
  const { results } = await user.send(
    [book('b1', {}, old), gone('book', 'b2', old), book('b3'), patch('b3', { notes: 'n' }, old)]);
  assert.deepEqual(results.map(({ status }) => status), ['success', 'success', 'success', 'success']);
  assert.deepEqual(results.map(({ conflict }) => conflict?.reason),
    ['beyond_horizon', undefined, undefined, undefined]);
  assert.deepEqual((await user.pull()).changes.map(({ data }) => data.id).sort(), ['b1', 'b3']);
  assert.equal((await user.status()).conflicts, 1);
  assert.equal((await user.apply(book('b4', {}, at(180 * 24 * 60)))).conflict, undefined, 'later than the horizon');
});

test('a new account: 500 books with timestamps of 2018 are no conflict', async () => {
  const user = new User();
  const timestamp = '2018-05-01T12:00:00Z';
  const { results } = await user.send(Array.from({ length: 500 }, (_, i) => book(`b${i}`, {}, { timestamp })));
  assert.ok(results.every(({ status, conflict }) => status === 'success' && !conflict));
  assert.equal((await user.status()).conflicts, 0);
  assert.equal((await user.pull()).changes.length, 500);
});

// Catching up: an operation of a device, and the state that its next pull must hold although nothing else was written.

const behind = {
  'an older edit': [[book('b1', { title: 'T', notes: 'server' }, at(5))], patch('b1', { notes: 'mine' }, at(9)), 'book',
    { title: 'T', notes: 'server' }],
  'a partly older edit': [
    [book('b1', { title: 'T' }, at(10)), patch('b1', { notes: 'server' }, at(5))],
    patch('b1', { title: 'Mine', notes: 'mine' }, at(9)),
    'book', { title: 'Mine', notes: 'server' },
  ],
  'an older create': [[book('b1', { title: 'Server' }, at(5))], book('b1', { title: 'Mine' }, at(9)), 'book',
    { title: 'Server' }],
  'a deletion that loses': [[book('b1', { title: 'T' }, at(5))], gone('book', 'b1', at(9)), 'book', { title: 'T' }],
  'an edit of an entity that was deleted later': [[book('b1', {}, at(10)), gone('book', 'b1', at(5))],
    patch('b1', { notes: 'mine' }, at(9)), 'book', 'deleted'],
  'an edit that is dropped on request': [
    [book('b1', { title: 'T' }, at(9))],
    patch('b1', { title: 'Mine' }, at(5, { conflictResolution: 'server', baseVersion: ago(60) })),
    'book', { title: 'T' },
  ],
  'a second rating that is older': [
    [op('create', 'rating', 'r1', { bookId: 'b', stars: 5 }, at(5))],
    op('create', 'rating', 'r2', { bookId: 'b', stars: 1 }, at(9)),
    'rating', 'deleted',
  ],
  'a superseded rating that is sent again under another operation id': [
    [op('create', 'rating', 'r1', { bookId: 'b', stars: 1 }, at(9)),
      op('create', 'rating', 'r2', { bookId: 'b', stars: 5 }, at(5))],
    op('create', 'rating', 'r1', { bookId: 'b', stars: 1 }, at(9)), 'rating', 'deleted',
  ],
};

for (const [name, [before, operation, type, truth]] of Object.entries(behind))
  test(`a device whose operation changed nothing pulls the outcome: ${name}`, async () => {
    const user = new User();
    await user.send(before, phone);
    const { cursor } = await user.pull();
    const instant = (await user.status()).lastSync;
    const result = await user.apply(operation, laptop);
    assert.equal(result.status, 'success');
    for (const query of [`cursor=${cursor}`, `since=${instant}`]) {
      const { changes } = await user.pull(query);
      const change = changes.find(({ data }) => data.id === operation.entityId);
      assert.ok(change, `${query} must bring ${operation.entityId}: ${JSON.stringify(changes)}`);
      assert.equal(change.type, type);
      if (truth === 'deleted') assert.equal(change.deleted, true);
      else assert.deepEqual(content(change.data), truth);
      assert.equal(change.data.updatedAt, result.updatedAt);
    }
  });
