// Conflicts between entities: a book has one rating and one reading log, and two tags of one name open a conflict.
// Times are minutes ago: a smaller number is a later edit.
import assert from 'node:assert/strict';
import test from 'node:test';
import { User, ago, book, content, gone, op } from './lib.mjs';

const at = (minutes, more) => ({ timestamp: ago(minutes), ...more });
const phone = { deviceId: 'phone' };
const laptop = { deviceId: 'laptop' };

// One per book

const perBook = { rating: (n) => ({ stars: n }), readingLog: (n) => ({ status: ['dnf', 'read'][n - 1] }) };

for (const [kind, data] of Object.entries(perBook))
  for (const order of [[1, 2], [2, 1]])
    test(`the later ${kind} of a book stays if it arrives ${order[0] === 1 ? 'last' : 'first'}`, async () => {
      const user = new User();
      await user.apply(book('b1'));
      const { cursor } = await user.pull();
      const make = (n) => op('create', kind, `${kind}-${n}`, { bookId: 'b1', ...data(n) }, at(10 - n));
      const results = [];
      for (const n of order) results.push(await user.apply(make(n), { deviceId: `device-${n}` }));
      assert.equal(results[1].status, 'success');
      assert.equal(results[1].resolution, order[0] === 1 ? 'client' : 'server');
      assert.equal(results[1].deleted, order[0] === 1 ? undefined : true);
      const { changes } = await user.pull(`cursor=${cursor}`);
      const byId = Object.fromEntries(changes.map((change) => [change.data.id, change]));
      assert.deepEqual(Object.keys(byId).sort(), [`${kind}-1`, `${kind}-2`]);
      assert.equal(byId[`${kind}-1`].deleted, true);
      assert.equal(byId[`${kind}-1`].data.deletedAt, ago(8), 'the time of the edit that superseded it');
      assert.deepEqual(content(byId[`${kind}-2`].data), { bookId: 'b1', ...data(2) });
      assert.equal((await user.status()).conflicts, 0);
    });

test('a user has one rating for each book', async () => {
  const user = new User();
  const rating = (id, bookId, minutes) => op('create', 'rating', id, { bookId, stars: 3 }, at(minutes));
  await user.send([rating('r1', 'b1', 9), rating('r2', 'b2', 9), rating('r3', 'b1', 8), rating('r4', 'b1', 7)]);
  assert.deepEqual((await user.pull()).changes.map(({ data }) => data.id).sort(), ['r2', 'r4']);
});

test('of two ratings with one timestamp the stored one stays, and in one request the later one wins', async () => {
  const rating = (id) => op('create', 'rating', id, { bookId: 'b1', stars: 3 }, at(9));
  for (const [first, second] of [['r1', 'r2'], ['r2', 'r1']]) {
    const [together, apart] = [new User(), new User()];
    await together.send([rating(first), rating(second)]);
    assert.deepEqual((await together.pull()).changes.map(({ data }) => data.id), [second]);
    for (const id of [first, second]) await apart.apply(rating(id));
    assert.deepEqual((await apart.pull()).changes.map(({ data }) => data.id), [first]);
  }
});

test('a superseded rating returns with an edit that is later than the other rating', async () => {
  const user = new User();
  await user.send([1, 2].map((n) => op('create', 'rating', `r${n}`, { bookId: 'b1', stars: n }, at(10 - n))));
  await user.apply(op('update', 'rating', 'r1', { stars: 5 }, at(2)));
  const { changes } = await user.pull();
  assert.deepEqual(changes.map(({ data }) => [data.id, data.stars]), [['r1', 5]]);
});

// Names

test('two tags of one name are kept, with an open conflict until one of them is renamed or deleted', async () => {
  const tag = (id, name, more) => op('create', 'tag', id, { name }, more);
  for (const answer of [op('update', 'tag', 't2', { name: 'Ocean' }, at(1)), gone('tag', 't1', at(1))]) {
    const user = new User();
    await user.apply(tag('t1', 'Sea', at(9)), phone);
    const result = await user.apply(tag('t2', 'Sea', at(8)), laptop);
    assert.equal(result.status, 'success');
    assert.equal(result.conflict.otherId, 't1');
    assert.equal((await user.pull()).changes.length, 2);
    assert.equal((await user.status()).conflicts, 1);
    await user.apply(answer);
    assert.equal((await user.status()).conflicts, 0);
  }
});

test('a tag and a collection of one name, and tags that differ in case, are not in conflict', async () => {
  const user = new User();
  await user.send([op('create', 'tag', '1', { name: 'Sea' }), op('create', 'tag', '2', { name: 'sea' }),
    op('create', 'collection', '1', { name: 'Sea' })]);
  assert.equal((await user.status()).conflicts, 0);
});
