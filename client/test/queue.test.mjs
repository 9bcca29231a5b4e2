// The queue: what a person did is kept, in order, and leaves only by the server's word.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, error, gone, html, json, makeClock, pending, sent, Server } from './lib.mjs';

afterEach(closeAll);

test('an operation is durable when queueOperation resolves: another tab has it', async () => {
  const d = device();
  await book(d, 'b1');
  await d.service.close();
  const [op] = await pending(device({ database: d.database }));
  assert.deepEqual([op.type, op.entity, op.entityId, op.data, op.synced], ['create', 'book', 'b1', { title: 'b1' }, false]);
});

test('operations go in their order, in batches of ten, with deviceId, id and timestamp', async () => {
  const d = device(), ids = [];
  for (let i = 0; i < 23; i++) ids.push((await book(d, `b${i}`)).id);
  const result = await d.service.sync();
  assert.deepEqual([result.ok, result.sent], [true, 23]);
  assert.deepEqual(sent(d.server), [ids.slice(0, 10), ids.slice(10, 20), ids.slice(20)]);
  const { body, headers } = d.server.of('/operations')[0];
  assert.match(body.deviceId, /^[0-9a-f-]{32,36}$/);
  assert.match(body.operations[0].timestamp, /^2024-01-15T10:30:00\.\d{3}Z$/);
  assert.equal(headers.Authorization, 'Bearer token');
  assert.deepEqual(await pending(d), []);
});

test('timestamps strictly increase, also when the clock jumps back, across tabs and reloads', async () => {
  const server = new Server(), clock = makeClock(), a = device({ server, clock });
  const b = device({ server, clock, database: a.database });
  const ops = [await book(a, '1'), await book(b, '2')];
  clock.jump(-86_400_000);
  ops.push(await book(a, '3'), await book(b, '4'));
  await a.service.close();
  ops.push(await book(device({ server, clock, database: a.database }), '5'));
  ops.push(...(await Promise.all(['6', '7', '8'].map((id) => book(b, id)))));
  const times = ops.map(({ timestamp }) => timestamp);
  assert.deepEqual([...new Set(times)].sort(), times);
});

test('the device id is made once and kept', async () => {
  const a = device();
  await book(a, '1');
  await a.service.sync();
  await a.service.close();
  const b = device({ server: a.server, database: a.database });
  await book(b, '2');
  await b.service.sync();
  const [one, two] = a.server.of('/operations').map(({ body }) => body.deviceId);
  assert.equal(one, two);
  const c = device({ deviceId: 'kitchen' });
  await book(c, '1');
  await c.service.sync();
  assert.equal(c.server.of('/operations')[0].body.deviceId, 'kitchen');
});

// What waits after the edits, as [type, data].
const coalesced = [
  ['create and update are one create', ['create', { a: 1 }], ['update', { b: 2 }], [['create', { a: 1, b: 2 }]]],
  ['updates merge member by member, lists whole', ['update', { o: { x: 1 }, l: [1, 2] }], ['update', { o: { y: 2 }, l: [3] }], [['update', { o: { x: 1, y: 2 }, l: [3] }]]],
  ['null is a value', ['update', { a: 1 }], ['update', { a: null }], [['update', { a: null }]]],
  ['update and delete are one delete', ['update', { a: 1 }], ['delete'], [['delete', undefined]]],
  ['create and delete are one delete', ['create', { a: 1 }], ['delete'], [['delete', undefined]]],
  ['delete and create stay two', ['delete'], ['create', { a: 1 }], [['delete', undefined], ['create', { a: 1 }]]],
  ['an object over a scalar that waits stays two: it would hide what it replaces', ['update', { a: 1 }], ['update', { a: { x: 1 } }], [['update', { a: 1 }], ['update', { a: { x: 1 } }]]],
];
for (const [name, first, second, expected] of coalesced)
  test(`coalescing: ${name}`, async () => {
    const d = device();
    for (const [type, data] of [first, second]) await d.service.queueOperation('book', 'b', type, data);
    assert.deepEqual((await pending(d)).map(({ type, data }) => [type, data]), expected);
  });

