// Which deletions a pull reports: all that it covers. Only `initial=true` leaves out those from before the pull.
import assert from 'node:assert/strict';
import test from 'node:test';
import { User, book, checkError, gone, literal, op, sql } from './lib.mjs';
import { Replica } from '../torture/replica.mjs';

const beginning = 'since=1970-01-01T00:00:00Z';
const shown = ({ changes }) => changes.map(({ deleted, data }) => `${data.id}${deleted ? ' -' : ''}`).sort();

test('a device that sends before its first pull learns of a deletion in between', async () => {
  const user = new User();
  await user.send([book('g1'), book('g2')]);
  await user.send([gone('book', 'g1')]);
  assert.deepEqual(shown(await user.pull(beginning)), ['g1 -', 'g2']);
  assert.deepEqual(shown(await user.pull(`${beginning}&initial=true`)), ['g2']);
  assert.deepEqual(shown(await user.pull('initial=true')), ['g2'], '`since` is not needed');
});

for (const by of ['since', 'cursor'])
  test(`a device that pulled an empty account learns of a later deletion, by ${by}`, async () => {
    const user = new User();
    for (const first of [beginning, `${beginning}&initial=true`]) {
      const { cursor } = await user.pull(first);
      await user.send([book('b1'), book('b2')]);
      await user.send([gone('book', 'b1')]);
      assert.deepEqual(shown(await user.pull(by === 'since' ? beginning : `cursor=${cursor}`)), ['b1 -', 'b2']);
      await sql(`DELETE FROM entities WHERE user_id = ${literal(user.id)};
        DELETE FROM clocks WHERE user_id = ${literal(user.id)}`);
    }
  });

// What a device of the torture test does that shows its own edits and ignores results.
for (const by of ['since', 'cursor'])
  test(`a device that believes its own edits drops a rating that another device deleted, by ${by}`, async () => {
    const user = new User();
    const client = { call: (target, options) => user.request(target, options), record: { complain: assert.fail } };
    const phone = new Replica('phone', client, { by });
    const edit = { kind: 'rating', id: 'r1', type: 'create', data: { bookId: 'b1', stars: 5 } };
    await phone.pull(); // nobody has written yet
    phone.believe(edit);
    await user.send([op('create', 'rating', 'r1', edit.data)], { deviceId: 'phone' });
    await user.send([gone('rating', 'r1')], { deviceId: 'laptop' });
    await phone.pull();
    assert.deepEqual([...phone.live().keys()], []);
  });

test('the pages of a pull from the beginning report all deletions, also while tombstones are purged', async () => {
  const user = new User();
  const ids = Array.from({ length: 6 }, (_, n) => `b${n}`);
  await user.send(ids.map((id) => book(id)));
  await user.send([gone('book', 'b0'), gone('book', 'b5')]);
  const pages = async (query, between) => {
    const all = [];
    for (let next = query; next;) {
      const page = await user.pull(`${next}&limit=2`);
      all.push(...page.changes);
      if (all.length === 2) await between?.();
      next = page.hasMore && `cursor=${page.cursor}`;
    }
    return shown({ changes: all });
  };
  const live = ['b1', 'b2', 'b3', 'b4'];
  assert.deepEqual(await pages('initial=true'), live);
  assert.deepEqual(await pages(beginning), ['b0 -', ...live, 'b5 -']);
  assert.deepEqual(await pages('initial=true', () => user.send([gone('book', 'b4')])), ['b1', 'b2', 'b3', 'b4 -'],
    'those of the time of the pull are reported');
  const purge = () => sql(`DELETE FROM entities WHERE user_id = ${literal(user.id)} AND status = 'deleted';
    UPDATE clocks SET horizon = clock WHERE user_id = ${literal(user.id)}`);
  for (const query of [beginning, 'initial=true']) {
    assert.deepEqual(await pages(query, purge), ['b1', 'b2', 'b3'], 'complete, so no 410');
    assert.deepEqual(await pages(query), ['b1', 'b2', 'b3'], 'the horizon is later than the first page');
  }
  const page = await user.pull(`${beginning}&limit=1`);
  await user.send([gone('book', 'b1')]);
  await purge();
  checkError(await user.changes(`cursor=${page.cursor}`), 410, 'RESYNC_REQUIRED');
});

test('initial is true or false, starts at the beginning, and has no effect on a cursor', async () => {
  const user = new User();
  await user.send([book('b1'), book('b2')]);
  const { cursor } = await user.pull(beginning);
  await user.send([gone('book', 'b1')]);
  assert.deepEqual(shown(await user.pull(`cursor=${cursor}&initial=true`)), ['b1 -']);
  assert.deepEqual(shown(await user.pull(`since=${Date.now() + 60_000}&initial=true`)), ['b2']);
  assert.deepEqual(shown(await user.pull(`${beginning}&initial=false`)), ['b1 -', 'b2']);
  for (const value of ['', '1', 'yes']) {
    const error = checkError(await user.changes(`${beginning}&initial=${value}`), 400, 'VALIDATION_ERROR');
    assert.equal(error.details[0].path, 'initial');
  }
});
