// POST /operations: when a result holds the whole entity, and what a repeat tells. A device skips in its next pull each
// version that a result named, so a result must hold everything that the device may not know.
import assert from 'node:assert/strict';
import test from 'node:test';
import { User, ago, book, gone, ms, op, patch } from './lib.mjs';

const phone = { deviceId: 'phone' };
const laptop = { deviceId: 'laptop' };
const content = ({ id, createdAt, updatedAt, ...rest }) => rest;
const later = (instant, by) => new Date(ms(instant) + by).toISOString();
const edit = (data, minutes, more) => patch('b1', data, { timestamp: ago(minutes), ...more });

// What the device sends: from the version of the book, and the commit clock.
const senders = {
  'a device without a version': [true, () => [{}, {}]],
  'the device that wrote last, without a version': [true, () => [{}, phone]],
  'a device that names the current version': [false, ({ version }) => [{ baseVersion: version }, laptop]],
  'a device without a name that names the current version': [false, ({ version }) => [{ baseVersion: version }, {}]],
  'a device that names an older version': [true, ({ version }) => [{ baseVersion: later(version, -1) }, laptop]],
  'the device that wrote last and names an older version': [true,
    ({ version }) => [{ baseVersion: later(version, -1) }, phone]],
  'a device that names a later version, as after a restore': [true,
    ({ version }) => [{ baseVersion: later(version, 1) }, laptop]],
  'lastSync, the version of the book': [false, ({ version }) => [{}, { lastSync: version }]],
  'lastSync, the commit clock': [false, ({ clock }) => [{}, { lastSync: clock }]],
  'lastSync before the version of the book': [true, ({ version }) => [{}, { lastSync: later(version, -1) }]],
  'lastSync ahead of the commit clock, as after a restore': [true,
    ({ clock }) => [{}, { lastSync: later(clock, 1) }]],
  'lastSync and an older baseVersion, which has precedence': [true,
    ({ version }) => [{ baseVersion: later(version, -1) }, { lastSync: version }]],
};
for (const [name, [isWhole, sender]] of Object.entries(senders))
  test(`a result holds ${isWhole ? 'the whole book' : 'no content'}: ${name}`, async () => {
    const user = new User();
    const { updatedAt: version } = await user.apply(book('b1', { title: 'One', notes: 'n' }), phone);
    const { syncedAt: clock } = await user.send([book('b2')], phone);
    const [more, envelope] = sender({ version, clock });
    const [first, second] = (await user.send([edit({ genre: 'g' }, 6, more), edit({ language: 'l' }, 5, more)],
      envelope)).results;
    const whole = { title: 'One', notes: 'n', genre: 'g', language: 'l' };
    assert.deepEqual(first.data && content(first.data), isWhole ? whole : undefined);
    if (!first.conflict) assert.equal(second.data, undefined, 'the first result of the request has told it');
  });

test('an answer was lost: the next result of the device holds what another device wrote', async () => {
  const user = new User();
  await user.apply(book('b1', { title: 'T' }), phone);
  await user.pull();
  await user.apply(edit({ notes: 'n' }, 8), laptop);
  await user.apply(edit({ genre: 'g' }, 7), phone); // the phone never sees this result
  const result = await user.apply(edit({ language: 'l' }, 6), phone);
  assert.deepEqual(content(result.data), { title: 'T', notes: 'n', genre: 'g', language: 'l' });
});

test('an answer was lost and another device wrote since: a repeat tells the present', async () => {
  const user = new User();
  await user.apply(book('b1', { title: 'T' }), laptop);
  const lost = edit({ genre: 'g' }, 7);
  await user.apply(lost, phone);
  const { updatedAt } = await user.apply(edit({ notes: 'n' }, 6), laptop);
  const repeat = await user.apply(lost, phone);
  assert.equal(repeat.duplicate, true);
  assert.equal(repeat.data, undefined);
  assert.equal(repeat.current.updatedAt, updatedAt);
  assert.deepEqual(content(repeat.current.data), { title: 'T', genre: 'g', notes: 'n' });
});

test('a repeat tells what later operations of its own request did', async () => {
  const user = new User();
  const first = book('b1', { title: 'T' });
  await user.apply(first, phone);
  const { results: [repeat], syncedAt } = await user.send([first, edit({ notes: 'n' }, 6)], phone);
  assert.deepEqual([repeat.current.updatedAt, content(repeat.current.data)], [syncedAt, { title: 'T', notes: 'n' }]);
  const { results: [again] } = await user.send([first, gone('book', 'b1')], phone);
  assert.deepEqual([again.current.deleted, again.current.data.id], [true, 'b1']);
});

test('a repeat about an entity that lacks required members says incomplete', async () => {
  const user = new User();
  const first = edit({ notes: 'n' }, 9);
  await user.apply(first, phone);
  await user.apply(edit({ genre: 'g' }, 8), laptop);
  const { current } = await user.apply(first, phone);
  assert.equal(current.incomplete, true);
  assert.deepEqual(content(current.data), { notes: 'n', genre: 'g' });
});

test('no pull shows an incomplete entity, so lastSync does not prove that the device knows it', async () => {
  const user = new User();
  const { syncedAt: lastSync } = await user.send([edit({ notes: 'n' }, 9)], laptop);
  const result = await user.apply(edit({ title: 'T' }, 8), { lastSync, ...phone });
  assert.deepEqual(content(result.data), { title: 'T', notes: 'n' });
});

test('a rating that comes back in the request of its edit is told as a whole', async () => {
  const user = new User();
  const rating = (id, data, minutes, more) => op('update', 'rating', id, data, { timestamp: ago(minutes), ...more });
  await user.apply(rating('r1', { bookId: 'b1', stars: 4 }, 9), phone);
  const { syncedAt: lastSync } = await user.send([rating('r2', { bookId: 'b1', stars: 5 }, 8)], laptop);
  const { results: [, back] } = await user.send(
    [rating('r2', { bookId: 'b2' }, 7), rating('r1', { why: 'w' }, 6, { baseVersion: lastSync })], phone);
  assert.deepEqual(content(back.data), { bookId: 'b1', stars: 4, why: 'w' });
});
