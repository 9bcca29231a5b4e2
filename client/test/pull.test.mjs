// The pull: the cursor moves with the rows, and everything arrives once.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, error, gone, html, json, pending, settle } from './lib.mjs';

afterEach(closeAll);

const titles = async (d) => (await d.store.list('book')).map(({ title }) => title).sort();
const queries = (d) => d.server.of('/changes').map(({ query }) => query);

test('the first pull begins in 1970, the next at the cursor of the reply', async () => {
  const d = device();
  d.server.write('book', 'a', { title: 'A' });
  await d.service.sync();
  await d.service.sync();
  const [first, second] = queries(d);
  assert.deepEqual(first, { since: '1970-01-01T00:00:00Z', limit: '500' });
  assert.deepEqual(second, { cursor: new Date(d.server.stamp).toISOString(), limit: '500' });
});

test('pages are pulled until there is no more, with progress', async () => {
  const d = device();
  for (let i = 0; i < 1201; i++) d.server.write('book', `b${i}`, { title: `${i}` });
  assert.equal((await d.service.sync()).received, 1201);
  assert.deepEqual(d.told('progress').map(({ phase, done }) => [phase, done]), [['pull', 500], ['pull', 1000], ['pull', 1201]]);
  assert.equal((await titles(d)).length, 1201);
});

