// POST /operations: ids of entities, and what a result tells about an entity.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { User, ago, book, content, gone, op, titles } from './lib.mjs';

test('an id may hold any characters, up to its maximum length', async () => {
  const user = new User();
  const ids = [
    'import_123', ' ', '0', '../../etc/passwd', "'; DROP TABLE booky.entities; --", '"quoted"', 'a\nb\tc\\d', '%00%2F',
    '$1', '{}',
    'null', 'Zoë 日本語 🦊', '🦊'.repeat(255), 'é', 'e\u0301', 'A', 'a', '\u2028', '\u007f', 'book b1',
  ];
  const operations = ids.map((id) => book(id, { id, title: [...id].slice(0, 99).join('') },
    { id: [...randomUUID(), ...id].slice(0, 128).join('') }));
  const { results } = await user.send(operations);
  assert.deepEqual(results.map(({ status, id, entityId }) => [status, id, entityId]),
    operations.map((o) => ['success', o.id, o.entityId]));
  const pull = await user.pull();
  assert.deepEqual(titles(pull), Object.fromEntries(operations.map(({ entityId, data }) => [entityId, data.title])));
  assert.equal((await user.send(operations)).results.filter(({ duplicate }) => duplicate).length, ids.length);
});

test('an id is unique within its kind only', async () => {
  const user = new User();
  await user.send([
    book('1'), op('create', 'tag', '1', { name: 'N' }), op('create', 'collection', '1', { name: 'N' }),
    op('create', 'rating', '1', { bookId: '1', stars: 4 }),
    op('create', 'readingLog', '1', { bookId: '1', status: 'read' }),
  ]);
  const { changes } = await user.pull();
  assert.deepEqual(changes.map(({ type }) => type).sort(), ['book', 'collection', 'rating', 'readingLog', 'tag']);
  await user.apply(gone('tag', '1'));
  assert.equal((await user.pull()).changes.length, 4);
});

test('ids like import_123 are the same for many users', async () => {
  const users = [new User(), new User()];
  const operation = book('import_123');
  for (const user of users) {
    const result = await user.apply({ ...operation, data: { title: user.id } });
    assert.equal(result.status, 'success');
    assert.equal(result.duplicate, undefined);
  }
  for (const user of users) assert.equal((await user.read('book', 'import_123')).title, user.id);
});

test('text that looks like SQL is stored as text', async () => {
  const user = new User(`u-${randomUUID()}'; DROP TABLE booky.entities; --`);
  const title = "Robert'); DELETE FROM booky.entities WHERE ('1'='1";
  await user.send([book('b1', { title, notes: '$1 {"a":1} \\x00 %s' })], { deviceId: "phone' OR 1=1" });
  assert.deepEqual(content(await user.read('book', 'b1')), { title, notes: '$1 {"a":1} \\x00 %s' });
});

test('a user has one settings entity, whatever id a device gives it', async () => {
  const user = new User();
  const settings = (entityId, data, timestamp) => op('update', 'userSettings', entityId, data, { timestamp });
  const { results } = await user.send([
    settings('phone-settings', { theme: 'dark', dateFormat: 'iso', id: 'phone-settings' }, ago(9)),
    settings(undefined, { theme: 'light' }, ago(8)),
    settings('tablet', { ratingDisplay: 'stars' }, ago(7)),
  ]);
  assert.deepEqual(results.map(({ status }) => status), ['success', 'success', 'success']);
  assert.equal(results[0].entityId, 'phone-settings');
  const whole = { theme: 'light', dateFormat: 'iso', ratingDisplay: 'stars' };
  assert.deepEqual(results.map(({ data }) => data && [data.id, content(data)]),
    [['settings', whole], undefined, ['settings', whole]], 'a device learns the real id');
  const { changes } = await user.pull();
  assert.equal(changes.length, 1);
  assert.equal(changes[0].type, 'userSettings');
  assert.deepEqual(content(changes[0].data), whole);
  const deletion = gone('userSettings', 'tablet');
  const result = await user.apply({ ...deletion, timestamp: ago(1) });
  assert.deepEqual([result.deleted, result.data.id], [true, 'settings']);
});


// Results

test('a result holds the state of an entity at the end of its request, and a restored entity as a whole', async () => {
  const rating = (id, data, minutes) => op('create', 'rating', id, { bookId: 'b1', ...data },
    { timestamp: ago(minutes) });
  const stars = (id, minutes, data = { why: 'again' }) => op('update', 'rating', id, data, { timestamp: ago(minutes) });
  const whole = { bookId: 'b1', stars: 4, why: 'again' };
  const rows = [
    ['superseded by a later one of the same request', [[rating('r1', { stars: 4 }, 9), rating('r2', { stars: 5 }, 8)]],
      [['gone', undefined]]],
    ['deleted by the same request', [[rating('r1', { stars: 4 }, 9), gone('rating', 'r1')]], [['gone', undefined]]],
    ['deleted and restored by the same request',
      [[rating('r1', { stars: 4 }, 9)], [gone('rating', 'r1'), stars('r1', 2)]], [[undefined], [whole, whole]]],
    ['restored by the device that deleted it',
      [[rating('r1', { stars: 4 }, 9)], [gone('rating', 'r1')], [stars('r1', 2)]], [[undefined], [undefined], [whole]]],
    ['promoted by an edit of the device that wrote it last',
      [[rating('r1', { stars: 4 }, 9)], [rating('r2', { stars: 5 }, 8)], [stars('r1', 2)]],
      [[undefined], [undefined], [whole]]],
    ['promoted because the other one left the book in the same request',
      [[rating('r1', { stars: 4 }, 9)], [rating('r2', { stars: 5 }, 8)],
        [stars('r2', 3, { bookId: 'b2' }), stars('r1', 2)]],
      [[undefined], [undefined], [{ bookId: 'b2', stars: 5 }, whole]]],
    ['promoted because the other one left the book before',
      [[rating('r1', { stars: 4 }, 9)], [rating('r2', { stars: 5 }, 8)], [stars('r2', 3, { bookId: 'b2' })],
        [stars('r1', 2)]],
      [[undefined], [undefined], [{ bookId: 'b2', stars: 5 }], [whole]]],
  ];
  for (const [name, requests, expected] of rows) {
    const user = new User();
    for (const [i, operations] of requests.entries()) {
      const { results } = await user.send(operations, { deviceId: 'phone' });
      const shown = results.map(({ deleted, data }) => (deleted ? 'gone' : data && content(data)));
      assert.deepEqual(shown, expected[i], `${name}, request ${i}`);
    }
  }
});
