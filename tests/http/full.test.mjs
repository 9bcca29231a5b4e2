// POST /full: each kind that is present is replaced as a whole, in one transaction; and the way back.
import assert from 'node:assert/strict';
import test from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import zlib from 'node:zlib';
import { User, ago, book, checkError, content, gone, ms, op, patch } from './lib.mjs';
import { Owner, checkInvalid, checkOk, members, syntheticBooks } from './owner.mjs';

const DAY = 86_400_000;

const counts = ({ created, updated, deleted, unchanged }) => ({ created, updated, deleted, unchanged });
const some = (numbers) => ({ created: 0, updated: 0, deleted: 0, unchanged: 0, ...numbers });

// Name in the request: kind, an item that is there before, one that takes its place.
const kinds = {
  books: ['book', { id: 'x1', title: 'Before', notes: 'n' }, { id: 'x2', title: 'After' }],
  ratings: ['rating', { id: 'x1', bookId: 'b1', stars: 3 }, { id: 'x2', bookId: 'b2', stars: 4.5, review: 'good' }],
  tags: ['tag', { id: 'x1', name: 'Before', color: '#112233' }, { id: 'x2', name: 'After' }],
  collections: ['collection', { id: 'x1', name: 'Before' }, { id: 'x2', name: 'After', isSmart: true, smartRules: { all: [] } }],
  readings: ['readingLog', { id: 'x1', bookId: 'b1', status: 'read' }, { id: 'x2', bookId: 'b2', status: 'dnf', startedAt: null }],
};

const everything = () => ({
  ...Object.fromEntries(Object.entries(kinds).map(([name, [, before]]) => [name, [before]])),
  settings: { theme: 'dark', dateFormat: 'iso', notificationPreferences: { email: true } },
});

async function ownerOf(library) {
  const owner = new Owner();
  await owner.replace(library);
  return owner;
}

// What is replaced

