// Conflicts are kept and told; a person or the app's resolver decides. And the full sync.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, error, json, pending, settle, until } from './lib.mjs';

afterEach(closeAll);

const conflict = { id: '1705314600001-0', reason: 'stale', entity: 'book', entityId: 'b', localData: { title: 'mine' }, serverData: { title: 'theirs' }, localTimestamp: '2024-01-15T10:30:00.000Z', serverTimestamp: '2024-01-15T10:31:00.000Z' };

/** A device whose edit of book b meets the conflict. */
async function met(result, options) {
  const d = device(options);
  d.server.write('book', 'b', { title: 'theirs' });
  await d.service.sync();
  const { id } = await edit(d, 'b', { title: 'mine' });
  d.server.answers.push(() => json(200, { success: true, results: [{ id, conflict, ...result }] }));
  return d;
}
const open = { status: 'conflict', error: 'CONFLICT_DETECTED', message: 'a person must decide', retryable: false };

test('a conflict that a person must decide: out of the queue, kept with both sides, told', async () => {
  const d = await met(open);
  await d.service.sync();
  assert.deepEqual(await pending(d), []);
  const [kept] = await d.operations.getConflicts();
  assert.deepEqual([kept.status, kept.localData.title, kept.serverData.title], ['open', 'mine', 'theirs']);
  assert.ok(kept.localTimestamp instanceof Date && kept.serverTimestamp > kept.localTimestamp);
  assert.equal(d.told('conflict')[0].id, conflict.id);
  assert.equal((await d.store.get('book', 'b')).title, 'theirs');
  assert.equal((await d.service.getStatus()).conflicts, 1);
});

test('a conflict that the rules have settled is kept too, and needs nobody', async () => {
  const d = await met({ status: 'success', resolution: 'server', updatedAt: '2024-01-15T11:00:00.000Z', data: { id: 'b', title: 'theirs' } });
  await d.service.sync();
  const [kept] = await d.operations.getConflicts();
  assert.deepEqual([kept.status, kept.resolution], ['resolved', 'server']);
  assert.equal((await d.service.getStatus()).conflicts, 0);
});

test('a decision goes to the server, and the news is pulled', async () => {
  const d = await met(open);
  await d.service.sync();
  d.server.answers.push(() => json(200, { success: true, conflict: { ...conflict, status: 'resolved', resolution: 'merged' } }));
  await d.operations.resolveConflict(conflict.id, 'merge', { title: 'both' });
  const { path, body } = d.server.requests.find((request) => request.path.startsWith('/conflicts'));
  assert.equal(path, `/conflicts/${conflict.id}/resolve`);
  assert.deepEqual([body.resolution, body.mergedData, typeof body.deviceId], ['merge', { title: 'both' }, 'string']);
  assert.deepEqual((await d.operations.getConflicts()).map(({ status, resolution }) => [status, resolution]), [['resolved', 'merged']]);
  await until('the pull', () => d.server.requests.at(-1).path === '/changes');
});

test('a decision about what has moved on is refused, and the conflict stays', async () => {
  const d = await met(open);
  await d.service.sync();
  d.server.answers.push(() => error(409, 'CONFLICT_DETECTED'));
  await assert.rejects(d.operations.resolveConflict(conflict.id, 'keep_local'), { code: 'CONFLICT_DETECTED' });
  assert.equal((await d.operations.getConflicts())[0].status, 'open');
  d.server.answers.push(() => json(200, { success: true, conflict: { ...conflict, status: 'resolved', resolution: 'client' } }));
  await d.operations.resolveConflict(conflict.id, 'keep_local', undefined, '2024-01-15T10:30:00.000Z');
  const asked = d.server.requests.filter((request) => request.path.startsWith('/conflicts')).map((request) => request.body.baseVersion);
  assert.deepEqual(asked, [undefined, '2024-01-15T10:30:00.000Z']);
});

test('a conflict that the server no longer knows is forgotten', async () => {
  const d = await met(open);
  await d.service.sync();
  d.server.answers.push(() => error(404, 'NOT_FOUND'));
  await assert.rejects(d.operations.resolveConflict(conflict.id, 'keep_local'), { code: 'NOT_FOUND' });
  assert.deepEqual(await d.operations.getConflicts(), []);
});

test('the resolver decides open conflicts within the round', async () => {
  const asked = [];
  const d = await met(open, { resolveConflict: async (it) => (asked.push(it.reason), { resolution: 'keep_local' }) });
  d.server.answers.push(() => json(200, { success: true, conflict: { resolution: 'client' } }));
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual(asked, ['stale']);
  assert.deepEqual(d.server.requests.slice(-3).map(({ path }) => path), ['/operations', `/conflicts/${conflict.id}/resolve`, '/changes']);
  assert.equal((await d.service.getStatus()).conflicts, 0);
});

