// Queries on the local store.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { afterEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as engine from '../dist/engine.js';
import { createSyncService, SyncError } from '../dist/index.js';
import { compile } from '../dist/views.js';
import { book, closeAll, device, edit, makeClock, remove, Server, settle } from './lib.mjs';

afterEach(closeAll);

const BOOKS = [
  { id: 'a', title: 'Emma', authors: ['Jane Austen'], year: 1815, status: 'read', rating: { stars: 5 } },
  { id: 'b', title: 'Élan vital', authors: ['Henri Bergson'], year: 1907, status: 'wanted', notes: 'Straße, salt' },
  { id: 'c', title: 'The Sea, the Sea', authors: ['Iris Murdoch'], year: 1978, status: 'reading', lent: true },
  { id: 'd', title: 'eel', authors: ['Graham Swift', 'Émile Zola'], year: null, status: 'read', lent: false },
  { id: 'e', title: 'Seasons of Ærø', year: 1978, rating: { stars: 3 }, notes: null },
];
const ids = (query) => compile(query)(BOOKS).map(({ id }) => id).join('');

const cases = {
  'no query gives all, in the order of the ids': [undefined, 'abcde'],
  'an empty query gives all': [{}, 'abcde'],
  'equality': [{ where: { status: 'read' } }, 'ad'],
  'equality of numbers': [{ where: { year: 1978 } }, 'ce'],
  'equality of booleans': [{ where: { lent: false } }, 'd'],
  'equality does not convert': [{ where: { year: '1978' } }, ''],
  'null stands for an absent member, too': [{ where: { year: null } }, 'd'],
  'null, absent': [{ where: { lent: null } }, 'abe'],
  'several members: all must be fulfilled': [{ where: { status: 'read', year: 1815 } }, 'a'],
  'a member that is undefined is ignored': [{ where: { status: undefined, year: 1815 }, limit: undefined }, 'a'],
  'a path': [{ where: { 'rating.stars': 5 } }, 'a'],
  'greater than': [{ where: { year: { gt: 1907 } } }, 'ce'],
  'greater or equal': [{ where: { year: { gte: 1907 } } }, 'bce'],
  'less than': [{ where: { year: { lt: 1907 } } }, 'a'],
  'a range with both ends': [{ where: { year: { gte: 1900, lte: 1978 } } }, 'bce'],
  'a range of text is by code units': [{ where: { title: { gte: 'T', lt: 'f' } } }, 'cd'],
  'a range of a path': [{ where: { 'rating.stars': { lt: 4 } } }, 'e'],
  'one of several': [{ where: { status: { in: ['wanted', 'reading'] } } }, 'bc'],
  'one of several, or absent': [{ where: { status: { in: ['wanted', null] } } }, 'be'],
  'one of none': [{ where: { status: { in: [] } } }, ''],
  'an element of a list': [{ where: { authors: { contains: 'Émile Zola' } } }, 'd'],
  'an element is compared exactly': [{ where: { authors: { contains: 'Zola' } } }, ''],
  'a text is not a list': [{ where: { title: { contains: 'Emma' } } }, ''],
  'a beginning, with any case and diacritics': [{ where: { title: { startsWith: 'ÉL' } } }, 'b'],
  'a beginning of a text in a list': [{ where: { authors: { startsWith: 'emile' } } }, 'd'],
  'the empty beginning': [{ where: { status: { startsWith: '' } } }, 'abcd'],
  'a word': [{ where: { title: { words: 'sea' } } }, 'c'],
  'a word of any case': [{ where: { title: { words: 'SEA' } } }, 'c'],
  'a word with other diacritics': [{ where: { title: { words: 'elan' } } }, 'b'],
  'a decomposed letter': [{ where: { title: { words: 'e\u0301lan' } } }, 'b'],
  'the beginning of a word': [{ where: { title: { words: 'sea*' } } }, 'ce'],
  'several words in any order': [{ where: { title: { words: 'vital élan' } } }, 'b'],
  'all words are needed': [{ where: { title: { words: 'vital sea' } } }, ''],
  'ss is ß': [{ where: { notes: { words: 'STRASSE' } } }, 'b'],
  'punctuation separates words': [{ where: { notes: { words: 'strasse,salt!' } } }, 'b'],
  'words in the texts of a list': [{ where: { authors: { words: 'zola swift' } } }, 'd'],
  'no word is in every text': [{ where: { title: { words: ' ' } } }, 'abcde'],
  'two conditions of a member': [{ where: { title: { words: 'sea*', startsWith: 'the' } } }, 'c'],
  'words in one of several members': [{ search: { words: 'austen', in: ['title', 'authors'] } }, 'a'],
  'words spread over several members': [{ search: { words: 'emma jan*', in: ['title', 'authors'] } }, 'a'],
  'words do not cross the border of two texts': [{ search: { words: 'eelgraham', in: ['title', 'authors'] } }, ''],
  'search and where': [{ search: { words: 'sea*', in: ['title'] }, where: { year: 1978, lent: true } }, 'c'],
  'sorted by a number': [{ orderBy: 'year', where: { year: { gt: 0 } } }, 'abce'],
  'sorted downwards, with ties by id': [{ orderBy: { year: 'desc' } }, 'cebad'],
  'absent members come last in both directions': [{ orderBy: ['lent'] }, 'dcabe'],
  'absent members come last, downwards': [{ orderBy: [{ lent: 'desc' }] }, 'cdabe'],
  'text is sorted as people do': [{ orderBy: 'title' }, 'dbaec'],
  'sorted by several members': [{ orderBy: [{ year: 'desc' }, { title: 'desc' }] }, 'cebad'],
  'sorted by several members of an object': [{ orderBy: { status: 'asc', year: 'desc' } }, 'adcbe'],
  'sorted by a path': [{ orderBy: { 'rating.stars': 'asc' } }, 'eabcd'],
  'limit': [{ limit: 2 }, 'ab'],
  'limit 0': [{ limit: 0 }, ''],
  'offset': [{ offset: 3 }, 'de'],
  'limit and offset after sorting': [{ orderBy: { year: 'desc' }, offset: 1, limit: 2 }, 'eb'],
  'an offset behind the end': [{ offset: 9 }, ''],
};
for (const [name, [query, expected]] of Object.entries(cases))
  test(name, () => assert.equal(ids(query), expected));

