// `times=true` on a pull, and `changes` in POST /full: what a device sends back after a restore. What it ends with:
// tests/pool/restore.test.mjs.
import assert from 'node:assert/strict';
import test from 'node:test';
import { User, ago, book, checkError, gone, literal, ms, op, patch, sql } from './lib.mjs';

const upload = (user, changes, more) => user.request('/full',
  { method: 'POST', body: JSON.stringify({ mode: 'merge', changes, ...more }) });
const stored = async (user, changes, more) => {
  const { status, json, text } = await upload(user, changes, more);
  assert.equal(status, 200, text);
  return json;
};
const counts = ({ created, updated, deleted, unchanged, failed }) =>
  [created, updated, deleted, unchanged, failed.length];
const pulled = async (user) => (await user.pull('since=0&times=true')).changes;
const shown = async (user) => Object.fromEntries((await user.pull('since=0')).changes.map(({ deleted, data }) => {
  const { id, createdAt, updatedAt, ...rest } = data;
  return [id, deleted ? null : rest];
}));

test('a pull has times only with times=true, and they say when each member was written', async () => {
  const user = new User();
  await user.send([book('b1', { title: 'T', notes: 'n', pageCount: 7 }, { timestamp: ago(20) }),
    patch('b1', { notes: 'N', dimensions: { height: 1 } }, { timestamp: ago(10) }), book('b2'),
    gone('book', 'b2', { timestamp: ago(1) })]);
  const [b1, b2] = (await user.pull('since=0&times=true')).changes;
  assert.deepEqual(b1.times.edited, ms(ago(10)));
  const marked = { ...b1.times.marks };
  const timeOf = (pointer) => marked[pointer] ?? b1.times.base;
  assert.deepEqual(['/title', '/pageCount', '/notes', '/dimensions/height'].map(timeOf),
    [20, 20, 10, 10].map((minutes) => ms(ago(minutes))));
  assert.deepEqual(b2.times, { deleted: ms(ago(1)) });
  for (const query of ['since=0', 'since=0&times=false'])
    assert.deepEqual((await user.pull(query)).changes.filter((change) => 'times' in change), []);
  const tag = (await user.changes('since=0')).headers.etag;
  assert.equal((await user.changes('since=0&times=true', { headers: { 'if-none-match': tag } })).status, 200);
  assert.equal(checkError(await user.changes('since=0&times=1'), 400, 'VALIDATION_ERROR').details[0].path, 'times');
});

test('a library that is sent back as it was pulled changes nothing', async () => {
  const user = new User();
  await user.send([book('b1', {}, { timestamp: ago(9) }), patch('b1', { notes: 'n' }), book('b2'), gone('book', 'b2'),
    op('create', 'rating', 'r1', { bookId: 'b1', stars: 2 }, { timestamp: ago(9) }),
    op('create', 'rating', 'r2', { bookId: 'b1', stars: 3 }, { timestamp: ago(8) }),
    op('update', 'userSettings', 's', { theme: 'dark' }),
    op('create', 'tag', 't', { name: 'a', '~/': { '': { 'a/b': [1] } } })]);
  const before = await user.pull('since=0&times=true');
  assert.deepEqual(before.changes.find(({ data }) => data.id === 'r1').times.superseded, ms(before.changes
    .find(({ data }) => data.id === 'r1').data.deletedAt));
  const reply = await stored(user, before.changes);
  assert.deepEqual([counts(reply), reply.conflicts], [[0, 0, 0, before.changes.length, 0], 0]);
  const after = await user.pull('since=0&times=true');
  assert.deepEqual([after.changes, after.cursor], [before.changes, before.cursor]);
});

test('an empty account that gets the changes of another one holds the same, with the same times', async () => {
  const from = new User(), to = new User();
  await from.send([book('b1', { title: 'T', notes: 'n' }, { timestamp: ago(9) }),
    patch('b1', { notes: 'N' }, { timestamp: ago(5) }), book('b2'),
    gone('book', 'b2'), op('create', 'tag', 't', { name: 'a' }),
    op('create', 'rating', 'r1', { bookId: 'b1', stars: 2 }, { timestamp: ago(9) }),
    op('create', 'rating', 'r2', { bookId: 'b1', stars: 3 }, { timestamp: ago(8) })]);
  const changes = await pulled(from);
  assert.deepEqual(counts(await stored(to, changes)), [3, 0, 0, 2, 0]);
  const without = (list) => list.map(({ data: { updatedAt, ...data }, ...rest }) => ({ ...rest, data }))
    .filter(({ data }) => data.id !== 'r1').sort((x, y) => (x.data.id < y.data.id ? -1 : 1));
  assert.deepEqual(without(await pulled(to)), without(changes));
  await to.send([patch('b1', { title: 'later', notes: 'too early' }, { timestamp: ago(8) })]);
  assert.deepEqual((await shown(to)).b1, { title: 'later', notes: 'N' }, 'each member has its own time');
});

