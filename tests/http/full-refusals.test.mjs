// POST /full: invalid requests, the dry run, and the precondition If-Match.
import assert from 'node:assert/strict';
import test from 'node:test';
import { counts, ownerOf, seed, some } from './full.mjs';
import { book, checkError, gone, op } from './lib.mjs';
import { Owner, checkInvalid, checkOk } from './owner.mjs';

// Invalid requests

// Case: the body, and the path that the refusal names.
const invalid = {
  'a book without a title': [{ books: [{ id: 'ok', title: 'T' }, { id: 'bad' }] }, 'books[1].title'],
  'a rating of 5.5 stars': [{ ratings: [{ id: 'r', bookId: 'b', stars: 5.5 }] }, 'ratings[0].stars'],
  'a tag of 101 letters': [{ tags: [{ id: 't', name: 'x'.repeat(101) }] }, 'tags[0].name'],
  'a collection whose isSmart is a word': [{ collections: [{ id: 'c', name: 'C', isSmart: 'yes' }] },
    'collections[0].isSmart'],
  'a reading log of an unknown status': [{ readings: [{ id: 'l', bookId: 'b', status: 'bored' }] },
    'readings[0].status'],
  'a reading log of an unknown status under its other name': [
    { readingLogs: [{ id: 'l', bookId: 'b', status: 'bored' }] }, 'readingLogs[0].status'],
  'a theme that does not exist': [{ settings: { theme: 'pink' } }, 'settings.theme'],
  'an item without an id': [{ books: [{ title: 'T' }] }, 'books[0].id'],
  'an id that is a number': [{ books: [{ id: 5, title: 'T' }] }, 'books[0].id'],
  'an empty id': [{ books: [{ id: '', title: 'T' }] }, 'books[0].id'],
  'an id of 256 characters': [{ books: [{ id: 'é'.repeat(256), title: 'T' }] }, 'books[0].id'],
  'an id that occurs twice': [{ books: [{ id: 'b', title: 'T' }, { id: 'c', title: 'T' }, { id: 'b', title: 'T' }] },
    'books[2].id'],
  'an item that is a text': [{ books: ['T'] }, 'books[0]'],
  'an item that is null': [{ books: [null] }, 'books[0]'],
  'a list that is an object': [{ books: {} }, 'books'],
  'a list that is a text': [{ books: 'all' }, 'books'],
  'settings that are a list': [{ settings: [] }, 'settings'],
  'updatedAt that is no instant': [{ books: [{ id: 'b', title: 'T', updatedAt: 'today' }] }, 'books[0].updatedAt'],
  'createdAt that is no instant': [{ books: [{ id: 'b', title: 'T', createdAt: {} }] }, 'books[0].createdAt'],
  'both names of the reading logs': [{ readings: [], readingLogs: [] }, 'readingLogs'],
  'both names of the settings': [{ userSettings: {}, settings: {} }, 'settings'],
  'an unknown mode': [{ mode: 'append', books: [] }, 'mode'],
  'a mode that is no text': [{ mode: 1, books: [] }, 'mode'],
  'an empty deviceId': [{ deviceId: '', books: [] }, 'deviceId'],
  'a book with text that cannot be stored': ['{"books":[{"id":"b","title":"T","x":["a\\u0000"]}]}', 'books[0].x[0]'],
  'an integer of 65 bits': ['{"books":[{"id":"b","title":"T","x":{"y":18446744073709551616}}]}', 'books[0].x.y'],
  'a member of a book twice': ['{"books":[{"id":"b","title":"T","title":"T"}]}', 'books[0].title'],
  'a book nested too deep': [`{"books":[{"id":"b","title":"T","x":${'['.repeat(64)}${']'.repeat(64)}}]}`, 'books[0]'],
  'a book that is not JSON': ['{"books":[{"id":"b","title":}]}', 'books[0]'],
  'a kind twice': ['{"books":[],"books":[]}', 'books'],
  'half a body': ['{"books":[', null],
  'a list instead of a body': ['[]', null],
  'no body': ['', null],
};

const seeded = await ownerOf(seed);

for (const [name, [body, path]] of Object.entries(invalid))
  test(`a full sync is refused with 400 and changes nothing: ${name}`, async () => {
    await seeded.unchanged(async () => checkInvalid(await seeded.full(body), path));
  });

test('a dryRun that is not true or false, and an If-Match that is not a cursor, are refused with 400', async () => {
  for (const query of ['?dryRun=1', '?dryRun=', '?dryRun=yes']) checkInvalid(await seeded.full(seed, query), 'dryRun');
  for (const tag of ['"nonsense"', '*', '""', '"MSAw"', 'W/"x"'])
    checkInvalid(await seeded.full(seed, '', { 'if-match': tag }), 'If-Match');
});

test('up to a hundred faults are listed with their paths', async () => {
  const books = Array.from({ length: 150 },
    (_, n) => (n % 3 === 1 ? { id: `b${n}` } : { id: `b${n}`, title: n % 3 === 2 ? 7 : 'T' }));
  const wrong = [...books.keys()].filter((n) => n % 3 > 0);
  let error = await seeded.unchanged(async () => checkInvalid(await seeded.full({ books }), 'books[1].title'));
  assert.equal(wrong.length, 100);
  assert.deepEqual(error.details.map(({ path }) => path), wrong.map((n) => `books[${n}].title`));
  assert.match(error.message, /\b100 items\b.*nothing was changed/);
  assert.ok(error.details.every(({ message }) => message.length > 0));
  const tags = Array.from({ length: 20 }, (_, n) => ({ id: `t${n}` }));
  error = checkInvalid(await seeded.full({ tags, books }), 'tags[0].name');
  assert.equal(error.details.length, 100);
  assert.match(error.message, /\b120 items\b/);
});

