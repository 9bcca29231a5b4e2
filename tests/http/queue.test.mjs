// The queue on the server: operations are parked, listed, applied on request, marked and cleared.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { ago, book, checkError, content, gone, literal, ms, patch, sql } from './lib.mjs';
import { Owner, checkInvalid, checkOk } from './owner.mjs';

const parkable = (operation) => {
  const { id, timestamp, ...rest } = operation;
  return rest;
};

// Parking

test('an operation is parked with 201 and not applied; its id and timestamp are made by the server', async () => {
  const owner = new Owner();
  const reply = await owner.park(parkable(patch('b1', { notes: 'n' })));
  const { operation } = checkOk(reply, 201);
  assert.deepEqual(Object.keys(operation), ['id', 'type', 'entity', 'entityId', 'timestamp', 'synced']);
  assert.match(operation.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.deepEqual([operation.type, operation.entity, operation.entityId, operation.synced], ['update', 'book', 'b1', false]);
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

test('a repeat answers what is stored with 200 and changes nothing', async () => {
  const owner = new Owner();
  const operation = book('b1');
  const parked = await owner.parked(operation);
  const { lastSync } = await owner.status();
  const repeats = [operation, { ...operation, synced: false, retryCount: 3 }, { ...operation, timestamp: undefined }];
  for (const one of repeats) assert.deepEqual(checkOk(await owner.park(one)).operation, parked);
  const status = await owner.status();
  assert.deepEqual([status.pendingOperations, status.lastSync], [1, lastSync]);
});

test('409: the same id for another operation, whether the first waits, is marked or was processed', async () => {
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

test('another operation under the id of one that waits is refused, and the one that waits stays', async () => {
  const owner = new Owner();
  await owner.parked({ id: 'a', type: 'create', entity: 'tag', entityId: 't', data: { name: 'N' } });
  const [other] = (await owner.send([{ id: 'a', type: 'create', entity: 'tag', entityId: 't2', data: { name: 'M' } }])).results;
  assert.equal(other.status, 'failed');
  assert.equal(other.error, 'OPERATION_ID_REUSED');
  assert.deepEqual((await owner.pending()).map((operation) => operation.entityId), ['t']);
});

test('an operation that was processed already is born synced', async () => {
  const owner = new Owner();
  const operation = book('b1');
  await owner.apply(operation);
  assert.equal((await owner.parked(operation)).synced, true);
  assert.deepEqual(await owner.pending(), []);
});

test('copies that arrive at the same time are parked once', async () => {
  const owner = new Owner();
  const operation = book('b1');
  const replies = await Promise.all(Array.from({ length: 8 }, () => owner.park(operation)));
  assert.deepEqual(replies.map(({ status }) => status).sort(), [...Array(7).fill(200), 201]);
  assert.equal((await owner.pending()).length, 1);
});

// What: the operation, and the path that the refusal names.
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
  'a create without what is required': [{ data: {} }, 'data.title'],
  'a known member of the wrong type': [{ type: 'update', data: { pageCount: 'many' } }, 'data.pageCount'],
  'an id of another entity in the data': [{ data: { id: 'b2', title: 'T' } }, 'data.id'],
  'a timestamp that is no instant': [{ timestamp: 'yesterday' }, 'timestamp'],
  'an empty id': [{ id: '' }, 'id'],
  'an id of 129 characters': [{ id: 'é'.repeat(129) }, 'id'],
  'an id that is a number': [{ id: 7 }, 'id'],
  'an unknown conflictResolution': [{ conflictResolution: 'mine' }, 'conflictResolution'],
  'what cannot be kept': ['{"type":"update","entity":"book","entityId":"b","data":{"x":["\\ud83e"]}}', 'data.x[0]'],
  'a list': ['[]', null],
  'a number': ['5', null],
  'no body': ['', null],
  'half a body': ['{"type":"update"', null],
};

for (const [name, [change, path]] of Object.entries(invalid))
  test(`400, and nothing is parked: ${name}`, async () => {
    const owner = new Owner();
    const error = checkInvalid(await owner.park(typeof change === 'string' ? change : { ...book('b1'), ...change }), path);
    assert.doesNotMatch(error.message, /^\W/);
    assert.deepEqual(await owner.pending(), []);
  });

test('413: an operation over limits.entity', async () => {
  const error = checkError(await new Owner().park(book('b1', { notes: 'x'.repeat(1 << 20) })), 413, 'PAYLOAD_TOO_LARGE');
  assert.match(error.message, /^data: .*limits\.entity\b.*\b1048576\b/);
});

// Listing

const many = async (owner, count) => {
  const made = [];
  for (let i = 0; i < count; i++)
    made.push(await owner.parked(book(`b${i}`, {}, { id: `op${(i * 7) % count}`, timestamp: ago(10 - (i % 4)) })));
  return made.sort((x, y) => ms(x.timestamp) - ms(y.timestamp) || (x.id < y.id ? -1 : 1)).map(({ id }) => id);
};

test('pending lists by timestamp, oldest first, not by arrival; pages with limit and cursor miss and repeat nothing', async () => {
  const owner = new Owner();
  const expected = await many(owner, 13);
  const whole = await owner.get('/pending');
  assert.deepEqual(whole.operations.map(({ id }) => id), expected);
  assert.equal(whole.hasMore, false);
  for (const limit of [1, 4, 12, 13, 14]) {
    const seen = [];
    let page = { hasMore: true };
    for (let query = `?limit=${limit}`; page.hasMore; query = `?limit=${limit}&cursor=${page.cursor}`) {
      page = await owner.get(`/pending${query}`);
      assert.ok(page.operations.length <= limit && page.operations.length > 0);
      seen.push(...page.operations.map(({ id }) => id));
    }
    assert.deepEqual(seen, expected);
    assert.deepEqual((await owner.get(`/pending?cursor=${page.cursor}`)).operations, []);
  }
});

test('400: a limit or a cursor of pending that is none', async () => {
  const owner = new Owner();
  for (const limit of ['0', '-1', 'all', '1.5', '']) checkInvalid(await owner.request(`/pending?limit=${limit}`), 'limit');
  const { cursor } = await owner.pull();
  for (const one of ['', 'x', 'bm9uc2Vuc2U', cursor]) checkInvalid(await owner.request(`/pending?cursor=${one}`), 'cursor');
});

test('an empty queue is an empty list', async () => {
  const owner = new Owner();
  assert.deepEqual(await owner.pending(), []);
  assert.equal((await owner.status()).lastSync, null);
});

test("another user's queue does not exist", async () => {
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

// Applying

test('apply runs the queue in the order of timestamps, answers a result for each, and empties it', async () => {
  const owner = new Owner();
  await owner.parked(gone('book', 'b2', { id: 'op4', timestamp: ago(5) }));
  await owner.parked(patch('b1', { notes: 'n' }, { id: 'op3', timestamp: ago(7) }));
  await owner.parked(book('b2', {}, { id: 'op2', timestamp: ago(8) }));
  await owner.parked(book('b1', {}, { id: 'op1', timestamp: ago(9) }));
  const { cursor } = await owner.pull();
  const reply = await owner.applyPending();
  assert.deepEqual(reply.results.map(({ id, status }) => [id, status]), ['op1', 'op2', 'op3', 'op4'].map((id) => [id, 'success']));
  assert.ok(reply.results.every((result) => result.updatedAt === reply.syncedAt && result.incomplete === undefined));
  assert.deepEqual([reply.applied, reply.failed, reply.hasMore], [4, 0, false]);
  assert.ok(reply.serverTime);
  assert.deepEqual(await owner.contents(), { 'book b1': { title: 'Book b1', notes: 'n' } });
  assert.equal((await owner.pull(`cursor=${cursor}`)).changes.length, 2, 'other devices learn of it');
  assert.deepEqual(await owner.pending(), []);
  assert.equal((await owner.status()).pendingOperations, 0);
  const again = await owner.unchanged(() => owner.applyPending());
  assert.deepEqual([again.results, again.applied, again.failed], [[], 0, 0]);
});

test('the timestamp of a parked operation, not the moment of applying, decides who wins', async () => {
  const owner = new Owner();
  await owner.parked(patch('b1', { title: 'parked', notes: 'parked' }, { timestamp: ago(7) }));
  await owner.send([book('b1', { notes: 'old' }), patch('b1', { title: 'later' }, { timestamp: ago(5) })]);
  const [result] = (await owner.applyPending()).results;
  assert.deepEqual([result.status, result.resolution], ['success', 'merged']);
  assert.deepEqual(await owner.contents(), { 'book b1': { title: 'later', notes: 'parked' } });
});

test('an operation that is sent to /operations while it waits is processed and marked', async () => {
  const owner = new Owner();
  const [sent, waits] = [book('b1'), book('b2')];
  await owner.parked(sent);
  await owner.parked(waits);
  const result = await owner.apply(sent);
  assert.deepEqual([result.status, result.duplicate], ['success', undefined]);
  assert.deepEqual((await owner.pending()).map(({ id }) => id), [waits.id]);
  assert.equal(checkOk(await owner.park(sent)).operation.synced, true);
  assert.deepEqual((await owner.applyPending()).results.map(({ id }) => id), [waits.id]);
  assert.equal((await owner.clear()).cleared, 2);
});

test('another operation under the id of one that waits fails, and the one that waits is not lost', async () => {
  const owner = new Owner();
  const waits = book('b1');
  await owner.parked(waits);
  const result = await owner.apply({ ...waits, data: { title: 'Other' } });
  assert.deepEqual([result.status, result.error], ['failed', 'OPERATION_ID_REUSED']);
  assert.deepEqual((await owner.pending()).map(({ id, attempts }) => [id, attempts]), [[waits.id, 0]]);
  assert.equal((await owner.applyPending()).applied, 1);
  assert.deepEqual(await owner.contents(), { 'book b1': { title: 'Book b1' } });
});

test('what was applied from the queue is a repeat when it comes to /operations, and the other way round', async () => {
  const owner = new Owner();
  const operation = book('b1');
  await owner.parked(operation);
  const { results: [applied] } = await owner.applyPending();
  await owner.unchanged(async () => assert.deepEqual(await owner.apply(operation), { ...applied, duplicate: true }));
});

test('an operation without timestamp keeps the one it was given when it was parked', async () => {
  const owner = new Owner();
  const { timestamp } = await owner.parked(parkable(book('b1')));
  await owner.applyPending();
  const before = new Date(ms(timestamp) - 1).toISOString();
  const after = new Date(ms(timestamp) + 1).toISOString();
  assert.equal((await owner.apply(patch('b1', { title: 'x' }, { timestamp: before }))).resolution, 'server');
  assert.equal((await owner.apply(patch('b1', { title: 'x' }, { timestamp: after }))).resolution, undefined);
});

test('conflictResolution of a parked operation is kept until it is applied', async () => {
  const policies = [['local', 'parked', 'success'], ['server', 'server', 'success'], ['manual', 'server', 'conflict']];
  for (const [conflictResolution, title, status] of policies) {
    const owner = new Owner();
    await owner.parked(patch('b1', { title: 'parked' }, { timestamp: ago(7), conflictResolution }));
    await owner.apply(book('b1', { title: 'server' }, { timestamp: ago(5) }));
    const [result] = (await owner.applyPending()).results;
    assert.deepEqual([conflictResolution, (await owner.contents())['book b1'].title, result.status], [conflictResolution, title, status]);
  }
});

test('apply while other writes go on loses and doubles nothing', async () => {
  const owner = new Owner();
  const operations = Array.from({ length: 30 }, (_, i) => book(`b${i}`));
  await Promise.all(operations.map((operation) => owner.parked(operation)));
  const work = operations.slice(0, 10).map((operation) => owner.apply(operation));
  const applied = await Promise.all([owner.applyPending(), owner.applyPending(), owner.applyPending(), ...work]);
  const results = applied.flatMap((reply) => reply.results ?? [reply]);
  assert.ok(results.every(({ status }) => status === 'success'));
  assert.equal(results.filter(({ duplicate }) => !duplicate).length, 30);
  assert.equal(Object.keys(await owner.library()).length, 30);
  assert.deepEqual(await owner.pending(), []);
});

test('an operation that fails counts an attempt each time; after five it waits for review and status says error', async () => {
  const owner = new Owner();
  const half = 'x'.repeat(600_000);
  await owner.parked(patch('b1', { title: 'T', description: half }, { id: 'fits', timestamp: ago(9) }));
  await owner.parked(patch('b1', { notes: half }, { id: 'grows', timestamp: ago(8) }));
  await owner.parked(patch('b1', { publisher: half }, { id: 'grows too', timestamp: ago(7) }));
  await owner.parked(patch('b1', { genre: 'g' }, { id: 'small', timestamp: ago(6) }));
  for (let attempt = 1; attempt <= 5; attempt++) {
    assert.equal((await owner.status()).status, 'ready');
    const reply = await owner.applyPending();
    const failed = reply.results.filter(({ status }) => status === 'failed');
    assert.deepEqual(failed.map(({ id }) => id), ['grows', 'grows too']);
    assert.ok(failed.every(({ error, retryable }) => error === 'PAYLOAD_TOO_LARGE' && !retryable));
    assert.deepEqual([reply.applied, reply.failed], [attempt === 1 ? 2 : 0, 2]);
    const waiting = await owner.pending();
    assert.deepEqual(waiting.map(({ id, attempts }) => [id, attempts]), [['grows', attempt], ['grows too', attempt]]);
    assert.ok(waiting.every(({ lastError }) => /limits\.entity/.test(lastError)), waiting[0].lastError);
  }
  const status = await owner.status();
  assert.deepEqual([status.status, status.pendingOperations], ['error', 2]);
  assert.deepEqual((await owner.unchanged(() => owner.applyPending())).results, [], 'they are not tried again');
  assert.deepEqual((await owner.pending()).map(({ attempts }) => attempts), [5, 5]);
  assert.deepEqual(content((await owner.library())['book b1']), { title: 'T', description: half, genre: 'g' });

  assert.equal((await owner.markSynced(['grows', 'grows too'])).marked, 2);
  assert.deepEqual([(await owner.status()).status, (await owner.clear()).cleared], ['ready', 4], 'a person has decided');
});

test('an operation that failed succeeds later when what stood in its way is gone', async () => {
  const owner = new Owner();
  const half = 'x'.repeat(600_000);
  await owner.apply(book('b1', { description: half }));
  const { id } = await owner.parked(patch('b1', { notes: half }, { timestamp: ago(8) }));
  assert.equal((await owner.applyPending()).failed, 1);
  await owner.apply(patch('b1', { description: '' }, { timestamp: ago(7) }));
  const { results: [result] } = await owner.applyPending();
  assert.deepEqual([result.id, result.status], [id, 'success']);
  assert.equal((await owner.read('book', 'b1')).notes, half);
});

test('a longer queue is applied in parts of limits.operations', async () => {
  const owner = new Owner();
  const { id } = await owner.parked(parkable(book('b1')));
  await sql(`INSERT INTO queue (user_id, operation_id, queued_at, made_at, type, kind, entity_id, hash, data)
    SELECT user_id, 'op' || n, queued_at, made_at + n, type, kind, entity_id, hash, data
    FROM queue, generate_series(1, 1009) AS n WHERE user_id = ${literal(owner.id)}`);
  const ids = [id, ...Array.from({ length: 1009 }, (_, n) => `op${n + 1}`)];
  for (const [from, to] of [[0, 1000], [1000, 1010], [1010, 1010]]) {
    const reply = await owner.applyPending();
    assert.deepEqual(reply.results.map((result) => result.id), ids.slice(from, to));
    assert.deepEqual([reply.applied, reply.failed, reply.hasMore], [to - from, 0, to < 1010]);
    assert.equal((await owner.status()).pendingOperations, 1010 - to);
  }
});

// Marking and clearing

test('mark-synced tells how many of the ids are marked now, and which are unknown', async () => {
  const owner = new Owner();
  for (const id of ['a', 'b', 'c']) await owner.parked(book(id, {}, { id }));
  const mark = async (ids, marked, unknown) => {
    const reply = await owner.markSynced(ids);
    assert.deepEqual([reply.message, reply.marked, reply.unknown.sort()], [`Marked ${marked} operations as synced`, marked, unknown]);
    assert.ok(reply.serverTime);
  };
  await mark(['a', 'nobody', 'b', "x'; --", 'a'], 2, ['nobody', "x'; --"]);
  assert.deepEqual((await owner.pending()).map(({ id }) => id), ['c']);
  const { lastSync } = await owner.status();
  await mark(['a', 'b'], 2, []);
  await mark([], 0, []);
  await mark(['nobody'], 0, ['nobody']);
  assert.equal((await owner.status()).lastSync, lastSync, 'what changes nothing leaves no stamp');
  await mark(['a', 'b', 'c'], 3, []);
  assert.deepEqual(await owner.library(), {}, 'marking applies nothing');
});

test('an operation that was marked and not processed can still be sent', async () => {
  const owner = new Owner();
  const operation = book('b1');
  await owner.parked(operation);
  await owner.markSynced([operation.id]);
  assert.deepEqual((await owner.applyPending()).results, []);
  assert.deepEqual([(await owner.apply(operation)).status, Object.keys(await owner.library())], ['success', ['book b1']]);
});

test('400 and 413: operationIds that are none, and too many of them', async () => {
  const owner = new Owner();
  const mark = (body) => owner.call('POST', '/mark-synced', body);
  for (const ids of [undefined, null, 'a', {}, 5]) checkInvalid(await mark({ operationIds: ids }), 'operationIds');
  checkInvalid(await mark({ operationIds: ['a', 5] }), 'operationIds[1]');
  checkInvalid(await mark('{"operationIds":["a","b\\u0000"]}'), 'operationIds[1]');
  for (const body of ['', '[]', '"a"']) checkError(await mark(body), 400, 'VALIDATION_ERROR');
  const ids = Array.from({ length: 1001 }, (_, i) => `${i}`);
  assert.match(checkError(await mark({ operationIds: ids }), 413, 'PAYLOAD_TOO_LARGE').message, /limits\.operations\b.*\b1000\b/);
  assert.equal((await owner.markSynced(ids.slice(1))).unknown.length, 1000);
});

test('clear removes what is synced from the queue, never entities and never the protection against replays', async () => {
  const owner = new Owner();
  const [applied, marked, waits] = [book('b1'), book('b2'), book('b3')];
  for (const one of [applied, marked]) await owner.parked(one);
  await owner.applyPending();
  await owner.parked(waits);
  const before = await owner.library();
  const reply = await owner.clear();
  assert.deepEqual([reply.success, reply.message, reply.cleared], [true, 'Cleared synced operations', 2]);
  assert.deepEqual((await owner.pending()).map(({ id }) => id), [waits.id]);
  assert.deepEqual(await owner.library(), before);
  assert.equal((await owner.apply(applied)).duplicate, true);
  assert.equal((await owner.parked(marked)).synced, true, 'a repeat of what was cleared is not applied again');
  assert.equal((await owner.apply({ ...applied, data: { title: 'x' } })).error, 'OPERATION_ID_REUSED');
  await owner.clear();
  const again = await owner.unchanged(() => owner.clear());
  assert.deepEqual([again.message, again.cleared], ['Cleared synced operations', 0]);
});
