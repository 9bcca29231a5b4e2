// Lists that merge: what is sent for an edit of a list, and what is shown. The server of these tests does with lists
// what docs/api.md says, for edits in the order of their arrival.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, test } from 'node:test';
import { closeAll, device, error, json, pending, Server } from './lib.mjs';

afterEach(closeAll);

const SETS = { book: ['tags', 'categories', 'subjects'], collection: ['bookIds'] };

class ListServer extends Server {
  sets = SETS;
  handle(request) {
    if (request.path === '/config') return json(200, { success: true, sets: this.sets, limits: {} });
    return super.handle(request);
  }
  write(type, id, data) {
    const before = this.rows.get(`${type} ${id}`)?.data ?? {};
    const written = Object.entries(data).map(([name, value]) => {
      if (!this.sets?.[type]?.includes(name) || Array.isArray(value) || value === null) return [name, value];
      const { $add = [], $remove = [], ...others } = value;
      assert.deepEqual(others, {});
      return [name, [...(before[name] ?? []).filter((it) => ![...$add, ...$remove].includes(it)), ...$add]];
    });
    super.write(type, id, Object.fromEntries(written));
  }
}

const list = (d, ids) => d.service.queueOperation('collection', 'c', 'update', { bookIds: ids });
const shown = async (d) => (await d.store.get('collection', 'c'))?.bookIds;
const sentLists = ({ server }) =>
  server.of('/operations').flatMap(({ body }) => body.operations.map(({ data }) => data?.bookIds));

/** A device that has a collection with these books. */
async function withList(bookIds, options = {}) {
  const d = device({ server: new ListServer(), ...options });
  d.server.write('collection', 'c', { name: 'N', ...(bookIds !== undefined && { bookIds }) });
  await d.service.sync();
  return d;
}

test('addTo and removeFrom send a change, and show it at once', async () => {
  const d = await withList(['a', 'b']);
  const op = await d.service.addTo('collection', 'c', 'bookIds', 'x', 'y');
  assert.deepEqual([op.type, op.data], ['update', { bookIds: { $add: ['x', 'y'] } }]);
  assert.deepEqual(await shown(d), ['a', 'b', 'x', 'y']);
  await d.service.sync();
  await d.service.removeFrom('collection', 'c', 'bookIds', 'a');
  assert.deepEqual(await shown(d), ['b', 'x', 'y']);
  await d.service.sync();
  assert.deepEqual(sentLists(d), [{ $add: ['x', 'y'] }, { $remove: ['a'] }]);
  assert.deepEqual(d.server.rows.get('collection c').data.bookIds, ['b', 'x', 'y']);
  assert.deepEqual(await shown(d), ['b', 'x', 'y']);
});

test('additions of two devices are both in the list', async () => {
  const a = await withList(['a']), b = device({ server: a.server });
  await b.service.sync();
  await a.service.addTo('collection', 'c', 'bookIds', 'x');
  await list(b, ['a', 'y']);
  for (const each of [a, b, a]) await each.service.sync();
  for (const each of [a, b]) assert.deepEqual(await shown(each), ['a', 'x', 'y']);
});

test('a change that waits is shown on top of what other devices write', async () => {
  const d = await withList(['a']);
  d.server.always = ({ path }) => (path === '/operations' ? error(500, 'SYNC_FAILED') : undefined);
  await d.service.addTo('collection', 'c', 'bookIds', 'x');
  await list(d, ['x']); // takes `a` away
  d.server.write('collection', 'c', { bookIds: ['a', 'of-another'] });
  await d.service.sync();
  assert.deepEqual(await shown(d), ['of-another', 'x']);
});

