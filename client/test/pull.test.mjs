// The pull: cursor and rows are written together, and every change arrives once.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import {
  book, closeAll, device, edit, error, html, json, pending, remove, reply, settle, START,
} from './lib.mjs';

afterEach(closeAll);

const titles = async (d) => (await d.store.list('book')).map(({ title }) => title).sort();
const queries = (d) => d.server.of('/changes').map(({ query }) => query);

test('the first pull starts in 1970, the next one at the cursor of the reply', async () => {
  const d = device();
  d.server.write('book', 'a', { title: 'A' });
  await d.service.sync();
  await d.service.sync();
  const [first, second] = queries(d);
  const common = { limit: '500', times: 'true', count: 'true' };
  assert.deepEqual(first, { since: '1970-01-01T00:00:00Z', initial: 'true', maxBytes: '1000000', ...common });
  const cursor = new Date(d.server.stamp).toISOString();
  assert.deepEqual(second, { cursor, maxBytes: '2000000', delta: 'true', ...common });
});

/** The reply to a pull: a patch of the book a. */
const patched = (d, patch) => () => {
  const cursor = d.server.version();
  return json(200, {
    success: true, changes: [{ type: 'book', patch, data: { id: 'a', updatedAt: cursor } }], cursor, hasMore: false,
  });
};

test('a patch is laid over the row; the app gets the whole entity', async () => {
  const changes = [], d = device({ apply: (list) => void changes.push(...list) });
  d.server.write('book', 'a', { title: 'A', size: { height: 20, width: 12 }, authors: ['X', 'Y'] });
  await d.service.sync();
  d.server.answers.push(patched(d, { size: { width: 13 }, authors: ['Z'], notes: null }));
  assert.equal((await d.service.sync()).received, 1);
  const book = await d.store.get('book', 'a');
  const { createdAt, updatedAt, ...data } = book;
  assert.deepEqual(data, { id: 'a', title: 'A', size: { height: 20, width: 13 }, authors: ['Z'], notes: null });
  assert.deepEqual([createdAt, updatedAt], [new Date(START).toISOString(), new Date(d.server.stamp).toISOString()]);
  assert.deepEqual(changes[1], { type: 'book', data: book });
});

// What this device may hold of the entity of a patch, without its being what the server had.
const inexact = {
  nothing: async () => {},
  'a deletion': async (d) => {
    d.server.write('book', 'a', { title: 'A' });
    await d.service.sync();
    d.server.remove('book', 'a');
    await d.service.sync();
  },
  'an edit of which the result does not tell the content': async (d) => {
    await book(d, 'a', { title: 'mine' });
    d.server.answers.push(undefined, () => error(503, 'SYNC_FAILED')); // sent, but not pulled
    await d.service.sync();
  },
};
for (const [what, begin] of Object.entries(inexact))
  test(`a patch for an entity of which the device holds ${what}: the rest of the pull comes whole`, async () => {
    const d = device();
    await d.service.sync();
    await begin(d);
    d.server.write('book', 'a', { title: 'A', notes: 'n' });
    d.server.requests = [];
    d.server.answers.push(patched(d, { notes: 'n' }));
    assert.equal((await d.service.sync()).ok, true);
    const { title, notes } = await d.store.get('book', 'a');
    assert.deepEqual([title, notes], ['A', 'n']);
    const [first, second] = queries(d);
    assert.deepEqual([first.delta, second.delta, second.cursor], ['true', undefined, first.cursor]);
    await d.service.sync();
    assert.equal(queries(d).at(-1).delta, 'true', 'only that pull');
  });

test('all pages are pulled, with progress', async () => {
  const d = device();
  for (let i = 0; i < 1201; i++) d.server.write('book', `b${i}`, { title: `${i}` });
  assert.equal((await d.service.sync()).received, 1201);
  const progress = d.emitted('progress').map(({ phase, done, total }) => [phase, done, total]);
  assert.deepEqual(progress, [['pull', 500, 1201], ['pull', 1000, 1201], ['pull', 1201, 1201]]);
  assert.deepEqual(queries(d).map(({ count }) => count), ['true', undefined, undefined]);
  assert.equal((await titles(d)).length, 1201);
});