test('the first full sync of a new user stores everything and keeps no snapshot', async () => {
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
  test(`${name}: the list takes the place of what was there, other kinds stay, another device learns of both`, async () => {
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

  test(`${name}: an empty list deletes all of that kind and nothing else`, async () => {
    const owner = await ownerOf(everything());
    const old = await owner.library();
    assert.deepEqual(counts(await owner.replace({ [name]: [] })), some({ deleted: 1 }));
    delete old[`${kind} x1`];
    assert.deepEqual(await owner.library(), old);
    assert.deepEqual(counts(await owner.replace({ [name]: [] })), some(), 'what is deleted is not deleted again');
    assert.deepEqual(counts(await owner.replace({ [name]: [before] })), some({ created: 1 }), 'and it can come back');
    assert.deepEqual(content((await owner.library())[`${kind} x1`]), members(before));
  });

  test(`${name}: an item replaces the whole entity, members that it does not have are gone`, async () => {
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
  'only members that nobody knows': { version: 3, shelves: [{ id: 's1' }] },
  'kinds that are null': { books: null, settings: null, ratings: null },
  'the mode alone': { mode: 'replace' },
};

for (const [name, body] of Object.entries(nothing))
  test(`replaces nothing and leaves no trace: ${name}`, async () => {
    const owner = await ownerOf(everything());
    assert.deepEqual(counts(await owner.unchanged(() => owner.replace(body))), some());
    const fresh = new Owner();
    await fresh.replace(body);
    assert.equal((await fresh.status()).lastSync, null);
  });

test('readingLogs and userSettings are accepted as names too', async () => {
  const owner = await ownerOf(everything());
  const reply = await owner.replace({ readingLogs: [kinds.readings[2]], userSettings: { theme: 'system' } });
  assert.deepEqual(counts(reply), some({ created: 1, updated: 1, deleted: 1 }));
  const contents = await owner.contents();
  assert.deepEqual(contents['userSettings settings'], { theme: 'system' });
  assert.equal(contents['readingLog x1'], undefined);
  assert.equal(contents['readingLog x2'].status, 'dnf');
});

test("a client's createdAt is kept on create and ignored afterwards; its updatedAt is no version", async () => {
  const owner = new Owner();
  const born = '2020-02-03T04:05:06.007Z';
  const { syncedAt } = await owner.replace({ books: [{ id: 'b1', title: 'T', createdAt: born, updatedAt: ago(60) }] });
  const { createdAt, updatedAt } = await owner.read('book', 'b1');
  assert.deepEqual([createdAt, updatedAt], [born, syncedAt]);
  await owner.replace({ books: [{ id: 'b1', title: 'U', createdAt: ago(5) }] });
  assert.equal((await owner.read('book', 'b1')).createdAt, born);
});

test('another user with the same ids is not touched', async () => {
  const [one, other] = [await ownerOf(everything()), await ownerOf(everything())];
  const before = await other.library();
  await one.replace({ books: [], ratings: [], tags: [], collections: [], readings: [], settings: {} });
  assert.deepEqual(await other.library(), before);
});

test('two full syncs at once: one of them is the result, never a mixture', async () => {
  const owner = new Owner();
  const list = (name) => Array.from({ length: 1200 }, (_, n) => ({ id: n % 2 ? `${n}` : `${name}${n}`, title: name }));
  await Promise.all(['A', 'B', 'C'].map((name) => owner.replace({ books: list(name) })));
  const library = Object.values(await owner.library());
  assert.equal(library.length, 1200);
  assert.equal(new Set(library.map(({ title }) => title)).size, 1);
});

// What is refused

// What: the body, and the path that the refusal names.
const invalid = {
  'a book without a title': [{ books: [{ id: 'ok', title: 'T' }, { id: 'bad' }] }, 'books[1].title'],
  'a rating of 5.5 stars': [{ ratings: [{ id: 'r', bookId: 'b', stars: 5.5 }] }, 'ratings[0].stars'],
  'a tag of 101 letters': [{ tags: [{ id: 't', name: 'x'.repeat(101) }] }, 'tags[0].name'],
  'a collection whose isSmart is a word': [{ collections: [{ id: 'c', name: 'C', isSmart: 'yes' }] }, 'collections[0].isSmart'],
  'a reading log of an unknown status': [{ readings: [{ id: 'l', bookId: 'b', status: 'bored' }] }, 'readings[0].status'],
  'the same under its other name': [{ readingLogs: [{ id: 'l', bookId: 'b', status: 'bored' }] }, 'readingLogs[0].status'],
  'a theme that does not exist': [{ settings: { theme: 'pink' } }, 'settings.theme'],
  'an item without an id': [{ books: [{ title: 'T' }] }, 'books[0].id'],
  'an id that is a number': [{ books: [{ id: 5, title: 'T' }] }, 'books[0].id'],
  'an empty id': [{ books: [{ id: '', title: 'T' }] }, 'books[0].id'],
  'an id of 256 characters': [{ books: [{ id: 'é'.repeat(256), title: 'T' }] }, 'books[0].id'],
  'an id that occurs twice': [{ books: [{ id: 'b', title: 'T' }, { id: 'c', title: 'T' }, { id: 'b', title: 'T' }] }, 'books[2].id'],
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
  'a book whose text cannot be kept': ['{"books":[{"id":"b","title":"T","x":["a\\u0000"]}]}', 'books[0].x[0]'],
  'an integer of 65 bits': ['{"books":[{"id":"b","title":"T","x":{"y":18446744073709551616}}]}', 'books[0].x.y'],
  'a member of a book twice': ['{"books":[{"id":"b","title":"T","title":"T"}]}', 'books[0].title'],
  'a book nested too deep': [`{"books":[{"id":"b","title":"T","x":${'['.repeat(64)}${']'.repeat(64)}}]}`, 'books[0]'],
  'a book that is not JSON': ['{"books":[{"id":"b","title":}]}', 'books[0]'],
  'a kind twice': ['{"books":[],"books":[]}', 'books'],
  'half a body': ['{"books":[', null],
  'a list instead of a body': ['[]', null],
  'no body': ['', null],
};

const seed = { books: [{ id: 'kept', title: 'Kept' }] };
const seeded = await ownerOf(seed);

for (const [name, [body, path]] of Object.entries(invalid))
  test(`400, and nothing is changed: ${name}`, async () => {
    await seeded.unchanged(async () => checkInvalid(await seeded.full(body), path));
  });

test('400: dryRun that is not true or false, and an If-Match that is no cursor', async () => {
  for (const query of ['?dryRun=1', '?dryRun=', '?dryRun=yes']) checkInvalid(await seeded.full(seed, query), 'dryRun');
  for (const tag of ['"nonsense"', '*', '""', '"MSAw"', 'W/"x"']) checkInvalid(await seeded.full(seed, '', { 'if-match': tag }), 'If-Match');
});

test('all that is wrong is listed with its path, up to a hundred of them', async () => {
  const books = Array.from({ length: 150 }, (_, n) => (n % 3 === 1 ? { id: `b${n}` } : { id: `b${n}`, title: n % 3 === 2 ? 7 : 'T' }));
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

test('an item over limits.entity refuses the request with 413 and its path', async () => {
  const body = { books: [{ id: 'b', title: 'T' }, { id: 'big', title: 'T', notes: 'x'.repeat(1 << 20) }] };
  const error = await seeded.unchanged(async () => checkError(await seeded.full(body), 413, 'PAYLOAD_TOO_LARGE'));
  assert.match(error.message, /^books\[1\].*limits\.entity\b.*\b1048576\b/);
  assert.equal(error.details[0].path, 'books[1]');
});

// Unchanged, dry run, precondition

test('what is unchanged is not stamped again, whatever its order of members and its updatedAt', async () => {
  const owner = await ownerOf(everything());
  const again = everything();
  again.books = [{ notes: 'n', updatedAt: new Date().toISOString(), title: 'Before', createdAt: ago(1), id: 'x1' }];
  assert.deepEqual(counts(await owner.unchanged(() => owner.replace(again))), some({ unchanged: 6 }));
  const { cursor } = await owner.pull();
  assert.deepEqual(counts(await owner.replace({ ...again, tags: [{ id: 'x1', name: 'Other' }] })), some({ unchanged: 5, updated: 1 }));
  const { changes } = await owner.pull(`cursor=${cursor}`);
  assert.deepEqual(changes.map(({ type, data }) => [type, data.id]), [['tag', 'x1']]);
});

test('syncedAt of a full sync that changed nothing is not before what the client already knows', async () => {
  const owner = await ownerOf(seed);
  const { lastSync } = await owner.status();
  const { syncedAt } = await owner.replace(seed);
  assert.ok(ms(syncedAt) >= ms(lastSync));
  await owner.apply(book('b2'));
  const { changes } = await owner.pull(`since=${syncedAt}`);
  assert.deepEqual(changes.map(({ data }) => data.id), ['b2'], 'and a pull from there misses nothing');
});

for (const mode of ['replace', 'merge'])
  test(`dryRun with mode ${mode} tells the counts and changes nothing; the later real ones are the same`, async () => {
    const owner = new Owner();
    await owner.replace({
      books: [{ id: 'same', title: 'T' }, { id: 'other', title: 'T' }, { id: 'goes', title: 'T' }, { id: 'goes too', title: 'T' }],
      tags: [{ id: 't', name: 'T' }], ratings: [{ id: 'r1', bookId: 'same', stars: 1 }],
    });
    await owner.apply(gone('book', 'goes too', { timestamp: undefined }));
    const body = {
      mode, books: [{ id: 'same', title: 'T' }, { id: 'other', title: 'U' }, { id: 'goes too', title: 'back' }, { id: 'new', title: 'T' }],
      tags: [{ id: 't2', name: 'T' }], ratings: [{ id: 'r2', bookId: 'same', stars: 2 }], settings: {},
    };
    const dry = await owner.unchanged(() => owner.replace(body, '?dryRun=true'));
    assert.equal(dry.dryRun, true);
    assert.equal(dry.snapshot, undefined);
    const expected = mode === 'merge' ? { created: 5, updated: 1, unchanged: 1 } : { created: 5, updated: 1, unchanged: 1, deleted: 3 };
    assert.deepEqual(counts(dry), some(expected));
    const real = await owner.replace(body, '?dryRun=false');
    assert.equal(real.dryRun, undefined);
    assert.deepEqual(counts(real), counts(dry));
    assert.equal(real.conflicts, dry.conflicts);
  });

test('dryRun refuses what the real one would refuse', async () => {
  checkInvalid(await seeded.full({ books: [{ id: 'b' }] }, '?dryRun=true'), 'books[0].title');
});

const tags = { 'in quotes': (cursor) => `"${cursor}"`, 'as it is': (cursor) => cursor, 'as a weak tag': (cursor) => `W/"${cursor}"` };

for (const [name, tag] of Object.entries(tags))
  test(`If-Match with the current cursor ${name} lets the full sync pass, and with an older one refuses it`, async () => {
    const owner = await ownerOf(seed);
    const { cursor } = await owner.pull();
    const headers = { 'if-match': tag(cursor) };
    assert.deepEqual(counts(checkOk(await owner.full({ books: [] }, '?dryRun=true', headers))), some({ deleted: 1 }));
    const replaced = checkOk(await owner.full({ books: [{ id: 'b', title: 'T' }] }, '', headers));
    assert.deepEqual(counts(replaced), some({ created: 1, deleted: 1 }));
    for (const query of ['', '?dryRun=true']) {
      const reply = await owner.unchanged(() => owner.full({ books: [] }, query, headers));
      assert.match(checkError(reply, 409, 'CONFLICT_DETECTED').message, /^If-Match: /);
    }
    const now = (await owner.pull()).cursor;
    assert.deepEqual(counts(checkOk(await owner.full({ books: [] }, '', { 'if-match': tag(now) }))), some({ deleted: 1 }));
  });

test('If-Match: a refusal or a repeat between pull and full sync is no move, any accepted write is', async () => {
  const owner = await ownerOf(seed);
  const operation = book('b1');
  await owner.apply(operation);
  const headers = { 'if-match': `"${(await owner.pull()).cursor}"` };
  await owner.apply(operation);
  await owner.apply(book('b2', { title: 7 }));
  checkInvalid(await owner.full({ books: [{}] }), 'books[0].id');
  checkOk(await owner.full({ books: [] }, '?dryRun=true', headers));
  await owner.apply(op('create', 'tag', 't1', { name: 'T' }));
  checkError(await owner.full({ books: [] }, '', headers), 409, 'CONFLICT_DETECTED');
});

test('If-Match with the cursor of an empty library lets the very first write pass, and only that', async () => {
  const owner = new Owner();
  const headers = { 'if-match': `"${(await owner.pull()).cursor}"` };
  checkOk(await owner.full(seed, '', headers));
  checkError(await owner.full({ books: [] }, '', headers), 409, 'CONFLICT_DETECTED');
});

test('If-Match: of several full syncs from one and the same state, one is accepted', async () => {
  const owner = await ownerOf(seed);
  const headers = { 'if-match': `"${(await owner.pull()).cursor}"` };
  const replies = await Promise.all(['A', 'B', 'C', 'D'].map((title) => owner.full({ books: [{ id: 'b1', title }] }, '', headers)));
  assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 409, 409, 409]);
});

test("If-Match with another user's cursor, or one of a page with more behind it, refuses", async () => {
  const owner = await ownerOf({ books: [{ id: 'b1', title: 'T' }, { id: 'b2', title: 'T' }] });
  const page = await owner.pull('since=0&limit=1');
  assert.equal(page.hasMore, true);
  for (const { cursor } of [page, await seeded.pull()])
    checkError(await owner.full({ books: [] }, '', { 'if-match': `"${cursor}"` }), 409, 'CONFLICT_DETECTED');
});

// Time

test('a replacement wins over what the server has, whatever the times on both sides', async () => {
  const times = [[ago(5), ago(60)], [ago(60), ago(5)], [ago(-4), undefined], [ago(-4), ago(60)], [ago(5), ago(-10_000)]];
  for (const [edited, updatedAt] of times) {
    const owner = new Owner();
    await owner.apply(book('b1', { title: 'Server', notes: 'n', nested: { a: 1 } }, { timestamp: edited }));
    assert.deepEqual(counts(await owner.replace({ books: [{ id: 'b1', title: 'Item', updatedAt }] })), some({ updated: 1 }));
    assert.deepEqual(await owner.contents(), { 'book b1': { title: 'Item' } }, `${edited} ${updatedAt}`);
  }
});

test('an offline edit older than the replacement loses, its sender is told, and the next pull brings the truth', async () => {
  const owner = await ownerOf({ books: [{ id: 'b1', title: 'Old', notes: 'old' }, { id: 'b2', title: 'Goes' }] });
  await owner.replace({ books: [{ id: 'b1', title: 'New' }] });
  const { cursor } = await owner.pull();
  const offline = [patch('b1', { notes: 'offline' }), patch('b1', { title: 'offline' }), patch('b2', { title: 'offline' })];
  const { results } = await owner.send(offline);
  assert.deepEqual(results.map(({ status, resolution }) => [status, resolution]), Array(3).fill(['success', 'server']));
  assert.deepEqual(content(results[0].data), { title: 'New' });
  assert.equal(results[2].deleted, true);
  const { changes } = await owner.pull(`cursor=${cursor}`);
  assert.deepEqual(changes.map(({ deleted, data }) => [data.id, deleted ?? false]), [['b1', false], ['b2', true]]);
  assert.deepEqual(await owner.contents(), { 'book b1': { title: 'New' } });
});

test('an edit later than the replacement wins: later than updatedAt of the item where it has one, else than the request', async () => {
  const owner = await ownerOf({ books: [{ id: 'b1', title: 'Item', updatedAt: ago(60) }, { id: 'b2', title: 'Item' }] });
  const edit = (id, minutes) => patch(id, { title: 'Edit' }, { timestamp: ago(minutes) });
  const { results } = await owner.send([edit('b1', 30), edit('b2', -2)]);
  assert.deepEqual(results.map(({ resolution }) => resolution), [undefined, undefined]);
  assert.deepEqual(await owner.contents(), { 'book b1': { title: 'Edit' }, 'book b2': { title: 'Edit' } });
});

test('an item from the future does not win for ever', async () => {
  const owner = await ownerOf({ books: [{ id: 'b1', title: 'Item', updatedAt: '2099-01-01T00:00:00Z' }] });
  await owner.apply(patch('b1', { title: 'Edit' }, { timestamp: ago(-1) }));
  assert.equal((await owner.read('book', 'b1')).title, 'Edit');
});

test('what a full sync deletes stays deleted against older edits and returns with a later one', async () => {
  const owner = await ownerOf({ books: [{ id: 'b1', title: 'T', notes: 'n' }] });
  await owner.replace({ books: [] });
  await owner.apply(book('b1'));
  assert.deepEqual(await owner.contents(), {});
  await owner.apply(patch('b1', { genre: 'g' }, { timestamp: ago(-2) }));
  assert.deepEqual(await owner.contents(), { 'book b1': { title: 'T', notes: 'n', genre: 'g' } });
});

// Merging

test('mode merge stores without deleting, and keeps no snapshot', async () => {
  const owner = await ownerOf(everything());
  const before = await owner.contents();
  const reply = await owner.replace({ mode: 'merge', books: [kinds.books[2]], tags: [], settings: { theme: 'light' } });
  assert.deepEqual(counts(reply), some({ created: 1, updated: 1 }));
  before['userSettings settings'].theme = 'light';
  assert.deepEqual(await owner.contents(), { ...before, 'book x2': members(kinds.books[2]) });
  assert.deepEqual(await owner.snapshots(), []);
});

test('mode merge: the later of updatedAt and the edits on the server wins, member by member', async () => {
  const owner = new Owner();
  await owner.apply(book('b1', { title: 'old', shelf: { row: 'old' } }));
  await owner.apply(patch('b1', { notes: 'later', shelf: { column: 'later' } }, { timestamp: ago(5) }));
  const item = { id: 'b1', title: 'item', notes: 'item', genre: 'item', shelf: { row: 'item', column: 'item' }, updatedAt: ago(7) };
  const reply = await owner.replace({ mode: 'merge', books: [item] });
  assert.deepEqual(counts(reply), some({ updated: 1 }));
  assert.equal(reply.conflicts, 1);
  const merged = { title: 'item', notes: 'later', genre: 'item', shelf: { row: 'item', column: 'later' } };
  assert.deepEqual(await owner.contents(), { 'book b1': merged });
  const [conflict] = await owner.conflicts();
  assert.deepEqual([conflict.status, conflict.resolution, conflict.entityId], ['resolved', 'merged', 'b1']);
  assert.equal(conflict.localData.notes, 'item');
  assert.equal(conflict.serverData.notes, 'later');
});

test('mode merge: an item without updatedAt is of now, one older than everything changes nothing but is logged', async () => {
  const owner = new Owner();
  await owner.send([book('b1', { notes: 'n' }), book('b2', { notes: 'n' })]);
  await owner.replace({ mode: 'merge', books: [{ id: 'b1', title: 'item' }, { id: 'b2', title: 'item', updatedAt: ago(60) }] });
  assert.deepEqual(await owner.contents(), { 'book b1': { title: 'item', notes: 'n' }, 'book b2': { title: 'Book b2', notes: 'n' } });
  assert.deepEqual((await owner.conflicts()).map(({ entityId, resolution }) => [entityId, resolution]), [['b2', 'server']]);
});

test('mode merge: an item older than its deletion stays deleted and is not counted as created', async () => {
  const owner = new Owner();
  await owner.send([book('b1'), gone('book', 'b1'), book('b2'), gone('book', 'b2')]);
  const reply = await owner.replace({ mode: 'merge', books: [{ id: 'b1', title: 'T', updatedAt: ago(7) }, { id: 'b2', title: 'back' }] });
  assert.deepEqual(await owner.contents(), { 'book b2': { title: 'back' } });
  assert.equal(reply.created, 1);
});

test('mode merge of what is already so changes nothing, with the same updatedAt or without any', async () => {
  const owner = new Owner();
  const body = { mode: 'merge', books: [{ id: 'b1', title: 'T', updatedAt: ago(7) }], settings: { theme: 'dark', updatedAt: ago(7) } };
  await owner.replace(body);
  assert.deepEqual(counts(await owner.unchanged(() => owner.replace(body))), some({ unchanged: 2 }));
  const bare = { mode: 'merge', books: [{ id: 'b1', title: 'T' }], settings: {} };
  assert.deepEqual(counts(await owner.unchanged(() => owner.replace(bare))), some({ unchanged: 2 }));
});

// One per book, and names

const rating = (id, bookId, stars, more) => ({ id, bookId, stars, ...more });

test('two ratings of one book in the list: the later in the list stays, and both sides are in the log', async () => {
  for (const updatedAt of [undefined, ago(60)]) {
    const owner = new Owner();
    const reply = await owner.replace({ ratings: [rating('r1', 'b1', 1), rating('r2', 'b1', 2, { updatedAt }), rating('r3', 'b2', 3)] });
    assert.equal(reply.conflicts, 1);
    assert.deepEqual(Object.keys(await owner.contents()).sort(), ['rating r2', 'rating r3']);
    const [conflict] = await owner.conflicts();
    assert.deepEqual([conflict.reason, conflict.status], ['one_per_book', 'resolved']);
    assert.deepEqual([conflict.entityId, conflict.otherId].sort(), ['r1', 'r2']);
    assert.deepEqual([conflict.localData.stars, conflict.serverData.stars], [2, 1]);
    const again = { ratings: [rating('r1', 'b1', 1), rating('r2', 'b1', 2), rating('r3', 'b2', 3)] };
    assert.deepEqual(counts(await owner.unchanged(() => owner.replace(again))), some({ unchanged: 3 }));
    again.ratings.reverse();
    assert.deepEqual(counts(await owner.replace(again)), some({ created: 1, unchanged: 2 }));
    assert.deepEqual(Object.keys(await owner.contents()).sort(), ['rating r1', 'rating r3'], 'the other order');
    again.ratings.pop(); // r1, which has the place
    assert.deepEqual(counts(await owner.replace(again)), some({ created: 1, deleted: 1, unchanged: 1 }));
    assert.deepEqual(Object.keys(await owner.contents()).sort(), ['rating r2', 'rating r3'], 'the one is gone that stood before it');
  }
});

test('a list with very many ratings of one book is the same when it comes again', async () => {
  const owner = new Owner(), ratings = Array.from({ length: 2500 }, (_, i) => rating(`r${i}`, 'b1', 1 + (i % 5)));
  assert.deepEqual(counts(await owner.replace({ ratings })), some({ created: 2500 }));
  assert.deepEqual(counts(await owner.unchanged(() => owner.replace({ ratings }))), some({ unchanged: 2500 }));
  assert.deepEqual(Object.keys(await owner.contents()), ['rating r2499']);
});

test('a rating in the list takes the place of another one of the book, however late that was edited', async () => {
  const owner = new Owner();
  await owner.apply(op('create', 'rating', 'r1', { bookId: 'b1', stars: 1 }, { timestamp: ago(-4) }));
  const reply = await owner.replace({ ratings: [rating('r2', 'b1', 2, { updatedAt: ago(60) })] });
  assert.deepEqual(counts(reply), some({ created: 1, deleted: 1 }));
  assert.deepEqual(Object.keys(await owner.contents()), ['rating r2']);
  assert.ok(reply.snapshot);
});

test('a rating that another one of the list displaces is in the snapshot', async () => {
  for (const r1 of [rating('r1', 'b1', 1), rating('r1', 'b1', 1, { review: 'changed' })])
    for (const ratings of [[r1, rating('r2', 'b1', 2)], [rating('r2', 'b1', 2), r1]]) {
      const owner = await ownerOf({ ratings: [rating('r1', 'b1', 1)] });
      const before = await owner.contents();
      const reply = await owner.replace({ ratings });
      assert.equal(Object.keys(await owner.contents()).length, 1);
      if (!reply.snapshot) assert.deepEqual(await owner.contents(), before, 'no snapshot, so nothing may be lost');
      else checkOk(await owner.restore(reply.snapshot));
      assert.deepEqual(await owner.contents(), before);
    }
});

for (const [name, ratings] of Object.entries({ 'with the other one': [rating('r2', 'b1', 2)], 'with an empty list': [] }))
  test(`a rating that was displaced and then left out, ${name}, does not come back when the other one moves to another book`, async () => {
    const owner = await ownerOf({ ratings: [rating('r1', 'b1', 1)] });
    await owner.apply(op('create', 'rating', 'r2', { bookId: 'b1', stars: 2 }, { timestamp: undefined }));
    await owner.replace({ ratings });
    await owner.apply(op('create', 'rating', 'r2', { bookId: 'b2', stars: 2 }, { timestamp: undefined }));
    assert.deepEqual(await owner.contents(), { 'rating r2': { bookId: 'b2', stars: 2 } });
  });

test('two tags of one name are both stored and asked about; the question closes when one of them goes', async () => {
  const owner = new Owner();
  const both = [{ id: 't1', name: 'Sea' }, { id: 't2', name: 'Sea' }];
  await owner.replace({ tags: both });
  assert.equal(Object.keys(await owner.contents()).length, 2);
  const open = await owner.conflicts('?status=open');
  assert.deepEqual(open.map(({ reason, entityId, otherId }) => [reason, entityId, otherId]), [['same_name', 't2', 't1']]);
  await owner.replace({ tags: both });
  assert.equal((await owner.status()).conflicts, 1, 'the same list asks nothing new');
  await owner.replace({ tags: both.slice(0, 1) });
  assert.equal((await owner.status()).conflicts, 0);
});

test('an incomplete book is made whole or deleted by a full sync, and its question closes', async () => {
  for (const books of [[{ id: 'b1', title: 'T' }], []]) {
    const owner = new Owner();
    await owner.apply(patch('b1', { notes: 'n' }));
    assert.equal((await owner.status()).conflicts, 1);
    await owner.replace({ books });
    assert.equal((await owner.status()).conflicts, 0);
    assert.deepEqual(Object.values(await owner.contents()), books.map(members));
  }
});

// Snapshots

test('a snapshot is kept when something was changed or deleted, and only then', async () => {
  const owner = await ownerOf(everything());
  const cases = [
    [{ books: [kinds.books[1]] }, false], [{ books: [kinds.books[1], kinds.books[2]] }, false],
    [{ readings: [kinds.readings[1]], settings: everything().settings }, false], [{ books: [kinds.books[2]] }, true],
    [{ settings: { theme: 'light' } }, true], [{ tags: [], collections: kinds.collections.slice(1, 2) }, true],
  ];
  let kept = 0;
  for (const [body, taken] of cases) {
    const reply = await owner.replace(body);
    kept += taken;
    assert.equal(reply.snapshot !== undefined, taken, JSON.stringify(body));
    const snapshots = await owner.snapshots();
    assert.equal(snapshots.length, kept);
    if (taken) assert.equal(snapshots[0].id, reply.snapshot, 'newest first');
  }
});

test('the list of snapshots tells what each holds and until when', async () => {
  const owner = await ownerOf(everything());
  const { syncedAt, snapshot } = await owner.replace({ books: [], tags: [{ id: 'x1', name: 'Other' }] });
  const [entry, ...others] = await owner.snapshots();
  assert.deepEqual(others, []);
  assert.deepEqual({ ...entry, kinds: [...entry.kinds].sort() }, {
    id: snapshot, createdAt: syncedAt, expiresAt: new Date(ms(syncedAt) + 30 * DAY).toISOString(), entities: 2, kinds: ['book', 'tag'],
  });
});

test('restore brings back exactly the state before, tells other devices, and can itself be undone', async () => {
  const owner = await ownerOf(everything());
  await owner.apply(patch('x1', { notes: null, nested: { a: [1, { b: {} }] } }, { timestamp: undefined }));
  const before = await owner.library();
  const replaced = await owner.replace({
    books: [kinds.books[2]], ratings: [rating('x3', 'b1', 5)], tags: [{ id: 'x1', name: 'Changed' }],
    collections: [], readings: [], settings: {},
  });
  const after = await owner.library();
  const { cursor } = await owner.pull();
  const restored = checkOk(await owner.restore(replaced.snapshot));
  const withoutStamps = (library) => Object.fromEntries(Object.entries(library).map(([name, { updatedAt, ...data }]) => [name, data]));
  assert.deepEqual(withoutStamps(await owner.library()), withoutStamps(before));
  assert.deepEqual(counts(restored), { created: 4, updated: 2, deleted: 2, unchanged: 0 });
  const { changes } = await owner.pull(`cursor=${cursor}`);
  assert.deepEqual(
    changes.map(({ type, deleted, data }) => `${type} ${data.id}${deleted ? ' -' : ''}`).sort(),
    ['book x1', 'book x2 -', 'collection x1', 'rating x1', 'rating x3 -', 'readingLog x1', 'tag x1', 'userSettings settings']);
  checkOk(await owner.restore(restored.snapshot));
  assert.deepEqual(withoutStamps(await owner.library()), withoutStamps(after));
  assert.deepEqual((await owner.snapshots()).length, 3);
});

test('restore touches only the kinds that were replaced then', async () => {
  const owner = await ownerOf(everything());
  const { snapshot } = await owner.replace({ books: [] });
  await owner.send([op('create', 'tag', 't9', { name: 'Later' }), gone('collection', 'x1', { timestamp: undefined })]);
  const before = await owner.contents();
  checkOk(await owner.restore(snapshot));
  assert.deepEqual(await owner.contents(), { ...before, 'book x1': members(kinds.books[1]) });
});

test('restore of what is already so changes nothing', async () => {
  const owner = await ownerOf(seed);
  const { snapshot } = await owner.replace({ books: [] });
  checkOk(await owner.restore(snapshot));
  assert.deepEqual(counts(await owner.unchanged(async () => checkOk(await owner.restore(snapshot)))), some({ unchanged: 1 }));
});

test('restore wins over edits made since, and edits older than it lose', async () => {
  const owner = await ownerOf(seed);
  const { snapshot } = await owner.replace({ books: [{ id: 'kept', title: 'Replaced' }] });
  await owner.apply(patch('kept', { title: 'Later' }, { timestamp: ago(-2) }));
  checkOk(await owner.restore(snapshot));
  assert.equal((await owner.apply(patch('kept', { title: 'Offline' }))).resolution, 'server');
  assert.deepEqual(await owner.contents(), { 'book kept': { title: 'Kept' } });
});

test('404: a snapshot that does not exist, or of another user', async () => {
  const other = await ownerOf(seed);
  const { snapshot } = await other.replace({ books: [] });
  for (const id of ['1', '0', '-1', 'latest', `${snapshot}x`, '99999999999999999999', snapshot])
    checkError(await seeded.unchanged(() => seeded.restore(id)), 404, 'NOT_FOUND');
  checkOk(await other.restore(snapshot));
});

// At random: a model of what the library must be, and a device that follows by its cursor. SEED and STEPS in the
// environment run a certain history again, or a longer one.

function pick(random, list) {
  return list[Math.floor(random() * list.length)];
}

// Few ids, books and names, so that they meet often.
function randomItem(random, name) {
  const id = pick(random, ['1', '2', '3', '4', '5']);
  if (name === 'books') return { id, title: pick(random, ['A', 'B']), ...(random() < 0.5 && { notes: pick(random, ['x', 'y', null]) }) };
  if (name === 'ratings') return { id, bookId: pick(random, ['1', '2']), stars: pick(random, [1, 2, 3]) };
  return { id, name: pick(random, ['A', 'B', 'C']), ...(random() < 0.3 && { color: 'red' }) };
}

function randomList(random, name) {
  const items = Array.from({ length: Math.floor(random() * 6) }, () => randomItem(random, name));
  const list = items.filter(({ id }, n) => items.findIndex((other) => other.id === id) === n);
  if (random() < 0.3) for (const item of list) item.updatedAt = ago(Math.floor(random() * 100));
  return list;
}

// One rating a book: the last in the list.
const heldBy = (name, list) =>
  list.filter((one, n) => name !== 'ratings' || !list.slice(n + 1).some(({ bookId }) => bookId === one.bookId));

test('random full syncs, edits and restores: the library is what the model says, and a device that follows has the same', async (t) => {
  const seedOf = Number(process.env.SEED ?? Date.now() % 1e9);
  t.diagnostic(`SEED=${seedOf}`);
  let state = seedOf;
  const random = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 2 ** 32;
  const owner = new Owner();
  const singular = { books: 'book', ratings: 'rating', tags: 'tag' };
  let model = {};
  const snapshots = [];
  const device = {};
  let { cursor } = await owner.pull();
  const replaceIn = (name, contents) => {
    for (const key of Object.keys(model)) if (key.startsWith(`${singular[name]} `)) delete model[key];
    Object.assign(model, contents);
  };
  for (let step = 0; step < Number(process.env.STEPS ?? 60); step++) {
    const before = structuredClone(model);
    const choice = random();
    if (choice < 0.7) {
      const names = Object.keys(singular).filter(() => random() < 0.6);
      const body = Object.fromEntries(names.map((name) => [name, randomList(random, name)]));
      const dry = await owner.replace(body, '?dryRun=true');
      const reply = await owner.replace(body);
      assert.deepEqual([counts(dry), dry.conflicts], [counts(reply), reply.conflicts]);
      for (const name of names) {
        const held = heldBy(name, body[name]).map(({ id, updatedAt, ...rest }) => [`${singular[name]} ${id}`, rest]);
        replaceIn(name, Object.fromEntries(held));
      }
      const lost = Object.entries(before).some(([key, data]) => !isDeepStrictEqual(model[key], data));
      if (lost) assert.ok(reply.snapshot, `step ${step}: something is gone, so a snapshot was kept`);
      if (reply.snapshot) snapshots.push([reply.snapshot, names, before]);
    } else if (choice < 0.85 && snapshots.length > 0) {
      const [id, names, was] = pick(random, snapshots);
      const reply = checkOk(await owner.restore(id));
      for (const name of names)
        replaceIn(name, Object.fromEntries(Object.entries(was).filter(([key]) => key.startsWith(`${singular[name]} `))));
      if (reply.snapshot) snapshots.push([reply.snapshot, names, before]);
    } else {
      const { id, ...data } = randomItem(random, 'books');
      await owner.apply(op(random() < 0.3 ? 'delete' : 'create', 'book', id, data, { timestamp: undefined }));
      model = await owner.contents(); // what an edit does is told elsewhere
    }
    assert.deepEqual(await owner.contents(), model, `step ${step}`);
    const page = await owner.pull(`cursor=${cursor}`);
    cursor = page.cursor;
    for (const { type, deleted, data } of page.changes) {
      if (deleted) delete device[`${type} ${data.id}`];
      else device[`${type} ${data.id}`] = content(data);
    }
    assert.deepEqual(device, model, `step ${step}, on the device`);
    const names = Object.entries(model).filter(([key]) => key.startsWith('tag ')).map(([, { name }]) => name);
    const open = await owner.conflicts('?status=open');
    assert.equal(open.length > 0, new Set(names).size < names.length, `step ${step}: tags ${names} and ${open.length} questions`);
  }
});

// Size

const sameMembers = (library, books) => {
  assert.equal(Object.keys(library).length, books.length);
  for (const one of books)
    assert.equal(JSON.stringify(content(library[`book ${one.id}`])), JSON.stringify(members(one)));
};

// What: how many books of how many bytes.
const libraries = { '10,000 books in 5 MB': [10_000, 500], 'books of 20 kB': [50, 20_000] };

for (const [name, [count, size]] of Object.entries(libraries))
  test(`${name} are stored by one request and come back member for member`, async () => {
    const owner = new Owner();
    const books = syntheticBooks(count, size);
    const body = JSON.stringify({ books });
    assert.ok(body.length > count * size * 0.9 && Buffer.byteLength(body) < 12 << 20, `${Buffer.byteLength(body)} bytes`);
    assert.deepEqual(counts(await owner.replace(body)), some({ created: count }));
    sameMembers(await owner.library(), books);
  });

test('a body larger than other endpoints take, but below limits.full_body, is accepted', async () => {
  const owner = new Owner();
  const body = JSON.stringify({ books: [{ id: 'b1', title: 'T' }], padding: 'x'.repeat(20 << 20) });
  assert.deepEqual(counts(await owner.replace(body)), some({ created: 1 }));
});

test('413: a body over limits.full_body, as it is or inflated, names the limit', async () => {
  const body = JSON.stringify({ books: [], padding: 'x'.repeat(33 << 20) });
  for (const [sent, headers] of [[body, {}], [zlib.gzipSync(body), { 'content-encoding': 'gzip' }]]) {
    const error = checkError(await seeded.full(sent, '', headers), 413, 'PAYLOAD_TOO_LARGE');
    assert.match(error.message, /limits\.full_body\b.*\b33554432\b/);
  }
});

test('a library of more than one chunk: counts, deletions, one rating per book and the way back hold across chunks', async () => {
  const owner = new Owner();
  const books = syntheticBooks(2500, 0);
  const ratings = books.map(({ id }, n) => rating(`r${n}`, n % 1200 === 7 ? 'one book' : id, 1 + (n % 9) / 2));
  const first = await owner.replace({ books, ratings });
  assert.deepEqual(counts(first), some({ created: 5000 }));
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

test('a change far down in a long list keeps a snapshot of the whole state before', async () => {
  const owner = new Owner();
  const books = syntheticBooks(2100, 0);
  await owner.replace({ books: books.slice(1000) });
  const before = await owner.contents();
  const { snapshot } = await owner.replace({ books: [...books.slice(0, 2099), { ...books[2099], title: 'changed' }] });
  assert.equal((await owner.snapshots())[0].entities, 1100);
  checkOk(await owner.restore(snapshot));
  assert.deepEqual(await owner.contents(), before);
});

test("a full sync carries its device: that device's next edit is no conflict with it, another's is", async () => {
  const owner = await ownerOf({ books: [{ id: 'b1', title: 'T' }] });
  const { updatedAt } = await owner.read('book', 'b1');
  await owner.replace({ deviceId: 'phone', books: [{ id: 'b1', title: 'Phone' }] });
  const edit = (title, minutes) => patch('b1', { title }, { baseVersion: updatedAt, timestamp: ago(minutes) });
  assert.equal((await owner.apply(edit('Mine', -1), { deviceId: 'phone' })).resolution, undefined);
  await owner.replace({ deviceId: 'phone', books: [{ id: 'b1', title: 'Again' }] });
  assert.equal((await owner.apply(edit('Theirs', -2), { deviceId: 'laptop' })).resolution, 'client');
});
