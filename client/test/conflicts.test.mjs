// Conflicts: stored, reported, and decided by a person or the app. The full sync.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { SyncError } from '../dist/index.js';
import { book, closeAll, device, edit, error, json, pending, reply, settle, until } from './lib.mjs';

afterEach(closeAll);

const conflict = {
  id: '1705314600001-0', reason: 'stale', entity: 'book', entityId: 'b',
  localData: { title: 'mine' }, localTimestamp: '2024-01-15T10:30:00.000Z',
  serverData: { title: 'theirs' }, serverTimestamp: '2024-01-15T10:31:00.000Z',
};

/** A device with an unsent edit of book b, to which the server will answer with the conflict and `result`. */
async function conflicting(result, options) {
  const d = device(options);
  d.server.write('book', 'b', { title: 'theirs' });
  await d.service.sync();
  const { id } = await edit(d, 'b', { title: 'mine' });
  d.server.answers.push(() => reply([{ id, conflict, ...result }]));
  return d;
}
const open = { status: 'conflict', error: 'CONFLICT_DETECTED', message: 'a person must decide', retryable: false };

test('an open conflict leaves the queue, is stored with both sides and emitted', async () => {
  const d = await conflicting(open);
  await d.service.sync();
  assert.deepEqual(await pending(d), []);
  const [kept] = await d.operations.getConflicts();
  assert.deepEqual([kept.status, kept.localData.title, kept.serverData.title], ['open', 'mine', 'theirs']);
  assert.ok(kept.localTimestamp instanceof Date && kept.serverTimestamp > kept.localTimestamp);
  assert.equal(d.emitted('conflict')[0].id, conflict.id);
  assert.equal((await d.store.get('book', 'b')).title, 'theirs');
  assert.equal((await d.service.getStatus()).conflicts, 1);
});

test('a conflict that the server resolved is stored as resolved', async () => {
  const d = await conflicting({
    status: 'success', resolution: 'server', updatedAt: '2024-01-15T11:00:00.000Z', data: { id: 'b', title: 'theirs' },
  });
  await d.service.sync();
  const [kept] = await d.operations.getConflicts();
  assert.deepEqual([kept.status, kept.resolution], ['resolved', 'server']);
  assert.equal((await d.service.getStatus()).conflicts, 0);
});

test('a decision is sent to the server, and its effect is pulled', async () => {
  const d = await conflicting(open);
  await d.service.sync();
  const resolved = { ...conflict, status: 'resolved', resolution: 'merged' };
  d.server.answers.push(() => json(200, { success: true, conflict: resolved }));
  await d.operations.resolveConflict(conflict.id, 'merge', { title: 'both' });
  const { path, body } = d.server.requests.find((request) => request.path.startsWith('/conflicts'));
  assert.equal(path, `/conflicts/${conflict.id}/resolve`);
  assert.deepEqual([body.resolution, body.mergedData, typeof body.deviceId], ['merge', { title: 'both' }, 'string']);
  const stored = (await d.operations.getConflicts()).map(({ status, resolution }) => [status, resolution]);
  assert.deepEqual(stored, [['resolved', 'merged']]);
  await until('the pull', () => d.server.requests.at(-1).path === '/changes');
});

test('a decision on an entity that has changed since is rejected, and the conflict stays open', async () => {
  const d = await conflicting(open);
  await d.service.sync();
  d.server.answers.push(() => error(409, 'CONFLICT_DETECTED'));
  await assert.rejects(d.operations.resolveConflict(conflict.id, 'keep_local'), { code: 'CONFLICT_DETECTED' });
  assert.equal((await d.operations.getConflicts())[0].status, 'open');
  const resolved = { ...conflict, status: 'resolved', resolution: 'client' };
  d.server.answers.push(() => json(200, { success: true, conflict: resolved }));
  await d.operations.resolveConflict(conflict.id, 'keep_local', undefined, '2024-01-15T10:30:00.000Z');
  const decisions = d.server.requests.filter(({ path }) => path.startsWith('/conflicts'));
  assert.deepEqual(decisions.map(({ body }) => body.baseVersion), [undefined, '2024-01-15T10:30:00.000Z']);
});

