// GET /changes?delta=true: an entity that the client holds comes as a patch with the leaves that were written since.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { User, ago, book, content, gone, literal, op, patch, sql } from './lib.mjs';

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const merged = (data, change) => {
  const out = isObject(data) ? { ...data } : {};
  for (const [name, value] of Object.entries(change)) out[name] = isObject(value) ? merged(out[name], value) : value;
  return out;
};

const created = (id, data) => book(id, data, { timestamp: ago(30) });
const later = (id, data, minutes = 3) => patch(id, data, { timestamp: ago(minutes) });

// Sends the operations after a pull; resolves to what a pull with deltas brings of the book b1.
async function delta(user, operations, { cursor, query = 'delta=true' } = {}) {
  const from = cursor ?? (await user.pull('since=0')).cursor;
  for (const operation of operations) await user.send([operation], { deviceId: 'laptop' });
  const { changes } = await user.pull(`cursor=${from}&${query}`);
  return changes.find(({ data }) => data.id === 'b1');
}

test('a patch has the leaves that were written since, and data only names the entity and its version', async () => {
  const user = new User();
  await user.send([created('b1', { pageCount: 3, dimensions: { height: '20 cm', width: '12 cm' }, authors: ['A'] })]);
  const cursor = (await user.pull('since=0')).cursor;
  const { updatedAt } = await user.apply(later('b1', { averageRating: 4.5, dimensions: { width: '13 cm' },
    authors: ['A', 'B'], notes: null }), { deviceId: 'laptop' });
  assert.deepEqual(await delta(user, [], { cursor }), {
    type: 'book',
    patch: { averageRating: 4.5, dimensions: { width: '13 cm' }, authors: ['A', 'B'], notes: null },
    data: { id: 'b1', updatedAt },
  });
});

test('values in a patch are byte for byte those of the entity', async () => {
  const user = new User();
  await user.send([created('b1')]);
  const { cursor } = await user.pull('since=0');
  const values = '{"n":9007199254740993,"f":4.10,"s":"\\u00e9\\"\\/","e":1e3,"l":[1.0,{"a":{}}]}';
  await user.post(`{"operations":[{"id":"v","type":"update","entity":"book","entityId":"b1","data":{"v":${values}}}]}`);
  const part = (text) => /"v":(\{.*?\]\})/.exec(text)[1];
  const whole = await user.changes('since=0'), deltas = await user.changes(`cursor=${cursor}&delta=true`);
  assert.match(deltas.text, /"patch":/);
  assert.equal(part(deltas.text), part(whole.text));
});

test('without a base everything comes whole: since, initial, the pages of a first pull', async () => {
  const user = new User();
  await user.send([created('b1'), created('b2')]);
  await user.send([later('b1', { notes: 'n' })]);
  for (const query of ['since=0', 'initial=true', `since=${ago(60)}`]) {
    const first = await user.pull(`${query}&delta=true&limit=1`);
    const second = await user.pull(`cursor=${first.cursor}&delta=true`);
    for (const { patch: none, data } of [...first.changes, ...second.changes]) {
      assert.equal(none, undefined);
      assert.ok(data.title);
    }
  }
});

test('without delta=true everything comes whole', async () => {
  for (const query of ['', 'delta=false']) {
    const user = new User();
    await user.send([created('b1')]);
    const change = await delta(user, [later('b1', { notes: 'n' })], { query });
    assert.deepEqual([change.patch, content(change.data)], [undefined, { title: 'Book b1', notes: 'n' }]);
  }
});

test('a leaf that lost, and one that its policy dropped, are sent: the sender may show its own value', async () => {
  const user = new User();
  await user.send([created('b1'), later('b1', { title: 'T' }, 10)]);
  assert.deepEqual((await delta(user, [later('b1', { title: 'old', notes: 'n' }, 20)])).patch,
    { title: 'T', notes: 'n' });
  const dropped = (data) => [{ ...later('b1', data, 20), conflictResolution: 'server' }];
  assert.deepEqual((await delta(user, dropped({ title: 'old', notes: 'm' }))).patch, { title: 'T', notes: 'n' });
  // A member that is not there cannot be taken away by a patch.
  assert.deepEqual(content((await delta(user, dropped({ title: 'old', genre: 'g' }))).data),
    { title: 'T', notes: 'n' });
});

