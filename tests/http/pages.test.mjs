// GET /changes: pages by size (maxBytes), progress (count=true), kinds as a repeated parameter.
import assert from 'node:assert/strict';
import test from 'node:test';
import { User, ago, book, checkError, gone, op } from './lib.mjs';

const kinds = ['book', 'rating', 'tag', 'collection', 'readingLog', 'userSettings'];
const name = ({ type, data }) => `${type} ${data.id}`;
const library = async (user) => {
  await user.send([book('b1'), book('b2'), op('create', 'tag', 't1', { name: 'N' }),
    op('create', 'rating', 'r1', { bookId: 'b1', stars: 4 }), op('create', 'collection', 'c1', { name: 'C' })]);
};
const bytesOf = (changes) => changes.reduce((sum, change) => sum + Buffer.byteLength(JSON.stringify(change)), 0);

// All pages of a pull; each must keep to `check`.
async function pages(user, query, check = () => {}) {
  const all = [];
  for (let from = 'since=0'; ; from = `cursor=${all.at(-1).cursor}`) {
    const page = await user.pull(`${from}&${query}`);
    all.push(page);
    check(page);
    if (!page.hasMore) return all;
    assert.ok(page.changes.length > 0, 'a page holds at least one entity');
    assert.ok(all.length < 500, 'the pages end');
  }
}

// Kinds

test('entities= may be repeated, and repeats are folded', async () => {
  const user = new User();
  await library(user);
  const pulled = async (query) => (await user.pull(`since=0&${query}`)).changes.map(name).sort();
  assert.deepEqual(await pulled('entities=book&entities=tag'), ['book b1', 'book b2', 'tag t1']);
  assert.deepEqual(await pulled('entities=book&entities=book,tag&entities=tag'), ['book b1', 'book b2', 'tag t1']);
  assert.deepEqual(await pulled(kinds.map((kind) => `entities=${kind}`).join('&')),
    ['book b1', 'book b2', 'collection c1', 'rating r1', 'tag t1']);
});

test('an unknown kind is refused with what was found and with the kinds', async () => {
  const user = new User();
  const odd = 'not a kind'; // a message repeats no odd text
  const cases = { 'entities=bok': 'unknown kind "bok"', 'entities=book&entities=tags': 'unknown kind "tags"',
    'entities=Book': 'unknown kind "Book"', 'entities=book,': odd, 'entities=': odd,
    [`entities=${'x'.repeat(2000)}`]: odd, [`entities=${encodeURIComponent('é"')}`]: odd };
  for (const [query, found] of Object.entries(cases)) {
    const reply = checkError(await user.changes(`since=0&${query}`), 400, 'VALIDATION_ERROR');
    assert.equal(reply.message, `entities: ${found}; the kinds are ${kinds.join(', ')}`);
    assert.equal(reply.details[0].path, 'entities');
  }
});

test('other parameters may not be repeated, and the number of repeats is bounded', async () => {
  const user = new User();
  const twice = checkError(await user.changes('since=0&limit=1&limit=2'), 400, 'VALIDATION_ERROR');
  assert.equal(twice.message, 'query: a parameter occurs twice');
  const many = checkError(await user.changes(`since=0&${'entities=book&'.repeat(16)}`), 400, 'VALIDATION_ERROR');
  assert.equal(many.message, 'query: more than 16 parameters');
});

// Size

test('maxBytes bounds the size of a page, and the pages hold everything once, in order', async () => {
  const user = new User();
  await user.send(Array.from({ length: 60 }, (_, i) => book(`b${i}`, { notes: 'n'.repeat((i * 37) % 400) })));
  await user.send([gone('book', 'b7'), gone('book', 'b30')]);
  const whole = (await user.pull('since=0')).changes.map(name);
  for (const max of [1, 150, 400, 1000, 5000, 100_000]) {
    const all = await pages(user, `maxBytes=${max}`, ({ changes }) =>
      assert.ok(changes.length === 1 || bytesOf(changes) + changes.length - 1 <= max, `${bytesOf(changes)} of ${max}`));
    assert.deepEqual(all.flatMap(({ changes }) => changes.map(name)), whole);
    if (max === 1) assert.equal(all.length, whole.length);
    if (max === 100_000) assert.equal(all.length, 1);
  }
});