test('a resolver that leaves it to a person, or throws, loses nothing', async () => {
  for (const resolveConflict of [() => undefined, () => { throw new Error('bug'); }]) {
    const d = await met(open, { resolveConflict });
    assert.equal((await d.service.sync()).ok, true);
    assert.equal((await d.service.getStatus()).conflicts, 1);
  }
});

test('fetchConflicts knows the open ones of all devices', async () => {
  const d = await met(open);
  await d.service.sync();
  d.server.answers.push(() => json(200, { success: true, conflicts: [{ ...conflict, id: '2-0', status: 'open', resolution: null }] }));
  assert.deepEqual((await d.operations.fetchConflicts()).map(({ id }) => id), ['2-0']);
  assert.deepEqual(d.server.requests.at(-1).query, { status: 'open', limit: '1000' });
});

test('of settled conflicts the last hundred are kept, of open ones all', async () => {
  const d = device({ batchSize: 200 });
  for (let i = 0; i < 150; i++) await book(d, `b${i}`);
  d.server.answers.push(({ body }) => json(200, { success: true, results: body.operations.map(({ id }, i) => ({ id, status: 'success', ...(i && { resolution: 'merged' }), conflict: { ...conflict, id: `${1000 + i}-0` }, updatedAt: d.server.version() })) }));
  await d.service.sync();
  const kept = await d.operations.getConflicts();
  assert.deepEqual([kept.length, kept[0].id, kept[0].status, kept[1].id], [101, '1000-0', 'open', '1050-0']);
});

// Full sync

const requests = (d) => d.server.requests.map(({ method, path, query }) => `${method} ${path}${query.since ? ' all' : ''}`);

test('fullSync sends what is queued, then pulls everything anew', async () => {
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

test('fullSync offline loses nothing: the queue stays and so does the store', async () => {
  const d = device();
  d.server.write('book', 'a', { title: 'A' });
  await d.service.sync();
  await edit(d, 'a', { notes: 'n' });
  d.server.always = () => Promise.reject(new TypeError('fetch failed'));
  assert.equal((await d.service.fullSync()).error.code, 'OFFLINE');
  assert.deepEqual([(await pending(d)).length, (await d.store.get('book', 'a')).notes], [1, 'n']);
});

test('upload local: the store goes to the server as a merge, which deletes nothing, also what the server has lost', async () => {
  const d = device();
  d.server.write('book', 'a', { title: 'A' });
  await d.service.queueOperation('userSettings', 'settings', 'update', { theme: 'dark' });
  await d.service.sync();
  d.server.rows.clear();
  d.server.requests = [];
  let library;
  d.server.always = ({ path, body }) => void (path === '/full' && ((library = body), d.server.write('book', 'a', { title: 'A' })));
  assert.equal((await d.service.fullSync({ upload: 'local' })).ok, true);
  assert.deepEqual(requests(d), ['POST /full', 'GET /changes all']);
  assert.deepEqual([library.mode, library.books.map(({ id }) => id), library.settings.theme, library.tags], ['merge', ['a'], 'dark', undefined]);
  assert.equal((await d.store.list('book')).length, 1);
});

test('upload replace: a given library, against the cursor of a pull, and the snapshot is told', async () => {
  const d = device();
  d.server.write('book', 'a', { title: 'A' });
  d.server.answers.push(() => undefined, () => json(200, { success: true, snapshot: 'snap-1' }));
  const result = await d.service.fullSync({ upload: { books: [{ id: 'z', title: 'Z' }] }, mode: 'replace' });
  assert.equal(result.snapshot, 'snap-1');
  const { headers, body } = d.server.of('/full')[0];
  assert.equal(headers['If-Match'], `"${new Date(d.server.stamp).toISOString()}"`);
  assert.deepEqual(body, { books: [{ id: 'z', title: 'Z' }] });
});

test('upload replace is refused when another device has written since', async () => {
  const d = device();
  d.server.answers.push(() => undefined, () => error(409, 'CONFLICT_DETECTED'));
  assert.equal((await d.service.fullSync({ upload: { books: [] }, mode: 'replace' })).error.code, 'CONFLICT_DETECTED');
});

test('the local store never replaces what the server has', async () => {
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

test('an invalid library is told item by item', async () => {
  const d = device();
  d.server.answers.push(() => json(400, { success: false, error: 'VALIDATION_ERROR', message: 'm', details: [{ path: 'tags[1].name', message: 'is required' }] }));
  const { error: problem } = await d.service.fullSync({ upload: { tags: [{}] } });
  assert.deepEqual(problem.details, [{ path: 'tags[1].name', message: 'is required' }]);
  await settle();
});
