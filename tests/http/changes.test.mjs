// GET /changes: content, order, pages, caching, and values that come back byte for byte.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { User, ago, book, content, gone, ms, op, patch } from './lib.mjs';

const ids = ({ changes }) => changes.map(({ data }) => data.id);
const many = (count, prefix = 'b') => Array.from({ length: count },
  (_, i) => book(`${prefix}${String(i).padStart(5, '0')}`));
const plus = (instant, time) => new Date(ms(instant) + time).toISOString();

// Pulls all pages and resolves to them; `between` runs after each page but the last.
async function pages(user, limit, between = async () => {}) {
  const all = [await user.pull(`since=1970-01-01T00:00:00Z&initial=true&limit=${limit}`)];
  while (all.at(-1).hasMore) {
    await between(all.length);
    all.push(await user.pull(`limit=${limit}&cursor=${all.at(-1).cursor}`));
    assert.ok(all.length < 1000, 'the pages end');
  }
  return all;
}

// Content

test('a user who has written nothing gets no changes but a cursor', async () => {
  const user = new User();
  const reply = await user.changes('since=2024-01-15T10:30:00Z');
  assert.equal(reply.status, 200);
  const { cursor, ...rest } = reply.json;
  assert.deepEqual(rest, { success: true, changes: [], since: '2024-01-15T10:30:00Z', hasMore: false });
  await user.apply(book('b1'));
  assert.deepEqual(ids(await user.pull(`cursor=${cursor}`)), ['b1']);
});

test('an entity comes with its kind, its id and the two times of the server', async () => {
  const user = new User();
  const { syncedAt } = await user.send([book('b1', { pageCount: 3 })]);
  assert.deepEqual((await user.pull()).changes, [
    { type: 'book', data: { id: 'b1', createdAt: syncedAt, updatedAt: syncedAt, title: 'Book b1', pageCount: 3 } },
  ]);
});

test('each entity comes once, in its latest state, oldest change first', async () => {
  const user = new User();
  await user.send([book('b1')]);
  await user.send([book('b2')]);
  await user.send([book('b3')]);
  await user.send([patch('b1', { title: 'Changed' }, { timestamp: ago(1) })]);
  const pull = await user.pull();
  assert.deepEqual(ids(pull), ['b2', 'b3', 'b1']);
  assert.equal(pull.changes[2].data.title, 'Changed');
  const stamps = pull.changes.map(({ data }) => ms(data.updatedAt));
  assert.deepEqual(stamps, [...stamps].sort((x, y) => x - y));
});

test('the times that a client sends do not matter: updatedAt of the server alone decides what is new', async () => {
  const user = new User();
  const { syncedAt } = await user.send([book('b1')]);
  await user.send([book('b2', { createdAt: '2001-01-01T00:00:00Z', updatedAt: '2001-01-01T00:00:00Z' })]);
  assert.deepEqual(ids(await user.pull(`since=${syncedAt}`)), ['b2']);
});

test('since excludes its own instant and includes the next millisecond', async () => {
  const user = new User();
  const { syncedAt } = await user.send([book('b1')]);
  assert.deepEqual(ids(await user.pull(`since=${syncedAt}`)), []);
  assert.deepEqual(ids(await user.pull(`since=${plus(syncedAt, -1)}`)), ['b1']);
  assert.deepEqual(ids(await user.pull(`since=${plus(syncedAt, 1)}`)), []);
});

test('since may be epoch milliseconds or have an offset, encoded or not, and comes back as sent', async () => {
  const user = new User();
  const { syncedAt } = await user.send([book('b1')]);
  await user.send([book('b2')]);
  const local = new Date(ms(syncedAt) + 2 * 3600_000).toISOString().replace('Z', '+02:00');
  for (const since of [syncedAt, String(ms(syncedAt)), local, syncedAt.replace('Z', '-00:00'), '0', '-1000',
    '1969-12-31T23:59:59Z']) {
    const all = ms(isNaN(since) ? since : Number(since)) < 10;
    for (const sent of [since, encodeURIComponent(since)]) {
      const pull = await user.pull(`since=${sent}`);
      assert.deepEqual(ids(pull), all ? ['b1', 'b2'] : ['b2'], sent);
      assert.equal(pull.since, since);
    }
  }
});

