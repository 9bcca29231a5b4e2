// Small requests that would cost much: the bounds of replies, of what is stored, and of what is parsed. The limits are
// those of the configuration, which GET /config tells.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { User, ago, book, checkError, gone, literal, patch, request, sql } from './lib.mjs';
import { Owner, checkOk } from './owner.mjs';

const { limits } = (await request('/api/sync/config')).json;
const noise = (bytes) => randomBytes(bytes / 2).toString('hex'); // does not compress below a half
const large = () => noise(900_000);
const range = (length, make) => Array.from({ length }, (_, i) => make(i));

const stored = async (user, table, column) => Number((await sql(
  `SELECT coalesce(sum(octet_length(${column}::text)), 0) FROM ${table} WHERE user_id = ${literal(user.id)}`))[0]);

// A user with one large book, and late edits of it, each of which shows the whole book twice in its result.
async function withLargeBook() {
  const user = new Owner();
  await user.send([book('b1', { notes: large() })]);
  return { user, late: () => patch('b1', { notes: 'late' }, { timestamp: ago(60) }) };
}

// Sends operations as a client does that halves a batch which is too large. Resolves to the results.
async function sendInHalves(user, operations) {
  const reply = await user.post({ operations });
  if (reply.status === 200) return reply.json.results;
  checkError(reply, 413, 'PAYLOAD_TOO_LARGE');
  assert.ok(operations.length > 1);
  const half = operations.length >> 1;
  return [...await sendInHalves(user, operations.slice(0, half)), ...await sendInHalves(user, operations.slice(half))];
}

test('copies of an operation in one request: their results are bounded, and a few are answered', async () => {
  const { user, late } = await withLargeBook();
  const operation = late();
  const refused = await user.post({ operations: Array(1000).fill(operation) });
  const { message } = checkError(refused, 413, 'PAYLOAD_TOO_LARGE');
  assert.match(message, /limits\.full_body/);
  assert.deepEqual(await user.conflicts(), [], 'nothing was applied');
  const { results } = await user.send(Array(5).fill(operation));
  assert.deepEqual(results.map(({ duplicate }) => duplicate), [undefined, true, true, true, true]);
  for (const { data, conflict } of results) assert.equal(data.notes, conflict.serverData.notes);
});

test('repeats of answered operations: their results are bounded, and in halves all are answered', async () => {
  const { user, late } = await withLargeBook();
  const operations = range(40, late);
  const first = await sendInHalves(user, operations);
  checkError(await user.post({ operations }), 413, 'PAYLOAD_TOO_LARGE');
  const again = await sendInHalves(user, operations);
  assert.deepEqual(again.map(({ duplicate }) => duplicate), operations.map(() => true));
  for (const [i, { conflict, data, current, updatedAt }] of again.entries()) {
    assert.deepEqual([conflict.id, updatedAt], [first[i].conflict.id, first[i].updatedAt]);
    assert.equal(conflict.serverData.notes, first[i].conflict.serverData.notes);
    assert.deepEqual(conflict.localData, { notes: 'late' });
    assert.equal((data ?? current.data).notes, first[i].data.notes);
  }
});

test('deletions of an entity that a later edit brings back: their results are bounded', async () => {
  const { user } = await withLargeBook();
  const deletions = range(60, (i) => gone('book', 'b1', { timestamp: ago(8 - i / 100) }));
  const back = patch('b1', { notes: large() }, { timestamp: ago(1) });
  checkError(await user.post({ operations: [...deletions, back] }), 413, 'PAYLOAD_TOO_LARGE');
  assert.notEqual(await user.read('book', 'b1'), undefined, 'nothing was applied');
  const { results } = await user.send([...deletions.slice(0, 5), back]);
  for (const { data } of results.slice(0, 5)) assert.equal(data.notes, back.data.notes);
});