test('an item without times counts as edited at its updatedAt, a deletion as deleted at its deletedAt', async () => {
  const user = new User();
  await user.send([book('b1', { title: 'T', notes: 'n' }, { timestamp: ago(9) }), book('b2', {}, { timestamp: ago(9) }),
    book('b3', {}, { timestamp: ago(3) })]);
  await user.send([patch('b1', { notes: 'N' }, { timestamp: ago(3) })]);
  const reply = await stored(user, [
    { type: 'book', data: { id: 'b1', createdAt: ago(99), updatedAt: ago(5), title: 'U', notes: 'U' } },
    { type: 'book', deleted: true, data: { id: 'b2', updatedAt: ago(1), deletedAt: ago(5) } },
    { type: 'book', deleted: true, data: { id: 'b3', updatedAt: ago(1), deletedAt: ago(5) } },
    { type: 'book', deleted: true, data: { id: 'b4', updatedAt: ago(1), deletedAt: ago(5) } },
    { type: 'book', data: { id: 'b5', createdAt: ago(99), updatedAt: ago(5), title: 'new' } }]);
  assert.deepEqual([counts(reply), reply.conflicts], [[1, 1, 1, 2, 0], 0]);
  assert.deepEqual(await shown(user),
    { b1: { title: 'U', notes: 'N' }, b2: null, b3: { title: 'Book b3' }, b4: null, b5: { title: 'new' } });
  const [b5] = (await user.pull('since=0')).changes.filter(({ data }) => data.id === 'b5');
  assert.equal(b5.data.createdAt, ago(99));
  await user.send([book('b4', {}, { timestamp: ago(6) })]);
  assert.equal((await shown(user)).b4, null, 'the deletion of an unknown book is kept');
});

test('times ahead of the clock count as now, so that a later edit wins', async () => {
  const user = new User(), ahead = Date.now() + 86_400_000;
  await stored(user, [
    { type: 'book', data: { id: 'b1', title: 'T' }, times: { base: ahead, edited: ahead, marks: { '/title': ahead } } },
    { type: 'book', data: { id: 'b2', updatedAt: ahead, title: 'T' } },
    { type: 'book', deleted: true, data: { id: 'b3', deletedAt: ahead } }]);
  const now = new Date(Date.now() + 1000).toISOString();
  await user.send(['b1', 'b2', 'b3'].map((id) => book(id, { title: 'later' }, { timestamp: now })));
  const later = { title: 'later' };
  assert.deepEqual(await shown(user), { b1: later, b2: later, b3: later });
});

// The clock may be five minutes ahead (docs/api.md, 5), so a version from before a restore may be ahead of later ones.
test('what is sent back gets a later version than the one that the sender holds', async () => {
  const ahead = new Date(Date.now() + 240_000).toISOString(), late = new Date(Date.now() + 250_000).toISOString();
  const user = new User();
  const times = { base: ms(ago(9)), edited: ms(ago(9)) };
  await stored(user, [{ type: 'book', data: { id: 'b1', title: 'T', updatedAt: ahead }, times }]);
  const [b1] = await pulled(user);
  assert.ok(b1.data.updatedAt > ahead, b1.data.updatedAt);
  await stored(user, [{ type: 'book', deleted: true, data: { id: 'b2', updatedAt: late, deletedAt: ago(9) } }]);
  const { data: b2 } = (await pulled(user)).find(({ data }) => data.id === 'b2');
  assert.ok(b2.updatedAt > late && b2.deletedAt === ago(9), JSON.stringify(b2));
  await stored(user, [{ type: 'book', data: { id: 'b3', title: 'T', updatedAt: Date.now() + 86_400_000 } }]);
  const { data: b3 } = (await pulled(user)).find(({ data }) => data.id === 'b3');
  assert.ok(ms(b3.updatedAt) < Date.now() + 360_000, 'not beyond what is accepted');
});