test('entities= selects the named kinds', async () => {
  const user = new User();
  await user.send([
    book('b1'), op('create', 'tag', 't1', { name: 'N' }), op('create', 'rating', 'r1', { bookId: 'b1', stars: 4 }),
    op('create', 'readingLog', 'l1', { bookId: 'b1', status: 'read' }),
    op('update', 'userSettings', 's', { theme: 'dark' }),
  ]);
  const kinds = async (query) => (await user.pull(`since=0&entities=${query}`)).changes.map(({ type }) => type).sort();
  assert.deepEqual(await kinds('book'), ['book']);
  assert.deepEqual(await kinds('rating,tag'), ['rating', 'tag']);
  assert.deepEqual(await kinds('readingLog%2CuserSettings'), ['readingLog', 'userSettings']);
  assert.deepEqual(await kinds('collection'), []);
});

// Deletions

test('a deletion comes with its times to whoever may have seen the entity, and not on an initial pull', async () => {
  const user = new User();
  const { syncedAt: first } = await user.send([book('b1'), book('b2')]);
  const { syncedAt } = await user.send([gone('book', 'b1')]);
  const tombstone = { type: 'book', deleted: true, data: { id: 'b1', updatedAt: syncedAt, deletedAt: ago(5) } };
  assert.deepEqual((await user.pull(`since=${first}`)).changes, [tombstone]);
  assert.deepEqual((await user.pull(`since=${plus(first, -1)}`)).changes.map(({ data }) => data.id), ['b2', 'b1']);
  assert.deepEqual(ids(await user.pull()), ['b2']);
  assert.deepEqual((await user.pull(`since=${syncedAt}`)).changes, []);
});

test('an entity that was deleted and restored comes in its current state', async () => {
  const user = new User();
  const { cursor } = await user.pull();
  await user.send([book('b1')]);
  await user.send([gone('book', 'b1')]);
  await user.send([patch('b1', { title: 'Again' }, { timestamp: ago(1) })]);
  const { changes } = await user.pull(`cursor=${cursor}`);
  assert.deepEqual(changes.map(({ deleted, data }) => [deleted, data.title]), [[undefined, 'Again']]);
});

// Cursors and pages

test('the cursor of a pull returns later changes, each once', async () => {
  const user = new User();
  await user.send(many(3));
  let { cursor } = await user.pull();
  assert.deepEqual(ids(await user.pull(`cursor=${cursor}`)), []);
  const seen = [];
  for (let i = 0; i < 5; i++) {
    await user.send([i === 3 ? gone('book', 'new1') : book(`new${i}`)]);
    const pull = await user.pull(`cursor=${cursor}`);
    seen.push(...ids(pull));
    cursor = pull.cursor;
  }
  assert.deepEqual(seen, ['new0', 'new1', 'new2', 'new1', 'new4']);
});

test('the entities of one request are split across pages, none missing and none twice', async () => {
  const user = new User();
  const operations = many(25);
  await user.send(operations);
  for (const [limit, count] of [[1, 25], [10, 3], [24, 2], [25, 1], [26, 1], [100000, 1]]) {
    const all = await pages(user, limit);
    assert.equal(all.length, count, `limit ${limit}`);
    assert.deepEqual(all.flatMap(ids), operations.map(({ entityId }) => entityId));
    assert.deepEqual(all.map(({ hasMore }) => hasMore), [...Array(count - 1).fill(true), false]);
    assert.deepEqual(ids(await user.pull(`cursor=${all.at(-1).cursor}`)), []);
  }
});

test('every page holds only the requested kinds', async () => {
  const user = new User();
  await user.send(
    [...many(5), ...Array.from({ length: 5 }, (_, i) => op('create', 'tag', `t${i}`, { name: `N${i}` }))]);
  const first = await user.pull('since=0&limit=3&entities=tag');
  const second = await user.pull(`limit=3&entities=tag&cursor=${first.cursor}`);
  assert.deepEqual([...ids(first), ...ids(second)], ['t0', 't1', 't2', 't3', 't4']);
  assert.deepEqual([first.hasMore, second.hasMore], [true, false]);
});

