// Observers: they are told every change once, in all tabs, and unchanged entities stay the same objects.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, error, json, reply, Server, settle } from './lib.mjs';

afterEach(closeAll);

/** Collects what an observer is told. */
function watch(observe) {
  const seen = [], stop = observe((value) => seen.push(value));
  return { seen, stop, last: () => seen.at(-1) };
}
const bookList = (d) => watch((fn) => d.store.observe('book', fn));

test('an edit changes one entity of the list: the others stay the same objects, and are not read', async (t) => {
  const d = device();
  for (const id of ['a', 'b', 'c']) await book(d, id);
  const list = bookList(d);
  await settle();
  const getAll = t.mock.method(IDBObjectStore.prototype, 'getAll');
  await edit(d, 'b', { notes: 'n' });
  await settle();
  assert.equal(list.seen.length, 2);
  const [before, after] = list.seen;
  assert.notEqual(before, after);
  assert.deepEqual(after.map(({ notes }) => notes), [undefined, 'n', undefined]);
  assert.deepEqual(after.map((it, i) => it === before[i]), [true, false, true]);
  assert.deepEqual(getAll.mock.calls.filter((call) => call.this.name === 'rows'), []);
});

test('the list is sorted by id, whether an entity was sent or not', async () => {
  const d = device(), list = bookList(d);
  await book(d, 'b');
  await d.service.sync();
  for (const id of ['c', 'a', 'B', 'é', '\u{1f98a}', '\uffff']) await book(d, id);
  await settle();
  const ids = ['B', 'a', 'b', 'c', 'é', '\u{1f98a}', '\uffff'];
  assert.deepEqual(list.last().map(({ id }) => id), ids);
  assert.deepEqual((await d.store.list('book')).map(({ id }) => id), ids);
});

test('what changes nothing is not told', async () => {
  const d = device();
  d.server.write('book', 'a', { title: 'T' });
  await d.service.sync();
  const list = bookList(d), one = watch((fn) => d.store.observeOne('book', 'a', fn));
  const alone = watch((fn) => d.store.observeOne('tag', 't', fn));
  await settle();
  await edit(d, 'a', { title: 'T' });
  await d.service.queueOperation('tag', 't', 'delete');
  await settle();
  assert.deepEqual([list.seen.length, one.seen.length, alone.seen.length], [1, 1, 1]);
});

test('observers of a list share their entities; one that comes later gets the list without another read', async (t) => {
  const d = device();
  await book(d, 'a');
  const first = bookList(d);
  await settle();
  const read = t.mock.method(IDBObjectStore.prototype, 'get');
  const second = bookList(d), one = watch((fn) => d.store.observeOne('book', 'a', fn));
  assert.equal(second.seen.length, 0, 'never called before observe has returned');
  await settle();
  assert.equal(second.last()[0], first.last()[0]);
  assert.equal(one.last(), first.last()[0]);
  assert.deepEqual(read.mock.calls.filter((call) => call.this.name === 'rows'), []);
});

test('the list is forgotten when something changes and nobody observes it', async () => {
  const d = device();
  await book(d, 'a');
  const first = bookList(d);
  await settle();
  first.stop();
  await book(d, 'b');
  await edit(d, 'a', { notes: 'n' });
  const second = bookList(d);
  await settle();
  assert.deepEqual(second.seen.map((list) => list.map(({ notes }) => notes)), [['n', undefined]]);
  assert.equal(first.seen.length, 1);
});

test('observeOne reads one entity only, and goes on when the observers of the list have left', async (t) => {
  const d = device();
  for (const id of ['a', 'b']) await book(d, id);
  const getAll = t.mock.method(IDBObjectStore.prototype, 'getAll');
  const one = watch((fn) => d.store.observeOne('book', 'a', fn));
  await settle();
  const list = bookList(d);
  await settle();
  list.stop();
  await edit(d, 'a', { notes: 1 });
  await settle();
  const other = watch((fn) => d.store.observeOne('book', 'b', fn));
  await edit(d, 'b', { notes: 2 });
  await settle();
  await edit(d, 'a', { notes: 3 });
  await settle();
  assert.deepEqual(one.seen.map((it) => it.notes), [undefined, 1, 3]);
  assert.deepEqual(other.last().notes, 2);
  assert.equal(getAll.mock.calls.filter((call) => call.this.name === 'rows').length, 1);
});