test('the queue with more than one reply can hold is applied in parts', async () => {
  const { user, late } = await withLargeBook();
  for (const operation of range(24, late)) await user.parked(operation);
  const replies = [];
  do replies.push(await user.applyPending()); while (replies.at(-1).hasMore);
  assert.ok(replies.length > 1);
  assert.equal(replies.reduce((sum, { applied }) => sum + applied, 0), 24);
  for (const reply of replies) assert.ok(JSON.stringify(reply).length <= limits.fullBodyBytes + limits.entityBytes * 3);
});

test('late edits of a large book: each side is stored once a request, and the ledger holds no content', async () => {
  const { user, late } = await withLargeBook();
  const bytes = await stored(user, 'entities', 'data');
  for (let i = 0; i < 3; i++) await user.send(range(10, late));
  assert.ok(await stored(user, 'ledger', 'result') < 31 * 1000, 'the results of 31 operations');
  assert.ok(await stored(user, 'conflicts', 'server_data') < 3 * 1.1 * bytes, 'the book once for each of 3 requests');
  const conflicts = (await user.pages('/conflicts', 'conflicts', 1000)).flatMap((page) => page.conflicts);
  assert.equal(conflicts.length, 30);
  for (const { serverData, localData } of conflicts) {
    assert.equal(serverData.notes.length, 900_000);
    assert.deepEqual(localData, { notes: 'late' });
  }
});

test('200 conflicts about one version: repeats and the conflict log hold both sides of each', async () => {
  const user = new Owner();
  await user.apply(book('b1', { notes: 'kept' }));
  const operations = range(200, (i) => patch('b1', { notes: 'late' },
    { timestamp: ago(100 + i), conflictResolution: i % 2 ? 'manual' : 'server' }));
  const { results } = await user.send(operations);
  for (const { conflict } of results) assert.equal(conflict.serverData.notes, 'kept');
  const again = await user.send(operations);
  assert.deepEqual(again.results, results.map((result) => ({ ...result, duplicate: true })));
  const conflicts = (await user.pages('/conflicts', 'conflicts', 1000)).flatMap((page) => page.conflicts);
  assert.deepEqual(conflicts.map(({ serverData }) => serverData?.notes), Array(200).fill('kept'));
});

test('a page of the conflict log is bounded by bytes, and the pages hold all', async () => {
  const { user, late } = await withLargeBook();
  await user.send(range(14, late));
  const pages = await user.pages('/conflicts', 'conflicts', 1000);
  assert.ok(pages.length > 1);
  for (const page of pages) assert.ok(JSON.stringify(page).length < limits.bodyBytes + 2 * limits.entityBytes);
  assert.equal(new Set(pages.flatMap(({ conflicts }) => conflicts.map(({ id }) => id))).size, 14);
});

const tooLarge = [
  ['an unknown member', () => ({ operations: [], more: Array(2_000_000).fill([]) })],
  ['an unknown member of numbers', () => ({ operations: [], more: Array(150_000).fill(0) })],
  ['the member lastSync', () => ({ operations: [], lastSync: Array(150_000).fill({}) })],
];
for (const [name, body] of tooLarge)
  test(`${name} is refused by its number of values before it is parsed`, async () => {
    checkError(await new User().post(body()), 413, 'PAYLOAD_TOO_LARGE');
  });

test('an operation is refused by its number of values before it is parsed, alone, and echoes its id', async () => {
  const user = new User();
  const operations = [book('b1'), book('b2', { more: Array(1_000_000).fill([]) }),
    book('b3', { more: Array(150_000).fill(0) })];
  const { results } = await user.send(operations);
  assert.deepEqual(results.map(({ status, error }) => [status, error]),
    [['success', undefined], ['failed', 'PAYLOAD_TOO_LARGE'], ['failed', 'PAYLOAD_TOO_LARGE']]);
  const ids = (list) => list.map(({ id, entityId }) => [id, entityId]);
  assert.deepEqual(ids(results), ids(operations));
});