test('maxBytes fills a page as far as it goes', async () => {
  const user = new User();
  await user.send(Array.from({ length: 30 }, (_, i) => book(`b${10 + i}`, { notes: 'n'.repeat(300) })));
  const all = await pages(user, 'maxBytes=2000');
  for (const [i, { changes }] of all.entries()) {
    const next = all[i + 1]?.changes[0];
    if (next) assert.ok(bytesOf([...changes, next]) + changes.length > 2000, `page ${i} ends early`);
  }
});

test('maxBytes and limit together: the smaller bound ends the page', async () => {
  const user = new User();
  await user.send(Array.from({ length: 12 }, (_, i) => book(`b${i}`)));
  const sizes = async (query) => (await pages(user, query)).map(({ changes }) => changes.length);
  assert.deepEqual(await sizes('limit=5&maxBytes=1000000'), [5, 5, 2]);
  assert.deepEqual(await sizes('limit=5&maxBytes=1'), Array(12).fill(1));
  assert.deepEqual(await sizes('limit=12&maxBytes=1000000'), [12]);
  assert.deepEqual(await sizes('maxBytes=1000000000'), [12]);
});

test('an entity larger than maxBytes comes alone', async () => {
  const user = new User();
  await user.send([book('a'), book('b', { description: 'd'.repeat(50_000) }), book('c'), book('d')]);
  assert.deepEqual((await pages(user, 'maxBytes=500')).map(({ changes }) => changes.map(({ data }) => data.id)),
    [['a'], ['b'], ['c', 'd']]);
});

test('maxBytes, count and delta are refused when they cannot be read', async () => {
  const user = new User();
  for (const value of ['0', '-1', '1.5', 'x', '', '1000000001', '1e3']) {
    const reply = checkError(await user.changes(`since=0&maxBytes=${value}`), 400, 'VALIDATION_ERROR');
    assert.equal(reply.message, 'maxBytes: must be a whole number from 1 to 1000000000');
  }
  for (const flag of ['count', 'delta', 'initial'])
    for (const value of ['', 'yes', '1', 'TRUE']) {
      const reply = checkError(await user.changes(`since=0&${flag}=${value}`), 400, 'VALIDATION_ERROR');
      assert.equal(reply.message, `${flag}: must be true or false`);
    }
});

// Progress

test('count=true tells how many entities this pull still has to send', async () => {
  const user = new User();
  await user.send(Array.from({ length: 25 }, (_, i) => book(`b${i}`)));
  await user.send([op('update', 'book', 'incomplete', { notes: 'n' }), gone('book', 'b3')]);
  for (const query of ['limit=10', 'maxBytes=700', 'limit=1', 'limit=100']) {
    let left = 25; // 24 live, one deleted, and none of the incomplete one
    const all = await pages(user, `${query}&count=true`, ({ changes, remaining }) =>
      assert.equal(remaining, (left -= changes.length)));
    assert.equal(all.at(-1).remaining, 0);
  }
  assert.equal((await user.pull('since=0&count=true&limit=1&entities=tag')).remaining, 0);
  assert.equal((await user.pull('initial=true&count=true&limit=1')).remaining, 23);
});

test('count=true of a user who has written nothing is 0, and without it a reply has no remaining', async () => {
  const user = new User();
  assert.equal((await user.pull('since=0&count=true')).remaining, 0);
  assert.deepEqual(Object.keys(await user.pull('since=0')), ['success', 'changes', 'since', 'cursor', 'hasMore']);
  assert.deepEqual(Object.keys(await user.pull('since=0&count=false')),
    ['success', 'changes', 'since', 'cursor', 'hasMore']);
});

test('the ETag covers the parameters of the page', async () => {
  const user = new User();
  await user.send([book('b1', {}, { timestamp: ago(9) })]);
  const tag = async (query) => (await user.changes(query)).headers.etag;
  const tags = ['since=0', 'since=0&maxBytes=1', 'since=0&count=true', 'since=0&maxBytes=2', 'since=0&delta=true'];
  assert.equal(new Set(await Promise.all(tags.map(tag))).size, tags.length);
  const etag = await tag('since=0&maxBytes=1&count=true');
  const again = await user.changes('since=0&maxBytes=1&count=true', { headers: { 'if-none-match': etag } });
  assert.equal(again.status, 304);
});
