// POST /full: snapshots and restore.
import assert from 'node:assert/strict';
import test from 'node:test';
import { counts, everything, kinds, ownerOf, rating, seed, some } from './full.mjs';
import {
  ago, checkError, gone, holdClock, literal, ms, op, patch, sql, until, waiters, withSession,
} from './lib.mjs';
import { checkOk, members, Owner, withoutVersions } from './owner.mjs';

const DAY = 86_400_000;

const seeded = await ownerOf(seed);

test('a full sync makes a snapshot exactly when it changes or deletes something', async () => {
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

test('the list of snapshots states what each holds and when it expires', async () => {
  const owner = await ownerOf(everything());
  const { syncedAt, snapshot } = await owner.replace({ books: [], tags: [{ id: 'x1', name: 'Other' }] });
  const [entry, ...others] = await owner.snapshots();
  assert.deepEqual(others, []);
  assert.deepEqual({ ...entry, kinds: [...entry.kinds].sort() }, {
    id: snapshot, createdAt: syncedAt, expiresAt: new Date(ms(syncedAt) + 30 * DAY).toISOString(), entities: 2,
    kinds: ['book', 'tag'],
  });
});

test('a full sync that finds nothing live makes no snapshot, however many chunks it has', async () => {
  const owner = new Owner(), ratings = Array.from({ length: 1500 }, (_, i) => rating(`r${i}`, 'b1', 3));
  assert.equal((await owner.replace({ ratings })).snapshot, undefined, 'the first full sync of a user');
  await owner.apply(patch('x1', { notes: 'n' }));
  assert.equal((await owner.replace({ books: [] })).snapshot, undefined, 'it deletes an incomplete book');
  assert.deepEqual(await owner.snapshots(), []);
  assert.ok((await owner.replace({ ratings: [] })).snapshot);
  assert.deepEqual((await owner.snapshots()).map(({ entities }) => entities), [1]);
});

const kept = async (owner) => (await owner.snapshots()).map(({ id }) => id);

let edits = 0;
async function replaceOften(owner, times) {
  const ids = [];
  for (let i = 0; i < times; i++)
    ids.push((await owner.replace({ books: [{ id: 'junk', title: `${++edits}` }] })).snapshot);
  return ids;
}

// Makes the snapshots of `owner` a day older.
const age = (owner, by = DAY) => sql(['snapshots', 'snapshot_entities'].map((table) =>
  `UPDATE booky.${table} SET stamp = stamp - ${by} WHERE user_id = '${owner.id}'`).join(';'));

test('of many snapshots 20 stay, and among them the last and the first of each day', async () => {
  const owner = await ownerOf(seed), [good, ...others] = await replaceOften(owner, 24);
  assert.deepEqual(await kept(owner), [...others.slice(-19).reverse(), good], 'the state before the loop stays');
  const [entities] = await sql(`SELECT count(*) FROM booky.snapshot_entities WHERE user_id = '${owner.id}'`);
  assert.equal(Number(entities), 20, 'the contents of the others are gone');
  await age(owner);
  const yesterday = await kept(owner), today = await replaceOften(owner, 40);
  assert.deepEqual(await kept(owner),
    [...today.slice(-17).reverse(), today[0], yesterday[0], yesterday.at(-1)]);
  const { snapshot } = checkOk(await owner.restore(yesterday.at(-1)));
  assert.deepEqual(await owner.contents(), { 'book kept': { title: 'Kept' } });
  assert.equal((await kept(owner))[0], snapshot);
});

test('a loop does not displace the state before it, also if the library was replaced earlier that day', async () => {
  const owner = await ownerOf(seed);
  await replaceOften(owner, 1);
  await age(owner, DAY / 24);
  const [morning] = await kept(owner), [good, ...others] = await replaceOften(owner, 30);
  assert.deepEqual(await kept(owner), [...others.slice(-18).reverse(), good, morning]);
});

test('of snapshots of different days the latest 20 stay', async () => {
  const owner = await ownerOf(seed);
  for (let i = 0; i < 24; i++) {
    await replaceOften(owner, 1);
    await age(owner);
  }
  const stamps = (await kept(owner)).map(Number);
  assert.equal(stamps.length, 20);
  assert.ok(stamps[0] - stamps[19] < 20 * DAY);
});

test('a restore from the snapshot that its own snapshot displaces is complete', async () => {
  const owner = await ownerOf(seed), books = Array.from({ length: 2100 }, (_, i) => ({ id: `b${i}`, title: `${i}` }));
  await owner.replace({ books });
  await replaceOften(owner, 19);
  const [large, first] = (await kept(owner)).slice(-2);
  assert.equal(checkOk(await owner.restore(large)).created, 2100);
  assert.deepEqual((await kept(owner)).filter((id) => [large, first].includes(id)), [first]);
  assert.equal(Object.keys(await owner.library()).length, 2100);
});

test('restore brings back the exact state before, is pulled by other devices, and can itself be undone', async () => {
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
  assert.deepEqual(withoutVersions(await owner.library()), withoutVersions(before));
  assert.deepEqual(counts(restored), { created: 4, updated: 2, deleted: 2, unchanged: 0 });
  const { changes } = await owner.pull(`cursor=${cursor}`);
  assert.deepEqual(
    changes.map(({ type, deleted, data }) => `${type} ${data.id}${deleted ? ' -' : ''}`).sort(),
    ['book x1', 'book x2 -', 'collection x1', 'rating x1', 'rating x3 -', 'readingLog x1', 'tag x1',
      'userSettings settings']);
  checkOk(await owner.restore(restored.snapshot));
  assert.deepEqual(withoutVersions(await owner.library()), withoutVersions(after));
  assert.deepEqual((await owner.snapshots()).length, 3);
});

test('restore changes only the kinds that the full sync replaced', async () => {
  const owner = await ownerOf(everything());
  const { snapshot } = await owner.replace({ books: [] });
  await owner.send([op('create', 'tag', 't9', { name: 'Later' }), gone('collection', 'x1', { timestamp: undefined })]);
  const before = await owner.contents();
  checkOk(await owner.restore(snapshot));
  assert.deepEqual(await owner.contents(), { ...before, 'book x1': members(kinds.books[1]) });
});

test('restore of an unchanged state changes nothing', async () => {
  const owner = await ownerOf(seed);
  const { snapshot } = await owner.replace({ books: [] });
  checkOk(await owner.restore(snapshot));
  assert.deepEqual(counts(await owner.unchanged(async () => checkOk(await owner.restore(snapshot)))),
    some({ unchanged: 1 }));
});

test('restore wins over later edits, and edits older than the restore lose', async () => {
  const owner = await ownerOf(seed);
  const { snapshot } = await owner.replace({ books: [{ id: 'kept', title: 'Replaced' }] });
  await owner.apply(patch('kept', { title: 'Later' }, { timestamp: ago(-2) }));
  checkOk(await owner.restore(snapshot));
  assert.equal((await owner.apply(patch('kept', { title: 'Offline' }))).resolution, 'server');
  assert.deepEqual(await owner.contents(), { 'book kept': { title: 'Kept' } });
});

test("a restore of an unknown snapshot, or of another user's, is a 404", async () => {
  const other = await ownerOf(seed);
  const { snapshot } = await other.replace({ books: [] });
  for (const id of ['1', '0', '-1', 'latest', `${snapshot}x`, '99999999999999999999', snapshot])
    checkError(await seeded.unchanged(() => seeded.restore(id)), 404, 'NOT_FOUND');
  checkOk(await other.restore(snapshot));
});

// What takes a snapshot away between the moment in which a restore finds it and the moment in which it has the lock.
const takenAway = {
  'an erasure': (user) => `DELETE FROM entities WHERE user_id = ${user};
    DELETE FROM snapshot_entities WHERE user_id = ${user}; DELETE FROM snapshots WHERE user_id = ${user};
    DELETE FROM clocks WHERE user_id = ${user}`,
  'a purge': (user) => `DELETE FROM snapshot_entities WHERE user_id = ${user};
    DELETE FROM snapshots WHERE user_id = ${user}`,
};

const rowsOf = (owner) => `SELECT (SELECT json_agg(c) FROM clocks c WHERE user_id = ${literal(owner.id)}),
  (SELECT json_agg(e ORDER BY kind, entity_id) FROM entities e WHERE user_id = ${literal(owner.id)})`;

test('a restore whose snapshot is taken away while it waits is refused with 404 and changes nothing', async () => {
  const states = { 'a snapshot of everything': everything(), 'a snapshot of nothing': {} };
  for (const [state, library] of Object.entries(states))
    for (const [name, statements] of Object.entries(takenAway)) {
      const owner = await ownerOf(library);
      if (state.endsWith('nothing')) await owner.send([op('create', 'book', 'b1', { title: 'T' })]);
      const { snapshot } = await owner.replace({ books: [kinds.books[2]], tags: [], ratings: [], readings: [] });
      if (state.endsWith('nothing')) await sql(`DELETE FROM snapshot_entities WHERE user_id = ${literal(owner.id)};
        UPDATE snapshots SET entities = 0 WHERE user_id = ${literal(owner.id)}`);
      await withSession(async (session) => {
        await holdClock(session, owner);
        const restore = owner.restore(snapshot);
        await until('the restore waits for the clock', async () => (await waiters(session)).length > 0);
        await session.query(statements(literal(owner.id)));
        const before = await session.query(rowsOf(owner));
        await session.query('COMMIT');
        checkError(await restore, 404, 'NOT_FOUND');
        assert.deepEqual(await sql(rowsOf(owner)), before, `${name}, ${state}`);
      });
    }
});