// Name, the list on the screen, the list that is written, what is sent.
const differences = [
  ['one more', ['a'], ['a', 'b'], { $add: ['b'] }],
  ['one less', ['a', 'b'], ['b'], { $remove: ['a'] }],
  ['one for another', ['a', 'b'], ['b', 'c'], { $add: ['c'], $remove: ['a'] }],
  ['one moved to the end', ['a', 'b', 'c'], ['b', 'c', 'a'], { $add: ['a'] }],
  ['one moved to the front', ['a', 'b', 'c'], ['c', 'a', 'b'], { $add: ['a', 'b'] }],
  ['one in the middle', ['a', 'c'], ['a', 'b', 'c'], { $add: ['b', 'c'] }],
  ['everything', ['a', 'b'], [], { $remove: ['a', 'b'] }],
  ['nothing', ['a'], ['a'], { $add: [] }],
  ['the first ones', [], ['a', 'b'], { $add: ['a', 'b'] }],
  ['the first ones, where there was none', undefined, ['a'], { $add: ['a'] }],
  ['the first ones, after null', null, ['a'], { $add: ['a'] }],
  ['an empty list after null is whole', null, [], []],
  ['null is whole', ['a'], null, null],
  ['copies of what is added are whole', ['a'], ['a', 'b', 'b'], ['a', 'b', 'b']],
  ['one copy less is whole', ['a', 'b', 'a'], ['a', 'b'], ['a', 'b']],
  ['copies that stay', ['a', 'a'], ['a', 'a', 'b'], { $add: ['b'] }],
];
for (const [name, before, written, sent] of differences)
  test(`a whole list is sent as the difference to what was on the screen: ${name}`, async () => {
    const d = await withList(before);
    const op = await list(d, written);
    assert.deepEqual(op.data.bookIds, written, 'the app sees what it wrote');
    assert.deepEqual(await shown(d), written);
    await d.service.sync();
    assert.deepEqual(sentLists(d), [sent]);
    assert.deepEqual(d.server.rows.get('collection c').data.bookIds, written);
    assert.deepEqual(await shown(d), written);
  });

test('elements are JSON values, in whatever order their members are', async () => {
  const d = device({ server: new ListServer() });
  d.server.write('book', 'b', { title: 'T', tags: [{ x: 1, y: 2 }, 1, '1'] });
  await d.service.sync();
  await d.service.queueOperation('book', 'b', 'update', { tags: [1, 'new'] });
  await d.service.removeFrom('book', 'b', 'tags', { y: 2, x: 1 });
  assert.deepEqual((await d.store.get('book', 'b')).tags, [1, 'new']);
  await d.service.sync();
  const { tags } = d.server.of('/operations')[0].body.operations[0].data;
  assert.deepEqual(tags, { $add: ['new'], $remove: [{ x: 1, y: 2 }, '1'] });
});

test('the screen includes edits that wait', async () => {
  const d = await withList(['a']);
  await list(d, ['a', 'b']);
  d.clock.jump(60_000);
  await list(d, ['b', 'c']);
  await d.service.sync();
  assert.deepEqual(sentLists(d), [{ $add: ['b'] }, { $add: ['c'], $remove: ['a'] }]);
  assert.deepEqual(await shown(d), ['b', 'c']);
});

test('a list of a new entity, or of one that is not on the screen, is sent whole', async () => {
  const d = device({ server: new ListServer() });
  await d.service.queueOperation('collection', 'new', 'create', { name: 'N', bookIds: ['a'] });
  await list(d, ['b']);
  await d.service.sync();
  assert.deepEqual(sentLists(d), [['a'], ['b']]);
});

test('a server that names no sets gets whole lists, also for addTo and removeFrom', async () => {
  const server = new ListServer();
  server.sets = undefined;
  const d = await withList(['a', 'b'], { server });
  await d.service.addTo('collection', 'c', 'bookIds', 'x');
  d.clock.jump(5000);
  await d.service.removeFrom('collection', 'c', 'bookIds', 'a');
  assert.deepEqual(await shown(d), ['b', 'x']);
  await d.service.sync();
  assert.deepEqual(sentLists(d), [['a', 'b', 'x'], ['b', 'x']]);
  d.clock.jump(5000);
  await list(d, ['b']);
  await d.service.sync();
  assert.deepEqual(sentLists(d).at(-1), ['b']);
  assert.deepEqual(await shown(d), ['b']);
});

test('a server without /config gets whole lists', async () => {
  const d = await withList(['a'], { server: new Server() });
  await d.service.addTo('collection', 'c', 'bookIds', 'x');
  await d.service.sync();
  assert.deepEqual(sentLists(d), [['a', 'x']]);
});

