// Several people use one browser: the database belongs to the user of the token.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, error, jwt, pending, Server, settle, until } from './lib.mjs';

afterEach(closeAll);

/** A server for each user, chosen by the token. */
function servers() {
  const each = { alice: new Server(), bob: new Server() };
  const fetch = (url, init) => {
    const [, claims] = init.headers.Authorization.split('.');
    return each[JSON.parse(atob(claims)).userId].fetch(url, init);
  };
  return { each, fetch };
}

for (const [kind, token] of [['text', jwt('bob')], ['function', async () => jwt('bob')]])
  test(`the library of one person is neither shown to nor edited by the next (token: ${kind})`, async () => {
    const a = device({ token: jwt('alice') });
    await book(a, 'secret');
    await a.service.sync();
    await a.service.close();
    const b = device({ server: a.server, database: a.database, token });
    await assert.rejects(book(b, 'b'), { code: 'USER_CHANGED' });
    await assert.rejects(b.store.list('book'), { code: 'USER_CHANGED' });
    await assert.rejects(b.store.get('book', 'secret'), { code: 'USER_CHANGED' });
    const seen = [];
    b.store.observe('book', (list) => seen.push(list));
    await settle();
    assert.deepEqual([seen, await pending(b)], [[], []]);
    await b.service.clear();
    await book(b, 'b');
    assert.deepEqual((await b.store.list('book')).map(({ id }) => id), ['b']);
  });

test('the database belongs to the user from the first edit, before anything was sent', async () => {
  const a = device({ token: async () => jwt('alice') });
  await book(a, 'a');
  await a.service.close();
  const b = device({ server: a.server, database: a.database, token: async () => jwt('bob') });
  await assert.rejects(book(b, 'b'), { code: 'USER_CHANGED' });
  assert.equal((await b.service.sync()).error.code, 'USER_CHANGED');
  assert.equal(a.server.requests.length, 0);
});

test('a token function that does not answer does not keep an edit from being stored', async () => {
  const d = device({ token: () => new Promise(() => {}) });
  const queued = book(d, 'a');
  await settle();
  await d.clock.advance(1100);
  await queued;
  await book(d, 'b');
  assert.equal((await pending(d)).length, 2);
});

test('switchUser: the second person gets a library of their own; observers and monitoring go on', async () => {
  const { each, fetch } = servers(), [home, work] = [randomUUID(), randomUUID()];
  const d = device({ fetch, database: home, token: jwt('alice') });
  const seen = [];
  d.store.observe('book', (list) => seen.push(list.map(({ id }) => id).join()));
  d.service.startMonitoring();
  await book(d, 'of-alice');
  await d.clock.advance(1000);
  assert.equal(each.alice.rows.size, 1);
  await d.service.switchUser({ token: jwt('bob'), database: work });
  await until('the observer sees an empty library', () => seen.at(-1) === '');
  await book(d, 'of-bob');
  await d.clock.advance(1000);
  await until('it is sent', () => each.bob.rows.size === 1);
  assert.deepEqual([...each.bob.rows.keys()], ['book of-bob']);
  assert.equal(each.alice.rows.size, 1);
  await until('it is observed', () => seen.at(-1) === 'of-bob');
  await settle();
  await d.service.switchUser({ token: jwt('alice'), database: home });
  assert.deepEqual((await d.store.list('book')).map(({ id }) => id), ['of-alice']);
  await d.service.close();
});

test('switchUser without another database fails, and shows nothing of the first person', async () => {
  const { each, fetch } = servers();
  const d = device({ fetch, token: jwt('alice') });
  await book(d, 'of-alice');
  await d.service.sync();
  await assert.rejects(d.service.switchUser({ token: jwt('bob') }), { code: 'USER_CHANGED' });
  await assert.rejects(book(d, 'of-bob'), { code: 'USER_CHANGED' });
  await d.service.clear();
  await book(d, 'of-bob');
  await d.service.sync();
  assert.deepEqual([[...each.alice.rows.keys()], [...each.bob.rows.keys()]], [['book of-alice'], ['book of-bob']]);
});

test('sign-out, and another person signs in: observers and hooks continue', async () => {
  const { each, fetch } = servers(), seen = [];
  const d = device({ fetch, token: jwt('alice') });
  d.store.observe('book', (list) => seen.push(list.map(({ id }) => id).join()));
  d.service.startMonitoring();
  await settle();
  d.service.stopMonitoring();
  await book(d, 'of-alice');
  await assert.rejects(d.service.clear(), { code: 'UNSENT' });
  await d.service.clear({ force: true });
  await until('the list is empty', () => seen.at(-1) === '');
  await d.service.switchUser({ token: jwt('bob'), database: randomUUID() });
  d.service.startMonitoring();
  await book(d, 'of-bob');
  await d.clock.advance(1000);
  await until('it is sent', () => each.bob.rows.size === 1);
  await until('it is observed', () => seen.at(-1) === 'of-bob');
  assert.equal(each.alice.rows.size, 0);
});

test('configure works again after close', async () => {
  const { each, fetch } = servers();
  const d = device({ fetch, token: jwt('alice') });
  await book(d, 'a');
  assert.throws(() => d.service.configure({ token: jwt('bob') }), /in use already/);
  await d.service.close();
  d.service.configure({ token: jwt('bob'), database: randomUUID() });
  await book(d, 'b');
  await d.service.sync();
  assert.deepEqual([...each.bob.rows.keys()], ['book b']);
});