test('pages miss no write that happens between them', async () => {
  const user = new User();
  const truth = new Map();
  const write = async (...operations) => {
    await user.send(operations);
    for (const { type, entityId, data } of operations) {
      if (type === 'delete') truth.delete(entityId);
      else truth.set(entityId, data.title);
    }
  };
  const now = { timestamp: undefined };
  const operations = many(30);
  for (let i = 0; i < 30; i += 10) await write(...operations.slice(i, i + 10));
  const id = (i) => operations[i].entityId;
  const steps = [
    () => write(patch(id(2), { title: 'changed after its page' }, now), gone('book', id(5), now)),
    () => write(patch(id(27), { title: 'changed before its page' }, now), gone('book', id(28), now),
      book('between', {}, now)),
    () => write(gone('book', 'between', now), patch(id(5), { title: 'restored' }, now), gone('book', id(2), now)),
  ];
  const all = await pages(user, 7, (n) => steps[n - 1]?.());
  const local = new Map(); // the state of a client that applies page after page
  for (const { type, deleted, data } of all.flatMap(({ changes }) => changes)) {
    assert.equal(type, 'book');
    if (deleted) local.delete(data.id);
    else local.set(data.id, data.title);
  }
  assert.deepEqual(new Map([...local].sort()), new Map([...truth].sort()));
  const gones = all.flatMap(({ changes }) => changes).filter(({ deleted }) => deleted).map(({ data }) => data.id);
  assert.ok(gones.includes(id(2)), 'a deletion after its page is reported');
});

test('a first pull in pages shows a deletion between pages, but no earlier one', async () => {
  const user = new User();
  await user.send(many(10));
  await user.send([gone('book', 'b00009')]);
  const all = await pages(user, 4, async (n) => n === 1 && user.send([gone('book', 'b00000')]));
  const changes = all.flatMap(({ changes }) => changes);
  assert.deepEqual(changes.filter(({ deleted }) => deleted).map(({ data }) => data.id), ['b00000']);
  assert.equal(changes.filter(({ deleted }) => !deleted).length, 9);
});

test('a cursor works after an entity with an id of any characters', async () => {
  const user = new User();
  const odd = ['a b', ' ', 'ü 日本 🦊', '"\\\n', 'x'.repeat(255), '🦊'.repeat(255), '%41', 'a'];
  await user.send(odd.map((id) => book(id, { title: 'T' })));
  assert.deepEqual((await pages(user, 1)).flatMap(ids).sort(), [...odd].sort());
});

// Caching

test('an unchanged reply is a 304 without a body until the next write', async () => {
  const user = new User();
  await user.send(many(5));
  const first = await user.changes();
  assert.match(first.headers.etag, /^(W\/)?"[^"]+"$/);
  assert.match(first.headers['cache-control'], /private/);
  const ask = (tag, query, more) => user.changes(query, { headers: { 'if-none-match': tag, ...more } });
  for (const tag of [first.headers.etag, `"other", ${first.headers.etag}`, `W/${first.headers.etag}`]) {
    const same = await ask(tag);
    assert.equal(same.status, 304);
    assert.equal(same.bytes.length, 0);
    assert.equal(same.headers.etag, first.headers.etag);
  }
  assert.equal((await ask(first.headers.etag, 'since=0')).status, 200, 'another query has another tag');
  assert.equal((await ask('"other"')).text, first.text);
  await user.send([book('new')]);
  const next = await ask(first.headers.etag);
  assert.equal(next.status, 200);
  assert.equal(next.json.changes.length, 6);
  assert.notEqual(next.headers.etag, first.headers.etag);
});