test('two ratings of one book follow the rule, and are logged once', async () => {
  const user = new User();
  await user.send([op('create', 'rating', 'r1', { bookId: 'b', stars: 2 }, { timestamp: ago(9) })]);
  const changes = [{ type: 'rating', data: { id: 'r2', updatedAt: ago(5), bookId: 'b', stars: 5 } }];
  assert.equal((await stored(user, changes)).conflicts, 1);
  assert.equal((await stored(user, changes)).conflicts, 0);
  assert.deepEqual(await shown(user), { r1: null, r2: { bookId: 'b', stars: 5 } });
});

const good = { type: 'book', data: { id: 'good', title: 'T', updatedAt: ago(5) } };
const instants = { base: 1, edited: 1 };
const deep = (levels) => JSON.parse(`${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`);
const wrong = {
  'no object': [7, /^changes\[1\]: /],
  'no type': [{ data: { id: 'x', title: 'T', updatedAt: ago(5) } }, /^changes\[1\]\.type: /],
  'an unknown type': [{ type: 'film', data: {} }, /^changes\[1\]\.type: /],
  'no data': [{ type: 'book' }, /^changes\[1\]\.data: is required/],
  'no id': [{ type: 'book', data: { title: 'T', updatedAt: ago(5) } }, /^changes\[1\]\.data\.id: is required/],
  'no title': [{ type: 'book', data: { id: 'x', updatedAt: ago(5) } }, /^changes\[1\]\.data\.title: is required/],
  'a wrong title': [{ type: 'book', data: { id: 'x', title: 7, updatedAt: ago(5) } }, /^changes\[1\]\.data\.title: /],
  'neither updatedAt nor times': [{ type: 'book', data: { id: 'x', title: 'T' } },
    /^changes\[1\]\.data\.updatedAt: is required/],
  'deleted without deletedAt': [{ type: 'book', deleted: true, data: { id: 'x', updatedAt: ago(5) } },
    /^changes\[1\]\.data\.deletedAt: is required/],
  'deleted without an id': [{ type: 'book', deleted: true, data: { deletedAt: ago(5) } }, /^changes\[1\]\.data\.id: /],
  'a wrong deletedAt': [{ type: 'book', deleted: true, data: { id: 'x', deletedAt: 'then' } },
    /^changes\[1\]\.data\.deletedAt: /],
  'a wrong deleted': [{ type: 'book', deleted: 1, data: { id: 'x' } }, /^changes\[1\]\.deleted: must be true or false/],
  'twice the same': [good, /^changes\[1\]\.data\.id: occurs twice/],
  'times that are text': [{ ...good, times: '1' }, /^changes\[1\]\.times: must be the object that a pull gave/],
  'times without base': [{ ...good, times: { edited: 1 } }, /^changes\[1\]\.times: needs both/],
  'empty times': [{ ...good, times: {} }, /^changes\[1\]\.times: must be the object that a pull gave/],
  'a base that is no instant': [{ ...good, times: { base: '2024', edited: 1 } }, /^changes\[1\]\.times\.base: /],
  'a time out of range': [{ ...good, times: { base: 1e17, edited: 1 } }, /^changes\[1\]\.times\.base: /],
  'marks that are a list': [{ ...good, times: { ...instants, marks: [1] } }, /^changes\[1\]\.times\.marks: /],
  'marks with a text': [{ ...good, times: { ...instants, marks: { '/title': 'x' } } }, /^changes\[1\]\.times\.marks: /],
  'marks that are too deep': [{ ...good, times: { ...instants, marks: deep(80) } }, /^changes\[1\]\.times/],
  'marks that are too large': [{ ...good, times: { ...instants, marks: { ['x'.repeat(2 << 20)]: 1 } } },
    /^changes\[1\]\.times: .*limits\.entity/],
  'times of a deletion': [{ ...good, times: { deleted: 1 } }, /^changes\[1\]\.times: are those of a deletion/],
  'a deletion with times of an edit': [{ type: 'book', deleted: true, data: { id: 'x' }, times: instants },
    /^changes\[1\]\.times: are not those of a deletion/],
};

for (const [name, [item, message]] of Object.entries(wrong))
  test(`an item fails alone, and the reply says why: ${name}`, async () => {
    const user = new User();
    const reply = await stored(user, [good, item]);
    assert.deepEqual(counts(reply), [1, 0, 0, 0, 1]);
    const [{ index, error }] = reply.failed;
    assert.equal(index, 1);
    assert.match(reply.failed[0].message, message);
    assert.ok(['VALIDATION_ERROR', 'PAYLOAD_TOO_LARGE'].includes(error), error);
    assert.deepEqual(Object.keys(await shown(user)), ['good']);
  });

