// POST /full: times of items and edits, mode merge, one rating per book, and names.
import assert from 'node:assert/strict';
import test from 'node:test';
import { counts, everything, kinds, ownerOf, rating, some } from './full.mjs';
import { ago, book, content, gone, op, patch } from './lib.mjs';
import { Owner, checkOk, members } from './owner.mjs';

// Time

test('an item of a full sync replaces the stored entity whatever the times of both', async () => {
  const times = [[ago(5), ago(60)], [ago(60), ago(5)], [ago(-4), undefined], [ago(-4), ago(60)],
    [ago(5), ago(-10_000)]];
  for (const [edited, updatedAt] of times) {
    const owner = new Owner();
    await owner.apply(book('b1', { title: 'Server', notes: 'n', nested: { a: 1 } }, { timestamp: edited }));
    assert.deepEqual(counts(await owner.replace({ books: [{ id: 'b1', title: 'Item', updatedAt }] })),
      some({ updated: 1 }));
    assert.deepEqual(await owner.contents(), { 'book b1': { title: 'Item' } }, `${edited} ${updatedAt}`);
  }
});

test('an offline edit older than the full sync loses, and its result and the next pull say so', async () => {
  const owner = await ownerOf({ books: [{ id: 'b1', title: 'Old', notes: 'old' }, { id: 'b2', title: 'Goes' }] });
  await owner.replace({ books: [{ id: 'b1', title: 'New' }] });
  const { cursor } = await owner.pull();
  const offline = [patch('b1', { notes: 'offline' }), patch('b1', { title: 'offline' }),
    patch('b2', { title: 'offline' })];
  const { results } = await owner.send(offline);
  assert.deepEqual(results.map(({ status, resolution }) => [status, resolution]), Array(3).fill(['success', 'server']));
  assert.deepEqual(content(results[0].data), { title: 'New' });
  assert.equal(results[2].deleted, true);
  const { changes } = await owner.pull(`cursor=${cursor}`);
  assert.deepEqual(changes.map(({ deleted, data }) => [data.id, deleted ?? false]), [['b1', false], ['b2', true]]);
  assert.deepEqual(await owner.contents(), { 'book b1': { title: 'New' } });
});

test('an edit wins if it is later than updatedAt of the item, or than the full sync if the item has none', async () => {
  const owner = await ownerOf(
    { books: [{ id: 'b1', title: 'Item', updatedAt: ago(60) }, { id: 'b2', title: 'Item' }] });
  const edit = (id, minutes) => patch(id, { title: 'Edit' }, { timestamp: ago(minutes) });
  const { results } = await owner.send([edit('b1', 30), edit('b2', -2)]);
  assert.deepEqual(results.map(({ resolution }) => resolution), [undefined, undefined]);
  assert.deepEqual(await owner.contents(), { 'book b1': { title: 'Edit' }, 'book b2': { title: 'Edit' } });
});

test('an item with an updatedAt in the future loses to a later edit', async () => {
  const owner = await ownerOf({ books: [{ id: 'b1', title: 'Item', updatedAt: '2099-01-01T00:00:00Z' }] });
  await owner.apply(patch('b1', { title: 'Edit' }, { timestamp: ago(-1) }));
  assert.equal((await owner.read('book', 'b1')).title, 'Edit');
});

test('an entity that a full sync deleted stays deleted after an older edit and returns with a later one', async () => {
  const owner = await ownerOf({ books: [{ id: 'b1', title: 'T', notes: 'n' }] });
  await owner.replace({ books: [] });
  await owner.apply(book('b1'));
  assert.deepEqual(await owner.contents(), {});
  await owner.apply(patch('b1', { genre: 'g' }, { timestamp: ago(-2) }));
  assert.deepEqual(await owner.contents(), { 'book b1': { title: 'T', notes: 'n', genre: 'g' } });
});

test('the next edit by the device of a full sync is no conflict with it, and one by another device is', async () => {
  const owner = await ownerOf({ books: [{ id: 'b1', title: 'T' }] });
  const { updatedAt } = await owner.read('book', 'b1');
  await owner.replace({ deviceId: 'phone', books: [{ id: 'b1', title: 'Phone' }] });
  const edit = (title, minutes) => patch('b1', { title }, { baseVersion: updatedAt, timestamp: ago(minutes) });
  assert.equal((await owner.apply(edit('Mine', -1), { deviceId: 'phone' })).resolution, undefined);
  await owner.replace({ deviceId: 'phone', books: [{ id: 'b1', title: 'Again' }] });
  assert.equal((await owner.apply(edit('Theirs', -2), { deviceId: 'laptop' })).resolution, 'client');
});

