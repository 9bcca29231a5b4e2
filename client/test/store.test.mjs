// The store: the rows with the waiting edits applied. Status and events.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, error, remove, settle, START } from './lib.mjs';

afterEach(closeAll);

test('an edit is shown at once, before anything is sent', async () => {
  const d = device();
  await book(d, 'b', { title: 'T' });
  await edit(d, 'b', { notes: 'n' });
  assert.deepEqual(await d.store.get('book', 'b'), { title: 'T', notes: 'n', id: 'b' });
  assert.deepEqual(await d.store.list('book'), [{ title: 'T', notes: 'n', id: 'b' }]);
  assert.equal(d.server.requests.length, 0);
});

test('a waiting edit is applied to the row, and to the row after a pull', async () => {
  const d = device();
  d.server.write('book', 'b', { title: 'T', pageCount: 1 });
  await d.service.sync();
  await edit(d, 'b', { title: 'mine' });
  d.server.write('book', 'b', { pageCount: 2 });
  d.server.answers.push(() => error(500, 'SYNC_FAILED'));
  await d.service.sync();
  const { title, pageCount } = await d.store.get('book', 'b');
  assert.deepEqual([title, pageCount], ['mine', 2]);
});

test('an edit does not flicker when it is sent: it is shown between the result and the pull', async () => {
  const d = device();
  d.server.write('book', 'b', { title: 'T' });
  await d.service.sync();
  await edit(d, 'b', { title: 'U' });
  const seen = [];
  const stop = d.store.observe('book', (list) => seen.push(list[0]?.title));
  await d.service.sync();
  await settle();
  stop();
  assert.deepEqual([...new Set(seen)], ['U']);
});

test('after a create was sent, the pull adds the members that the server sets', async () => {
  const d = device();
  await book(d, 'b');
  await d.service.sync();
  const { createdAt, updatedAt } = await d.store.get('book', 'b');
  assert.ok(createdAt && updatedAt > new Date(START).toISOString());
});

test('a deleted entity is not shown', async () => {
  const d = device();
  await book(d, 'b');
  await d.service.sync();
  await remove(d, 'b');
  assert.deepEqual(await d.store.list('book'), []);
  await d.service.sync();
  assert.deepEqual(await d.store.list('book'), []);
});

test('kinds are separate; an id may be any text', async () => {
  const d = device();
  await book(d, 'x');
  await d.service.queueOperation('tag', '\u{10ffff} "quoted" 日本', 'create', { name: 'N' });
  assert.deepEqual((await d.store.list('tag')).map(({ id }) => id), ['\u{10ffff} "quoted" 日本']);
  assert.equal((await d.store.list('book')).length, 1);
});

test('observe reports the list now and after each change of its kind, until it is stopped', async () => {
  const d = device(), seen = [];
  const stop = d.store.observe('book', (list) => seen.push(list.length));
  await settle();
  await book(d, 'a');
  await settle();
  await d.service.queueOperation('tag', 't', 'create', { name: 'N' });
  await settle();
  stop();
  await book(d, 'b');
  await settle();
  assert.deepEqual(seen, [0, 1]);
});

test('observeOne reports one entity only', async () => {
  const d = device(), seen = [];
  d.store.observeOne('book', 'a', (data) => seen.push(data?.title));
  await settle();
  await book(d, 'b');
  await book(d, 'a');
  await settle();
  assert.deepEqual(seen, [undefined, 'a']);
});

test('getStatus returns the waiting operations, whether the server is reachable, and the last sync', async () => {
  const d = device();
  assert.deepEqual(await d.service.getStatus(), {
    status: 'ready', isOnline: true, lastSync: null, pendingOperations: 0, review: 0, conflicts: 0,
  });
  await book(d, 'b');
  assert.equal((await d.service.getStatus()).pendingOperations, 1);
  await d.service.sync();
  const { lastSync, pendingOperations } = await d.service.getStatus();
  assert.deepEqual([lastSync, pendingOperations], [new Date(START).toISOString(), 0]);
  d.server.always = () => Promise.reject(new TypeError('fetch failed'));
  await d.service.sync();
  assert.equal((await d.service.getStatus()).status, 'offline');
});

test('status events report each state, including syncing', async () => {
  const d = device();
  await book(d, 'b');
  await settle();
  await d.service.sync();
  await settle();
  const states = d.emitted('status').map(({ status, pendingOperations }) => `${status} ${pendingOperations}`);
  assert.ok(states.includes('ready 1') && states.includes('syncing 1'), states.join());
  assert.equal(states.at(-1), 'ready 0');
});

test('an exception in a listener stops neither the other listeners nor the sync', async (t) => {
  const d = device(), received = [];
  const silent = t.mock.method(console, 'error', () => {});
  d.service.on('progress', () => { throw new Error('bug'); });
  d.service.on('progress', (event) => received.push(event));
  await book(d, 'b');
  assert.equal((await d.service.sync()).ok, true);
  assert.ok(received.length > 0 && silent.mock.callCount() > 0);
});

test('clear deletes the data of the user but keeps the device id', async () => {
  const d = device();
  await book(d, 'b');
  await d.service.sync();
  const seen = [];
  d.store.observe('book', (list) => seen.push(list.length));
  await settle();
  await d.service.clear();
  await settle();
  assert.deepEqual(seen, [1, 0]);
  await d.service.sync();
  await book(d, 'c');
  await d.service.sync();
  assert.ok(d.server.of('/changes').at(-2).query.since, 'pulls from the beginning');
  const [one, two] = d.server.of('/operations').map(({ body }) => body.deviceId);
  assert.equal(one, two);
});