test('clear ends the stream of the user, and the next user gets one of their own', async () => {
  let token = jwt('alice');
  const open = new Set(), d = device({ token: () => token, realtime: true });
  d.server.always = ({ path, headers, signal }) => {
    if (path !== '/events') return undefined;
    const { Authorization } = headers;
    open.add(Authorization);
    signal.addEventListener('abort', () => open.delete(Authorization));
    return new Response(new ReadableStream({}), { headers: { 'Content-Type': 'text/event-stream' } });
  };
  d.service.startMonitoring();
  await until('a stream', () => open.size);
  await settle();
  token = jwt('bob');
  await d.service.clear();
  await until('the stream of the other', () => open.has(`Bearer ${jwt('bob')}`));
  assert.deepEqual([...open], [`Bearer ${jwt('bob')}`]);
});

test('a cloned device notices that its ids are in use, and takes a new id', async () => {
  const d = device();
  const { id } = await book(d, 'a');
  const device1 = id.split(':')[0];
  d.server.answers.push(({ body }) => new Response(JSON.stringify({
    success: true,
    results: body.operations.map((op) =>
      ({ id: op.id, status: 'failed', error: 'OPERATION_ID_REUSED', message: 'm', retryable: false })),
  })));
  assert.equal((await d.service.sync()).ok, true);
  const [first, second] = d.server.of('/operations').map(({ body }) => body);
  assert.equal(first.deviceId, device1);
  assert.notEqual(second.deviceId, device1);
  assert.ok(second.operations[0].id.startsWith(second.deviceId));
  assert.deepEqual([await pending(d), await d.operations.getReview(), d.server.rows.size], [[], [], 1]);
  assert.ok((await edit(d, 'a', { notes: 'n' })).id.startsWith(second.deviceId));
});

test('an id that is refused again goes to the review list', async () => {
  const d = device();
  await book(d, 'a');
  d.server.always = ({ path, body }) => path === '/operations' ? new Response(JSON.stringify({
    success: true,
    results: body.operations.map((op) =>
      ({ id: op.id, status: 'failed', error: 'OPERATION_ID_REUSED', message: 'm', retryable: false })),
  })) : undefined;
  await d.service.sync();
  assert.equal(d.server.of('/operations').length, 2);
  assert.equal((await d.operations.getReview())[0].error, 'OPERATION_ID_REUSED');
});

test('ids of operations fit, also with a long id of the device', async () => {
  const d = device({ deviceId: 'x'.repeat(255) });
  assert.ok((await book(d, 'a')).id.length <= 128);
});

/** The disk is full: IndexedDB refuses every write until this is undone. */
function fillDisk(t) {
  const { put } = IDBObjectStore.prototype;
  const free = () => (IDBObjectStore.prototype.put = put);
  IDBObjectStore.prototype.put = () => {
    throw new DOMException('no space', 'QuotaExceededError');
  };
  t.after(free);
  return free;
}

test('a full disk: what was queued before is still sent, once; the error says that the disk is full', async (t) => {
  const d = device();
  await d.service.sync();
  for (const id of ['a', 'b']) await book(d, id);
  const free = fillDisk(t);
  await assert.rejects(book(d, 'c'), { code: 'DISK_FULL' });
  assert.equal((await d.service.sync()).error.code, 'DISK_FULL');
  assert.deepEqual([...d.server.rows.keys()], ['book a', 'book b']);
  await d.service.sync();
  assert.equal(d.server.of('/operations').length, 1, 'what was answered is not sent again');
  free();
  await edit(d, 'a', { notes: 'n' });
  assert.equal((await d.service.sync()).ok, true);
  assert.equal(d.server.rows.get('book a').data.notes, 'n');
});

test('a full disk: an operation that was sent does not change any more', async (t) => {
  const d = device();
  await d.service.sync();
  const { id } = await book(d, 'a');
  const free = fillDisk(t);
  d.server.answers.push(() => Promise.reject(new TypeError('fetch failed')));
  await d.service.sync();
  free();
  assert.notEqual((await edit(d, 'a', { notes: 'n' })).id, id);
});

for (const [given, url] of [
  ['https://sync.test/api/sync/', 'https://sync.test/api/sync/changes'],
  ['https://sync.test/api/sync///', 'https://sync.test/api/sync/changes'],
])
  test(`baseUrl ${given} is normalized`, async () => {
    const urls = [], server = new Server();
    const fetch = (url, init) => (urls.push(url.replace(/\?.*/, '')), server.fetch(url, init));
    const d = device({ baseUrl: given, fetch });
    assert.equal((await d.service.sync()).ok, true);
    assert.deepEqual(urls, [url]);
  });

for (const status of [200, 404])
  test(`an address that answers ${status} with HTML is not the API, and the error says so`, async () => {
    const d = device();
    d.server.always = () => new Response('<html>', { status, headers: { 'Content-Type': 'text/html; charset=utf-8' } });
    await book(d, 'b');
    const { error: problem } = await d.service.sync();
    assert.equal(problem.code, 'NOT_THE_API');
    assert.match(problem.message, /https:\/\/sync\.test\/api\/sync\/operations answers with \d+ text\/html/);
    assert.equal((await pending(d))[0].attempts, 0);
  });

test('an address that was the API before, and now answers with HTML, is behind a captive portal', async () => {
  const d = device();
  await d.service.sync();
  d.server.always = () => new Response('<html>', { headers: { 'Content-Type': 'text/html' } });
  assert.equal((await d.service.sync()).error.code, 'OFFLINE');
  d.server.always = () => error(503, 'SYNC_FAILED');
  assert.equal((await d.service.sync()).error.code, 'SYNC_FAILED');
});