test('a conflict that the server no longer has is removed', async () => {
  const d = await conflicting(open);
  await d.service.sync();
  d.server.answers.push(() => error(404, 'NOT_FOUND'));
  const failed = d.operations.resolveConflict(conflict.id, 'keep_local');
  await assert.rejects(failed, { code: 'NOT_FOUND' });
  await assert.rejects(failed, SyncError); // the class that apps import
  assert.deepEqual(await d.operations.getConflicts(), []);
});

test('resolveConflict of the app decides open conflicts within the round', async () => {
  const asked = [];
  const resolveConflict = async ({ reason }) => (asked.push(reason), { resolution: 'keep_local' });
  const d = await conflicting(open, { resolveConflict });
  d.server.answers.push(() => json(200, { success: true, conflict: { resolution: 'client' } }));
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual(asked, ['stale']);
  const paths = d.server.requests.slice(-3).map(({ path }) => path);
  assert.deepEqual(paths, ['/operations', `/conflicts/${conflict.id}/resolve`, '/changes']);
  assert.equal((await d.service.getStatus()).conflicts, 0);
});

test('a conflict stays open if resolveConflict of the app returns nothing or throws', async () => {
  for (const resolveConflict of [() => undefined, () => { throw new Error('bug'); }]) {
    const d = await conflicting(open, { resolveConflict });
    assert.equal((await d.service.sync()).ok, true);
    assert.equal((await d.service.getStatus()).conflicts, 1);
  }
});

test('fetchConflicts returns the open conflicts of all devices', async () => {
  const d = await conflicting(open);
  await d.service.sync();
  const other = { ...conflict, id: '2-0', status: 'open', resolution: null };
  d.server.answers.push(() => json(200, { success: true, conflicts: [other] }));
  assert.deepEqual((await d.operations.fetchConflicts()).map(({ id }) => id), ['2-0']);
  assert.deepEqual(d.server.requests.at(-1).query, { status: 'open', limit: '1000' });
});

test('an open conflict that was settled elsewhere is no longer open after the next round', async () => {
  const d = await conflicting(open);
  await d.service.sync();
  const asked = () => d.server.of('/conflicts').map(({ query }) => query.status);
  d.server.always = ({ path }) => (path === '/conflicts' ? json(200, { success: true, conflicts: [] }) : undefined);
  d.server.write('book', 'other', { title: 'Flights' });
  await d.service.sync();
  assert.deepEqual([asked(), (await d.service.getStatus()).conflicts], [[], 1]);
  d.server.write('book', 'b', { title: 'decided on another device' });
  d.server.always = ({ path }) => (path === '/conflicts' ? error(500, 'SYNC_FAILED') : undefined);
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual([asked(), (await d.service.getStatus()).conflicts], [['open'], 1]);
  d.server.requests = [];
  d.server.always = ({ path }) => (path === '/conflicts' ? json(200, { success: true, conflicts: [] }) : undefined);
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual([asked(), (await d.service.getStatus()).conflicts], [['open'], 0]);
  assert.equal(d.emitted('status').at(-1).conflicts, 0);
  d.server.write('book', 'b', { title: 'edited later' });
  await d.service.sync();
  assert.deepEqual(asked(), ['open'], 'it is asked once');
});

test('a conflict of one name is settled by an edit of either entity', async () => {
  for (const [id, edited] of [['b', 'c'], ['c', 'b']]) {
    const same = { ...conflict, reason: 'same_name', entity: 'tag', entityId: id, otherId: edited, status: 'open' };
    const d = device();
    d.server.answers.push(() => json(200, { success: true, conflicts: [same] }));
    await d.operations.fetchConflicts();
    d.server.always = ({ path }) => (path === '/conflicts' ? json(200, { success: true, conflicts: [] }) : undefined);
    await d.service.queueOperation('tag', edited, 'delete');
    await d.service.sync();
    assert.equal((await d.service.getStatus()).conflicts, 0);
    await d.service.close();
  }
});

test('fetchConflicts({ settled: true }) returns the latest resolved conflicts, too', async () => {
  const d = device();
  const settled = { ...conflict, id: '3-0', status: 'resolved', resolution: 'client', deviceId: 'other' };
  d.server.answers.push(() => json(200, { success: true, conflicts: [settled] }));
  assert.deepEqual((await d.operations.fetchConflicts({ settled: true })).map(({ id }) => id), ['3-0']);
  assert.deepEqual(d.server.requests.at(-1).query, { limit: '1000' });
});

