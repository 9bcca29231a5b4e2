// A library of 10,000 books in a browser: what observers are told, and how long it takes. The times are printed only.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Owner, syntheticBooks } from '../http/owner.mjs';
import { Device, openProfile, serverBooks, until } from './browser.mjs';

const COUNT = 10_000;
const QUERY = { where: { needsSync: true, title: { words: 'winter' } }, orderBy: [{ publishedYear: 'desc' }, 'title'] };

const ms = (times) => times.map((time) => `${Math.round(time)}`).join(', ');
const id = (n) => `import_${n}`;

test('10,000 books: what an edit changes reaches the observers, alone', async (t) => {
  const owner = new Owner(), context = await openProfile();
  await owner.replace({ books: syntheticBooks(COUNT, 400) });
  const first = await Device.open(owner, { context });
  await first.synced();
  await first.page.close();

  const tab = await Device.open(owner, { context }), other = await Device.open(owner, { context });
  const start = await tab.run(() => new Promise((resolve) => {
    const begin = performance.now();
    window.seen = [];
    sync.store.observe('book', (list) => {
      seen.push(list);
      window.told?.();
      resolve(performance.now() - begin);
    });
  }));
  t.diagnostic(`from the disk to the first call of an observer: ${ms([start])} ms`);
  assert.equal(await tab.run(() => seen[0].length), COUNT);

  const query = await tab.run((query) => new Promise((resolve) => {
    const begin = performance.now();
    window.found = [];
    sync.store.query('book', query).observe((results) => {
      found.push(results);
      resolve(performance.now() - begin);
    });
  }), QUERY);
  const matches = await tab.run(() => found[0].length);
  t.diagnostic(`a query by words, sorted by two members: ${ms([query])} ms, ${matches} results`);
  assert.ok(matches > 0);

  await tab.monitor();
  await tab.synced();
  await tab.run(() => (seen = [seen.at(-1)]));
  const one = await tab.run(async (id) => {
    const times = [];
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const begin = performance.now(), told = new Promise((resolve) => (window.told = resolve));
      await sync.queueOperation('book', id, 'update', { notes: `edit ${i}` });
      const stored = performance.now() - begin;
      await told;
      times.push([stored, performance.now() - begin]);
    }
    return times;
  }, id(77));
  const by = (column) => one.map((times) => times[column]).sort((a, b) => a - b);
  t.diagnostic(`20 single edits until stored: ${ms(by(0))} ms`);
  t.diagnostic(`20 single edits until observed: ${ms(by(1))} ms`);
  const replaced = await tab.run(() => seen.slice(1).map((list, i) => {
    const ids = list.filter((book, at) => book !== seen[i][at]).map((book) => book.id);
    return [list.length, ...ids];
  }));
  for (const change of replaced) assert.deepEqual(change, [COUNT, id(77)], 'the other books are the same objects');

  const [edits, observed] = await tab.run(async () => {
    const begin = performance.now();
    const last = new Promise((resolve) => {
      window.told = () => seen.at(-1).filter(({ series }) => series === 'fifty').length === 50 && resolve();
    });
    for (let i = 0; i < 50; i++) await sync.queueOperation('book', `import_${i * 3}`, 'update', { series: 'fifty' });
    const edited = performance.now() - begin;
    await last;
    return [edited, performance.now() - begin];
  });
  t.diagnostic(`50 edits in a row: ${ms([edits])} ms until stored, ${ms([observed])} ms until observed`);

  await tab.synced();
  await other.run(() => sync.queueOperation('book', 'import_77', 'update', { needsSync: true, title: 'Winter' }));
  // What was observed equals a fresh read, also by the other tab.
  const [list, results] = await tab.run(async () => {
    for (let i = 0; i < 100 && seen.at(-1).find(({ id }) => id === 'import_77').title !== 'Winter'; i++)
      await new Promise((resolve) => setTimeout(resolve, 100));
    return [seen.at(-1), found.at(-1)];
  });
  assert.deepEqual(list, await other.run(() => sync.store.list('book')));
  assert.deepEqual(results, await other.run(async (query) => sync.store.query('book', query), QUERY));
  assert.ok(results.some((book) => book.id === id(77)));
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('10,000 edits that waited are sent within the published rate, and pulls go on meanwhile', async (t) => {
  const owner = new Owner(), context = await openProfile();
  const tab = await Device.open(owner, { context });
  await tab.run(async (count) => {
    for (let n = 0; n < count; n += 1000)
      await sync.queueOperations(Array.from({ length: 1000 }, (_, i) => (
        { entity: 'book', entityId: `b${n + i}`, type: 'create', data: { title: `Book ${n + i}` } })));
  }, COUNT);
  assert.equal((await tab.pending()).length, COUNT);
  await owner.replace({ tags: [{ id: 'theirs', name: 'of another device' }] });
  const begin = Date.now();
  await tab.monitor();
  await until('the tag of the other device', async () => (await tab.get('tag', 'theirs')) !== undefined);
  const heard = Date.now() - begin, waiting = (await tab.pending()).length;
  await until('all edits are sent', async () => (await tab.status()).pendingOperations === 0);
  t.diagnostic(`sent after ${Date.now() - begin} ms in ${tab.requests.length} requests; ` +
    `the other device was heard after ${heard} ms, when ${waiting} edits still waited`);
  assert.ok(tab.requests.length <= 80, 'the burst of the published rate');
  assert.ok(waiting > 0, 'the pull did not wait for the end of the queue');
  assert.equal(Object.keys(await serverBooks(owner)).length, COUNT);
  await context.close();
});
