// Lists that merge, in states that are joined: `changes` of POST /full with the `times` of a pull. The rules are tested
// by unit/test_merge_join.c and unit/test_merge_property.c.
import assert from 'node:assert/strict';
import test from 'node:test';
import { User, ago, book, gone, literal, ms, op, patch, sql } from './lib.mjs';

const add = (...elements) => ({ $add: elements });
const remove = (...elements) => ({ $remove: elements });
const tags = (value, minutes) => patch('b', { tags: value }, { timestamp: ago(minutes) });
const shown = async (user) => (await user.read('book', 'b')).tags;
const pulled = async (user) => (await user.pull('since=0&times=true')).changes;
const full = (user, body) => user.request('/full', { method: 'POST', body: JSON.stringify(body) });
const upload = async (user, changes) => {
  const { status, json, text } = await full(user, { mode: 'merge', changes });
  assert.equal(status, 200, text);
  return json;
};
const first = book('b', { tags: ['a', 'b', 'c'], subjects: null }, { timestamp: ago(60) });

test('a pull with times has those of elements; what is sent back as it was pulled changes nothing', async () => {
  const user = new User();
  await user.send([first, tags(add('d', 'a'), 40), tags(remove('b'), 30), patch('b', { subjects: remove('x') })]);
  const before = await user.pull('since=0&times=true');
  const { marks } = before.changes[0].times;
  assert.deepEqual(marks['/tags'],
    { '': ms(ago(60)), add: [[ms(ago(40)), 2]], remove: [[ms(ago(30)), 'b']] });
  assert.deepEqual([before.changes[0].data.tags, before.changes[0].data.subjects], [['c', 'd', 'a'], null]);
  const { unchanged, failed } = await upload(user, before.changes);
  assert.deepEqual([unchanged, failed], [1, []]);
  assert.deepEqual(await user.pull('since=0&times=true'), before);
});

test('two states are joined exactly, in both directions, and repeated', async () => {
  const histories = [[first, tags(add('d'), 40), tags(remove('a'), 20)],
    [first, tags(remove('d', 'b'), 30), tags(add('e', 'a'), 25), tags(add('f'), 10)]];
  for (const [mine, other] of [[0, 1], [1, 0]]) {
    const here = new User(), there = new User();
    for (const [user, history] of [[here, histories[mine]], [there, histories[other]]])
      for (const operation of history) await user.send([operation]);
    const changes = await pulled(there);
    assert.equal((await upload(here, changes)).updated, 1);
    assert.deepEqual(await shown(here), ['c', 'e', 'f']);
    assert.equal((await upload(here, changes)).unchanged, 1);
    await here.send([tags(add('d'), 35)]); // the removal was later
    await here.send([tags(add('b'), 28)]);
    await here.send([tags(['x', 'a', 'f'], 22)]); // and so were the removal of a and the addition of f
    assert.deepEqual(await shown(here), ['x', 'f']);
  }
});

test('the times of elements outlive a deletion and a restore on another account', async () => {
  const from = new User(), to = new User();
  await from.send([first, tags(remove('a'), 40)]);
  await upload(to, await pulled(from));
  await to.send([gone('book', 'b', { timestamp: ago(20) })]);
  await to.send([tags(add('a', 'z'), 45)]);
  await to.send([patch('b', { notes: 'back' }, { timestamp: ago(10) })]);
  assert.deepEqual(await shown(to), ['b', 'c', 'z']);
});

test('without times a list counts as written whole at updatedAt', async () => {
  const user = new User();
  await user.send([first, tags(add('d'), 40), tags(add('e'), 20)]);
  await upload(user, [{ type: 'book', data: { id: 'b', updatedAt: ago(30), title: 'T', tags: ['q'] } }]);
  assert.deepEqual(await shown(user), ['q', 'e']);
});

const noMarks = /^changes\[0\]\.times\.marks: must be an object/;
const faults = {
  'a change': [{ tags: add('x') }, {}, /^changes\[0\]\.data\.tags: must be a list or null in a full sync/],
  'a text': [{ tags: 'x' }, {}, /^changes\[0\]\.data\.tags: must be a list or null in a full sync, is a string/],
  'a time that is text': [{}, { '/tags': { '': 1, add: [['1', 1]] } }, noMarks],
  'a removal without a time': [{}, { '/tags': { remove: ['x'] } }, noMarks],
};

for (const [name, [data, marks, message]] of Object.entries(faults))
  test(`an item of changes with ${name} fails alone`, async () => {
    const user = new User(), times = { base: 1, edited: 1, marks };
    const { failed, created } = await upload(user, [
      { type: 'book', data: { id: 'b', title: 'T', tags: ['x'], ...data }, times },
      { type: 'book', data: { id: 'c', title: 'T', updatedAt: ago(5) } }]);
    assert.deepEqual([failed.length, failed[0]?.id, created], [1, 'b', 1]);
    assert.match(failed[0].message, message);
  });

test('times that do not fit the list do no harm', async () => {
  const user = new User();
  const marks = { '/tags': { '': 1, at: 9, null: true, add: [[5, 4e9], [3, 1]], remove: [[7, 'a', 'a'], [2, 'q']] } };
  const { failed } = await upload(user,
    [{ type: 'book', data: { id: 'b', title: 'T', tags: ['a', 'b', 'a'] }, times: { base: 1, edited: 9, marks } }]);
  assert.deepEqual(failed, []);
  const before = await user.pull('since=0&times=true');
  assert.equal((await upload(user, before.changes)).unchanged, 1);
  await user.send([tags(add('z'), 1)]);
  assert.equal((await shown(user)).at(-1), 'z');
});

test('a value from before, which is no list, is accepted back wherever the server holds it', async () => {
  for (const value of ['text', { x: [1] }, { $add: 'x' }]) {
    const user = new User();
    await user.send([op('create', 'collection', 'c', { name: 'N' })]);
    const items = [{ id: 'c', name: 'N', bookIds: value }];
    await sql(`UPDATE entities SET data = ${literal(JSON.stringify({ name: 'N', bookIds: value }))}
      WHERE user_id = ${literal(user.id)}`);
    for (const mode of ['merge', 'replace']) {
      const reply = await full(user, { mode, collections: items });
      assert.equal(reply.status, 200, reply.text);
      assert.equal((await full(user, { mode, collections: [{ ...items[0], bookIds: 1 }] })).status, 400);
    }
    assert.equal((await upload(user, await pulled(user))).unchanged, 1);
    const result = await user.apply(op('update', 'collection', 'c', { bookIds: value, isSmart: true }));
    assert.equal(result.status, 'success', result.message);
    assert.deepEqual((await user.read('collection', 'c')).bookIds, value);
    const other = await user.apply(op('update', 'collection', 'd', { bookIds: value }));
    assert.equal(other.status, 'failed');
  }
});
