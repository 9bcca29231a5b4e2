// The times of members (marks) that the server keeps for an entity: their size is bounded, and rows of version 1, whose
// marks could be hundreds of megabytes, are read or refused operation by operation.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ago, book, checkError, content, gone, literal, ms, patch, request, sql } from './lib.mjs';
import { Owner } from './owner.mjs';

const { limits } = (await request('/api/sync/config')).json;

const leaves = (from, count, value = 1) => Object.fromEntries(
  Array.from({ length: count }, (_, i) => [`n${from + i}`, value]));

const sizes = async (owner, id) => {
  const [row] = await sql(`SELECT octet_length(data::text), coalesce(octet_length(marks::text), 0) FROM entities
    WHERE user_id = ${literal(owner.id)} AND entity_id = ${literal(id)}`);
  const [data, marks] = row.split('|').map(Number);
  return { data, marks };
};

// Writes a row's marks as version 1 did: a whole pointer for each leaf below `name`. There are two times, so that half
// of the leaves keep their marks.
const flatten = (owner, id, name, count, at) => sql(`UPDATE entities SET marks = (
    SELECT json_object_agg('/' || ${name} || '/n' || n, ${at} + n % 2) FROM generate_series(0, ${count - 1}) AS n)
  WHERE user_id = ${literal(owner.id)} AND entity_id = ${literal(id)}`);

const checkTooLarge = (result, message) => {
  assert.deepEqual([result.status, result.error], ['failed', 'PAYLOAD_TOO_LARGE']);
  assert.match(result.message, message);
};
const limited = new RegExp(`data: the entity would have \\d+ bytes, limits\\.entity is ${limits.entityBytes}$`);

test('the marks of leaves below a long name, or below many, are not larger than the data', async () => {
  const owner = new Owner();
  const long = 'K'.repeat(50_000);
  const deep = (from) => Array.from({ length: 50 }).reduce(
    (below) => ({ ['a'.repeat(5000)]: below, ...leaves(from, 2) }), leaves(from, 2));
  await owner.send([book('long', { [long]: leaves(0, 500) }, { timestamp: ago(20) }),
    book('deep', deep(0), { timestamp: ago(20) })]);
  await owner.send([patch('long', { [long]: leaves(500, 500) }), patch('deep', deep(2))]);
  for (const id of ['long', 'deep']) { // with a whole pointer for each leaf: 25 MB and 13 MB
    const { data, marks } = await sizes(owner, id);
    assert.ok(marks > 10_000 && marks < 1.2 * data, `${id}: ${data} bytes of data, ${marks} bytes of marks`);
  }
  const late = await owner.apply(patch('long', { [long]: { n500: 2, n1: 3 } }, { timestamp: ago(15) }));
  assert.equal(late.resolution, 'merged');
  assert.deepEqual([late.data[long].n500, late.data[long].n1], [1, 3]);
});

test('marks count towards limits.entity, and only the operation that exceeds it is refused', async () => {
  const owner = new Owner();
  const count = Math.floor(limits.entityBytes / 35); // a leaf has 10 bytes of data and 23 of marks
  await owner.send([book('b', { x: leaves(10_000, count) }, { timestamp: ago(20) })]);
  const fill = await owner.apply(patch('b', { x: leaves(50_000, Math.floor(count / 2)) }));
  assert.equal(fill.status, 'success');
  const { results } = await owner.send([patch('b', { x: leaves(10_000, Math.floor(count / 2), 2) }, {
    timestamp: ago(9) }), book('other'), patch('b', { title: 'short' }), patch('b', { x: null }, { timestamp: ago(8) }),
  gone('book', 'b')]);
  checkTooLarge(results[0], limited);
  assert.deepEqual(results.slice(1).map(({ status }) => status), Array(4).fill('success'));
  const { data, marks } = await sizes(owner, 'b');
  assert.ok(data + marks < 1000);
});

