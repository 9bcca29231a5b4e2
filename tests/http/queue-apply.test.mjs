// The server's queue: parked operations are applied on request, marked and cleared.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ago, book, checkError, content, gone, literal, ms, patch, sql } from './lib.mjs';
import { Owner, checkInvalid, checkOk, withoutIdAndTime } from './owner.mjs';

// Applying

test('apply runs the queue in the order of timestamps, returns a result for each, and empties it', async () => {
  const owner = new Owner();
  await owner.parked(gone('book', 'b2', { id: 'op4', timestamp: ago(5) }));
  await owner.parked(patch('b1', { notes: 'n' }, { id: 'op3', timestamp: ago(7) }));
  await owner.parked(book('b2', {}, { id: 'op2', timestamp: ago(8) }));
  await owner.parked(book('b1', {}, { id: 'op1', timestamp: ago(9) }));
  const { cursor } = await owner.pull();
  const reply = await owner.applyPending();
  assert.deepEqual(reply.results.map(({ id, status }) => [id, status]),
    ['op1', 'op2', 'op3', 'op4'].map((id) => [id, 'success']));
  assert.ok(reply.results.every((result) => result.updatedAt === reply.syncedAt && result.incomplete === undefined));
  assert.deepEqual([reply.applied, reply.failed, reply.hasMore], [4, 0, false]);
  assert.ok(reply.serverTime);
  assert.deepEqual(await owner.contents(), { 'book b1': { title: 'Book b1', notes: 'n' } });
  assert.equal((await owner.pull(`cursor=${cursor}`)).changes.length, 2, 'other devices pull the changes');
  assert.deepEqual(await owner.pending(), []);
  assert.equal((await owner.status()).pendingOperations, 0);
  const again = await owner.unchanged(() => owner.applyPending());
  assert.deepEqual([again.results, again.applied, again.failed], [[], 0, 0]);
});

test('the timestamp of a parked operation, not the time of applying, decides a conflict', async () => {
  const owner = new Owner();
  await owner.parked(patch('b1', { title: 'parked', notes: 'parked' }, { timestamp: ago(7) }));
  await owner.send([book('b1', { notes: 'old' }), patch('b1', { title: 'later' }, { timestamp: ago(5) })]);
  const [result] = (await owner.applyPending()).results;
  assert.deepEqual([result.status, result.resolution], ['success', 'merged']);
  assert.deepEqual(await owner.contents(), { 'book b1': { title: 'later', notes: 'parked' } });
});