test('an interrupted pull continues where it stopped', async () => {
  const d = device();
  for (let i = 0; i < 700; i++) d.server.write('book', `b${i}`, { title: `${i}` });
  d.server.answers.push(() => undefined, () => html());
  await d.service.sync();
  assert.equal((await titles(d)).length, 500);
  await d.service.sync();
  assert.deepEqual(d.emitted('progress').map(({ done, total }) => [done, total]), [[500, 700], [700, 700]]);
  assert.equal((await titles(d)).length, 700);
  assert.ok(queries(d)[2].cursor);
});

test('a tombstone removes the row', async () => {
  const d = device();
  d.server.write('book', 'a', { title: 'A' });
  await d.service.sync();
  d.server.remove('book', 'a');
  await d.service.sync();
  assert.deepEqual(await titles(d), []);
  assert.equal(await d.store.get('book', 'a'), undefined);
});

test('a change whose version is already stored is skipped', async () => {
  const d = device();
  d.server.write('book', 'a', { title: 'A' });
  await d.service.sync();
  await edit(d, 'a', { title: 'B' });
  await d.service.sync();
  const remoteChanges = () => d.emitted('change').filter(({ source }) => source === 'remote').length;
  const before = remoteChanges();
  const changes = [d.server.rows.get('book a')];
  d.server.answers.push(() => json(200, { success: true, changes, cursor: 'c', hasMore: false }));
  assert.equal((await d.service.sync()).received, 0);
  assert.equal(remoteChanges(), before);
});

test('the write of another device arrives, although our own later write is already stored', async () => {
  const d = device();
  await d.service.sync();
  d.server.write('book', 'theirs', { title: 'theirs' });
  await book(d, 'ours');
  await d.service.sync();
  assert.deepEqual(await titles(d), ['ours', 'theirs']);
});

test('the data of a result replaces the data on the device', async () => {
  const d = device();
  const { id } = await book(d, 'b', { title: 'mine' });
  const data = { id: 'b', title: 'theirs', notes: 'mine' };
  d.server.answers.push(() => reply([{ id, status: 'success', updatedAt: d.server.version(), data }]));
  d.server.answers.push(() => html());
  await d.service.sync();
  const { title, notes } = await d.store.get('book', 'b');
  assert.deepEqual([title, notes], ['theirs', 'mine']);
});

test('two results for an entity in one reply have the same version, and both are applied', async () => {
  const d = device();
  d.server.write('book', 'b', { title: 'T' });
  await d.service.sync();
  await remove(d, 'b');
  await book(d, 'b', { title: 'again' });
  d.server.answers.push(({ body: { operations } }) => {
    const results = operations.map((op) => d.server.apply(op));
    return reply(results.map((result) => ({ ...result, updatedAt: results[1].updatedAt })));
  });
  await d.service.sync();
  assert.equal((await d.store.get('book', 'b')).title, 'again');
});

test('an entity that is restored after a deletion is what the server has, with members not seen before', async () => {
  const d = device();
  d.server.write('book', 'b', { title: 'T' });
  await d.service.sync();
  const live = d.server.rows.get('book b').data;
  await remove(d, 'b');
  await d.service.sync();
  d.server.rows.set('book b', { type: 'book', data: { ...live, notes: 'unseen' } });
  await edit(d, 'b', { pageCount: 1 });
  await d.service.sync();
  const { title, notes, pageCount } = await d.store.get('book', 'b');
  assert.deepEqual([title, notes, pageCount], ['T', 'unseen', 1]);
});

test('an entity that is incomplete on the server is not shown until the rest arrives', async () => {
  const d = device();
  const { id } = await edit(d, 'b', { notes: 'n' });
  d.server.answers.push(() => reply([{ id, status: 'success', updatedAt: d.server.version(), incomplete: true }]));
  await d.service.sync();
  assert.deepEqual(await titles(d), []);
  d.server.write('book', 'b', { title: 'T', notes: 'n' });
  await d.service.sync();
  assert.deepEqual(await titles(d), ['T']);
});

