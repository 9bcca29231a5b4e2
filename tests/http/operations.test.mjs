// POST /operations: the reply, invalid operations among valid ones, atomic batches, time.
import assert from 'node:assert/strict';
import test from 'node:test';
import { User, ago, book, checkError, content, gone, ledgerRows, ms, op, patch, sleep, titles } from './lib.mjs';

const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

// The reply

test('a reply holds one result per operation in order and the two times of the server', async () => {
  const user = new User();
  const operations = [book('b1'), op('create', 'tag', 't1', { name: 'Sea' }), gone('collection', 'c1'),
    patch('b1', { notes: 'n' })];
  const before = Date.now();
  const reply = await user.send(operations);
  assert.deepEqual(Object.keys(reply), ['success', 'results', 'syncedAt', 'serverTime']);
  assert.equal(reply.success, true);
  assert.match(reply.syncedAt, instant);
  assert.ok(ms(reply.serverTime) >= before - 5000 && ms(reply.serverTime) <= Date.now() + 5000);
  assert.deepEqual(reply.results.map((result) => result.id), operations.map((operation) => operation.id));
  assert.deepEqual(reply.results.map((result) => result.entity), ['book', 'tag', 'collection', 'book']);
  assert.deepEqual(reply.results.map((result) => result.entityId), ['b1', 't1', 'c1', 'b1']);
  for (const result of reply.results) assert.equal(result.updatedAt, reply.syncedAt, 'one request has one stamp');
});

test('the result of a plain success holds only identity, status and version', async () => {
  const result = await new User().apply(book('b1'));
  assert.deepEqual(Object.keys(result).sort(), ['entity', 'entityId', 'id', 'status', 'updatedAt']);
  assert.equal(result.status, 'success');
  assert.match(result.updatedAt, instant);
});

test('a request without operations succeeds and changes nothing', async () => {
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

test('each write of a user has a later stamp than the previous one', async () => {
  const user = new User();
  let last = 0;
  for (let i = 0; i < 10; i++) {
    const { syncedAt } = await user.send([patch('b1', { title: `${i}` }, { timestamp: undefined })]);
    assert.ok(ms(syncedAt) > last);
    last = ms(syncedAt);
  }
  assert.equal((await user.read('book', 'b1')).title, '9');
});

test('status shows the last write and the number of open conflicts', async () => {
  const user = new User();
  assert.deepEqual(content(await user.status()), {
    success: true, status: 'ready', lastSync: null, lastSyncTime: null, pendingOperations: 0, conflicts: 0,
    usage: { entities: 0, bytes: 0, hidden: 0, quota: { entities: null, bytes: null, hidden: null } },
  });
  const { syncedAt } = await user.send([patch('b1', { notes: 'a book without its create' })]);
  const status = await user.status();
  assert.equal(status.lastSync, syncedAt);
  assert.equal(status.conflicts, 1);
});

// One invalid operation among valid ones

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
  test(`an invalid operation fails alone: ${name}`, async () => {
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

// Atomic batches

test('an atomic batch is applied if all of its operations can be', async () => {
  const user = new User();
  const operations = [book('b1'), op('create', 'tag', 't1', { name: 'N' })];
  await user.send(operations, { atomic: true });
  assert.equal((await user.pull()).changes.length, 2);
  const { results } = await user.send(operations, { atomic: true });
  assert.deepEqual(results.map((result) => result.duplicate), [true, true]);
});

test('an atomic batch with invalid operations is refused as a whole, and details names each of them', async () => {
  const user = new User();
  const operations = [book('b1'), book('b2', { title: '' }), op('create', 'rating', 'r1', { bookId: 'b1', stars: 9 })];
  const error = checkError(await user.post({ operations, atomic: true }), 400, 'VALIDATION_ERROR');
  assert.deepEqual(error.details.map(({ path }) => path), ['operations[1].data.title', 'operations[2].data.stars']);
  assert.deepEqual((await user.pull()).changes, []);
  assert.equal((await user.status()).lastSync, null);
  assert.equal(await ledgerRows(user, operations[0].id), 0);
  assert.equal((await user.send(operations)).results[0].duplicate, undefined, 'none of them counts as processed');
});

test('an atomic batch with a manual conflict is refused as a whole', async () => {
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
  'UTC': '2024-01-15T10:30:00Z', 'an offset': '2024-01-15T16:00:00+05:30',
  'a negative offset': '2024-01-15T02:30:00-08:00',
  'microseconds': '2024-01-15T10:30:00.000999Z', 'lower case': '2024-01-15t10:30:00z',
  'epoch milliseconds': 1705314600000,
};

for (const [name, timestamp] of Object.entries(spellings))
  test(`a timestamp is accepted: ${name}`, async () => {
    const user = new User();
    await user.apply(book('b1', { title: 'At' }, { timestamp }));
    await user.apply(patch('b1', { title: 'Before' }, { timestamp: '2024-01-15T10:29:59.999Z' }));
    assert.equal((await user.read('book', 'b1')).title, 'At');
    await user.apply(patch('b1', { title: 'After' }, { timestamp: '2024-01-15T10:30:00.001Z' }));
    assert.equal((await user.read('book', 'b1')).title, 'After');
  });

test('a timestamp far in the future is lowered to now, and one slightly ahead is kept', async () => {
  const user = new User();
  const far = await user.apply(book('far', { title: 'Future' }, { timestamp: ago(-60) }));
  const near = await user.apply(book('near', { title: 'Future' }, { timestamp: ago(-4) }));
  assert.equal(far.timestampAdjusted, true);
  assert.equal(near.timestampAdjusted, undefined);
  const timestamp = Date.now() + 1000;
  await user.send(['far', 'near'].map((id) => patch(id, { title: 'Now' }, { timestamp })));
  assert.deepEqual(titles(await user.pull()), { far: 'Now', near: 'Future' });
});

test('an edit without a timestamp gets that of data.updatedAt, or now', async () => {
  const user = new User();
  await user.send([
    book('now', { title: 'T' }, { timestamp: undefined }),
    book('then', { title: 'T', updatedAt: ago(20) }, { timestamp: undefined }),
    book('both', { title: 'T', updatedAt: ago(20) }, { timestamp: ago(5) }),
  ]);
  await user.send(['now', 'then', 'both'].map((id) => patch(id, { title: 'Ten minutes ago' }, { timestamp: ago(10) })));
  assert.deepEqual(titles(await user.pull()), { now: 'T', then: 'Ten minutes ago', both: 'T' });
});

test("createdAt of a create is kept, updatedAt is always the server's, and an update sets neither", async () => {
  const user = new User();
  const createdAt = '2019-03-04T05:06:07.000Z';
  await user.apply(book('b1', { createdAt, updatedAt: ago(-60) }));
  const { updatedAt } = await user.apply(patch('b1', { notes: 'n', createdAt: ago(3) }, { timestamp: ago(1) }));
  const data = await user.read('book', 'b1');
  assert.equal(data.createdAt, createdAt);
  assert.equal(data.updatedAt, updatedAt);
  const { syncedAt } = await user.send([book('b2')]);
  assert.equal((await user.read('book', 'b2')).createdAt, syncedAt, 'the default is the time of the first write');
});