test('the operations of a request have a bound of JSON values together', async () => {
  const operations = range(10, (i) => book(`b${i}`, { more: Array(90_000).fill(0) }));
  const { message } = checkError(await new User().post({ operations }), 413, 'PAYLOAD_TOO_LARGE');
  assert.match(message, /500000 JSON values/);
});

test('what other endpoints take is refused by its number of values before it is parsed', async () => {
  const user = new Owner();
  const many = Array(1_500_000).fill([]);
  const item = { id: 'b1', title: 'T', more: many };
  const { details } = checkError(await user.full({ books: [item] }), 413, 'PAYLOAD_TOO_LARGE');
  assert.equal(details[0].path, 'books[0]');
  checkError(await user.full({ books: [], mode: many }), 413, 'PAYLOAD_TOO_LARGE');
  checkError(await user.resolve('1-0', { resolution: 'merge', mergedData: { more: many } }), 413, 'PAYLOAD_TOO_LARGE');
  checkError(await user.call('POST', '/mark-synced', { operationIds: many }), 413, 'PAYLOAD_TOO_LARGE');
  checkError(await user.park(book('b1', { more: many })), 413, 'PAYLOAD_TOO_LARGE');
});

test('a full sync with more conflicts than a reply may have is refused as a whole, and logs none of them', async () => {
  const user = new Owner();
  const tags = range(3000, (i) => ({ id: `t${i}`, name: 'same', note: 'x'.repeat(200) }));
  const { message } = checkError(await user.full({ tags, mode: 'merge' }), 413, 'PAYLOAD_TOO_LARGE');
  assert.match(message, /limits\.full_body/);
  assert.deepEqual(await user.conflicts(), []);
  assert.deepEqual((await user.pull()).changes, []);
});

test('a snapshot of large books is restored in parts', async () => {
  const user = new Owner();
  const books = range(24, (i) => ({ id: `b${i}`, title: `T${i}`, notes: noise(400_000) }));
  await user.replace({ books });
  const { snapshot } = checkOk(await user.full({ books: [], mode: 'replace' }));
  assert.equal(checkOk(await user.restore(snapshot)).created, 24);
  const { changes } = await user.pull();
  const notes = Object.fromEntries(changes.map(({ data }) => [data.id, data.notes]));
  for (const { id, notes: expected } of books) assert.equal(notes[id], expected);
});

test('operations on many large entities: what a request loads is bounded, and in halves all are applied', async () => {
  const user = new Owner();
  const ids = range(45, (i) => `b${i}`);
  for (const id of ids) await user.send([book(id, { notes: large() })]);
  const edits = ids.map((id) => patch(id, { title: 'edited' }, { timestamp: ago(1) }));
  const { message } = checkError(await user.post({ operations: edits }), 413, 'PAYLOAD_TOO_LARGE');
  assert.match(message, /entities.*limits\.full_body/);
  const results = await sendInHalves(user, edits);
  assert.deepEqual(results.map(({ status, data }) => [status, data.title]), ids.map(() => ['success', 'edited']));
  const again = await sendInHalves(user, edits);
  assert.ok(again.every(({ duplicate }) => duplicate));

  const body = { books: ids.map((id) => ({ id, title: 'by full sync' })) };
  const merged = checkOk(await user.full({ ...body, mode: 'merge' }));
  assert.deepEqual([merged.updated, merged.created], [45, 0]);
  for (const id of ['b0', 'b44']) {
    const { title, notes } = await user.read('book', id);
    assert.deepEqual([title, notes.length], ['by full sync', 900_000]);
  }
  const replaced = checkOk(await user.full({ ...body, mode: 'replace' }));
  assert.equal(replaced.updated, 45);
  assert.equal((await user.read('book', 'b44')).notes, undefined);
});

test('a kind that a pull names many times counts once', async () => {
  const user = new User();
  await user.send([book('b1')]);
  const { changes } = await user.pull(`since=0&entities=${Array(700).fill('book').join()}`);
  assert.equal(changes.length, 1);
});
