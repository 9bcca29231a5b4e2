// The server's queue: operations are parked and listed.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { ago, book, checkError, ms, patch } from './lib.mjs';
import { Owner, checkInvalid, checkOk, withoutIdAndTime } from './owner.mjs';

// Parking

test('an operation is parked with 201 and not applied, and the server makes its id and timestamp', async () => {
  const owner = new Owner();
  const reply = await owner.park(withoutIdAndTime(patch('b1', { notes: 'n' })));
  const { operation } = checkOk(reply, 201);
  assert.deepEqual(Object.keys(operation), ['id', 'type', 'entity', 'entityId', 'timestamp', 'synced']);
  assert.match(operation.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.deepEqual([operation.type, operation.entity, operation.entityId, operation.synced],
    ['update', 'book', 'b1', false]);
  assert.match(operation.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.ok(Math.abs(ms(operation.timestamp) - Date.now()) < 5000);
  assert.deepEqual(await owner.library(), {});
  const status = await owner.status();
  assert.deepEqual([status.status, status.pendingOperations, status.conflicts], ['ready', 1, 0]);
  assert.deepEqual(await owner.pending(), [{ ...operation, data: { notes: 'n' }, attempts: 0, lastError: null }]);
});

test('id, timestamp and data are kept as they were sent', async () => {
  const owner = new Owner();
  const data = { title: 'T', x: [1, { y: null, z: 4.1 }], big: 9007199254740991, text: 'é🦊\u0001"' };
  const operation = { ...book('b/1 é', data), id: 'op:é 🦊', timestamp: '2024-01-15T12:30:00.5+02:00' };
  const parked = await owner.parked(operation);
  assert.deepEqual([parked.id, parked.timestamp], ['op:é 🦊', '2024-01-15T10:30:00.500Z']);
  const [entry] = await owner.pending();
  assert.equal(JSON.stringify(entry.data), JSON.stringify(operation.data));
  assert.equal((await owner.parked({ ...book('b2'), timestamp: 1705314600000 })).timestamp, '2024-01-15T10:30:00.000Z');
  assert.equal((await owner.parked({ ...book('b3', { updatedAt: ago(7) }), timestamp: undefined })).timestamp, ago(7));
});

test('a repeat gets the stored operation with 200 and changes nothing', async () => {
  const owner = new Owner();
  const operation = book('b1');
  const parked = await owner.parked(operation);
  const { lastSync } = await owner.status();
  const repeats = [operation, { ...operation, synced: false, retryCount: 3 }, { ...operation, timestamp: undefined }];
  for (const one of repeats) assert.deepEqual(checkOk(await owner.park(one)).operation, parked);
  const status = await owner.status();
  assert.deepEqual([status.pendingOperations, status.lastSync], [1, lastSync]);
});

test('another operation under the id of a waiting, marked or processed one is refused with 409', async () => {
  const owner = new Owner();
  const others = { data: { title: 'Other' }, type: 'update', entity: 'tag', entityId: 'b2', timestamp: ago(9) };
  const operation = { ...book('b1'), data: { title: 'T', name: 'T' } };
  const check = async (id) => {
    for (const [name, value] of Object.entries(others)) {
      const error = checkError(await owner.park({ ...operation, id, [name]: value }), 409, 'CONFLICT_DETECTED');
      assert.match(error.message, /^id: /, name);
    }
  };
  await owner.parked(operation);
  await check(operation.id);
  await owner.markSynced([operation.id]);
  await check(operation.id);
  const sent = { ...operation, id: randomUUID() };
  await owner.apply(sent);
  await check(sent.id);
  assert.equal((await owner.status()).pendingOperations, 0);
});

test('another operation at /operations under the id of a waiting one fails, and the waiting one stays', async () => {
  const owner = new Owner();
  await owner.parked({ id: 'a', type: 'create', entity: 'tag', entityId: 't', data: { name: 'N' } });
  const [other] = (
    await owner.send([{ id: 'a', type: 'create', entity: 'tag', entityId: 't2', data: { name: 'M' } }])).results;
  assert.equal(other.status, 'failed');
  assert.equal(other.error, 'OPERATION_ID_REUSED');
  assert.deepEqual((await owner.pending()).map((operation) => operation.entityId), ['t']);
});

test('an operation that was already processed is parked as synced', async () => {
  const owner = new Owner();
  const operation = book('b1');
  await owner.apply(operation);
  assert.equal((await owner.parked(operation)).synced, true);
  assert.deepEqual(await owner.pending(), []);
});

test('simultaneous copies are parked once', async () => {
  const owner = new Owner();
  const operation = book('b1');
  const replies = await Promise.all(Array.from({ length: 8 }, () => owner.park(operation)));
  assert.deepEqual(replies.map(({ status }) => status).sort(), [...Array(7).fill(200), 201]);
  assert.equal((await owner.pending()).length, 1);
});

// Case: the change of a valid operation, and the path that the refusal names.
const invalid = {
  'no type': [{ type: undefined }, 'type'],
  'an unknown type': [{ type: 'upsert' }, 'type'],
  'no entity': [{ entity: undefined }, 'entity'],
  'an unknown entity': [{ entity: 'shelf' }, 'entity'],
  'no entityId': [{ entityId: undefined }, 'entityId'],
  'an entityId that is a number': [{ entityId: 5 }, 'entityId'],
  'an entityId of 256 characters': [{ entityId: 'x'.repeat(256) }, 'entityId'],
  'no data': [{ data: undefined }, 'data'],
  'data that are a list': [{ data: [] }, 'data'],
  'a create without a required member': [{ data: {} }, 'data.title'],
  'a known member of the wrong type': [{ type: 'update', data: { pageCount: 'many' } }, 'data.pageCount'],
  'an id of another entity in the data': [{ data: { id: 'b2', title: 'T' } }, 'data.id'],
  'a timestamp that is no instant': [{ timestamp: 'yesterday' }, 'timestamp'],
  'an empty id': [{ id: '' }, 'id'],
  'an id of 129 characters': [{ id: 'é'.repeat(129) }, 'id'],
  'an id that is a number': [{ id: 7 }, 'id'],
  'an unknown conflictResolution': [{ conflictResolution: 'mine' }, 'conflictResolution'],
  'data that cannot be stored': ['{"type":"update","entity":"book","entityId":"b","data":{"x":["\\ud83e"]}}',
    'data.x[0]'],
  'a list': ['[]', null],
  'a number': ['5', null],
  'no body': ['', null],
  'half a body': ['{"type":"update"', null],
};

for (const [name, [change, path]] of Object.entries(invalid))
  test(`an operation is refused with 400 and not parked: ${name}`, async () => {
    const owner = new Owner();
    const error = checkInvalid(await owner.park(typeof change === 'string' ? change : { ...book('b1'), ...change }),
      path);
    assert.doesNotMatch(error.message, /^\W/);
    assert.deepEqual(await owner.pending(), []);
  });

test('an operation over limits.entity is refused with 413', async () => {
  const error = checkError(await new Owner().park(book('b1', { notes: 'x'.repeat(1 << 20) })), 413,
    'PAYLOAD_TOO_LARGE');
  assert.match(error.message, /^data: .*limits\.entity\b.*\b1048576\b/);
});

// Listing

const many = async (owner, count) => {
  const made = [];
  for (let i = 0; i < count; i++)
    made.push(await owner.parked(book(`b${i}`, {}, { id: `op${(i * 7) % count}`, timestamp: ago(10 - (i % 4)) })));
  return made.sort((x, y) => ms(x.timestamp) - ms(y.timestamp) || (x.id < y.id ? -1 : 1)).map(({ id }) => id);
};

test('pending lists by timestamp, oldest first, and its pages neither miss nor repeat an operation', async () => {
  const owner = new Owner();
  const expected = await many(owner, 13);
  const whole = await owner.get('/pending');
  assert.deepEqual(whole.operations.map(({ id }) => id), expected);
  assert.equal(whole.hasMore, false);
  for (const limit of [1, 4, 12, 13, 14]) {
    const pages = await owner.pages('/pending', 'operations', limit);
    assert.deepEqual(pages.flatMap(({ operations }) => operations.map(({ id }) => id)), expected);
    assert.deepEqual((await owner.get(`/pending?cursor=${pages.at(-1).cursor}`)).operations, []);
  }
});

test('an invalid limit or cursor of pending is refused with 400', async () => {
  const owner = new Owner();
  for (const limit of ['0', '-1', 'all', '1.5', ''])
    checkInvalid(await owner.request(`/pending?limit=${limit}`), 'limit');
  const { cursor } = await owner.pull();
  for (const one of ['', 'x', 'bm9uc2Vuc2U', cursor])
    checkInvalid(await owner.request(`/pending?cursor=${one}`), 'cursor');
});

test('an empty queue is listed as an empty list', async () => {
  const owner = new Owner();
  assert.deepEqual(await owner.pending(), []);
  assert.equal((await owner.status()).lastSync, null);
});

test("another user's queue is neither visible nor changed", async () => {
  const [owner, other] = [new Owner(), new Owner()];
  const operation = book('b1');
  await owner.parked(operation);
  assert.deepEqual(await other.pending(), []);
  assert.deepEqual((await other.applyPending()).results, []);
  assert.deepEqual((await other.markSynced([operation.id])).unknown, [operation.id]);
  assert.equal((await other.clear()).cleared, 0);
  checkOk(await other.park({ ...book('mine'), id: operation.id }), 201);
  assert.deepEqual((await owner.pending()).map(({ entityId, synced }) => [entityId, synced]), [['b1', false]]);
});