// Merging

test('mode merge stores items without deleting others and makes no snapshot', async () => {
  const owner = await ownerOf(everything());
  const before = await owner.contents();
  const reply = await owner.replace({ mode: 'merge', books: [kinds.books[2]], tags: [], settings: { theme: 'light' } });
  assert.deepEqual(counts(reply), some({ created: 1, updated: 1 }));
  before['userSettings settings'].theme = 'light';
  assert.deepEqual(await owner.contents(), { ...before, 'book x2': members(kinds.books[2]) });
  assert.deepEqual(await owner.snapshots(), []);
});

test('mode merge decides member by member whether updatedAt of the item or the stored edit is later', async () => {
  const owner = new Owner();
  await owner.apply(book('b1', { title: 'old', shelf: { row: 'old' } }));
  await owner.apply(patch('b1', { notes: 'later', shelf: { column: 'later' } }, { timestamp: ago(5) }));
  const item = { id: 'b1', title: 'item', notes: 'item', genre: 'item', shelf: { row: 'item', column: 'item' },
    updatedAt: ago(7) };
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

test('mode merge dates an item without updatedAt now, and logs one that loses completely as a conflict', async () => {
  const owner = new Owner();
  await owner.send([book('b1', { notes: 'n' }), book('b2', { notes: 'n' })]);
  await owner.replace(
    { mode: 'merge', books: [{ id: 'b1', title: 'item' }, { id: 'b2', title: 'item', updatedAt: ago(60) }] });
  assert.deepEqual(await owner.contents(),
    { 'book b1': { title: 'item', notes: 'n' }, 'book b2': { title: 'Book b2', notes: 'n' } });
  assert.deepEqual((await owner.conflicts()).map(({ entityId, resolution }) => [entityId, resolution]),
    [['b2', 'server']]);
});

test('mode merge leaves an entity deleted if the item is older, and does not count it as created', async () => {
  const owner = new Owner();
  await owner.send([book('b1'), gone('book', 'b1'), book('b2'), gone('book', 'b2')]);
  const reply = await owner.replace(
    { mode: 'merge', books: [{ id: 'b1', title: 'T', updatedAt: ago(7) }, { id: 'b2', title: 'back' }] });
  assert.deepEqual(await owner.contents(), { 'book b2': { title: 'back' } });
  assert.equal(reply.created, 1);
});

test('mode merge of unchanged items changes nothing, with the same updatedAt or without one', async () => {
  const owner = new Owner();
  const body = { mode: 'merge', books: [{ id: 'b1', title: 'T', updatedAt: ago(7) }],
    settings: { theme: 'dark', updatedAt: ago(7) } };
  await owner.replace(body);
  assert.deepEqual(counts(await owner.unchanged(() => owner.replace(body))), some({ unchanged: 2 }));
  const bare = { mode: 'merge', books: [{ id: 'b1', title: 'T' }], settings: {} };
  assert.deepEqual(counts(await owner.unchanged(() => owner.replace(bare))), some({ unchanged: 2 }));
});

// One rating per book, and names

test('of two ratings of one book the later in the list stays, and the conflict log holds both', async () => {
  for (const updatedAt of [undefined, ago(60)]) {
    const owner = new Owner();
    const reply = await owner.replace(
      { ratings: [rating('r1', 'b1', 1), rating('r2', 'b1', 2, { updatedAt }), rating('r3', 'b2', 3)] });
    assert.equal(reply.conflicts, 1);
    assert.deepEqual(counts(reply), some({ created: 2, unchanged: 1 }));
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
    again.ratings.pop(); // r1, the live one
    assert.deepEqual(counts(await owner.replace(again)), some({ created: 1, deleted: 1, unchanged: 1 }));
    assert.deepEqual(Object.keys(await owner.contents()).sort(), ['rating r2', 'rating r3'],
      'the omitted rating is gone');
  }
});

test('a superseded rating returns if the one that superseded it leaves the book further down the list', async () => {
  const owner = await ownerOf({ ratings: [rating('r1', 'b1', 1), rating('r2', 'b1', 2), rating('r3', 'b1', 3)] });
  const reply = await owner.replace({ ratings: [rating('r1', 'b1', 1), rating('r3', 'b2', 3)] });
  assert.deepEqual(counts(reply), some({ created: 1, updated: 1 }));
  assert.deepEqual(Object.keys(await owner.contents()).sort(), ['rating r1', 'rating r3']);
  const back = checkOk(await owner.restore(reply.snapshot));
  assert.deepEqual(Object.keys(await owner.contents()).sort(), ['rating r3']);
  checkOk(await owner.restore(back.snapshot));
  assert.deepEqual(Object.keys(await owner.contents()).sort(), ['rating r1', 'rating r3']);
});

test('of thousands of ratings of one book one counts as created, and the same list again changes nothing', async () => {
  const ratings = Array.from({ length: 2500 },
    (_, i) => rating(`r${i}`, 'b1', 1 + (i % 5), { updatedAt: ago(9000 - i) }));
  const reversed = ratings.map((item, i) => ({ ...item, updatedAt: ago(9000 + i) }));
  for (const [mode, stays] of [['replace', 'r2499'], ['merge', 'r2499'], ['merge', 'r0']]) {
    const owner = new Owner(), body = { mode, ratings: stays === 'r0' ? reversed : ratings };
    const reply = await owner.replace(body);
    assert.deepEqual(counts(reply), some({ created: 1, unchanged: 2499 }), `${mode}, ${stays} stays`);
    const again = mode === 'merge' ? await owner.replace(body) : await owner.unchanged(() => owner.replace(body));
    assert.deepEqual(counts(again), some({ unchanged: 2500 }));
    assert.deepEqual(Object.keys(await owner.contents()), [`rating ${stays}`]);
  }
});

test('a rating that comes back in a later part of a long list counts as created', async () => {
  const owner = await ownerOf({ ratings: [rating('old', 'b1', 3, { updatedAt: ago(1) })] });
  const others = Array.from({ length: 1200 }, (_, i) => rating(`r${i}`, `other ${i}`, 1, { updatedAt: ago(1) }));
  const ratings = [rating('hidden', 'b1', 2, { updatedAt: ago(60) }), ...others, rating('old', 'b2', 3)];
  assert.deepEqual(counts(await owner.replace({ mode: 'merge', ratings })), some({ created: 1201, updated: 1 }));
  assert.equal((await owner.contents())['rating hidden'].stars, 2);
});

test('a rating in the list replaces another rating of the book, however late that was edited', async () => {
  const owner = new Owner();
  await owner.apply(op('create', 'rating', 'r1', { bookId: 'b1', stars: 1 }, { timestamp: ago(-4) }));
  const reply = await owner.replace({ ratings: [rating('r2', 'b1', 2, { updatedAt: ago(60) })] });
  assert.deepEqual(counts(reply), some({ created: 1, deleted: 1 }));
  assert.deepEqual(Object.keys(await owner.contents()), ['rating r2']);
  assert.ok(reply.snapshot);
});

test('a rating that another one of the list supersedes is in the snapshot', async () => {
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

for (const [name, ratings] of Object.entries(
  { 'with a list of the other one': [rating('r2', 'b1', 2)], 'with an empty list': [] }))
  test(`a superseded rating that a full sync omits never returns when the other one leaves: ${name}`, async () => {
    const owner = await ownerOf({ ratings: [rating('r1', 'b1', 1)] });
    await owner.apply(op('create', 'rating', 'r2', { bookId: 'b1', stars: 2 }, { timestamp: undefined }));
    await owner.replace({ ratings });
    await owner.apply(op('create', 'rating', 'r2', { bookId: 'b2', stars: 2 }, { timestamp: undefined }));
    assert.deepEqual(await owner.contents(), { 'rating r2': { bookId: 'b2', stars: 2 } });
  });

test('two tags of one name are stored and open a conflict, which closes when one of them is deleted', async () => {
  const owner = new Owner();
  const both = [{ id: 't1', name: 'Sea' }, { id: 't2', name: 'Sea' }];
  await owner.replace({ tags: both });
  assert.equal(Object.keys(await owner.contents()).length, 2);
  const open = await owner.conflicts('?status=open');
  assert.deepEqual(open.map(({ reason, entityId, otherId }) => [reason, entityId, otherId]),
    [['same_name', 't2', 't1']]);
  await owner.replace({ tags: both });
  assert.equal((await owner.status()).conflicts, 1, 'the same list opens no second conflict');
  await owner.replace({ tags: both.slice(0, 1) });
  assert.equal((await owner.status()).conflicts, 0);
});

test('a full sync completes or deletes an incomplete book and closes its conflict', async () => {
  for (const books of [[{ id: 'b1', title: 'T' }], []]) {
    const owner = new Owner();
    await owner.apply(patch('b1', { notes: 'n' }));
    assert.equal((await owner.status()).conflicts, 1);
    await owner.replace({ books });
    assert.equal((await owner.status()).conflicts, 0);
    assert.deepEqual(Object.values(await owner.contents()), books.map(members));
  }
});