test('an app may sort the list that it was given, and stop an observer in its own call', async () => {
  const d = device();
  for (const id of ['a', 'b', 'c']) await book(d, id);
  const list = watch((fn) => d.store.observe('book', (books) => fn(books.sort((x, y) => (x.id < y.id ? 1 : -1)))));
  let calls = 0;
  const stop = d.store.observe('book', () => {
    calls++;
    stop();
  });
  await settle();
  await edit(d, 'b', { notes: 'n' });
  await settle();
  assert.deepEqual(list.last().map(({ id, notes }) => [id, notes]), [['c', undefined], ['b', 'n'], ['a', undefined]]);
  assert.equal(calls, 1);
});

test('an exception in an observer is logged; the others are still called', async (t) => {
  const silent = t.mock.method(console, 'error', () => {});
  const d = device();
  d.store.observe('book', () => { throw new Error('bug'); });
  const list = bookList(d);
  await settle();
  await book(d, 'a');
  await settle();
  assert.deepEqual(list.seen.map(({ length }) => length), [0, 1]);
  assert.equal(silent.mock.callCount(), 2);
});

test('dropping an edit of the review list, and retrying it with other data, are told', async () => {
  const d = device(), list = bookList(d);
  for (const id of ['a', 'b']) await book(d, id);
  const failed = ({ id }) => ({ id, status: 'failed', error: 'VALIDATION_ERROR', message: 'invalid' });
  d.server.always = ({ path, body }) => (path === '/operations' ? reply(body.operations.map(failed)) : undefined);
  await d.service.sync();
  const [one, two] = await d.operations.getReview();
  await d.operations.drop(one.id);
  await settle();
  assert.deepEqual(list.last().map(({ id }) => id), ['b']);
  await d.operations.retry(two.id, { title: 'valid' });
  await settle();
  assert.deepEqual(list.last().map(({ title }) => title), ['valid']);
});

test('edits that an erasure drops are told', async () => {
  const d = device(), list = bookList(d);
  await d.service.sync();
  await book(d, 'a');
  d.server.always = ({ path }) =>
    path === '/operations' ? error(500, 'SYNC_FAILED') : json(410, { success: false, reason: 'erased' });
  await d.service.sync();
  await settle();
  assert.deepEqual(await d.store.list('book'), []);
  assert.deepEqual(list.last(), []);
});

test('the deletion of an entity that is known only from a waiting edit is told', async () => {
  const d = device(), list = bookList(d);
  await d.service.sync();
  await book(d, 'a');
  d.server.write('book', 'a', { title: 'of another device' });
  d.server.remove('book', 'a');
  d.server.always = ({ path }) => (path === '/operations' ? error(500, 'SYNC_FAILED') : undefined);
  await d.service.sync();
  await settle();
  const [{ title, updatedAt }] = list.last();
  assert.ok(title === 'a' && updatedAt, 'it is shown, with the version of the deletion');
  assert.deepEqual(list.last(), await d.store.list('book'));
});

// Random histories