test('the device whose edit lost against a later edit of another device is told', async () => {
  const d = device();
  await book(d, 'b', { title: 'mine' });
  await d.service.sync();
  d.server.write('book', 'b', { title: 'theirs' });
  const createdAt = d.server.rows.get('book b').data.updatedAt;
  const lost = {
    ...conflict, id: '4-0', reason: 'base', status: 'resolved', resolution: 'client', deviceId: 'other', createdAt,
    localData: { title: 'theirs' }, serverData: { title: 'mine' },
  };
  const unrelated = { ...lost, id: '5-0', entityId: 'c' };
  const old = { ...lost, id: '6-0', createdAt: '2020-01-01T00:00:00Z' };
  d.server.always = ({ path }) =>
    path === '/conflicts' ? json(200, { success: true, conflicts: [lost, unrelated, old] }) : undefined;
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual(d.emitted('conflict').map(({ id }) => id), ['4-0']);
  const [{ localData, serverData }] = await d.operations.getConflicts();
  assert.deepEqual([localData.title, serverData.title], ['theirs', 'mine']);
  d.server.requests = [];
  d.server.write('book', 'b', { title: 'again' });
  await d.service.sync();
  assert.deepEqual(d.server.of('/conflicts'), [], 'it is asked once');
});

test('the last 100 resolved conflicts are kept, and all open ones', async () => {
  const d = device({ batchSize: 200 });
  for (let i = 0; i < 150; i++) await book(d, `b${i}`);
  d.server.answers.push(({ body }) => reply(body.operations.map(({ id }, i) => ({
    id, status: 'success', ...(i && { resolution: 'merged' }), conflict: { ...conflict, id: `${1000 + i}-0` },
    updatedAt: d.server.version(),
  }))));
  await d.service.sync();
  const kept = await d.operations.getConflicts();
  assert.deepEqual([kept.length, kept[0].id, kept[0].status, kept[1].id], [101, '1000-0', 'open', '1050-0']);
});

// Full sync

/** The requests in words; ` all` means a pull from the beginning. */
const requests = (d) =>
  d.server.requests.map(({ method, path, query }) => `${method} ${path}${query.since ? ' all' : ''}`);

test('fullSync sends the queue, then pulls everything from the beginning', async () => {
  const d = device();
  d.server.write('book', 'kept', { title: 'K' });
  d.server.write('book', 'ghost', { title: 'G' });
  await d.service.sync();
  d.server.rows.delete('book ghost');
  await book(d, 'mine');
  d.server.requests = [];
  assert.equal((await d.service.fullSync()).ok, true);
  assert.deepEqual(requests(d), ['POST /operations', 'GET /changes all']);
  assert.deepEqual((await d.store.list('book')).map(({ id }) => id).sort(), ['kept', 'mine']);
});

test('fullSync offline leaves the queue and the store as they are', async () => {
  const d = device();
  d.server.write('book', 'a', { title: 'A' });
  await d.service.sync();
  await edit(d, 'a', { notes: 'n' });
  d.server.always = () => Promise.reject(new TypeError('fetch failed'));
  assert.equal((await d.service.fullSync()).error.code, 'OFFLINE');
  assert.deepEqual([(await pending(d)).length, (await d.store.get('book', 'a')).notes], [1, 'n']);
});

test('upload local: the store is uploaded as a merge, with entities that the server has lost', async () => {
  const d = device();
  d.server.write('book', 'a', { title: 'A' });
  await d.service.queueOperation('userSettings', 'settings', 'update', { theme: 'dark' });
  await d.service.sync();
  d.server.rows.clear();
  d.server.requests = [];
  let library;
  d.server.always = ({ path, body }) => {
    if (path !== '/full') return;
    library = body;
    d.server.write('book', 'a', { title: 'A' });
  };
  assert.equal((await d.service.fullSync({ upload: 'local' })).ok, true);
  assert.deepEqual(requests(d), ['POST /full', 'GET /changes all']);
  const { mode, books, settings, tags } = library;
  assert.deepEqual([mode, books.map(({ id }) => id), settings.theme, tags], ['merge', ['a'], 'dark', undefined]);
  assert.equal((await d.store.list('book')).length, 1);
});

