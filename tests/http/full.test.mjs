// POST /full: each kind in the request is replaced as a whole, in one transaction; unchanged items; large libraries.
import assert from 'node:assert/strict';
import test from 'node:test';
import zlib from 'node:zlib';
import { counts, everything, kinds, ownerOf, rating, seed, some } from './full.mjs';
import { ago, book, checkError, content, ms } from './lib.mjs';
import { Owner, checkOk, members, syntheticBooks } from './owner.mjs';

// Replacement

test('the first full sync of a new user stores everything and makes no snapshot', async () => {
  const owner = new Owner();
  const reply = await owner.replace(everything());
  assert.deepEqual(counts(reply), some({ created: 6 }));
  assert.equal(reply.snapshot, undefined);
  assert.deepEqual(await owner.snapshots(), []);
  assert.match(reply.syncedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.ok(Math.abs(ms(reply.serverTime) - Date.now()) < 5000);
  assert.equal((await owner.status()).lastSync, reply.syncedAt);
  const library = await owner.library();
  for (const [kind, before] of Object.values(kinds)) assert.deepEqual(content(library[`${kind} x1`]), members(before));
  assert.deepEqual(content(library['userSettings settings']), everything().settings);
  for (const data of Object.values(library)) assert.equal(data.updatedAt, reply.syncedAt, 'one transaction, one stamp');
});

for (const [name, [kind, before, after]] of Object.entries(kinds)) {
  test(`a list of ${name} replaces the stored ones and no other kind, and is pulled as the difference`, async () => {
    const owner = await ownerOf(everything());
    const { cursor } = await owner.pull();
    const old = await owner.library();
    const reply = await owner.replace({ [name]: [after] });
    assert.deepEqual(counts(reply), some({ created: 1, deleted: 1 }));
    const { changes } = await owner.pull(`cursor=${cursor}`);
    const seen = changes.map(({ type, deleted, data }) => [type, deleted ?? false, data.id]);
    assert.deepEqual(seen, [[kind, true, 'x1'], [kind, false, 'x2']]);
    assert.ok(changes.every(({ data }) => data.updatedAt === reply.syncedAt));
    assert.equal(changes[0].data.deletedAt, reply.syncedAt);
    const library = await owner.library();
    assert.deepEqual(content(library[`${kind} x2`]), members(after));
    delete library[`${kind} x2`];
    delete old[`${kind} x1`];
    assert.deepEqual(library, old);
  });

  test(`an empty list of ${name} deletes all of that kind and nothing else`, async () => {
    const owner = await ownerOf(everything());
    const old = await owner.library();
    assert.deepEqual(counts(await owner.replace({ [name]: [] })), some({ deleted: 1 }));
    delete old[`${kind} x1`];
    assert.deepEqual(await owner.library(), old);
    assert.deepEqual(counts(await owner.replace({ [name]: [] })), some(), 'a second one deletes nothing');
    assert.deepEqual(counts(await owner.replace({ [name]: [before] })), some({ created: 1 }),
      'the item can be created again');
    assert.deepEqual(content((await owner.library())[`${kind} x1`]), members(before));
  });

  test(`an item of ${name} replaces the whole entity, and members that it lacks are gone`, async () => {
    const owner = await ownerOf({ [name]: [{ ...before, extra: { a: 1, b: 2 } }] });
    const reply = await owner.replace({ [name]: [{ ...before, extra: { b: 3 } }] });
    assert.deepEqual(counts(reply), some({ updated: 1 }));
    assert.deepEqual(content((await owner.library())[`${kind} x1`]), { ...members(before), extra: { b: 3 } });
  });
}

test('settings are replaced as a whole, and other kinds stay', async () => {
  const owner = await ownerOf(everything());
  const old = await owner.library();
  const reply = await owner.replace({ settings: { id: 'my-settings', theme: 'light', notificationPreferences: {} } });
  assert.deepEqual(counts(reply), some({ updated: 1 }));
  const library = await owner.library();
  assert.deepEqual(content(library['userSettings settings']), { theme: 'light', notificationPreferences: {} });
  assert.deepEqual({ ...library, 'userSettings settings': 0 }, { ...old, 'userSettings settings': 0 });
});

const nothing = {
  'force alone': { force: true },
  'an empty object': {},
  'only unknown members': { version: 3, shelves: [{ id: 's1' }] },
  'kinds that are null': { books: null, settings: null, ratings: null },
  'the mode alone': { mode: 'replace' },
};

for (const [name, body] of Object.entries(nothing))
  test(`a full sync without a kind changes nothing: ${name}`, async () => {
    const owner = await ownerOf(everything());
    assert.deepEqual(counts(await owner.unchanged(() => owner.replace(body))), some());
    const fresh = new Owner();
    await fresh.replace(body);
    assert.equal((await fresh.status()).lastSync, null);
  });

test('readingLogs and userSettings are accepted as other names', async () => {
  const owner = await ownerOf(everything());
  const reply = await owner.replace({ readingLogs: [kinds.readings[2]], userSettings: { theme: 'system' } });
  assert.deepEqual(counts(reply), some({ created: 1, updated: 1, deleted: 1 }));
  const contents = await owner.contents();
  assert.deepEqual(contents['userSettings settings'], { theme: 'system' });
  assert.equal(contents['readingLog x1'], undefined);
  assert.equal(contents['readingLog x2'].status, 'dnf');
});

test("the client's createdAt is kept on create and ignored later, and its updatedAt is not the version", async () => {
  const owner = new Owner();
  const born = '2020-02-03T04:05:06.007Z';
  const { syncedAt } = await owner.replace({ books: [{ id: 'b1', title: 'T', createdAt: born, updatedAt: ago(60) }] });
  const { createdAt, updatedAt } = await owner.read('book', 'b1');
  assert.deepEqual([createdAt, updatedAt], [born, syncedAt]);
  await owner.replace({ books: [{ id: 'b1', title: 'U', createdAt: ago(5) }] });
  assert.equal((await owner.read('book', 'b1')).createdAt, born);
});

test('another user with the same ids is not affected', async () => {
  const [one, other] = [await ownerOf(everything()), await ownerOf(everything())];
  const before = await other.library();
  await one.replace({ books: [], ratings: [], tags: [], collections: [], readings: [], settings: {} });
  assert.deepEqual(await other.library(), before);
});

test('the result of simultaneous full syncs is one of them, never a mixture', async () => {
  const owner = new Owner();
  const list = (name) => Array.from({ length: 1200 }, (_, n) => ({ id: n % 2 ? `${n}` : `${name}${n}`, title: name }));
  await Promise.all(['A', 'B', 'C'].map((name) => owner.replace({ books: list(name) })));
  const library = Object.values(await owner.library());
  assert.equal(library.length, 1200);
  assert.equal(new Set(library.map(({ title }) => title)).size, 1);
});

// Unchanged items

test('an unchanged item gets no new version, whatever its order of members and its updatedAt', async () => {
  const owner = await ownerOf(everything());
  const again = everything();
  again.books = [{ notes: 'n', updatedAt: new Date().toISOString(), title: 'Before', createdAt: ago(1), id: 'x1' }];
  assert.deepEqual(counts(await owner.unchanged(() => owner.replace(again))), some({ unchanged: 6 }));
  const { cursor } = await owner.pull();
  assert.deepEqual(counts(await owner.replace({ ...again, tags: [{ id: 'x1', name: 'Other' }] })),
    some({ unchanged: 5, updated: 1 }));
  const { changes } = await owner.pull(`cursor=${cursor}`);
  assert.deepEqual(changes.map(({ type, data }) => [type, data.id]), [['tag', 'x1']]);
});

const ratingOf = (id, bookId) => ({ id, bookId, stars: 2 });
const ratingsOf = async (owner) => (await owner.pull('initial=true')).changes
  .filter(({ type }) => type === 'rating').map(({ data }) => [data.id, data.bookId]).sort();

test('a rating is back when a full sync moves the one that superseded it to another book', async () => {
  const owner = new Owner();
  await owner.replace({ ratings: [ratingOf('4', 'b2'), ratingOf('3', 'b2'), ratingOf('1', 'b2')] });
  await owner.replace({ ratings: [ratingOf('4', 'b2'), ratingOf('1', 'b1')] });
  assert.deepEqual(await ratingsOf(owner), [['1', 'b1'], ['4', 'b2']]);
});

test('a rating stays when a full sync deletes one that it superseded and moves another one away', async () => {
  const owner = new Owner();
  await owner.replace({ ratings: [ratingOf('1', 'b2'), ratingOf('5', 'b2'), ratingOf('4', 'b2')] });
  await owner.replace({ ratings: [ratingOf('4', 'b2'), ratingOf('5', 'b1')] });
  assert.deepEqual(await ratingsOf(owner), [['4', 'b2'], ['5', 'b1']]);
});

test('syncedAt of a full sync without changes is not older than the last sync', async () => {
  const owner = await ownerOf(seed);
  const { lastSync } = await owner.status();
  const { syncedAt } = await owner.replace(seed);
  assert.ok(ms(syncedAt) >= ms(lastSync));
  await owner.apply(book('b2'));
  const { changes } = await owner.pull(`since=${syncedAt}`);
  assert.deepEqual(changes.map(({ data }) => data.id), ['b2'], 'a pull from there misses nothing');
});

// Size

const sameMembers = (library, books) => {
  assert.equal(Object.keys(library).length, books.length);
  for (const one of books)
    assert.equal(JSON.stringify(content(library[`book ${one.id}`])), JSON.stringify(members(one)));
};

// Case: how many books of how many bytes.
const libraries = { '10,000 books in 5 MB': [10_000, 500], 'books of 20 kB': [50, 20_000] };

for (const [name, [count, size]] of Object.entries(libraries))
  test(`${name} are stored by one request and come back member for member`, async () => {
    const owner = new Owner();
    const books = syntheticBooks(count, size);
    const body = JSON.stringify({ books });
    assert.ok(body.length > count * size * 0.9 &&
      Buffer.byteLength(body) < 12 << 20, `${Buffer.byteLength(body)} bytes`);
    assert.deepEqual(counts(await owner.replace(body)), some({ created: count }));
    sameMembers(await owner.library(), books);
  });

test('a body over limits.body and below limits.full_body is accepted', async () => {
  const owner = new Owner();
  const body = JSON.stringify({ books: [{ id: 'b1', title: 'T' }], padding: 'x'.repeat(20 << 20) });
  assert.deepEqual(counts(await owner.replace(body)), some({ created: 1 }));
});

test('a body over limits.full_body, plain or after decompression, is refused with 413 and the limit', async () => {
  const body = JSON.stringify({ books: [], padding: 'x'.repeat(33 << 20) });
  const owner = await ownerOf(seed);
  for (const [sent, headers] of [[body, {}], [zlib.gzipSync(body), { 'content-encoding': 'gzip' }]]) {
    const error = checkError(await owner.full(sent, '', headers), 413, 'PAYLOAD_TOO_LARGE');
    assert.match(error.message, /limits\.full_body\b.*\b33554432\b/);
  }
});

test('counts, deletions, one rating per book and restore work for a library of more than one chunk', async () => {
  const owner = new Owner();
  const books = syntheticBooks(2500, 0);
  const ratings = books.map(({ id }, n) => rating(`r${n}`, n % 1200 === 7 ? 'one book' : id, 1 + (n % 9) / 2));
  const first = await owner.replace({ books, ratings });
  assert.deepEqual(counts(first), some({ created: 4998, unchanged: 2 }));
  assert.equal(first.conflicts, 2);
  let library = await owner.library();
  const held = Object.values(library).filter((data) => data.bookId === 'one book');
  assert.deepEqual(held.map(({ id }) => id), ['r2407'], 'the last in the list');
  assert.equal(Object.keys(library).length, 4998);

  const before = await owner.contents();
  const half = books.filter((_, n) => n % 2).map((one, n) => (n % 5 ? one : { ...one, title: 'changed' }));
  const body = { books: half, ratings: [] };
  const dry = await owner.replace(body, '?dryRun=true');
  const second = await owner.replace(body);
  assert.deepEqual(counts(second), { created: 0, updated: 250, deleted: 1250 + 2498, unchanged: 1000 });
  assert.deepEqual(counts(dry), counts(second));
  library = await owner.library();
  assert.equal(Object.keys(library).length, 1250);
  assert.equal(Object.values(library).filter(({ title }) => title === 'changed').length, 250);

  const restored = checkOk(await owner.restore(second.snapshot));
  assert.deepEqual(counts(restored), { created: 1250 + 2498, updated: 250, deleted: 0, unchanged: 1000 });
  assert.deepEqual(await owner.contents(), before);
});

test('a change far down in a long list makes a snapshot of the whole state before', async () => {
  const owner = new Owner();
  const books = syntheticBooks(2100, 0);
  await owner.replace({ books: books.slice(1000) });
  const before = await owner.contents();
  const { snapshot } = await owner.replace({ books: [...books.slice(0, 2099), { ...books[2099], title: 'changed' }] });
  assert.equal((await owner.snapshots())[0].entities, 1100);
  checkOk(await owner.restore(snapshot));
  assert.deepEqual(await owner.contents(), before);
});