test('a coalesced operation has the timestamp of the last edit and keeps its id and place', async () => {
  const d = device();
  const first = await book(d, 'a');
  await book(d, 'b');
  d.clock.jump(5000);
  const again = await edit(d, 'a', { notes: 'n' });
  assert.equal(again.id, first.id);
  assert.equal(Date.parse(again.timestamp), Date.parse(first.timestamp) + 5000);
  assert.deepEqual((await pending(d)).map(({ entityId }) => entityId), ['a', 'b']);
});

test('an edit never joins one that is in flight', async () => {
  const d = device();
  await book(d, 'b');
  d.server.answers.push(async () => void (await edit(d, 'b', { notes: 'typed meanwhile' })));
  await d.service.sync();
  assert.deepEqual(d.server.of('/operations').map(({ body }) => body.operations.map(({ data }) => data)), [[{ title: 'b' }], [{ notes: 'typed meanwhile' }]]);
});

test('an edit never joins one that was attempted', async () => {
  const d = device();
  const first = await book(d, 'b');
  d.server.answers.push(() => Promise.reject(new TypeError('fetch failed')));
  await d.service.sync();
  await edit(d, 'b', { notes: 'n' });
  const ops = await pending(d);
  assert.deepEqual(ops.map(({ data }) => data), [{ title: 'b' }, { notes: 'n' }]);
  assert.equal(ops[0].id, first.id);
});

test('an edit of what a pull has changed meanwhile does not join one made on the version before', async () => {
  const d = device();
  d.server.write('book', 'b', { title: 'T' });
  await d.service.sync();
  await edit(d, 'b', { a: 1 });
  d.server.write('book', 'b', { title: 'U' });
  d.server.answers.push(() => error(500, 'SYNC_FAILED'));
  await d.service.sync();
  await edit(d, 'b', { b: 1 });
  const [one, two] = await pending(d);
  assert.ok(one.baseVersion < two.baseVersion);
});

test('baseVersion is the updatedAt of what the edit was made on, and absent where nothing is known', async () => {
  const d = device();
  d.server.write('book', 'b', { title: 'T' });
  await d.service.sync();
  assert.equal((await edit(d, 'b', { notes: 'n' })).baseVersion, d.server.rows.get('book b').data.updatedAt);
  assert.equal((await edit(d, 'unknown', { notes: 'n' })).baseVersion, undefined);
});

test('settings are one entity, whatever id the app gives', async () => {
  const d = device();
  await d.service.queueOperation('userSettings', 'mine', 'update', { theme: 'dark' });
  await d.service.queueOperation('userSettings', 'other', 'update', { dateFormat: 'iso' });
  assert.deepEqual((await pending(d)).map(({ entityId, data }) => [entityId, data]), [['settings', { theme: 'dark', dateFormat: 'iso' }]]);
  assert.equal((await d.store.get('userSettings', 'whatever')).theme, 'dark');
});

const refused = [
  ['an unknown kind', ['author', 'a', 'create', {}], /entity: must be one of book,/],
  ['an unknown type', ['book', 'a', 'upsert', {}], /type: must be one of create,/],
  ['no id', ['book', '', 'create', {}], /entityId: must be 1 to 255/],
  ['a long id', ['book', 'x'.repeat(256), 'create', {}], /entityId: must be 1 to 255/],
  ['no data', ['book', 'a', 'update'], /data: must be an object/],
  ['a list for data', ['book', 'a', 'create', []], /data: must be an object/],
  ['what is not JSON', ['book', 'a', 'create', { n: 1n }], /BigInt/],
];
for (const [name, edit, message] of refused)
  test(`refused at once, and not queued: ${name}`, async () => {
    const d = device();
    await assert.rejects(d.service.queueOperation(...edit), message);
    assert.deepEqual(await pending(d), []);
  });

test('what is queued is what JSON says: dates are text, undefined is absent', async () => {
  const d = device();
  await book(d, 'b', { title: 'T', addedAt: new Date(0), notes: undefined });
  assert.deepEqual((await pending(d))[0].data, { title: 'T', addedAt: '1970-01-01T00:00:00.000Z' });
});

test('a member named __proto__ is a member like any other', async () => {
  const d = device();
  await book(d, 'b', JSON.parse('{"title":"T","o":{"__proto__":{"x":1}}}'));
  await edit(d, 'b', JSON.parse('{"o":{"__proto__":{"y":2}}}'));
  assert.equal(JSON.stringify((await pending(d))[0].data), '{"title":"T","o":{"__proto__":{"x":1,"y":2}}}');
});