test('an edit that waits for a person: the next version comes whole', async () => {
  const user = new User();
  await user.send([created('b1'), later('b1', { title: 'T' }, 10)]);
  const { cursor } = await user.pull('since=0');
  const edit = { ...later('b1', { title: 'old' }, 20), conflictResolution: 'manual' };
  const { status, updatedAt } = await user.apply(edit);
  assert.equal(status, 'conflict');
  const held = await user.pull(`cursor=${cursor}&delta=true`);
  assert.deepEqual(held.changes, [], 'the version stays');
  const { changes } = await user.pull('since=0');
  assert.equal(changes[0].data.updatedAt, updatedAt ?? changes[0].data.updatedAt);
  const change = await delta(user, [later('b1', { notes: 'n' })], { cursor: held.cursor });
  assert.deepEqual(content(change.data), { title: 'T', notes: 'n' });
  assert.deepEqual((await delta(user, [later('b1', { notes: 'm' }, 2)])).patch, { notes: 'm' });
});

test('whole after a deletion that was refused, a return, a completion, a replacement and a decision', async () => {
  const whole = (change, what) => assert.ok(change?.data.title && !change.patch, `${what}: ${JSON.stringify(change)}`);
  const start = async () => {
    const user = new User();
    await user.send([created('b1'), later('b1', { notes: 'n' }, 10)]);
    return user;
  };
  let user = await start();
  whole(await delta(user, [gone('book', 'b1', { timestamp: ago(20) })]), 'a refused deletion');
  user = await start();
  whole(await delta(user, [gone('book', 'b1', { timestamp: ago(20), conflictResolution: 'server' })]), 'by policy');
  user = await start();
  whole(await delta(user, [gone('book', 'b1'), later('b1', { genre: 'g' })]), 'deleted and back');
  user = await start();
  await user.send([op('update', 'book', 'b2', { notes: 'n' })]);
  const { cursor } = await user.pull('since=0');
  await user.send([op('create', 'book', 'b2', { title: 'T' })]);
  whole((await user.pull(`cursor=${cursor}&delta=true`)).changes[0], 'completed');
  user = await start();
  const before = (await user.pull('since=0')).cursor;
  await user.request('/full', { method: 'POST', body: '{"mode":"replace","books":[{"id":"b1","title":"R"}]}',
    headers: { 'content-type': 'application/json' } });
  const replaced = await delta(user, [], { cursor: before });
  whole(replaced, 'replaced');
  assert.deepEqual(content(replaced.data), { title: 'R' });
  user = await start();
  const { conflict } = await user.apply({ ...later('b1', { notes: 'm' }, 20), conflictResolution: 'manual' });
  const open = (await user.pull('since=0')).cursor;
  await user.request(`/conflicts/${conflict.id}/resolve`, { method: 'POST', body: '{"resolution":"keep_server"}',
    headers: { 'content-type': 'application/json' } });
  whole(await delta(user, [], { cursor: open }), 'decided');
});

test('deletions come as ever', async () => {
  const user = new User();
  await user.send([created('b1')]);
  const change = await delta(user, [gone('book', 'b1')]);
  assert.deepEqual([change.deleted, change.patch, change.data.deletedAt], [true, undefined, ago(5)]);
});