test('a result with `deleted` removes the row', async () => {
  const d = device();
  const { id } = await book(d, 'b');
  const result = { id, status: 'success', deleted: true, data: { id: 'b' } };
  d.server.answers.push(() => reply([{ ...result, updatedAt: d.server.version() }]));
  await d.service.sync();
  assert.deepEqual(await titles(d), []);
});

test('the result of a repeated operation changes nothing if the stored row is later', async () => {
  const d = device();
  await edit(d, 'b', { notes: 'n' });
  d.server.answers.push(({ body }) => {
    d.server.apply(body.operations[0]);
    d.server.write('book', 'b', { title: 'T', notes: 'later' });
    return html(500);
  });
  await d.service.sync(); // the pull brings the later state
  await d.service.sync();
  assert.equal((await d.store.get('book', 'b')).notes, 'later');
});

test('a result without data completes the row only if the row is at the baseVersion of the operation', async () => {
  const d = device({ batchSize: 1 });
  d.server.write('book', 'b', { title: 'T' });
  await d.service.sync();
  const one = await edit(d, 'b', { genre: 'g' });
  d.clock.jump(30_000);
  const two = await edit(d, 'b', { language: 'l' });
  const [first, second] = [d.server.version(), d.server.version()];
  const data = { id: 'b', title: 'T', genre: 'g', notes: 'of another device' };
  d.server.answers.push(
    () => reply([{ id: one.id, status: 'success', updatedAt: first, data }]),
    () => reply([{ id: two.id, status: 'success', updatedAt: second }]),
    () => html());
  await d.service.sync();
  const { updatedAt, notes } = await d.store.get('book', 'b');
  assert.deepEqual([updatedAt, notes], [undefined, 'of another device'], 'the next pull replaces it');
});

test('`current` of a repeated operation takes the place of its data, unless a later version is held', async () => {
  const d = device();
  const { id } = await book(d, 'b', { title: 'mine' });
  const [first, second] = [d.server.version(), d.server.version()];
  const stored = { id, status: 'success', updatedAt: first, duplicate: true, data: { id: 'b', title: 'mine' } };
  const current = { updatedAt: second, data: { id: 'b', title: 'theirs' } };
  d.server.answers.push(() => reply([{ ...stored, current }]), () => html());
  await d.service.sync();
  const { title, updatedAt } = await d.store.get('book', 'b');
  assert.deepEqual([title, updatedAt], ['theirs', second]);
  const again = await edit(d, 'b', { notes: 'n' });
  d.server.answers.push(
    () => reply([{ ...stored, id: again.id, current: { updatedAt: first, data: { id: 'b', title: 'old' } } }]),
    () => html());
  await d.service.sync();
  assert.equal((await d.store.get('book', 'b')).title, 'theirs');
});

for (const current of [{ deleted: true }, { incomplete: true, updatedAt: '2030-01-01T00:00:00.000Z' }])
  test(`\`current\` hides an entity that is ${Object.keys(current)[0]}`, async () => {
    const d = device();
    const { id } = await book(d, 'b');
    const stored = { id, status: 'success', updatedAt: d.server.version(), duplicate: true };
    d.server.answers.push(() => reply([{ ...stored, current }]), () => html());
    await d.service.sync();
    assert.equal(await d.store.get('book', 'b'), undefined);
  });

test('410: everything is pulled again, rows that the pull does not have are removed, queued edits stay', async () => {
  const d = device();
  for (const id of ['kept', 'lost']) d.server.write('book', id, { title: id });
  await d.service.sync();
  d.server.rows.delete('book lost');
  await edit(d, 'kept', { notes: 'queued' });
  d.server.answers.push(() => error(500, 'SYNC_FAILED'), () => error(410, 'RESYNC_REQUIRED'));
  await d.service.sync();
  assert.deepEqual(await titles(d), ['kept']);
  assert.equal((await d.store.get('book', 'kept')).notes, 'queued');
  assert.equal((await pending(d)).length, 1);
  assert.deepEqual(queries(d).map(({ since }) => !!since), [true, false, true]);
});

test('410: unsent operations are sent first', async () => {
  const d = device();
  await d.service.sync();
  await book(d, 'b');
  d.server.answers.push(() => undefined, () => error(410, 'RESYNC_REQUIRED'));
  await d.service.sync();
  assert.deepEqual(d.server.requests.map(({ path }) => path), ['/changes', '/operations', '/changes', '/changes']);
  assert.deepEqual(await titles(d), ['b']);
});

