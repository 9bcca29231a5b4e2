// POST /full: random histories, compared with a model of the library and with a device that follows by its cursor. In
// the environment, SEED repeats a history and STEPS sets its length.
import assert from 'node:assert/strict';
import test from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { counts } from './full.mjs';
import { ago, content, op } from './lib.mjs';
import { Owner, checkOk } from './owner.mjs';

function pick(random, list) {
  return list[Math.floor(random() * list.length)];
}

// Few ids, books and names, so that collisions are frequent.
function randomItem(random, name) {
  const id = pick(random, ['1', '2', '3', '4', '5']);
  if (name === 'books')
    return { id, title: pick(random, ['A', 'B']), ...(random() < 0.5 && { notes: pick(random, ['x', 'y', null]) }) };
  if (name === 'ratings') return { id, bookId: pick(random, ['1', '2']), stars: pick(random, [1, 2, 3]) };
  return { id, name: pick(random, ['A', 'B', 'C']), ...(random() < 0.3 && { color: 'red' }) };
}

function randomList(random, name) {
  const items = Array.from({ length: Math.floor(random() * 6) }, () => randomItem(random, name));
  const list = items.filter(({ id }, n) => items.findIndex((other) => other.id === id) === n);
  if (random() < 0.3) for (const item of list) item.updatedAt = ago(Math.floor(random() * 100));
  return list;
}

// One rating per book remains: the last in the list.
const storedOf = (name, list) =>
  list.filter((one, n) => name !== 'ratings' || !list.slice(n + 1).some(({ bookId }) => bookId === one.bookId));

test('after random full syncs, edits and restores the library and a following device equal the model', async (t) => {
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
      // Without a mode, an empty list empties nothing; the lists are too short for more to be kept.
      const says = random() < 0.5, kept = says ? [] : names.filter((name) => body[name].length === 0);
      const send = async (query) => (says ? owner.replace(body, query) : checkOk(await owner.full(body, query)));
      const dry = await send('?dryRun=true');
      const reply = await send('');
      assert.deepEqual([counts(dry), dry.conflicts, dry.kept], [counts(reply), reply.conflicts, reply.kept]);
      const held = (name) => Object.keys(model).filter((key) => key.startsWith(`${singular[name]} `)).length;
      const expected = kept.map((name) => [name, held(name)]).filter(([, count]) => count > 0);
      assert.deepEqual(reply.kept ?? {}, Object.fromEntries(expected), `step ${step}`);
      for (const name of names.filter((one) => !kept.includes(one))) {
        const stored = storedOf(name, body[name])
          .map(({ id, updatedAt, ...rest }) => [`${singular[name]} ${id}`, rest]);
        replaceIn(name, Object.fromEntries(stored));
      }
      const lost = Object.entries(before).some(([key, data]) => !isDeepStrictEqual(model[key], data));
      if (lost) assert.ok(reply.snapshot, `step ${step}: something was lost, so there must be a snapshot`);
      if (reply.snapshot) snapshots.push([reply.snapshot, names.filter((name) => !kept.includes(name)), before]);
    } else if (choice < 0.85 && snapshots.length > 0) {
      const [id, names, was] = pick(random, snapshots.slice(-10)); // older ones may have been displaced
      const reply = checkOk(await owner.restore(id));
      for (const name of names)
        replaceIn(
          name, Object.fromEntries(Object.entries(was).filter(([key]) => key.startsWith(`${singular[name]} `))));
      if (reply.snapshot) snapshots.push([reply.snapshot, names, before]);
    } else {
      const { id, ...data } = randomItem(random, 'books');
      await owner.apply(op(random() < 0.3 ? 'delete' : 'create', 'book', id, data, { timestamp: undefined }));
      model = await owner.contents(); // other tests check what an edit does
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
    assert.equal(open.length > 0, new Set(names).size < names.length,
      `step ${step}: tags ${names} and ${open.length} open conflicts`);
  }
});