test('a full sync with an item over limits.entity is refused with 413 and the path of the item', async () => {
  const body = { books: [{ id: 'b', title: 'T' }, { id: 'big', title: 'T', notes: 'x'.repeat(1 << 20) }] };
  const error = await seeded.unchanged(async () => checkError(await seeded.full(body), 413, 'PAYLOAD_TOO_LARGE'));
  assert.match(error.message, /^books\[1\].*limits\.entity\b.*\b1048576\b/);
  assert.equal(error.details[0].path, 'books[1]');
});

// Dry run and precondition

for (const mode of ['replace', 'merge'])
  test(`dryRun with mode ${mode} changes nothing and gives the counts of the later real sync`, async () => {
    const owner = new Owner();
    await owner.replace({
      books: [{ id: 'same', title: 'T' }, { id: 'other', title: 'T' }, { id: 'goes', title: 'T' },
        { id: 'goes too', title: 'T' }],
      tags: [{ id: 't', name: 'T' }], ratings: [{ id: 'r1', bookId: 'same', stars: 1 }],
    });
    await owner.apply(gone('book', 'goes too', { timestamp: undefined }));
    const body = {
      mode, books: [{ id: 'same', title: 'T' }, { id: 'other', title: 'U' }, { id: 'goes too', title: 'back' },
        { id: 'new', title: 'T' }],
      tags: [{ id: 't2', name: 'T' }], ratings: [{ id: 'r2', bookId: 'same', stars: 2 }], settings: {},
    };
    const dry = await owner.unchanged(() => owner.replace(body, '?dryRun=true'));
    assert.equal(dry.dryRun, true);
    assert.equal(dry.snapshot, undefined);
    const expected = mode === 'merge' ? { created: 5, updated: 1, unchanged: 1 }
      : { created: 5, updated: 1, unchanged: 1, deleted: 3 };
    assert.deepEqual(counts(dry), some(expected));
    const real = await owner.replace(body, '?dryRun=false');
    assert.equal(real.dryRun, undefined);
    assert.deepEqual(counts(real), counts(dry));
    assert.equal(real.conflicts, dry.conflicts);
  });

test('dryRun refuses an invalid body', async () => {
  checkInvalid(await seeded.full({ books: [{ id: 'b' }] }, '?dryRun=true'), 'books[0].title');
});

const tags = { 'in quotes': (cursor) => `"${cursor}"`, 'without quotes': (cursor) => cursor,
  'as a weak tag': (cursor) => `W/"${cursor}"` };

for (const [name, tag] of Object.entries(tags))
  test(`If-Match accepts the current cursor ${name} and refuses an older one`, async () => {
    const owner = await ownerOf(seed);
    const { cursor } = await owner.pull();
    const headers = { 'if-match': tag(cursor) };
    const dry = checkOk(await owner.full({ books: [], mode: 'replace' }, '?dryRun=true', headers));
    assert.deepEqual(counts(dry), some({ deleted: 1 }));
    const replaced = checkOk(await owner.full({ books: [{ id: 'b', title: 'T' }] }, '', headers));
    assert.deepEqual(counts(replaced), some({ created: 1, deleted: 1 }));
    for (const query of ['', '?dryRun=true']) {
      const reply = await owner.unchanged(() => owner.full({ books: [] }, query, headers));
      assert.match(checkError(reply, 409, 'CONFLICT_DETECTED').message, /^If-Match: /);
    }
    const now = (await owner.pull()).cursor;
    assert.deepEqual(counts(checkOk(await owner.full({ mode: 'replace', books: [] }, '', { 'if-match': tag(now) }))),
      some({ deleted: 1 }));
  });

test('If-Match fails after any accepted write, but not after a refusal or a repeat', async () => {
  const owner = await ownerOf(seed);
  const operation = book('b1');
  await owner.apply(operation);
  const headers = { 'if-match': `"${(await owner.pull()).cursor}"` };
  await owner.apply(operation);
  await owner.apply(book('b2', { title: 7 }));
  checkInvalid(await owner.full({ books: [{}] }), 'books[0].id');
  checkOk(await owner.full({ mode: 'replace', books: [] }, '?dryRun=true', headers));
  await owner.apply(op('create', 'tag', 't1', { name: 'T' }));
  checkError(await owner.full({ books: [] }, '', headers), 409, 'CONFLICT_DETECTED');
});

test('If-Match with the cursor of an empty library accepts only the first write', async () => {
  const owner = new Owner();
  const headers = { 'if-match': `"${(await owner.pull()).cursor}"` };
  checkOk(await owner.full(seed, '', headers));
  checkError(await owner.full({ books: [] }, '', headers), 409, 'CONFLICT_DETECTED');
});

test('If-Match accepts one of several full syncs from the same state', async () => {
  const owner = await ownerOf(seed);
  const headers = { 'if-match': `"${(await owner.pull()).cursor}"` };
  const replies = await Promise.all(
    ['A', 'B', 'C', 'D'].map((title) => owner.full({ books: [{ id: 'b1', title }] }, '', headers)));
  assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 409, 409, 409]);
});

test("If-Match refuses another user's cursor, and the cursor of a page that is not the last", async () => {
  const owner = await ownerOf({ books: [{ id: 'b1', title: 'T' }, { id: 'b2', title: 'T' }] });
  const page = await owner.pull('since=0&limit=1');
  assert.equal(page.hasMore, true);
  for (const { cursor } of [page, await seeded.pull()])
    checkError(await owner.full({ books: [] }, '', { 'if-match': `"${cursor}"` }), 409, 'CONFLICT_DETECTED');
});