test('the tag of a compressed reply gives a 304, too', async () => {
  const user = new User();
  await user.send(many(50));
  const zipped = await user.changes(undefined, { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(zipped.headers['content-encoding'], 'gzip');
  assert.match(zipped.headers.etag, /^W\//);
  for (const headers of [{ 'accept-encoding': 'gzip' }, {}])
    assert.equal(
      (await user.changes(undefined, { headers: { ...headers, 'if-none-match': zipped.headers.etag } })).status, 304);
});

test('a refused operation and a repeat do not change the tag', async () => {
  const user = new User();
  const operation = book('b1');
  await user.apply(operation);
  const { etag } = (await user.changes()).headers;
  await user.send([operation, book('', {})]);
  assert.equal((await user.changes(undefined, { headers: { 'if-none-match': etag } })).status, 304);
});

// To the byte

// Case: the JSON of a member as it is sent, and as it comes back if that differs.
const values = {
  'a decimal': ['4.1'],
  'a decimal with a long tail': ['0.1'],
  'seventeen digits': ['0.30000000000000004'],
  'an integer beyond the precision of a double': ['9007199254740993'],
  'the largest integer': ['9223372036854775807'],
  'the smallest integer': ['-9223372036854775808'],
  'a power of ten': ['1e22'],
  'a capital E': ['1E22', '1e22'],
  'a plus in the exponent': ['1e+22', '1e22'],
  'a small number': ['1.5e-7'],
  'the smallest double': ['5e-324'],
  'the largest double': ['1.7976931348623157e308'],
  'minus zero': ['-0.0'],
  'a whole number written as a decimal': ['100.0'],
  'superfluous zeros': ['1.50', '1.5'],
  'null': ['null'],
  'emoji and other letters': ['"🦊 日本語 é e\u0301 \u2028 \ufeff"'],
  'emoji as a surrogate pair': ['"\\ud83e\\udd8a"', '"🦊"'],
  'escapes': ['"\\" \\\\ \\n \\t \\b \\f \\r"'],
  'an escaped solidus': ['"\\/"', '"/"'],
  'a control character': ['"\\u0001\\u001f"'],
  'a delete character': ['"\x7f"'],
  'text that looks like JSON': ['"{\\"a\\":[1,null]}"'],
  'markup': ['"<script>&amp;</script>"'],
  'a list of everything': ['[1,-2,4.1,true,false,null,"",[],{},[[1]],{"a":{"b":[]}}]'],
  'an object with its members in the order sent': ['{"z":1,"a":{"y":2,"b":3},"m":[]}'],
  'an object with odd names': ['{"":1," ":2,"a.b":3,"a/b~c":4,"ключ":5,"\\"":6}'],
};

for (const [name, [sent, back = sent]] of Object.entries(values))
  test(`a value comes back as it was sent: ${name}`, async () => {
    const user = new User();
    const write = (type, data, minutes) => user.post(`{"operations":[{"id":"${randomUUID()}","type":"${type}",` +
      `"entity":"book","entityId":"b","data":{${data}},"timestamp":"${ago(minutes)}"}]}`);
    assert.equal((await write('create', `"title":"T","x":${sent}`, 9)).json.results[0].status, 'success');
    assert.ok((await user.changes()).text.includes(`"title":"T","x":${back}}`), (await user.changes()).text);
    // Check again after the server has read the value back and merged another member.
    await write('update', '"notes":"n"', 8);
    assert.ok((await user.changes()).text.includes(`"title":"T","x":${back},"notes":"n"}`),
      (await user.changes()).text);
  });

// Size

test('a pull of 3,000 entities is one valid document in the right order', async () => {
  const user = new User();
  const operations = many(3000);
  for (const operation of operations) operation.data.description = 'All happy families are alike; '.repeat(20);
  for (let i = 0; i < 3000; i += 1000) await user.send(operations.slice(i, i + 1000));
  for (const headers of [{}, { 'accept-encoding': 'gzip' }]) {
    const reply = await user.changes(undefined, { headers });
    assert.ok(reply.text.length > 2_000_000);
    assert.deepEqual(ids(reply.json), operations.map(({ entityId }) => entityId));
    assert.deepEqual(content(reply.json.changes[2999].data), operations[2999].data);
    assert.equal(reply.json.hasMore, false);
  }
});