test('a rating that another one displaced comes back whole', async () => {
  const user = new User();
  const rating = (id, minutes, data) => op('create', 'rating', id, { bookId: 'b', stars: 3, ...data },
    { timestamp: ago(minutes) });
  await user.send([rating('r1', 30, { text: 'good' }), rating('r2', 20)]);
  const { cursor } = await user.pull('since=0');
  await user.send([op('update', 'rating', 'r2', { bookId: 'other' }, { timestamp: ago(10) })]);
  const { changes } = await user.pull(`cursor=${cursor}&delta=true`);
  const find = (name) => changes.find(({ data }) => data.id === name);
  assert.equal(find('r1').data.text, 'good');
  assert.deepEqual(find('r2').patch, { bookId: 'other' });
});

test('many small edits: a patch has each leaf once, and a base before the list gets the entity whole', async () => {
  const user = new User();
  await user.send([created('b1')]);
  const cursors = [(await user.pull('since=0')).cursor];
  for (let i = 0; i < 60; i++) {
    await user.send([later('b1', { [`member ${i}`]: i, same: i })]);
    cursors.push((await user.pull(`cursor=${cursors.at(-1)}`)).cursor);
  }
  const sizes = [];
  for (const [i, cursor] of cursors.entries()) {
    const change = await delta(user, [], { cursor });
    if (i === 60) assert.equal(change, undefined);
    else if (change.patch) sizes.push(Object.keys(change.patch).length);
    else assert.equal(Object.keys(content(change.data)).length, 62);
  }
  assert.ok(sizes.length >= 8, `${sizes.length} patches`);
  assert.deepEqual(sizes, Array.from({ length: sizes.length }, (_, i) => sizes.length - i + 1));
  const [bytes] = await sql(`SELECT max(length(recent::text)) FROM entities WHERE user_id = ${literal(user.id)}`);
  assert.ok(Number(bytes) <= 512, bytes);
});

test('the pages of a pull keep the base of the first one, also while others write', async () => {
  const user = new User();
  await user.send([created('b1'), created('b2'), created('b3')]);
  const { cursor } = await user.pull('since=0');
  for (const id of ['b1', 'b2', 'b3']) await user.send([later(id, { title: 'U' })]);
  const first = await user.pull(`cursor=${cursor}&delta=true&limit=1`);
  assert.deepEqual(first.changes.map(({ data, patch: sent }) => [data.id, sent]), [['b1', { title: 'U' }]]);
  await user.send([later('b2', { notes: 'n' }, 2)]);
  const second = await user.pull(`cursor=${first.cursor}&delta=true&limit=1`);
  assert.deepEqual(second.changes.map(({ data, patch: sent }) => [data.id, sent]), [['b3', { title: 'U' }]]);
  const third = await user.pull(`cursor=${second.cursor}&delta=true&limit=1`);
  assert.deepEqual(third.changes.map(({ data, patch: sent }) => [data.id, sent]),
    [['b2', { title: 'U', notes: 'n' }]]);
  assert.equal(third.hasMore, false);
  assert.deepEqual((await user.pull(`cursor=${third.cursor}&delta=true`)).changes, []);
});

test('a page of a pull without deltas has no base: the next page comes whole', async () => {
  const user = new User();
  await user.send([created('b1'), created('b2')]);
  const { cursor } = await user.pull('since=0');
  for (const id of ['b1', 'b2']) await user.send([later(id, { notes: 'n' })]);
  const first = await user.pull(`cursor=${cursor}&limit=1`);
  const second = await user.pull(`cursor=${first.cursor}&delta=true`);
  assert.deepEqual([second.changes[0].patch, second.changes[0].data.title], [undefined, 'Book b2']);
});

test('pages go on behind ids that look like the end of a cursor', async () => {
  const user = new User();
  const ids = ['b', 'b\u001e', 'b\u001e-', 'b\u001e5', 'b\u001e5\u001e-', 'b\u001e5\u001e6'];
  await user.send(ids.map((id) => created(id)));
  const { cursor } = await user.pull('since=0');
  await user.send(ids.map((id) => later(id, { notes: 'n' })));
  for (const query of ['', '&delta=true']) {
    const found = [];
    for (let from = cursor, more = true; more;) {
      const page = await user.pull(`cursor=${from}&limit=1${query}`);
      found.push(...page.changes.map(({ data, patch: sent }) => (assert.equal(!sent, !query), data.id)));
      [from, more] = [page.cursor, page.hasMore];
      assert.ok(found.length <= ids.length, JSON.stringify(found));
    }
    assert.deepEqual(found, ids);
  }
});