test('members that are no sets are sent whole, and `$add` in them is data', async () => {
  const d = await withList(['a']);
  await list(d, ['a', 'b']);
  await d.service.sync(); // now the device knows the sets
  d.server.write('book', 'b', { title: 'T', authors: ['A'], own: { $add: [1] } });
  await d.service.sync();
  await d.service.queueOperation('book', 'b', 'update', { authors: ['A', 'B'], own: { $remove: [2] } });
  assert.deepEqual((await d.store.get('book', 'b')).own, { $add: [1], $remove: [2] });
  await d.service.sync();
  assert.deepEqual(d.server.of('/operations').at(-1).body.operations[0].data, {
    authors: ['A', 'B'], own: { $remove: [2] },
  });
});

test('the sets are stored: a device that is offline from its start knows them', async () => {
  const d = await withList(['a']);
  await list(d, ['a', 'b']);
  await d.service.sync();
  await d.service.close();
  const again = device({ database: d.database, server: d.server });
  d.server.always = ({ path }) => (path === '/config' ? error(503, 'SYNC_FAILED') : undefined);
  await again.service.queueOperation('book', 'b', 'create', { title: 'T', own: { $add: [1] } });
  assert.deepEqual((await again.store.get('book', 'b')).own, { $add: [1] });
  await list(again, ['b']);
  await again.service.sync();
  assert.deepEqual(sentLists(again).at(-1), { $remove: ['a'] });
});

test('if /config is not known and cannot be read, no list is sent, and nothing is lost', async () => {
  const d = await withList(['a']);
  d.server.always = ({ path }) => (path === '/config' ? error(503, 'SYNC_FAILED') : undefined);
  await d.service.addTo('collection', 'c', 'bookIds', 'x');
  assert.equal((await d.service.sync()).ok, false);
  assert.deepEqual((await pending(d)).map(({ attempts }) => attempts), [0]);
  d.server.always = undefined;
  await d.clock.advance(20_000);
  await d.service.sync();
  assert.deepEqual(sentLists(d), [{ $add: ['x'] }]);
});

test('a change is repeated with the same bytes, although the list has changed', async () => {
  const d = await withList(['a']);
  await list(d, ['a', 'b']);
  d.server.answers.push(() => undefined, () => Promise.reject(new TypeError('connection reset')));
  await d.service.sync();
  d.server.write('collection', 'c', { bookIds: ['z'] });
  await d.service.sync();
  const [first, again] = d.server.of('/operations').map(({ body }) => JSON.stringify(body));
  assert.equal(again, first);
  assert.deepEqual(await shown(d), ['z', 'b']);
});

test('edits of one list within a second become one, and are equal to what they were', async () => {
  const d = await withList(['a', 'b']);
  await d.service.addTo('collection', 'c', 'bookIds', 'x', 'y');
  await d.service.removeFrom('collection', 'c', 'bookIds', 'x', 'a');
  await d.service.addTo('collection', 'c', 'bookIds', 'b');
  assert.deepEqual((await pending(d)).map(({ data }) => data.bookIds), [{ $add: ['y', 'b'], $remove: ['x', 'a'] }]);
  assert.deepEqual(await shown(d), ['y', 'b']);
  await list(d, ['y', 'b', 'z']);
  await d.service.addTo('collection', 'c', 'bookIds', 'y');
  assert.deepEqual((await pending(d)).map(({ data }) => data.bookIds), [['b', 'z', 'y']]);
  await d.service.sync();
  assert.deepEqual(sentLists(d), [{ $add: ['z', 'y'], $remove: ['a'] }]);
  assert.deepEqual(d.server.rows.get('collection c').data.bookIds, ['b', 'z', 'y']);
});

