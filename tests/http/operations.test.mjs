// POST /operations: the result of each operation, exactly once, one bad operation among good ones, identity.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { User, ago, book, checkError, content, gone, literal, ms, op, patch, sleep, sql } from './lib.mjs';

const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const titles = (pull) => Object.fromEntries(pull.changes.map(({ data }) => [data.id, data.title]));

// The reply

test('the reply holds one result per operation in order, and the two times of the server', async () => {
  const user = new User();
  const operations = [book('b1'), op('create', 'tag', 't1', { name: 'Sea' }), gone('collection', 'c1'), patch('b1', { notes: 'n' })];
  const before = Date.now();
  const reply = await user.send(operations);
  assert.deepEqual(Object.keys(reply), ['success', 'results', 'syncedAt', 'serverTime']);
  assert.equal(reply.success, true);
  assert.match(reply.syncedAt, instant);
  assert.ok(ms(reply.serverTime) >= before - 5000 && ms(reply.serverTime) <= Date.now() + 5000);
  assert.deepEqual(reply.results.map((result) => result.id), operations.map((operation) => operation.id));
  assert.deepEqual(reply.results.map((result) => result.entity), ['book', 'tag', 'collection', 'book']);
  assert.deepEqual(reply.results.map((result) => result.entityId), ['b1', 't1', 'c1', 'b1']);
  for (const result of reply.results) assert.equal(result.updatedAt, reply.syncedAt, 'all of a request has one stamp');
});

test('a plain success holds nothing that a client would have to look at', async () => {
  const result = await new User().apply(book('b1'));
  assert.deepEqual(Object.keys(result).sort(), ['entity', 'entityId', 'id', 'status', 'updatedAt']);
  assert.equal(result.status, 'success');
  assert.match(result.updatedAt, instant);
});

test('no operations at all is a success that leaves no trace', async () => {
  const user = new User();
  assert.deepEqual((await user.send([])).results, []);
  assert.equal((await user.status()).lastSync, null);
});

test('a stamp is the time of the write', async () => {
  const user = new User();
  const first = ms((await user.send([book('b1')])).syncedAt);
  await sleep(100);
  const { syncedAt, serverTime } = await user.send([book('b2')]);
  assert.ok(ms(syncedAt) >= first + 100);
  assert.ok(ms(serverTime) >= ms(syncedAt) && ms(serverTime) < ms(syncedAt) + 5000);
});

test('each write of a user has a later stamp than the one before', async () => {
  const user = new User();
  let last = 0;
  for (let i = 0; i < 10; i++) {
    const { syncedAt } = await user.send([patch('b1', { title: `${i}` }, { timestamp: undefined })]);
    assert.ok(ms(syncedAt) > last);
    last = ms(syncedAt);
  }
  assert.equal((await user.read('book', 'b1')).title, '9');
});

test('status tells the last write and the open conflicts', async () => {
  const user = new User();
  assert.deepEqual(content(await user.status()), {
    success: true, status: 'ready', lastSync: null, lastSyncTime: null, pendingOperations: 0, conflicts: 0,
  });
  const { syncedAt } = await user.send([patch('b1', { notes: 'a book that is not there yet' })]);
  const status = await user.status();
  assert.equal(status.lastSync, syncedAt);
  assert.equal(status.conflicts, 1);
});

// Exactly once

const ledgerRows = async (user, id) =>
  Number((await sql(`SELECT count(*) FROM ledger WHERE user_id = ${literal(user.id)} AND operation_id = ${literal(id)}`))[0]);

test('a repeat in another request gets the stored result and changes nothing, not even a stamp', async () => {
  const user = new User();
  const operation = book('b1', { title: 'First' });
  const result = await user.apply(operation);
  await user.apply(patch('b1', { title: 'Second' }, { timestamp: ago(5) }));
  const { lastSync } = await user.status();
  assert.deepEqual(await user.apply(operation), { ...result, duplicate: true });
  assert.equal((await user.status()).lastSync, lastSync);
  assert.equal((await user.read('book', 'b1')).title, 'Second');
});