/** Reproducible random integers below `n`. */
function generator(seed) {
  let state = (seed + 1) * 2654435761;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

const IDS = ['a', 'b', 'c', 'd', 'e', 'f'];
const REASONS = ['deletions_forgotten', 'erased', 'restored', 'other_server'];
const QUERIES = [
  { where: { year: { gte: 3 } }, orderBy: [{ year: 'desc' }, 'title'] },
  { where: { title: { in: ['t1', 't2', 't3'] } }, orderBy: 'title', limit: 2 },
  { orderBy: { title: 'desc' }, offset: 1, limit: 3 },
];

/** All observers that a tab can have, with functions that read the same afresh. */
function watchAll(tab) {
  const { store } = tab;
  return [
    ...['book', 'tag'].map((kind) => [watch((fn) => store.observe(kind, fn)), () => store.list(kind)]),
    ...['a', 'b'].map((id) => [watch((fn) => store.observeOne('book', id, fn)), () => store.get('book', id)]),
    ...QUERIES.map((query) => {
      const afresh = async () => naive(await store.list('book'), query);
      return [watch((fn) => store.query('book', query).observe(fn)), afresh];
    }),
  ];
}

/** A query as simply as possible. */
function naive(list, { where = {}, orderBy, offset = 0, limit = Infinity }) {
  const keys = [orderBy].flat().map((key) => (typeof key === 'string' ? [key, 'asc'] : Object.entries(key)[0]));
  return list
    .filter(({ year }) => !where.year || year >= where.year.gte)
    .filter(({ title }) => !where.title || where.title.in.includes(title))
    .sort((a, b) => {
      for (const [member, how] of keys) {
        if (a[member] === b[member]) continue;
        if (a[member] === undefined || b[member] === undefined) return a[member] === undefined ? 1 : -1;
        return (a[member] < b[member] ? -1 : 1) * (how === 'asc' ? 1 : -1);
      }
      return a.id < b.id ? -1 : 1;
    })
    .slice(offset, offset + limit);
}

/** A server that fails in many ways. */
function faults(server, random) {
  server.always = ({ path, body }) => {
    if (path === '/config') return json(200, { success: true, retention: {}, limits: {} });
    if (random(8)) return undefined;
    if (path === '/changes') {
      const reason = REASONS[random(4)];
      if (reason === 'erased') server.rows.clear();
      return json(410, { success: false, error: 'RESYNC_REQUIRED', message: 'gone', reason });
    }
    if (path !== '/operations') return undefined;
    const results = body.operations.map((op) =>
      random(2) ? server.apply(op) : { id: op.id, status: 'failed', error: 'VALIDATION_ERROR', message: 'no' });
    return [() => error(500, 'SYNC_FAILED'), () => json(200, { success: true, results })][random(2)]();
  };
}

async function step(tabs, server, random) {
  const d = tabs[random(tabs.length)], id = IDS[random(IDS.length)];
  const data = { title: `t${random(6)}`, ...(random(2) && { year: random(6) }) };
  const kind = random(4) ? 'book' : 'tag';
  const [item] = random(3) ? [] : await d.operations.getReview();
  await [
    () => d.service.queueOperation(kind, id, 'create', data),
    () => d.service.queueOperation(kind, id, 'update', data),
    () => d.service.queueOperation(kind, id, 'update', { title: 'same' }),
    () => random(2) && d.service.queueOperation(kind, id, 'delete'),
    () => d.service.addTo(kind, id, 'tags', `x${random(3)}`),
    () => d.service.transaction((tx) => {
      tx.update(kind, id, data);
      tx.delete('book', IDS[random(IDS.length)]);
    }),
    () => server.write(kind, id, data),
    () => server.remove(kind, id),
    () => d.service.sync(),
    () => d.service.sync(),
    () => item && d.operations.drop(item.id),
    () => item && d.operations.retry(item.id, random(2) ? data : undefined),
    () => !random(4) && d.service.fullSync(random(2) ? {} : { upload: 'local' }),
    () => !random(8) && d.service.clear({ force: true }),
    () => d.clock.advance(random(100_000)),
    () => settle(),
  ][random(16)]();
}

/** Lets time pass until the work is done: it may wait for the lock, or before a retry. */
async function finish(clock, work) {
  let done = false;
  const end = () => (done = true);
  for (work.then(end, end); !done; ) await clock.advance(500);
  return work;
}

async function compare(observers) {
  for (const [{ seen, last }, afresh] of observers) {
    assert.ok(seen.length, 'told at least once');
    assert.deepEqual(last(), await afresh());
  }
}

for (let seed = 0; seed < 25; seed++)
  test(`after any history, every observer has what a fresh read returns: seed ${seed}`, async () => {
    const random = generator(seed), server = new Server(), first = device({ server });
    const { clock, database } = first;
    const tabs = [first, ...[1, 2].slice(random(3)).map(() => device({ server, clock, database }))];
    faults(server, random);
    const observers = tabs.flatMap(watchAll);
    const size = observers.length / tabs.length;
    for (let i = 0; i < 60; i++) {
      const done = step(tabs, server, random);
      if (random(3)) await finish(clock, done);
      if (random(10)) continue;
      const at = random(observers.length);
      observers[at][0].stop();
      observers[at] = watchAll(tabs[Math.floor(at / size)])[at % size];
    }
    for (const { service } of tabs) await finish(clock, service.sync());
    await settle();
    await compare(observers);
    for (const [{ seen }] of observers)
      for (let i = 1; i < seen.length; i++) {
        assert.notDeepEqual(seen[i], seen[i - 1], 'told because something has changed');
        if (!Array.isArray(seen[i])) continue;
        const before = new Map(seen[i - 1].map((it) => [it.id, it]));
        for (const it of seen[i]) {
          const old = before.get(it.id);
          if (old !== it && old) assert.notDeepEqual(it, old, 'an unchanged entity is the same object');
        }
      }
  });
