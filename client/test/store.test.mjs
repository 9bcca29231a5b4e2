// The store: the server's rows with the queued edits laid over them; and what the app is told.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, error, gone, settle, START } from './lib.mjs';

afterEach(closeAll);

test('an edit is seen at once, before anything is sent', async () => {
  const d = device();
  await book(d, 'b', { title: 'T' });
  await edit(d, 'b', { notes: 'n' });
  assert.deepEqual(await d.store.get('book', 'b'), { title: 'T', notes: 'n', id: 'b' });
  assert.deepEqual(await d.store.list('book'), [{ title: 'T', notes: 'n', id: 'b' }]);
  assert.equal(d.server.requests.length, 0);
});

test('the edit lies over the server\'s row, and over what a pull makes of it', async () => {
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

test('an edit does not flicker when it is sent: between the result and the pull it is still there', async () => {
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

test('after a create was sent, the pull brings what the server adds', async () => {
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
  await gone(d, 'b');
  assert.deepEqual(await d.store.list('book'), []);
  await d.service.sync();
  assert.deepEqual(await d.store.list('book'), []);
});

test('kinds do not mix, ids may be any text', async () => {
  const d = device();
  await book(d, 'x');
  await d.service.queueOperation('tag', '\u{10ffff} "quoted" 日本', 'create', { name: 'N' });
  assert.deepEqual((await d.store.list('tag')).map(({ id }) => id), ['\u{10ffff} "quoted" 日本']);
  assert.equal((await d.store.list('book')).length, 1);
});

test('observe tells the list now and after each change of its kind, until it is stopped', async () => {
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

test('observeOne tells of one entity only', async () => {
  const d = device(), seen = [];
  d.store.observeOne('book', 'a', (data) => seen.push(data?.title));
  await settle();
  await book(d, 'b');
  await book(d, 'a');
  await settle();
  assert.deepEqual(seen, [undefined, 'a']);
});

test('status: what waits, whether online, when last in step', async () => {
  const d = device();
  assert.deepEqual(await d.service.getStatus(), { status: 'ready', isOnline: true, lastSync: null, pendingOperations: 0, review: 0, conflicts: 0 });
  await book(d, 'b');
  assert.equal((await d.service.getStatus()).pendingOperations, 1);
  await d.service.sync();
  const { lastSync, pendingOperations } = await d.service.getStatus();
  assert.deepEqual([lastSync, pendingOperations], [new Date(START).toISOString(), 0]);
  d.server.always = () => Promise.reject(new TypeError('fetch failed'));
  await d.service.sync();
  assert.equal((await d.service.getStatus()).status, 'offline');
});

test('status events follow, syncing among them', async () => {
  const d = device();
  await book(d, 'b');
  await d.service.sync();
  await settle();
  const states = d.told('status').map(({ status, pendingOperations }) => `${status} ${pendingOperations}`);
  assert.ok(states.includes('ready 1') && states.includes('syncing 1'), states.join());
  assert.equal(states.at(-1), 'ready 0');
});

test('a listener that throws stops neither the others nor the sync', async (t) => {
  const d = device(), heard = [];
  const silent = t.mock.method(console, 'error', () => {});
  d.service.on('progress', () => { throw new Error('bug'); });
  d.service.on('progress', (event) => heard.push(event));
  await book(d, 'b');
  assert.equal((await d.service.sync()).ok, true);
  assert.ok(heard.length > 0 && silent.mock.callCount() > 0);
});

test('clear forgets what is known of a user, not the device', async () => {
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