// Answers that are none: nothing is lost, nothing is counted, and we are offline.
const lost = [
  ['a page of the hotel network with status 200', () => html()],
  ['a reply that breaks off', () => new Response('{"success":true,"results":[{"id":"', { status: 200 })],
  ['JSON of somebody else', () => json(200, { ok: true })],
  ['no results', () => json(200, { success: true })],
  ['no network', () => Promise.reject(new TypeError('fetch failed'))],
  ['a foreign 403', () => html(403)],
];
for (const [name, answer] of lost)
  test(`nothing is lost or counted: ${name}`, async () => {
    const d = device(), heard = [];
    d.service.subscribe((online) => heard.push(online));
    await book(d, 'b');
    d.server.answers.push(answer);
    const result = await d.service.sync();
    assert.deepEqual([result.ok, result.error.code], [false, 'OFFLINE']);
    assert.deepEqual((await pending(d)).map(({ attempts }) => attempts), [0]);
    if (name !== 'no results') assert.deepEqual([heard, d.service.getOnlineStatus()], [[false], false]);
    assert.equal((await d.service.sync()).ok, true);
    assert.deepEqual(await pending(d), []);
    assert.equal(d.service.getOnlineStatus(), true);
  });

test('only what the answer names by its id is removed; what it leaves out counts an attempt', async () => {
  const d = device();
  const a = await book(d, 'a');
  await book(d, 'b');
  const c = await book(d, 'c');
  d.server.answers.push(({ body }) => json(200, { success: true, results: [{ status: 'success' }, null, { id: 'foreign', status: 'success' }, d.server.apply(body.operations[1])] }));
  const result = await d.service.sync();
  assert.deepEqual([result.ok, result.sent], [false, 1]);
  assert.deepEqual((await pending(d)).map(({ id, attempts }) => [id, attempts]), [[a.id, 1], [c.id, 1]]);
});

test('results in another order are told apart by their ids', async () => {
  const d = device();
  const a = await book(d, 'a');
  await book(d, 'b');
  d.server.answers.push(({ body: { operations } }) => json(200, { success: true, results: [d.server.apply(operations[1]), { id: a.id, status: 'failed', error: 'VALIDATION_ERROR', message: 'no', retryable: false }] }));
  await d.service.sync();
  assert.deepEqual((await d.operations.getReview()).map(({ id }) => id), [a.id]);
  assert.deepEqual(await pending(d), []);
});

test('a repeat whose first answer was lost is sent under the same id, and its result settles it', async () => {
  const d = device();
  await book(d, 'b');
  d.server.answers.push(({ body }) => {
    for (const op of body.operations) d.server.apply(op);
    throw new TypeError('connection reset');
  });
  await d.service.sync();
  d.server.write('book', 'b', { notes: 'by another device' });
  await d.service.sync();
  assert.equal(new Set(sent(d.server).flat()).size, 1);
  const { id, title, notes } = await d.store.get('book', 'b');
  assert.deepEqual({ id, title, notes }, { id: 'b', title: 'b', notes: 'by another device' });
});

test('large batches are sent as gzip', async () => {
  const d = device();
  await book(d, 'b', { title: 'T', description: 'long '.repeat(4000) });
  await d.service.sync();
  assert.equal(d.server.of('/operations')[0].headers['Content-Encoding'], 'gzip');
  assert.equal(d.server.rows.get('book b').data.description.length, 20_000);
});

test('batchSize and conflictResolution are the options\'', async () => {
  const d = device({ batchSize: 2, conflictResolution: 'manual' });
  for (const id of ['a', 'b', 'c']) await book(d, id);
  await d.service.sync();
  assert.deepEqual(sent(d.server).map((ids) => ids.length), [2, 1]);
  assert.equal(d.server.of('/operations')[0].body.operations[0].conflictResolution, 'manual');
});

test('progress tells how much is sent', async () => {
  const d = device();
  for (let i = 0; i < 12; i++) await book(d, `b${i}`);
  await d.service.sync();
  assert.deepEqual(d.told('progress').filter(({ phase }) => phase === 'push').map(({ done, total }) => [done, total]), [[10, 12], [12, 12]]);
});

test('a delete of what is not on this device is sent too', async () => {
  const d = device();
  await gone(d, 'b');
  await d.service.sync();
  assert.equal(d.server.rows.get('book b').deleted, true);
});