test('410 after the server was restored from a backup: its older versions replace the stored ones', async () => {
  const d = device();
  d.server.write('book', 'b', { title: 'old' });
  const backup = d.server.rows.get('book b');
  d.server.write('book', 'b', { title: 'new' });
  await d.service.sync();
  d.server.rows.set('book b', backup);
  d.server.answers.push(() => error(410, 'RESYNC_REQUIRED'));
  await d.service.sync();
  assert.deepEqual(await titles(d), ['old']);
});

test('an interrupted resync continues after a reload, and removes nothing before its end', async () => {
  const d = device();
  for (let i = 0; i < 600; i++) d.server.write('book', `b${i}`, { title: `${i}` });
  d.server.write('book', 'lost', { title: 'lost' });
  await d.service.sync();
  d.server.rows.delete('book lost');
  d.server.answers.push(() => error(410, 'RESYNC_REQUIRED'), () => undefined, () => html());
  await d.service.sync();
  assert.equal((await titles(d)).length, 601);
  await d.service.close();
  const e = device({ server: d.server, database: d.database });
  await e.service.sync();
  assert.equal((await titles(e)).length, 600);
  assert.equal(queries(d).filter(({ since }) => since).length, 2);
});

test('a 410 to a first pull is an error and is not repeated', async () => {
  const d = device();
  d.server.always = () => error(410, 'RESYNC_REQUIRED');
  assert.equal((await d.service.sync()).error.code, 'RESYNC_REQUIRED');
  assert.equal(d.server.requests.length, 1);
});

test('selective sync pulls only the selected kinds, with their own cursor', async () => {
  const d = device({ entities: ['rating', 'book'] });
  d.server.write('book', 'b', { title: 'T' });
  d.server.write('tag', 't', { name: 'N' });
  await d.service.sync();
  assert.equal(queries(d)[0].entities, 'book,rating');
  assert.deepEqual([(await d.store.list('book')).length, (await d.store.list('tag')).length], [1, 0]);
  await d.service.close();
  const all = device({ server: d.server, database: d.database });
  await all.service.sync();
  assert.ok(queries(d)[1].since);
  assert.equal((await all.store.list('tag')).length, 1);
});

test('a wider selection removes what was deleted before it was made', async () => {
  const d = device({ entities: ['book'] });
  d.server.write('book', 'b', { title: 'T' });
  await d.service.sync();
  await d.service.close();
  d.server.remove('book', 'b');
  const all = device({ server: d.server, database: d.database });
  await all.service.sync();
  assert.deepEqual(await titles(all), []);
});

test('apply receives every change once, with results and removals', async () => {
  const received = [];
  const apply = async (changes) => {
    await settle();
    received.push(...changes);
  };
  const d = device({ apply });
  d.server.write('book', 'a', { title: 'A' });
  await book(d, 'b');
  await d.service.sync();
  d.server.remove('book', 'a');
  await d.service.sync();
  assert.deepEqual(
    received.map(({ type, deleted, data }) => [type, !!deleted, data.id]),
    [['book', false, 'b'], ['book', false, 'a'], ['book', false, 'b'], ['book', true, 'a']],
  );
});

test('if apply fails, the page does not count as pulled and apply is called with it again', async () => {
  let calls = 0;
  const d = device({ apply: () => (calls++ ? undefined : Promise.reject(new Error('disk full'))) });
  d.server.write('book', 'a', { title: 'A' });
  assert.match((await d.service.sync()).error.message, /disk full/);
  assert.deepEqual(await titles(d), []);
  await d.service.sync();
  assert.deepEqual([calls, await titles(d)], [2, ['A']]);
});

test('an edit after a deletion restores the other members', async () => {
  const d = device();
  d.server.write('book', 'b', { title: 'T', notes: 'n' });
  await d.service.sync();
  await remove(d, 'b');
  assert.equal(await d.store.get('book', 'b'), undefined);
  await book(d, 'b', { title: 'again' });
  const { title, notes } = await d.store.get('book', 'b');
  assert.deepEqual([title, notes], ['again', 'n']);
});