test('syncedAt of a request that only repeats is behind what is known and before what comes next', async () => {
  const user = new User();
  const operation = book('b1');
  await user.apply(operation);
  // The clock is ahead of the time of day, as after that was set back: each write is one millisecond later than the last.
  await sql(`UPDATE clocks SET clock = clock + 3600000 WHERE user_id = ${literal(user.id)}`);
  const { syncedAt: before } = await user.send([book('b2')]);
  const { syncedAt: repeat } = await user.send([operation]);
  const { syncedAt: next } = await user.send([book('b3')]);
  assert.ok(ms(repeat) >= ms(before) && ms(repeat) < ms(next), `${before} ${repeat} ${next}`);
  assert.deepEqual((await user.pull(`since=${repeat}`)).changes.map(({ data }) => data.id), ['b3']);
});

test('a repeat within one request gets the result of the first', async () => {
  const operation = book('b1');
  const { results } = await new User().send([operation, book('b2'), operation]);
  assert.deepEqual(results[2], { ...results[0], duplicate: true });
});

test('what a client adds for itself, and how it spells, makes no other operation', async () => {
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

test('15 copies at once over several connections have one effect and one answer', async () => {
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

test('a batch that is sent twice at once is applied once', async () => {
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
  test(`an operation id that comes again with ${name} fails, in the same request and in the next`, async () => {
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

test('a failed operation may come again under its id, corrected', async () => {
  const user = new User();
  const operation = book('b1', { title: '' });
  assert.equal((await user.apply(operation)).status, 'failed');
  const result = await user.apply({ ...operation, data: { title: 'Right' } });
  assert.equal(result.status, 'success');
  assert.equal(result.duplicate, undefined);
});

test('an operation without an id gets one, which protects it from then on', async () => {
  const user = new User();
  const { results } = await user.send([book('b1', {}, { id: undefined }), book('b2', {}, { id: null })]);
  for (const { id, status } of results) {
    assert.equal(status, 'success');
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(await ledgerRows(user, id), 1);
  }
  assert.notEqual(results[0].id, results[1].id);
});

// One bad operation among good ones

const bad = {
  'not an object': [7, ''],
  'null': [null, ''],
  'an id that is empty': [book('b', {}, { id: '' }), '.id'],
  'an id that is too long': [book('b', {}, { id: 'x'.repeat(129) }), '.id'],
  'an id that is a number': [book('b', {}, { id: 5 }), '.id'],
  'an unknown type': [op('upsert', 'book', 'b', { title: 'T' }), '.type'],
  'no type': [op(undefined, 'book', 'b', { title: 'T' }), '.type'],
  'an unknown entity': [op('create', 'shelf', 'b', { title: 'T' }), '.entity'],
  'no entity': [op('create', undefined, 'b', { title: 'T' }), '.entity'],
  'no entityId': [book(undefined), '.entityId'],
  'an entityId that is empty': [book(''), '.entityId'],
  'an entityId that is too long': [book('x'.repeat(256)), '.entityId'],
  'an entityId that is a number': [book(12), '.entityId'],
  'no data': [op('create', 'book', 'b'), '.data'],
  'data that is null': [op('update', 'book', 'b', null), '.data'],
  'data that is a list': [op('create', 'book', 'b', []), '.data'],
  'a timestamp in words': [book('b', {}, { timestamp: 'now' }), '.timestamp'],
  'a timestamp without an offset': [book('b', {}, { timestamp: '2024-01-15T10:30:00' }), '.timestamp'],
  'a timestamp with a fraction of a millisecond': [book('b', {}, { timestamp: 1.5 }), '.timestamp'],
  'a baseVersion that is no instant': [book('b', {}, { baseVersion: 'v2' }), '.baseVersion'],
  'an unknown conflictResolution': [book('b', {}, { conflictResolution: 'mine' }), '.conflictResolution'],
  'a data.id that is not the entityId': [book('b', { id: 'c' }), '.data.id'],
  'a data.updatedAt that is no instant': [book('b', { updatedAt: 'today' }), '.data.updatedAt'],
  'a data.createdAt that is no instant': [book('b', { createdAt: 'today' }), '.data.createdAt'],
};

for (const [name, [operation, path]] of Object.entries(bad))
  test(`fails alone: ${name}`, async () => {
    const user = new User();
    const { results } = await user.send([book('before'), operation, book('after')]);
    assert.deepEqual(results.map((result) => result.status), ['success', 'failed', 'success']);
    const { id, error, message, retryable } = results[1];
    assert.equal(error, 'VALIDATION_ERROR');
    assert.equal(retryable, false);
    assert.ok(message.startsWith(`operations[1]${path}: `), message);
    if (typeof operation?.id === 'string' && path !== '.id') assert.equal(id, operation.id);
    assert.deepEqual(Object.keys(titles(await user.pull())), ['after', 'before']);
  });

// atomic

test('atomic: all are applied when all can be', async () => {
  const user = new User();
  const operations = [book('b1'), op('create', 'tag', 't1', { name: 'N' })];
  await user.send(operations, { atomic: true });
  assert.equal((await user.pull()).changes.length, 2);
  const { results } = await user.send(operations, { atomic: true });
  assert.deepEqual(results.map((result) => result.duplicate), [true, true]);
});

test('atomic: one that cannot be applied refuses them all, and details names each', async () => {
  const user = new User();
  const operations = [book('b1'), book('b2', { title: '' }), op('create', 'rating', 'r1', { bookId: 'b1', stars: 9 })];
  const error = checkError(await user.post({ operations, atomic: true }), 400, 'VALIDATION_ERROR');
  assert.deepEqual(error.details.map(({ path }) => path), ['operations[1].data.title', 'operations[2].data.stars']);
  assert.deepEqual((await user.pull()).changes, []);
  assert.equal((await user.status()).lastSync, null);
  assert.equal(await ledgerRows(user, operations[0].id), 0);
  assert.equal((await user.send(operations)).results[0].duplicate, undefined, 'none counts as processed');
});

test('atomic: one that a person must decide about refuses them all', async () => {
  const user = new User();
  await user.apply(book('b1', { title: 'New' }, { timestamp: ago(1) }));
  const operations = [book('b2'), patch('b1', { title: 'Old' }, { timestamp: ago(5), conflictResolution: 'manual' })];
  const error = checkError(await user.post({ operations, atomic: true }), 409, 'CONFLICT_DETECTED');
  assert.deepEqual(error.details.map(({ path }) => path), ['operations[1]']);
  assert.deepEqual(titles(await user.pull()), { b1: 'New' });
  assert.equal((await user.status()).conflicts, 0);
});

// Time

const spellings = {
  'UTC': '2024-01-15T10:30:00Z', 'an offset': '2024-01-15T16:00:00+05:30', 'a negative offset': '2024-01-15T02:30:00-08:00',
  'microseconds': '2024-01-15T10:30:00.000999Z', 'small letters': '2024-01-15t10:30:00z', 'epoch milliseconds': 1705314600000,
};

for (const [name, timestamp] of Object.entries(spellings))
  test(`a timestamp may be written as: ${name}`, async () => {
    const user = new User();
    await user.apply(book('b1', { title: 'At' }, { timestamp }));
    await user.apply(patch('b1', { title: 'Before' }, { timestamp: '2024-01-15T10:29:59.999Z' }));
    assert.equal((await user.read('book', 'b1')).title, 'At');
    await user.apply(patch('b1', { title: 'After' }, { timestamp: '2024-01-15T10:30:00.001Z' }));
    assert.equal((await user.read('book', 'b1')).title, 'After');
  });

test('a timestamp from the future is brought down to now; one a little ahead is believed', async () => {
  const user = new User();
  const far = await user.apply(book('far', { title: 'Future' }, { timestamp: ago(-60) }));
  const near = await user.apply(book('near', { title: 'Future' }, { timestamp: ago(-4) }));
  assert.equal(far.timestampAdjusted, true);
  assert.equal(near.timestampAdjusted, undefined);
  await user.send(['far', 'near'].map((id) => patch(id, { title: 'Now' }, { timestamp: undefined })));
  assert.deepEqual(titles(await user.pull()), { far: 'Now', near: 'Future' });
});

test('without a timestamp the edit was made now, unless data.updatedAt says when', async () => {
  const user = new User();
  await user.send([
    book('now', { title: 'T' }, { timestamp: undefined }),
    book('then', { title: 'T', updatedAt: ago(20) }, { timestamp: undefined }),
    book('both', { title: 'T', updatedAt: ago(20) }, { timestamp: ago(5) }),
  ]);
  await user.send(['now', 'then', 'both'].map((id) => patch(id, { title: 'Ten minutes ago' }, { timestamp: ago(10) })));
  assert.deepEqual(titles(await user.pull()), { now: 'T', then: 'Ten minutes ago', both: 'T' });
});

test("createdAt of a create is kept, updatedAt is the server's, and neither is taken from an update", async () => {
  const user = new User();
  const createdAt = '2019-03-04T05:06:07.000Z';
  await user.apply(book('b1', { createdAt, updatedAt: ago(-60) }));
  const { updatedAt } = await user.apply(patch('b1', { notes: 'n', createdAt: ago(3) }, { timestamp: ago(1) }));
  const data = await user.read('book', 'b1');
  assert.equal(data.createdAt, createdAt);
  assert.equal(data.updatedAt, updatedAt);
  const { syncedAt } = await user.send([book('b2')]);
  assert.equal((await user.read('book', 'b2')).createdAt, syncedAt, 'without one it is the time of the first write');
});

// Identity

test('an id is anything, up to its length in characters', async () => {
  const user = new User();
  const ids = [
    'import_123', ' ', '0', '../../etc/passwd', "'; DROP TABLE booky.entities; --", '"quoted"', 'a\nb\tc\\d', '%00%2F', '$1', '{}',
    'null', 'Zoë 日本語 🦊', '🦊'.repeat(255), 'é', 'e\u0301', 'A', 'a', '\u2028', '\u007f', 'book b1',
  ];
  const operations = ids.map((id) => book(id, { id, title: [...id].slice(0, 99).join('') }, { id: [...randomUUID(), ...id].slice(0, 128).join('') }));
  const { results } = await user.send(operations);
  assert.deepEqual(results.map(({ status, id, entityId }) => [status, id, entityId]), operations.map((o) => ['success', o.id, o.entityId]));
  const pull = await user.pull();
  assert.deepEqual(titles(pull), Object.fromEntries(operations.map(({ entityId, data }) => [entityId, data.title])));
  assert.equal((await user.send(operations)).results.filter(({ duplicate }) => duplicate).length, ids.length);
});

test('an id is unique within its kind only', async () => {
  const user = new User();
  await user.send([
    book('1'), op('create', 'tag', '1', { name: 'N' }), op('create', 'collection', '1', { name: 'N' }),
    op('create', 'rating', '1', { bookId: '1', stars: 4 }), op('create', 'readingLog', '1', { bookId: '1', status: 'read' }),
  ]);
  const { changes } = await user.pull();
  assert.deepEqual(changes.map(({ type }) => type).sort(), ['book', 'collection', 'rating', 'readingLog', 'tag']);
  await user.apply(gone('tag', '1'));
  assert.equal((await user.pull()).changes.length, 4);
});

test('ids like import_123 are the same for many users', async () => {
  const users = [new User(), new User()];
  const operation = book('import_123');
  for (const user of users) {
    const result = await user.apply({ ...operation, data: { title: user.id } });
    assert.equal(result.status, 'success');
    assert.equal(result.duplicate, undefined);
  }
  for (const user of users) assert.equal((await user.read('book', 'import_123')).title, user.id);
});

test('text that looks like SQL is text', async () => {
  const user = new User(`u-${randomUUID()}'; DROP TABLE booky.entities; --`);
  const title = "Robert'); DELETE FROM booky.entities WHERE ('1'='1";
  await user.send([book('b1', { title, notes: '$1 {"a":1} \\x00 %s' })], { deviceId: "phone' OR 1=1" });
  assert.deepEqual(content(await user.read('book', 'b1')), { title, notes: '$1 {"a":1} \\x00 %s' });
});

test('settings are one per user, whatever id a device gives them', async () => {
  const user = new User();
  const settings = (entityId, data, timestamp) => op('update', 'userSettings', entityId, data, { timestamp });
  const { results } = await user.send([
    settings('phone-settings', { theme: 'dark', dateFormat: 'iso', id: 'phone-settings' }, ago(9)),
    settings(undefined, { theme: 'light' }, ago(8)),
    settings('tablet', { ratingDisplay: 'stars' }, ago(7)),
  ]);
  assert.deepEqual(results.map(({ status }) => status), ['success', 'success', 'success']);
  assert.equal(results[0].entityId, 'phone-settings');
  const { changes } = await user.pull();
  assert.equal(changes.length, 1);
  assert.equal(changes[0].type, 'userSettings');
  assert.deepEqual(content(changes[0].data), { theme: 'light', dateFormat: 'iso', ratingDisplay: 'stars' });
});

test('a result tells the whole book to a device that cannot know it, and only to that', async () => {
  const user = new User();
  await user.send([book('b1', { title: 'One', pages: 1 }, { timestamp: ago(9) })], { deviceId: 'laptop' });
  const edit = (notes, minutes, extra) => op('update', 'book', 'b1', { notes }, { timestamp: ago(minutes), ...extra });
  const rows = [
    ['the last writer', edit('a', 8), 'laptop', false],
    ['another device', edit('b', 7), 'phone', true],
    ['a device that has seen the version it edits', (version) => edit('c', 6, { baseVersion: version }), 'tablet', false],
    ['a device that does not say which it is', edit('d', 5), undefined, true],
  ];
  for (const [name, operation, deviceId, told] of rows) {
    const version = (await user.read('book', 'b1')).updatedAt;
    const sent = typeof operation === 'function' ? operation(version) : operation;
    const [result] = (await user.send([sent], deviceId ? { deviceId } : {})).results;
    assert.equal(result.resolution, undefined, name);
    const expected = told ? { title: 'One', pages: 1, notes: sent.data.notes } : undefined;
    assert.deepEqual(result.data && content(result.data), expected, name);
  }
});

test('a result tells what became of an entity by the end of its request, and what comes back is told whole', async () => {
  const rating = (id, data, minutes) => op('create', 'rating', id, { bookId: 'b1', ...data }, { timestamp: ago(minutes) });
  const stars = (id, minutes, data = { why: 'again' }) => op('update', 'rating', id, data, { timestamp: ago(minutes) });
  const whole = { bookId: 'b1', stars: 4, why: 'again' };
  const rows = [
    ['displaced by a later one of the same request', [[rating('r1', { stars: 4 }, 9), rating('r2', { stars: 5 }, 8)]], [['gone', undefined]]],
    ['deleted by the same request', [[rating('r1', { stars: 4 }, 9), gone('rating', 'r1')]], [['gone', undefined]]],
    ['deleted and brought back by the same request', [[rating('r1', { stars: 4 }, 9)], [gone('rating', 'r1'), stars('r1', 2)]], [[undefined], [whole, whole]]],
    ['brought back by the device that deleted it', [[rating('r1', { stars: 4 }, 9)], [gone('rating', 'r1')], [stars('r1', 2)]], [[undefined], [undefined], [whole]]],
    ['back in its place, from the device that wrote it last', [[rating('r1', { stars: 4 }, 9)], [rating('r2', { stars: 5 }, 8)], [stars('r1', 2)]],
      [[undefined], [undefined], [whole]]],
    ['back in its place, because the other left it by the same request',
      [[rating('r1', { stars: 4 }, 9)], [rating('r2', { stars: 5 }, 8)], [stars('r2', 3, { bookId: 'b2' }), stars('r1', 2)]],
      [[undefined], [undefined], [undefined, whole]]],
    ['back in its place, because the other left it before',
      [[rating('r1', { stars: 4 }, 9)], [rating('r2', { stars: 5 }, 8)], [stars('r2', 3, { bookId: 'b2' })], [stars('r1', 2)]],
      [[undefined], [undefined], [undefined], [whole]]],
  ];
  for (const [name, requests, expected] of rows) {
    const user = new User();
    for (const [i, operations] of requests.entries()) {
      const { results } = await user.send(operations, { deviceId: 'phone' });
      const told = results.map(({ deleted, data }) => (deleted ? 'gone' : data && content(data)));
      assert.deepEqual(told, expected[i], `${name}, request ${i}`);
    }
  }
});