test('a cursor of the first edition is a base', async () => {
  const user = new User();
  await user.send([created('b1')]);
  const { cursor } = await user.pull('since=0');
  const [, epoch, stamp] = Buffer.from(cursor, 'base64url').toString().split(' ');
  await user.send([later('b1', { notes: 'n' })]);
  const first = Buffer.from(`1 ${epoch} ${stamp} -9223372036854775808  `).toString('base64url');
  assert.deepEqual((await delta(user, [], { cursor: first })).patch, { notes: 'n' });
});

test('rows of before, and rows that an earlier version of the server wrote since, come whole once', async () => {
  const user = new User();
  await user.send([created('b1')]);
  const { cursor } = await user.pull('since=0');
  await user.send([later('b1', { notes: 'n' })]);
  const row = `user_id = ${literal(user.id)} AND entity_id = 'b1'`;
  const [kept] = await sql(`SELECT recent FROM entities WHERE ${row}`);
  for (const recent of ['NULL', literal(kept)]) {
    await sql(`UPDATE clocks SET clock = clock + 1 WHERE user_id = ${literal(user.id)}`);
    await sql(`UPDATE entities SET recent = ${recent}, updated_at = (SELECT clock FROM clocks c
      WHERE c.user_id = entities.user_id), data = '{"title":"Book b1","notes":"by the earlier version"}' WHERE ${row}`);
    const whole = await delta(user, [], { cursor });
    assert.deepEqual(content(whole.data), { title: 'Book b1', notes: 'by the earlier version' });
    assert.deepEqual((await delta(user, [later('b1', { genre: recent.slice(0, 4) }, 2)])).patch,
      { genre: recent.slice(0, 4) });
  }
});

test('with maxBytes, a page of patches is bounded as if the entities came whole', async () => {
  const user = new User();
  await user.send(Array.from({ length: 10 }, (_, i) => created(`b${i}`, { description: 'd'.repeat(5000) })));
  const { cursor } = await user.pull('since=0');
  await user.send(Array.from({ length: 10 }, (_, i) => later(`b${i}`, { averageRating: 4.5 })));
  const page = await user.pull(`cursor=${cursor}&delta=true&maxBytes=21000&count=true`);
  assert.deepEqual([page.changes.length, page.remaining, page.hasMore], [4, 6, true]);
  assert.ok(page.changes.every(({ patch: sent }) => sent.averageRating === 4.5));
});

// The vectors

const { deltas } = JSON.parse(readFileSync(new URL('../contract/vectors.json', import.meta.url)));

for (const { name, at_cursor: data, title_at, then, patch: expected, limit } of deltas)
  test(`vector: ${name}`, async () => {
    const user = new User();
    const at = (seconds) => new Date(Date.parse(ago(10)) + seconds * 1000).toISOString();
    const first = book('b1', data, { timestamp: at(1) });
    await user.send([first]);
    if (title_at) await user.send([patch('b1', { title: first.data.title }, { timestamp: at(title_at) })]);
    const { cursor } = await user.pull('since=0');
    for (const { id = 'b1', type = 'update', at: time, data: change } of then)
      await user.apply(op(type, 'book', id, change, { timestamp: at(time) }));
    let page = await user.pull(`cursor=${cursor}&delta=true${limit ? `&limit=${limit}` : ''}`);
    if (limit) page = await user.pull(`cursor=${page.cursor}&delta=true`);
    const change = page.changes.find((found) => found.data.id === 'b1');
    const whole = content(await user.read('book', 'b1'));
    assert.deepEqual(change.patch, expected);
    assert.deepEqual(expected ? merged(first.data, expected) : content(change.data), whole);
  });