test('a pull that breaks off goes on where it was', async () => {
  const d = device();
  for (let i = 0; i < 700; i++) d.server.write('book', `b${i}`, { title: `${i}` });
  d.server.answers.push(() => undefined, () => html());
  await d.service.sync();
  assert.equal((await titles(d)).length, 500);
  await d.service.sync();
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

test('a row whose updatedAt is known already is skipped', async () => {
  const d = device();
  d.server.write('book', 'a', { title: 'A' });
  await d.service.sync();
  await edit(d, 'a', { title: 'B' });
  await d.service.sync();
  const news = d.told('change').filter(({ source }) => source === 'remote').length;
  d.server.answers.push(() => json(200, { success: true, changes: [d.server.rows.get('book a')], cursor: 'c', hasMore: false }));
  assert.equal((await d.service.sync()).received, 0);
  assert.equal(d.told('change').filter(({ source }) => source === 'remote').length, news);
});

test('what another device wrote in between arrives, although our own write is later', async () => {
  const d = device();
  await d.service.sync();
  d.server.write('book', 'theirs', { title: 'theirs' });
  await book(d, 'ours');
  await d.service.sync();
  assert.deepEqual(await titles(d), ['ours', 'theirs']);
});

test('the data of a result takes the place of the device\'s', async () => {
  const d = device();
  const { id } = await book(d, 'b', { title: 'mine' });
  d.server.answers.push(() => json(200, { success: true, results: [{ id, status: 'success', updatedAt: d.server.version(), data: { id: 'b', title: 'theirs', notes: 'mine' } }] }));
  d.server.answers.push(() => html());
  await d.service.sync();
  const { title, notes } = await d.store.get('book', 'b');
  assert.deepEqual([title, notes], ['theirs', 'mine']);
});

test('two edits of an entity in one request have one version, and both count', async () => {
  const d = device();
  d.server.write('book', 'b', { title: 'T' });
  await d.service.sync();
  await gone(d, 'b');
  await book(d, 'b', { title: 'again' });
  d.server.answers.push(({ body: { operations } }) => {
    const results = operations.map((op) => d.server.apply(op));
    return json(200, { success: true, results: results.map((result) => ({ ...result, updatedAt: results[1].updatedAt })) });
  });
  await d.service.sync();
  assert.equal((await d.store.get('book', 'b')).title, 'again');
});

test('what comes back after a deletion is what the server has, also what was never seen here', async () => {
  const d = device();
  d.server.write('book', 'b', { title: 'T' });
  await d.service.sync();
  const live = d.server.rows.get('book b').data;
  await gone(d, 'b');
  await d.service.sync();
  d.server.rows.set('book b', { type: 'book', data: { ...live, notes: 'unseen' } });
  await edit(d, 'b', { pageCount: 1 });
  await d.service.sync();
  const { title, notes, pageCount } = await d.store.get('book', 'b');
  assert.deepEqual([title, notes, pageCount], ['T', 'unseen', 1]);
});

test('what is incomplete on the server is shown nowhere, until the rest arrives', async () => {
  const d = device();
  const { id } = await edit(d, 'b', { notes: 'n' });
  d.server.answers.push(() => json(200, { success: true, results: [{ id, status: 'success', updatedAt: d.server.version(), incomplete: true }] }));
  await d.service.sync();
  assert.deepEqual(await titles(d), []);
  d.server.write('book', 'b', { title: 'T', notes: 'n' });
  await d.service.sync();
  assert.deepEqual(await titles(d), ['T']);
});

test('a result that says deleted removes the row', async () => {
  const d = device();
  const { id } = await book(d, 'b');
  d.server.answers.push(() => json(200, { success: true, results: [{ id, status: 'success', updatedAt: d.server.version(), deleted: true, data: { id: 'b' } }] }));
  await d.service.sync();
  assert.deepEqual(await titles(d), []);
});

test('a repeat\'s stored result that is older than what is known changes nothing', async () => {
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

test('410: everything is pulled anew, what the pull did not hold goes, queued edits stay', async () => {
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

test('410: what is unsent is sent first', async () => {
  const d = device();
  await d.service.sync();
  await book(d, 'b');
  d.server.answers.push(() => undefined, () => error(410, 'RESYNC_REQUIRED'));
  await d.service.sync();
  assert.deepEqual(d.server.requests.map(({ path }) => path), ['/changes', '/operations', '/changes', '/changes']);
  assert.deepEqual(await titles(d), ['b']);
});

test('410 after the server went back to a backup: its older versions are believed', async () => {
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

test('a resync that breaks off goes on after a reload, and removes nothing before its end', async () => {
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

test('a 410 to a first pull is an error, not a loop', async () => {
  const d = device();
  d.server.always = () => error(410, 'RESYNC_REQUIRED');
  assert.equal((await d.service.sync()).error.code, 'RESYNC_REQUIRED');
  assert.equal(d.server.requests.length, 1);
});

test('selective sync: only the kinds asked for, with a cursor of their own', async () => {
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

test('a wider selection learns of what was deleted before it began', async () => {
  const d = device({ entities: ['book'] });
  d.server.write('book', 'b', { title: 'T' });
  await d.service.sync();
  await d.service.close();
  d.server.remove('book', 'b');
  const all = device({ server: d.server, database: d.database });
  await all.service.sync();
  assert.deepEqual(await titles(all), []);
});

test('apply hears every change once, results and removals too', async () => {
  const heard = [];
  const d = device({ apply: async (changes) => void (await settle(), heard.push(...changes)) });
  d.server.write('book', 'a', { title: 'A' });
  await book(d, 'b');
  await d.service.sync();
  d.server.remove('book', 'a');
  await d.service.sync();
  assert.deepEqual(heard.map(({ type, deleted, data }) => [type, !!deleted, data.id]), [['book', false, 'b'], ['book', false, 'a'], ['book', false, 'b'], ['book', true, 'a']]);
});

test('apply that fails is asked again with the same page, and nothing counts as pulled', async () => {
  let calls = 0;
  const d = device({ apply: () => (calls++ ? undefined : Promise.reject(new Error('disk full'))) });
  d.server.write('book', 'a', { title: 'A' });
  assert.match((await d.service.sync()).error.message, /disk full/);
  assert.deepEqual(await titles(d), []);
  await d.service.sync();
  assert.deepEqual([calls, await titles(d)], [2, ['A']]);
});

test('a deletion and a later edit: what was there comes back', async () => {
  const d = device();
  d.server.write('book', 'b', { title: 'T', notes: 'n' });
  await d.service.sync();
  await gone(d, 'b');
  assert.equal(await d.store.get('book', 'b'), undefined);
  await book(d, 'b', { title: 'again' });
  const { title, notes } = await d.store.get('book', 'b');
  assert.deepEqual([title, notes], ['again', 'n']);
});
