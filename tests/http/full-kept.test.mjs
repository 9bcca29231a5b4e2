// POST /full without a mode: what is kept, so that nothing is emptied by accident.
import assert from 'node:assert/strict';
import test from 'node:test';
import { counts, everything, ownerOf, rating, some } from './full.mjs';
import { checkError, op } from './lib.mjs';
import { Owner, checkInvalid, checkOk } from './owner.mjs';

const books = (count, more) => Array.from({ length: count }, (_, n) => ({ id: `b${n}`, title: `Book ${n}`, ...more }));
const full = async (owner, body, query, headers) => checkOk(await owner.full(body, query, headers));
const ids = async (owner) => Object.keys(await owner.library()).sort();

test('the empty lists of a new device delete nothing', async () => {
  const owner = await ownerOf({ books: books(20) });
  const body = { books: [], collections: [], tags: [], readings: [] };
  for (const query of ['?dryRun=true', '']) {
    const reply = await owner.unchanged(() => full(owner, body, query));
    assert.deepEqual(counts(reply), some());
    assert.deepEqual(reply.kept, { books: 20 });
    assert.equal(reply.snapshot, undefined);
  }
});

test('the documented request of the original app gets the documented reply and empties nothing', async () => {
  const body = { books: [], collections: [], tags: [], readings: [], settings: {} };
  const owner = await ownerOf(everything());
  const reply = await owner.unchanged(() => full(owner, body));
  assert.equal(reply.success, true);
  assert.match(reply.syncedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(reply.kept, { books: 1, collections: 1, tags: 1, readings: 1, settings: 1 });
  const fresh = new Owner();
  const first = await full(fresh, { ...body, books: books(2), settings: { theme: 'dark' } });
  assert.deepEqual(counts(first), some({ created: 3 }));
  assert.equal(first.kept, undefined);
});

test('one book on twenty is stored, and the other nineteen are kept', async () => {
  const owner = await ownerOf({ books: books(20) });
  const body = { books: [{ id: 'b7', title: 'Changed' }] };
  const dry = await owner.unchanged(() => full(owner, body, '?dryRun=true'));
  const reply = await full(owner, body);
  for (const { kept, ...numbers } of [dry, reply]) {
    assert.deepEqual(counts(numbers), some({ updated: 1 }));
    assert.deepEqual(kept, { books: 19 });
  }
  const library = await owner.library();
  assert.equal(Object.keys(library).length, 20);
  assert.equal(library['book b7'].title, 'Changed');
  checkOk(await owner.restore(reply.snapshot));
  assert.equal((await owner.read('book', 'b7')).title, 'Book 7');
  assert.equal((await ids(owner)).length, 20);
});

test('an empty list of a kind without entities is not in the snapshot, so a restore does not empty it', async () => {
  const owner = await ownerOf({ books: books(1) });
  const { snapshot } = await full(owner, { books: [{ id: 'b0', title: 'Changed' }], tags: [] });
  await owner.apply(op('create', 'tag', 't1', { name: 'later' }));
  checkOk(await owner.restore(snapshot));
  assert.deepEqual([await ids(owner), (await owner.read('book', 'b0')).title], [['book b0', 'tag t1'], 'Book 0']);
});

// The number of books, how many of them are listed, and whether the others are kept.
const shares = [[20, 10, false], [21, 10, true], [20, 9, true], [10, 1, false], [11, 1, false], [12, 1, true],
  [2500, 1300, false], [2500, 1200, true]];

for (const [held, listed, kept] of shares)
  test(`${listed} of ${held} books without a mode: the others are ${kept ? 'kept' : 'deleted'}`, async () => {
    const owner = await ownerOf({ books: books(held) });
    const reply = await full(owner, { books: books(listed) });
    assert.deepEqual(counts(reply), some({ unchanged: listed, ...(!kept && { deleted: held - listed }) }));
    assert.deepEqual(reply.kept, kept ? { books: held - listed } : undefined);
    assert.equal((await ids(owner)).length, kept ? held : listed);
  });

test('new books in place of many are stored beside them', async () => {
  const owner = await ownerOf({ books: books(20) });
  const reply = await full(owner, { books: books(30).map(({ id }) => ({ id: `new ${id}`, title: 'T' })) });
  assert.deepEqual(counts(reply), some({ created: 30 }));
  assert.deepEqual(reply.kept, { books: 20 });
  assert.equal(reply.snapshot, undefined);
  assert.equal((await ids(owner)).length, 50);
});

test('a request that says replace, in the body or in the query, deletes everything that is not listed', async () => {
  for (const [more, query] of [[{ mode: 'replace' }, ''], [{}, '?mode=replace'], [{ mode: 'replace' },
    '?mode=replace&dryRun=false']]) {
    const owner = await ownerOf({ books: books(20), settings: { theme: 'dark' } });
    const reply = await full(owner, { books: [], settings: {}, ...more }, query);
    assert.deepEqual(counts(reply), some({ deleted: 20, updated: 1 }));
    assert.equal(reply.kept, undefined);
    assert.deepEqual(await owner.contents(), { 'userSettings settings': {} });
  }
});

test('If-Match permits to delete the greater part of a kind, but not to empty it', async () => {
  const owner = await ownerOf({ books: books(20), settings: { theme: 'dark' } });
  const headers = async () => ({ 'if-match': `"${(await owner.pull()).cursor}"` });
  const empty = await owner.unchanged(async () => full(owner, { books: [], settings: {} }, '', await headers()));
  assert.deepEqual(empty.kept, { books: 20, settings: 1 });
  const reply = await full(owner, { books: books(1) }, '', await headers());
  assert.deepEqual(counts(reply), some({ unchanged: 1, deleted: 19 }));
  assert.equal(reply.kept, undefined);
});

test('the mode of the query must be a mode and must not contradict the body', async () => {
  const owner = await ownerOf({ books: books(1) });
  for (const query of ['?mode=', '?mode=all', '?mode=Replace', '?mode=1'])
    checkInvalid(await owner.unchanged(() => owner.full({ books: [] }, query)), 'mode');
  for (const [said, asked] of [['merge', 'replace'], ['replace', 'merge']])
    checkInvalid(await owner.unchanged(() => owner.full({ books: [], mode: said }, `?mode=${asked}`)), 'mode');
  assert.deepEqual(counts(await full(owner, { books: books(3), mode: null }, '?mode=merge')),
    some({ created: 2, unchanged: 1 }));
});

test('a kind that is kept does not protect another one', async () => {
  const owner = await ownerOf({ books: books(20), tags: [{ id: 't1', name: 'A' }, { id: 't2', name: 'B' }] });
  const reply = await full(owner, { books: [], tags: [{ id: 't1', name: 'A' }] });
  assert.deepEqual(counts(reply), some({ unchanged: 1, deleted: 1 }));
  assert.deepEqual(reply.kept, { books: 20 });
  const [snapshot] = await owner.snapshots();
  assert.deepEqual(snapshot.kinds, ['tag'], 'a restore does not touch the books');
});

test('a rating that is kept can be superseded by a listed one, and is then not counted as kept', async () => {
  const owner = await ownerOf({ ratings: books(20).map(({ id }) => rating(`r ${id}`, id, 3)) });
  const body = { ratings: [rating('mine', 'b3', 5)] };
  const dry = await owner.unchanged(() => full(owner, body, '?dryRun=true'));
  const reply = await full(owner, body);
  assert.deepEqual([dry.kept, reply.kept], [{ ratings: 19 }, { ratings: 19 }]);
  assert.deepEqual(counts(reply), some({ created: 1 }));
  assert.equal((await ids(owner)).length, 20);
  await owner.apply(op('create', 'rating', 'mine', { bookId: 'elsewhere', stars: 5 }, { timestamp: undefined }));
  assert.equal((await ids(owner)).length, 21, 'it returns when the other one leaves');
});

test('incomplete books are kept as well', async () => {
  const owner = new Owner();
  await owner.send([op('update', 'book', 'half', { notes: 'n' })]);
  const reply = await owner.unchanged(() => full(owner, { books: [] }));
  assert.deepEqual(reply.kept, { books: 1 });
  assert.equal((await owner.status()).conflicts, 1);
});

// Members that name no kind

test('members that name no kind are listed as ignored, at most a hundred, with 80 characters each', async () => {
  const owner = new Owner();
  const misspelled = await full(owner, { book: [{ id: 'a', title: 't' }] });
  assert.deepEqual([counts(misspelled), misspelled.ignored], [some(), ['book']]);
  assert.equal((await full(owner, { force: true })).ignored, undefined, 'the published command gets the same reply');
  const several = await full(owner, { x: null, books: books(1), mode: 'replace', deviceId: 'phone', 'é"': { a: [] } });
  assert.deepEqual([counts(several), several.ignored], [some({ created: 1 }), ['x', 'é"']]);
  assert.equal((await full(owner, { books: books(1) })).ignored, undefined);
  const long = '🦊'.repeat(81);
  const others = Array.from({ length: 900 }, (_, n) => [`m${n}`, n]);
  const many = await full(owner, Object.fromEntries([[long, 1], ...others]));
  assert.equal(many.ignored.length, 100);
  assert.deepEqual(many.ignored.slice(0, 2), ['🦊'.repeat(80), 'm0']);
});

const notJson = ['{"x"::"b"}', '{"force":tru}',
  '{"x":tru}', '{"x":[1,]}', '{"x":{"y":[{"z":01}]}}', '{"x":"\\x"}', '{"x":[}]}',
  '{"x":"a\nb"}', '{"x":1 2}', '{"x":{"a":1}}}', '{"x":}', '{"x":[[[[', "{'x':1}", '{"x":NaN}'];
const otherBodies = {
  '/operations': '"operations":[]', '/queue': '"type":"delete","entity":"tag","entityId":"t"',
  '/mark-synced': '"operationIds":[]', '/conflicts/1-0/resolve': '"resolution":"keep_local"', '/full': '"books":[]',
};

for (const [path, members] of Object.entries(otherBodies))
  test(`every byte of a body of ${path} must be JSON, also in members that are ignored`, async () => {
    const owner = await ownerOf({ books: books(1) });
    for (const text of notJson)
      for (const body of [text, `{${members},${text.slice(1)}`, `{"w":{},${text.slice(1)}`])
        checkInvalid(await owner.unchanged(() => owner.call('POST', path, body)), null);
    const bytes = Buffer.from(`{"x":"\u00e9",${members}}`, 'latin1');
    checkError(await owner.unchanged(() => owner.call('POST', path, bytes)), 400, 'VALIDATION_ERROR');
  });

test('the refusal of an ignored member names the place', async () => {
  const error = checkInvalid(await new Owner().full('{"queue":[{"a":1},{"b":tru}]}'), 'queue[1].b');
  assert.match(error.message, /^queue\[1\]\.b: not JSON at byte \d+$/);
});

test('an ignored member of 30 MB costs little memory and is checked as well', async () => {
  const owner = new Owner();
  const rows = `[${'1,'.repeat(15_000_000)}`;
  assert.deepEqual((await full(owner, `{"x":${rows}1],"books":[]}`)).ignored, ['x']);
  checkInvalid(await owner.full(`{"x":${rows}],"books":[]}`), 'x[14999999]');
});