test('edits of one list that are minutes apart keep their own time, also if the later one is whole', async () => {
  const d = await withList(['a']);
  await d.service.addTo('collection', 'c', 'bookIds', 'x');
  d.clock.jump(60_000);
  await d.service.removeFrom('collection', 'c', 'bookIds', 'x');
  d.clock.jump(60_000);
  await list(d, ['a', 'y']);
  assert.equal((await pending(d)).length, 3);
  d.clock.jump(60_000);
  await list(d, null); // leaves nothing of the edit before
  assert.deepEqual((await pending(d)).map(({ data }) => data.bookIds), [{ $add: ['x'] }, { $remove: ['x'] }, null]);
});

test('transactions have addTo and removeFrom', async () => {
  const d = await withList(['a']);
  await d.service.transaction((tx) => {
    tx.create('book', 'b', { title: 'T' });
    tx.addTo('collection', 'c', 'bookIds', 'b');
    tx.removeFrom('book', 'b', 'tags', 'old');
  });
  assert.deepEqual(await shown(d), ['a', 'b']);
  await d.service.sync();
  assert.deepEqual(sentLists(d).filter(Boolean), [{ $add: ['b'] }]);
});

test('a change of a list that was just made null stays an edit of its own', async () => {
  const d = await withList(['a']);
  await list(d, null);
  await d.service.addTo('collection', 'c', 'bookIds', 'x');
  await d.service.removeFrom('collection', 'c', 'bookIds', 'x');
  assert.deepEqual((await pending(d)).map(({ data }) => data.bookIds), [null, { $remove: ['x'] }]);
});

// Random edits of a device, joined or not, sent at random moments. What is shown is always what a person expects who
// applies the edits to the list one by one, and in the end that is what the server has.
test('random edits of a list: the screen and the server have the list that the edits make', async (t) => {
  const seed = Number(process.env.BOOKY_SEED ?? Date.now() % 1e9);
  t.diagnostic(`BOOKY_SEED=${seed}`);
  let state = seed;
  const random = (n) => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % n;
  const some = () => Array.from({ length: 1 + random(3) }, () => 'abcdef'[random(6)]);
  for (let run = 0; run < 20; run++) {
    let expected = [...new Set(some())];
    const d = await withList(expected);
    for (let step = 0; step < 12; step++) {
      const elements = [...new Set(some())];
      const rest = expected.filter((element) => !elements.includes(element));
      const action = random(5);
      if (action === 0) await d.service.sync();
      else if (action === 1) d.clock.jump(random(2000));
      else if (action === 2) await d.service.addTo('collection', 'c', 'bookIds', ...elements);
      else if (action === 3) await d.service.removeFrom('collection', 'c', 'bookIds', ...elements);
      else await list(d, (expected = some()));
      if (action === 2) expected = [...rest, ...elements];
      if (action === 3) expected = rest;
      assert.deepEqual(await shown(d), expected, `run ${run}, step ${step}`);
    }
    await d.service.sync();
    assert.deepEqual(d.server.rows.get('collection c').data.bookIds, expected, `run ${run}`);
    assert.deepEqual(await shown(d), expected, `run ${run}`);
  }
});

const { sets } = JSON.parse(readFileSync(new URL('../../tests/contract/vectors.json', import.meta.url)));
// Each vector twice: edits that are apart, and edits within a second, which become one operation if they can. A device
// makes no replacements. That a list was null before something was added to it, it learns from the result.
for (const { name, edits, result } of sets.filter(({ edits }) => edits.every(({ type }) => type !== 'replace')))
  for (const apart of [0, 2000])
    test(`vectors, ${apart} ms apart, in the order of their times: ${name}`, async (t) => {
      if (result.tags === null && edits.length > 2) return t.skip('the result of the server tells it');
      const d = device({ server: new ListServer() });
      await d.service.addTo('book', 'other', 'tags', 'x'); // the device learns which members are sets
      await d.service.sync();
      for (const { type, data } of [...edits].sort((a, b) => a.at - b.at)) {
        await d.service.queueOperation('book', 'b', type, data);
        d.clock.jump(apart);
      }
      const { id, updatedAt, ...data } = await d.store.get('book', 'b');
      assert.deepEqual(data, result);
      const separate = ({ type, data }) => type === 'delete' || data.tags === null;
      if (!apart && !edits.some(separate)) assert.equal((await pending(d)).length, 1);
    });