test('values of several types are sorted by type, and lists have no order', () => {
  const values = ['b', true, 10, 9, 'a', [2], false, [1], null, { toString: 1 }];
  const select = compile({ orderBy: 'v' });
  const sorted = select(values.map((v, i) => ({ id: `${i}`, v }))).map(({ v }) => v);
  assert.deepEqual(sorted, [[2], [1], { toString: 1 }, false, true, 9, 10, 'a', 'b', null]);
});

const invalid = {
  'the query must be an object': [],
  'the query must be an object with where, search, orderBy, limit, offset, and not with order': { order: 'title' },
  'where must be an object': { where: 'title' },
  'where.title must be a value or an object with conditions': { where: { title: ['a'] } },
  'where.title must be an object with gt, gte, lt, lte, in, contains, startsWith, words, and not with like': {
    where: { title: { like: 'x' } },
  },
  'where.year.gt must be a number or a text': { where: { year: { gt: new Date(0) } } },
  'where.year.in must be a list of texts, numbers, booleans and null': { where: { year: { in: 1978 } } },
  'where.authors.contains must be a text, a number, a boolean or null': { where: { authors: { contains: {} } } },
  'where.title.startsWith must be a text': { where: { title: { startsWith: 1 } } },
  'where.title.words must be a text': { where: { title: { words: ['sea'] } } },
  'search must be an object': { search: 'sea' },
  'search.in must be a list of members': { search: { words: 'sea' } },
  'search.words must be a text': { search: { in: ['title'] } },
  'orderBy must be a member, an object such as { title: \'asc\' }, or a list of these': { orderBy: [1] },
  'orderBy.title must be asc or desc': { orderBy: { title: 'up' } },
  'limit must be an integer from 0': { limit: -1 },
  'offset must be an integer from 0': { offset: 1.5 },
};
for (const [message, query] of Object.entries(invalid))
  test(`invalid: ${message}`, async () => {
    assert.throws(() => compile(query), { name: 'TypeError', message: `query: ${message}` });
    await assert.rejects(async () => device().store.query('book', query), { name: 'TypeError' });
  });

test('an invalid query that is observed is an unhandled rejection, so that a browser shows it', () => {
  const code = `import 'fake-indexeddb/auto';
    import { createSyncService } from '@booky/sync';
    const service = createSyncService({ token: 'token' });
    process.on('unhandledRejection', async ({ name, message }) => {
      console.log(name, message);
      await service.close();
    });
    service.store.query('book', { limit: -1 }).observe(() => {});`;
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd, encoding: 'utf8' });
  assert.equal(output.trim(), 'TypeError query: limit must be an integer from 0');
});