test('a rating that was moved and superseded after a backup does not come back in its old place', async () => {
  const from = new User(), to = new User();
  const rating = (id, bookId, minutes) =>
    op('update', 'rating', id, { bookId, stars: 4 }, { timestamp: ago(minutes) });
  await from.send([rating('r1', 'b8', 9)]);
  await stored(to, await pulled(from)); // the backup
  await from.send([rating('r1', 'b6', 5), rating('r2', 'b6', 4)]);
  const changes = await pulled(from);
  const [{ deleted, beneath }] = changes.filter(({ data }) => data.id === 'r1');
  assert.deepEqual([deleted, beneath], [true, { bookId: 'b6', stars: 4 }]);
  for (const change of changes) await stored(to, [change]);
  assert.deepEqual(await shown(to), { r1: null, r2: { bookId: 'b6', stars: 4 } });
  await to.send([gone('rating', 'r2', { timestamp: ago(3) })]);
  const [r2] = (await pulled(to)).filter(({ data }) => data.id === 'r2');
  assert.deepEqual([r2.beneath, r2.times.deleted], [{ bookId: 'b6', stars: 4 }, ms(ago(3))]);
});

test('an item that would make its entity too large fails alone: text and times together', async () => {
  const user = new User();
  const half = 'x'.repeat(600 << 10);
  await user.send([book('b1', { notes: half }, { timestamp: ago(9) })]);
  const marks = Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`/list/${n}/a rather long name`, n]));
  const list = Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [n, { 'a rather long name': 1 }]));
  const reply = await stored(user, [
    { type: 'book', data: { id: 'b1', updatedAt: ago(5), title: 'T', description: half } },
    { type: 'book', data: { id: 'b2', title: 'T', list }, times: { ...instants, marks } }, good,
    { type: 'book', data: { id: 'b3', updatedAt: ago(5), title: 'T', notes: 'x'.repeat(10 << 20) } }]);
  assert.deepEqual(reply.failed.map(({ id, error }) => [id, error]),
    [[undefined, 'PAYLOAD_TOO_LARGE'], ['b1', 'PAYLOAD_TOO_LARGE'], ['b2', 'PAYLOAD_TOO_LARGE']]);
  for (const { message } of reply.failed) assert.match(message, /limits\.entity\b.*\b1048576\b/);
  assert.deepEqual(Object.keys(await shown(user)).sort(), ['b1', 'good']);
});

test('changes stand beside lists, in a large request too, and need the mode merge', async () => {
  const user = new User();
  const changes = Array.from({ length: 2500 }, (_, n) => ({ type: 'book',
    data: { id: `c${n}`, updatedAt: ago(5), title: 'T', notes: 'x'.repeat(300) } }));
  const reply = await stored(user, changes, { tags: [{ id: 't1', name: 'N' }], books: [{ id: 'b1', title: 'T' }] });
  assert.deepEqual(counts(reply), [2502, 0, 0, 0, 0]);
  assert.deepEqual(counts(await stored(user, [...changes, good])), [1, 0, 0, 2500, 0]);
  for (const body of [{ changes }, { changes, mode: 'replace', books: [] }]) {
    const refused = await user.request('/full', { method: 'POST', body: JSON.stringify(body) });
    assert.equal(checkError(refused, 400, 'VALIDATION_ERROR').details[0].path, 'changes');
  }
  const both = await stored(user, [good], { books: [{ id: 'good', title: 'T' }] });
  assert.match(both.failed[0].message, /occurs twice/);
  assert.equal('failed' in (await user.request('/full', { method: 'POST', body: '{"force":true}' })).json, false);
});

test('a dry run counts and stores nothing, and what is not JSON or too long is refused', async () => {
  const user = new User();
  const dry = await user.request('/full?dryRun=true',
    { method: 'POST', body: JSON.stringify({ mode: 'merge', changes: [good] }) });
  assert.deepEqual([counts(dry.json), await shown(user)], [[1, 0, 0, 0, 0], {}]);
  for (const item of ['{"type":}', '{"type":"book","data":{x}}']) {
    const body = `{"mode":"merge","changes":[${item}]}`;
    checkError(await user.request('/full', { method: 'POST', body }), 400, 'VALIDATION_ERROR');
  }
  const many = `{"mode":"merge","changes":[${'7,'.repeat(100_000)}7]}`;
  const refused = checkError(await user.request('/full', { method: 'POST', body: many }), 413, 'PAYLOAD_TOO_LARGE');
  assert.match(refused.message, /limits\.full_items/);
  assert.deepEqual(await sql(`SELECT count(*) FROM entities WHERE user_id = ${literal(user.id)}`), ['0']);
});