test('a row that is too large already can be made smaller and deleted, not larger', async () => {
  const owner = new Owner();
  await owner.send([book('b', { notes: 'n', a: 'a' })]);
  await sql(`UPDATE entities SET data = json_build_object('title', 'T', 'notes', repeat('n', ${limits.entityBytes}),
    'a', repeat('a', 1000)) WHERE user_id = ${literal(owner.id)}`);
  const { results } = await owner.send([patch('b', { c: 1 }, { timestamp: ago(4) }),
    patch('b', { a: 'short' }, { timestamp: ago(3) }), gone('book', 'b', { timestamp: ago(2) }),
    patch('b', { notes: 'short', c: 1 }, { timestamp: ago(1) })]);
  checkTooLarge(results[0], limited);
  assert.deepEqual(results.slice(1).map(({ status }) => status), Array(3).fill('success'));
  assert.deepEqual(content(await owner.read('book', 'b')), { title: 'T', notes: 'short', a: 'short', c: 1 });
});

test('a row with large marks of version 1 is read, and shrinks with the next write', async () => {
  const owner = new Owner();
  const name = 'K'.repeat(50_000);
  await owner.send([book('b', { [name]: leaves(0, 300) }, { timestamp: ago(20) })]);
  await flatten(owner, 'b', `repeat('K', 50000)`, 300, ms(ago(10)));
  assert.ok((await sizes(owner, 'b')).marks > 15_000_000);
  const { results } = await owner.send([patch('b', { [name]: { n0: 2 } }, { timestamp: ago(11) }),
    patch('b', { [name]: { n1: 2 } }, { timestamp: ago(9) })]);
  assert.deepEqual(results.map(({ status, resolution }) => [status, resolution]), [['success', 'server'], ['success',
    undefined]]);
  const { x, ...rest } = content(await owner.read('book', 'b'));
  assert.deepEqual([rest[name].n0, rest[name].n1], [1, 2]);
  assert.ok((await sizes(owner, 'b')).marks < 60_000);
});

test('marks of version 1 that are too large to be read refuse edits of this entity, but not its deletion', async () => {
  const owner = new Owner();
  const name = 'K'.repeat(50_000), unreadable = /^operations\[0\]: the server keeps more than 16777216 bytes/;
  await owner.send([book('b', { [name]: leaves(0, 400) }, { timestamp: ago(20) })]);
  await flatten(owner, 'b', `repeat('K', 50000)`, 400, ms(ago(10)));
  const before = await sizes(owner, 'b');
  assert.ok(before.marks > 20_000_000);
  for (let n = 0; n < 2; n++) {
    const { results } = await owner.send([patch('b', { title: 'new' }), book(`b${n}`)]);
    checkTooLarge(results[0], unreadable);
    assert.equal(results[1].status, 'success');
  }
  assert.equal((await owner.read('book', 'b')).title, 'Book b');
  const parked = await owner.parked(patch('b', { title: 'new' }));
  assert.equal((await owner.applyPending()).failed, 1);
  assert.deepEqual((await owner.pending()).map(({ id }) => id), [parked.id]);
  checkError(await owner.full({ mode: 'merge', books: [{ id: 'b', title: 'new' }] }), 413, 'PAYLOAD_TOO_LARGE');

  assert.equal((await owner.apply(gone('book', 'b'))).status, 'success');
  assert.equal(await owner.read('book', 'b'), undefined);
  assert.deepEqual(await sizes(owner, 'b'), before, 'the times beneath the deletion are kept');
  checkTooLarge(await owner.apply(book('b', {}, { timestamp: ago(1) })), unreadable);

  await owner.replace({ books: [{ id: 'b', title: 'replaced' }] });
  assert.ok((await sizes(owner, 'b')).marks < 100);
  assert.equal((await owner.apply(patch('b', { title: 'new' }, { timestamp: undefined }))).status, 'success');
  assert.deepEqual(content(await owner.read('book', 'b')), { title: 'new' });
});