test('a query is awaited: it includes the waiting edits', async () => {
  const d = device();
  d.server.write('book', 'a', { title: 'A', year: 1 });
  d.server.write('book', 'b', { title: 'B', year: 2 });
  await d.service.sync();
  await edit(d, 'a', { year: 3 });
  await book(d, 'c', { title: 'C', year: 4 });
  await remove(d, 'b');
  const query = d.store.query('book', { where: { year: { gte: 2 } }, orderBy: { title: 'desc' } });
  assert.deepEqual((await query).map(({ id }) => id), ['c', 'a']);
  await edit(d, 'c', { year: 1 });
  assert.deepEqual((await query).map(({ id }) => id), ['a'], 'awaited again, it is run again');
  assert.equal((await d.store.query('book')).length, 2);
});

test('while the list is observed, a query reads nothing, and is up to date after each edit', async (t) => {
  const d = device();
  await book(d, 'a', { n: 0 });
  d.store.observe('book', () => {});
  await settle();
  const getAll = t.mock.method(IDBObjectStore.prototype, 'getAll');
  for (let n = 1; n < 20; n++) {
    await edit(d, 'a', { n });
    assert.deepEqual((await d.store.query('book', { where: { n } })).map(({ id }) => id), ['a']);
  }
  assert.deepEqual(getAll.mock.calls.filter((call) => call.this.name === 'rows'), []);
});

test('a query is observed: fn is called only when the results have changed, and the rest stays identical', async () => {
  const d = device(), seen = [];
  for (const [id, year] of [['a', 1], ['b', 2], ['c', 3]]) await book(d, id, { year });
  const query = { where: { year: { lte: 3 } }, orderBy: { year: 'desc' }, limit: 2 };
  const stop = d.store.query('book', query).observe((books) => seen.push(books));
  await settle();
  await book(d, 'd', { year: 9 }); // does not match
  await edit(d, 'a', { notes: 'n' }); // matches, beyond the limit
  await d.service.queueOperation('tag', 't', 'create', { name: 'N' });
  await settle();
  assert.deepEqual(seen.map((books) => books.map(({ id }) => id)), [['c', 'b']]);
  await edit(d, 'a', { year: 2.5 });
  await settle();
  assert.deepEqual(seen[1].map(({ id }) => id), ['c', 'a']);
  assert.equal(seen[1][0], seen[0][0]);
  await remove(d, 'c');
  await settle();
  assert.deepEqual(seen[2].map(({ id }) => id), ['a', 'b']);
  stop();
  await edit(d, 'a', { year: 1 });
  await settle();
  assert.equal(seen.length, 3);
});

test('a query is observed in another tab, and goes on for another user', async () => {
  const one = device(), seen = [];
  const two = device({ server: one.server, database: one.database });
  two.store.query('book', { where: { title: { words: 'sea' } } }).observe((books) => seen.push(books.length));
  await settle();
  await book(one, 'a', { title: 'The sea' });
  await settle();
  assert.deepEqual(seen, [0, 1]);
  await two.service.switchUser({ token: 'other', database: `${one.database}-other` });
  await book(one, 'b', { title: 'Sea' });
  await settle();
  assert.deepEqual(seen, [0, 1, 0]);
});

test('a query that is stopped before it has begun is never called', async () => {
  const d = device();
  let calls = 0;
  d.store.query('book').observe(() => calls++)();
  await settle();
  assert.equal(calls, 0);
});

// How the module is loaded, and how that fails: the engine reports the failure of views.js itself.
const missing = {
  'engine.js': [(load) => load(engine), new TypeError('failed to fetch')],
  'views.js': [(load) => ({ ...engine, loadViews: () => load(engine.loadViews()) }), new SyncError('OFFLINE', 'away')],
};
for (const [name, [engineWith, failure]] of Object.entries(missing))
  test(`if ${name} cannot be loaded, await rejects with OFFLINE, and observe begins when it can`, async () => {
    const clock = makeClock(), seen = [];
    let reachable = false;
    const service = createSyncService({
      token: 'token', fetch: new Server().fetch, clock, database: `no-${name}`, realtime: false,
      engine: async () => engineWith(async (module) => {
        if (!reachable) throw failure;
        return module;
      }),
    });
    await service.queueOperation('book', 'a', 'create', { title: 'A' });
    await assert.rejects(async () => service.store.query('book'), { code: 'OFFLINE' });
    service.store.query('book').observe((books) => seen.push(books.length));
    await settle();
    reachable = true;
    assert.deepEqual(seen, []);
    await clock.advance(30_000);
    assert.deepEqual(seen, [1]);
    await service.close();
  });