test('a waiting operation that is sent to /operations is processed and marked', async () => {
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

test('another operation under the id of a waiting one fails, and the waiting one can still be applied', async () => {
  const owner = new Owner();
  const waits = book('b1');
  await owner.parked(waits);
  const result = await owner.apply({ ...waits, data: { title: 'Other' } });
  assert.deepEqual([result.status, result.error], ['failed', 'OPERATION_ID_REUSED']);
  assert.deepEqual((await owner.pending()).map(({ id, attempts }) => [id, attempts]), [[waits.id, 0]]);
  assert.equal((await owner.applyPending()).applied, 1);
  assert.deepEqual(await owner.contents(), { 'book b1': { title: 'Book b1' } });
});

test('an operation that was applied from the queue is a repeat at /operations', async () => {
  const owner = new Owner();
  const operation = book('b1');
  await owner.parked(operation);
  const { results: [applied] } = await owner.applyPending();
  await owner.unchanged(async () => assert.deepEqual(await owner.apply(operation), { ...applied, duplicate: true }));
});

test('an operation without a timestamp keeps the one that it got when it was parked', async () => {
  const owner = new Owner();
  const { timestamp } = await owner.parked(withoutIdAndTime(book('b1')));
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
    assert.deepEqual([conflictResolution, (await owner.contents())['book b1'].title, result.status],
      [conflictResolution, title, status]);
  }
});

test('apply during other writes loses no operation and applies none twice', async () => {
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

test('a parked operation that fails five times waits for review, and the status becomes error', async () => {
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
  assert.deepEqual((await owner.unchanged(() => owner.applyPending())).results, [], 'they are not attempted again');
  assert.deepEqual((await owner.pending()).map(({ attempts }) => attempts), [5, 5]);
  assert.deepEqual(content((await owner.library())['book b1']), { title: 'T', description: half, genre: 'g' });

  assert.equal((await owner.markSynced(['grows', 'grows too'])).marked, 2);
  assert.deepEqual([(await owner.status()).status, (await owner.clear()).cleared], ['ready', 4],
    'marking them resolves the error');
});

test('an operation that failed succeeds when its obstacle is gone', async () => {
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

test('a long queue is applied in parts of limits.operations', async () => {
  const owner = new Owner();
  const { id } = await owner.parked(withoutIdAndTime(book('b1')));
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

test('mark-synced returns how many of the ids are marked now and which are unknown', async () => {
  const owner = new Owner();
  for (const id of ['a', 'b', 'c']) await owner.parked(book(id, {}, { id }));
  const mark = async (ids, marked, unknown) => {
    const reply = await owner.markSynced(ids);
    assert.deepEqual([reply.message, reply.marked, reply.unknown.sort()],
      [`Marked ${marked} operations as synced`, marked, unknown]);
    assert.ok(reply.serverTime);
  };
  await mark(['a', 'nobody', 'b', "x'; --", 'a'], 2, ['nobody', "x'; --"]);
  assert.deepEqual((await owner.pending()).map(({ id }) => id), ['c']);
  const { lastSync } = await owner.status();
  await mark(['a', 'b'], 2, []);
  await mark([], 0, []);
  await mark(['nobody'], 0, ['nobody']);
  assert.equal((await owner.status()).lastSync, lastSync, 'a call that changes nothing makes no stamp');
  await mark(['a', 'b', 'c'], 3, []);
  assert.deepEqual(await owner.library(), {}, 'marking applies nothing');
});

test('a marked operation that was not processed can still be sent', async () => {
  const owner = new Owner();
  const operation = book('b1');
  await owner.parked(operation);
  await owner.markSynced([operation.id]);
  assert.deepEqual((await owner.applyPending()).results, []);
  assert.deepEqual([(await owner.apply(operation)).status, Object.keys(await owner.library())],
    ['success', ['book b1']]);
});

test('invalid operationIds are refused with 400, and too many with 413', async () => {
  const owner = new Owner();
  const mark = (body) => owner.call('POST', '/mark-synced', body);
  for (const ids of [undefined, null, 'a', {}, 5]) checkInvalid(await mark({ operationIds: ids }), 'operationIds');
  checkInvalid(await mark({ operationIds: ['a', 5] }), 'operationIds[1]');
  checkInvalid(await mark('{"operationIds":["a","b\\u0000"]}'), 'operationIds[1]');
  for (const body of ['', '[]', '"a"']) checkError(await mark(body), 400, 'VALIDATION_ERROR');
  const ids = Array.from({ length: 1001 }, (_, i) => `${i}`);
  assert.match(checkError(await mark({ operationIds: ids }), 413, 'PAYLOAD_TOO_LARGE').message,
    /limits\.operations\b.*\b1000\b/);
  assert.equal((await owner.markSynced(ids.slice(1))).unknown.length, 1000);
});

test('clear removes synced operations from the queue, but no entities and no protection against repeats', async () => {
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
  assert.equal((await owner.parked(marked)).synced, true, 'a repeat of a cleared operation is not applied again');
  assert.equal((await owner.apply({ ...applied, data: { title: 'x' } })).error, 'OPERATION_ID_REUSED');
  await owner.clear();
  const again = await owner.unchanged(() => owner.clear());
  assert.deepEqual([again.message, again.cleared], ['Cleared synced operations', 0]);
});
