// The queue: operations are stored in order, and only a result of the server removes them.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import {
  book, closeAll, device, edit, error, html, json, makeClock, pending, remove, reply, sent, Server,
} from './lib.mjs';

afterEach(closeAll);

test('an operation is stored when queueOperation resolves: another tab can read it', async () => {
  const d = device();
  await book(d, 'b1');
  await d.service.close();
  const [op] = await pending(device({ database: d.database }));
  const { type, entity, entityId, data, synced } = op;
  assert.deepEqual([type, entity, entityId, data, synced], ['create', 'book', 'b1', { title: 'b1' }, false]);
});

test('operations are sent in order, in batches of ten, with deviceId, id and timestamp', async () => {
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

test('timestamps strictly increase, across tabs and reloads and when the clock is set back', async () => {
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

test('the device id is made once and stored', async () => {
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

// Name, two edits, the operations that then wait; each as [type, data].
const coalesced = [
  ['create and update are one create', ['create', { a: 1 }], ['update', { b: 2 }], [['create', { a: 1, b: 2 }]]],
  [
    'objects are merged member by member, lists are replaced',
    ['update', { o: { x: 1 }, l: [1, 2] }], ['update', { o: { y: 2 }, l: [3] }],
    [['update', { o: { x: 1, y: 2 }, l: [3] }]],
  ],
  ['null is a value', ['update', { a: 1 }], ['update', { a: null }], [['update', { a: null }]]],
  ['two deletes are one', ['delete'], ['delete'], [['delete', undefined]]],
  [
    'an update and a delete are both sent', ['update', { a: 1 }], ['delete'],
    [['update', { a: 1 }], ['delete', undefined]],
  ],
  [
    'a create and a delete are both sent', ['create', { a: 1 }], ['delete'],
    [['create', { a: 1 }], ['delete', undefined]],
  ],
  ['delete and create stay two', ['delete'], ['create', { a: 1 }], [['delete', undefined], ['create', { a: 1 }]]],
  [
    'a scalar and an object stay two: together they replace the object on the server, the object alone would be merged',
    ['update', { a: 1 }], ['update', { a: { x: 1 } }],
    [['update', { a: 1 }], ['update', { a: { x: 1 } }]],
  ],
];
for (const [name, first, second, expected] of coalesced)
  test(`coalescing: ${name}`, async () => {
    const d = device();
    for (const [type, data] of [first, second]) await d.service.queueOperation('book', 'b', type, data);
    assert.deepEqual((await pending(d)).map(({ type, data }) => [type, data]), expected);
  });

test('a coalesced operation has the timestamp of the last edit, and the id and place of the first', async () => {
  const d = device();
  const first = await book(d, 'a');
  await book(d, 'b');
  d.clock.jump(500);
  const again = await edit(d, 'a', { notes: 'n' });
  assert.equal(again.id, first.id);
  assert.equal(Date.parse(again.timestamp), Date.parse(first.timestamp) + 500);
  assert.deepEqual((await pending(d)).map(({ entityId }) => entityId), ['a', 'b']);
});

// Name, two edits that are minutes apart, whether they become one operation.
const apart = [
  ['other members stay two', { title: 'A' }, { notes: 'n' }, false],
  ['the same member is one', { title: 'A' }, { title: 'B' }, true],
  ['some of the members stay two', { title: 'A', notes: 'n' }, { title: 'B' }, false],
  ['all of the members and more are one', { title: 'A' }, { title: 'B', notes: 'n' }, true],
  ['a member of an object, then the object as a scalar, is one', { o: { x: 1 } }, { o: null }, true],
  ['an object, then another member of it, stay two', { o: { x: 1 } }, { o: { y: 1 } }, false],
  ['an object, then the same member of it, is one', { o: { x: 1 } }, { o: { x: 2 } }, true],
];
for (const [name, first, second, one] of apart)
  test(`coalescing after minutes: ${name}`, async () => {
    const d = device();
    const { timestamp } = await edit(d, 'b', first);
    d.clock.jump(300_000);
    const again = await edit(d, 'b', second);
    const waiting = await pending(d);
    assert.equal(waiting.length, one ? 1 : 2);
    assert.equal(Date.parse(again.timestamp), Date.parse(timestamp) + 300_000);
    if (!one) assert.deepEqual([waiting[0].timestamp, waiting[0].data], [timestamp, first]);
  });

test('coalescing: a group lasts a second from its first edit, however often it is continued', async () => {
  const d = device();
  for (const member of ['a', 'b', 'c', 'd']) {
    await edit(d, 'x', { [member]: 1 });
    d.clock.jump(400);
  }
  assert.deepEqual((await pending(d)).map(({ data }) => data), [{ a: 1, b: 1, c: 1 }, { d: 1 }]);
});

test('a title edited offline does not get the time of a later edit of the notes', async () => {
  const d = device();
  await edit(d, 'b', { title: 'at 10:01' });
  d.clock.jump(9 * 60_000);
  await edit(d, 'b', { notes: 'at 10:10' });
  await d.service.sync();
  const [one, two] = d.server.of('/operations')[0].body.operations;
  assert.deepEqual([one.data, two.data], [{ title: 'at 10:01' }, { notes: 'at 10:10' }]);
  assert.equal(Date.parse(two.timestamp) - Date.parse(one.timestamp), 9 * 60_000);
});

test('an edit is not coalesced with an operation that is being sent', async () => {
  const d = device();
  await book(d, 'b');
  d.server.answers.push(async () => void (await edit(d, 'b', { notes: 'typed meanwhile' })));
  await d.service.sync();
  const batches = d.server.of('/operations').map(({ body }) => body.operations.map(({ data }) => data));
  assert.deepEqual(batches, [[{ title: 'b' }], [{ notes: 'typed meanwhile' }]]);
});

test('an edit is not coalesced with an operation that was tried', async () => {
  const d = device();
  const first = await book(d, 'b');
  d.server.answers.push(() => Promise.reject(new TypeError('fetch failed')));
  await d.service.sync();
  await edit(d, 'b', { notes: 'n' });
  const ops = await pending(d);
  assert.deepEqual(ops.map(({ data }) => data), [{ title: 'b' }, { notes: 'n' }]);
  assert.equal(ops[0].id, first.id);
});

test('edits made on different versions are not coalesced', async () => {
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

test('baseVersion is the updatedAt of the entity that was edited, and absent if it is unknown', async () => {
  const d = device();
  d.server.write('book', 'b', { title: 'T' });
  await d.service.sync();
  assert.equal((await edit(d, 'b', { notes: 'n' })).baseVersion, d.server.rows.get('book b').data.updatedAt);
  assert.equal((await edit(d, 'unknown', { notes: 'n' })).baseVersion, undefined);
});

test('the settings are one entity, whatever id the app passes', async () => {
  const d = device();
  await d.service.queueOperation('userSettings', 'mine', 'update', { theme: 'dark' });
  await d.service.queueOperation('userSettings', 'other', 'update', { dateFormat: 'iso' });
  const waiting = (await pending(d)).map(({ entityId, data }) => [entityId, data]);
  assert.deepEqual(waiting, [['settings', { theme: 'dark', dateFormat: 'iso' }]]);
  assert.equal((await d.store.get('userSettings', 'whatever')).theme, 'dark');
});

const refused = [
  ['an unknown kind', ['author', 'a', 'create', {}], /entity: must be one of book,/],
  ['an unknown type', ['book', 'a', 'upsert', {}], /type: must be one of create,/],
  ['no id', ['book', '', 'create', {}], /entityId: must be 1 to 255/],
  ['a long id', ['book', 'x'.repeat(256), 'create', {}], /entityId: must be 1 to 255/],
  ['no data', ['book', 'a', 'update'], /data: must be an object/],
  ['a list for data', ['book', 'a', 'create', []], /data: must be an object/],
  ['data that is not JSON', ['book', 'a', 'create', { n: 1n }], /BigInt/],
];
for (const [name, edit, message] of refused)
  test(`rejected at once and not queued: ${name}`, async () => {
    const d = device();
    await assert.rejects(d.service.queueOperation(...edit), message);
    assert.deepEqual(await pending(d), []);
  });

test('data is queued as JSON: dates are text, undefined members are absent', async () => {
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

// Replies that are not from the server: nothing is lost, no attempt is counted, and the client is offline.
const lost = [
  ['the page of a captive portal with status 200', () => html()],
  ['a truncated reply', () => new Response('{"success":true,"results":[{"id":"', { status: 200 })],
  ['JSON of another server', () => json(200, { ok: true })],
  ['no results', () => json(200, { success: true })],
  ['no network', () => Promise.reject(new TypeError('fetch failed'))],
  ['a 403 that is not the server\'s', () => html(403)],
];
for (const [name, answer] of lost)
  test(`nothing is lost or counted: ${name}`, async () => {
    const d = device(), states = [];
    d.service.subscribe((online) => states.push(online));
    await d.service.sync(); // an address that has never answered as the API does is an error of another kind
    await book(d, 'b');
    d.server.answers.push(answer);
    const result = await d.service.sync();
    assert.deepEqual([result.ok, result.error.code], [false, 'OFFLINE']);
    assert.deepEqual((await pending(d)).map(({ attempts }) => attempts), [0]);
    if (name !== 'no results') assert.deepEqual([states, d.service.getOnlineStatus()], [[false], false]);
    assert.equal((await d.service.sync()).ok, true);
    assert.deepEqual(await pending(d), []);
    assert.equal(d.service.getOnlineStatus(), true);
  });

test('only operations with a result are removed; the others count an attempt', async () => {
  const d = device();
  const a = await book(d, 'a');
  await book(d, 'b');
  const c = await book(d, 'c');
  d.server.answers.push(({ body: { operations } }) =>
    reply([{ status: 'success' }, null, { id: 'foreign', status: 'success' }, d.server.apply(operations[1])]));
  const result = await d.service.sync();
  assert.deepEqual([result.ok, result.sent], [false, 1]);
  assert.deepEqual((await pending(d)).map(({ id, attempts }) => [id, attempts]), [[a.id, 1], [c.id, 1]]);
});

test('results in another order are matched by their ids', async () => {
  const d = device();
  const a = await book(d, 'a');
  await book(d, 'b');
  const failed = { id: a.id, status: 'failed', error: 'VALIDATION_ERROR', message: 'no', retryable: false };
  d.server.answers.push(({ body: { operations } }) => reply([d.server.apply(operations[1]), failed]));
  await d.service.sync();
  assert.deepEqual((await d.operations.getReview()).map(({ id }) => id), [a.id]);
  assert.deepEqual(await pending(d), []);
});

test('an operation whose reply was lost is repeated under the same id, and the result removes it', async () => {
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

test('the options batchSize and conflictResolution apply', async () => {
  const d = device({ batchSize: 2, conflictResolution: 'manual' });
  for (const id of ['a', 'b', 'c']) await book(d, id);
  await d.service.sync();
  assert.deepEqual(sent(d.server).map((ids) => ids.length), [2, 1]);
  assert.equal(d.server.of('/operations')[0].body.operations[0].conflictResolution, 'manual');
});

test('progress reports how many operations are sent', async () => {
  const d = device();
  for (let i = 0; i < 12; i++) await book(d, `b${i}`);
  await d.service.sync();
  const progress = d.emitted('progress').filter(({ phase }) => phase === 'push');
  assert.deepEqual(progress.map(({ done, total }) => [done, total]), [[10, 12], [12, 12]]);
});

test('progress of a long queue counts on while sending and pulling take turns', async () => {
  const d = device();
  d.server.always = ({ path }) =>
    path === '/config' ? json(200, { success: true, limits: { operations: 30 } }) : undefined;
  for (let i = 0; i < 320; i++) await book(d, `b${i}`);
  await d.service.sync();
  const progress = () => d.emitted('progress').filter(({ phase }) => phase === 'push');
  const pushed = () => progress().map(({ done, total }) => [done, total]);
  const counts = pushed().map(([done]) => done);
  assert.ok(counts.length > 5 && counts.every((done, i) => !i || done > counts[i - 1]), counts.join());
  assert.deepEqual([counts.at(-1), new Set(pushed().map(([, total]) => total))], [320, new Set([320])]);
  await book(d, 'one');
  await d.service.sync();
  assert.deepEqual(pushed().at(-1), [1, 1]);
});

test('the deletion of an entity that is not on this device is sent', async () => {
  const d = device();
  await remove(d, 'b');
  await d.service.sync();
  assert.equal(d.server.rows.get('book b').deleted, true);
});