test('a large library is uploaded in several merges, and an invalid item has its path in the whole', async () => {
  const d = device(), books = Array.from({ length: 40 }, (_, i) => ({ id: `b${i}`, title: 'x'.repeat(100_000) }));
  const library = { books, tags: [{ id: 't', name: 'N' }], settings: { theme: 'dark' } };
  assert.equal((await d.service.fullSync({ upload: library })).ok, true);
  const parts = d.server.of('/full').map(({ body }) => body);
  assert.ok(parts.length > 1 && parts.every((part) => JSON.stringify(part).length < 4_100_000));
  assert.deepEqual(parts.flatMap((part) => part.books ?? []).map(({ id }) => id), books.map(({ id }) => id));
  assert.deepEqual([parts.at(-1).tags, parts.at(-1).settings], [library.tags, library.settings]);
  d.server.always = ({ path, body }) =>
    path === '/full' && body.books.some(({ id }) => id === 'b39')
      ? json(400, {
        success: false, error: 'VALIDATION_ERROR', message: 'm',
        details: [{ path: `books[${body.books.length - 1}].title`, message: 'm' }],
      })
      : undefined;
  const { error: problem } = await d.service.fullSync({ upload: { books } });
  assert.equal(problem.details[0].path, 'books[39].title');
});

test('an upload that the server finds too large is split', async () => {
  const d = device(), books = Array.from({ length: 8 }, (_, i) => ({ id: `b${i}`, title: 'T' }));
  d.server.always = ({ path, body }) =>
    path === '/full' && body.books.length > 3 ? error(413, 'PAYLOAD_TOO_LARGE') : undefined;
  assert.equal((await d.service.fullSync({ upload: { books } })).ok, true);
  assert.deepEqual(d.server.of('/full').map(({ body }) => body.books.length), [8, 4, 2, 2, 4, 2, 2]);
});

test('upload replace: sends the library with the cursor of a pull, and returns the snapshot', async () => {
  const d = device();
  d.server.write('book', 'a', { title: 'A' });
  d.server.answers.push(() => undefined, () => json(200, { success: true, snapshot: 'snap-1' }));
  const result = await d.service.fullSync({ upload: { books: [{ id: 'z', title: 'Z' }] }, mode: 'replace' });
  assert.equal(result.snapshot, 'snap-1');
  const { headers, body } = d.server.of('/full')[0];
  assert.equal(headers['If-Match'], `"${new Date(d.server.stamp).toISOString()}"`);
  assert.deepEqual(body, { books: [{ id: 'z', title: 'Z' }], mode: 'replace' });
});

test('upload replace is rejected if another device has written since', async () => {
  const d = device();
  d.server.answers.push(() => undefined, () => error(409, 'CONFLICT_DETECTED'));
  assert.equal((await d.service.fullSync({ upload: { books: [] }, mode: 'replace' })).error.code, 'CONFLICT_DETECTED');
});

test('the local store never replaces the library on the server', async () => {
  const d = device();
  const { ok, error } = await d.service.fullSync({ upload: 'local', mode: 'replace' });
  assert.deepEqual([ok, error.code], [false, 'TypeError']);
  assert.equal(d.server.requests.length, 0);
});

test('an upload does not start while queued edits cannot be sent', async () => {
  const d = device();
  await book(d, 'b');
  d.server.answers.push(() => error(500, 'SYNC_FAILED'));
  assert.equal((await d.service.fullSync({ upload: 'local' })).ok, false);
  assert.equal(d.server.of('/full').length, 0);
});

test('an upload starts only after the whole queue was sent, also if that takes many requests', async () => {
  const d = device();
  for (let i = 0; i < 40; i++) await book(d, `b${i}`);
  d.server.always = ({ path, body }) =>
    path === '/operations' && body.operations.length > 4 ? error(413, 'PAYLOAD_TOO_LARGE') : undefined;
  assert.equal((await d.service.fullSync({ upload: { tags: [{ id: 't', name: 'N' }] } })).ok, true);
  const paths = d.server.requests.map(({ path }) => path);
  assert.ok(paths.indexOf('/full') > paths.lastIndexOf('/operations'), paths.join());
});

test('the error of an invalid library lists the invalid items', async () => {
  const d = device(), details = [{ path: 'tags[1].name', message: 'is required' }];
  d.server.answers.push(() => json(400, { success: false, error: 'VALIDATION_ERROR', message: 'm', details }));
  const { error: problem } = await d.service.fullSync({ upload: { tags: [{}] } });
  assert.deepEqual(problem.details, details);
  await settle();
});
