// GET /entities/{entity}/{entityId}: one entity, as a pull shows it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { User, ago, book, checkError, gone, op } from './lib.mjs';

const target = (kind, id) => `/entities/${kind}/${encodeURIComponent(id)}`;
const read = (user, kind, id) => user.get(target(kind, id));
const pulled = async (user, kind, id, query = 'since=0') =>
  (await user.pull(query)).changes.find(({ type, data }) => type === kind && data.id === id);

test('an entity of each kind comes in the shape of a pull', async () => {
  const user = new User();
  await user.send([book('b1', { pageCount: 3, dimensions: { height: '20 cm' } }),
    op('create', 'rating', 'r1', { bookId: 'b1', stars: 4.5 }), op('create', 'tag', 't1', { name: 'N' }),
    op('create', 'collection', 'c1', { name: 'C' }),
    op('create', 'readingLog', 'l1', { bookId: 'b1', status: 'read' }),
    op('update', 'userSettings', 's', { theme: 'dark' })]);
  const { changes } = await user.pull();
  assert.equal(changes.length, 6);
  for (const change of changes)
    assert.deepEqual(await read(user, change.type, change.data.id), { success: true, change });
  assert.deepEqual((await read(user, 'userSettings', 'whatever')).change.data.theme, 'dark');
});

test('a deleted entity comes with its times, also one that was never there', async () => {
  const user = new User();
  await user.send([book('b1')]);
  await user.send([gone('book', 'b1'), gone('tag', 't9')]);
  for (const [kind, id] of [['book', 'b1'], ['tag', 't9']]) {
    const { change } = await read(user, kind, id);
    assert.deepEqual(change, await pulled(user, kind, id));
    assert.deepEqual([change.deleted, change.data.deletedAt], [true, ago(5)]);
  }
});

test('a superseded rating is deleted', async () => {
  const user = new User();
  await user.send([op('create', 'rating', 'r1', { bookId: 'b', stars: 1 }),
    op('create', 'rating', 'r2', { bookId: 'b', stars: 2 }, { timestamp: ago(5) })]);
  assert.deepEqual((await read(user, 'rating', 'r1')).change, await pulled(user, 'rating', 'r1'));
  assert.equal((await read(user, 'rating', 'r1')).change.deleted, true);
});

test('an incomplete entity, which no pull shows, says so', async () => {
  const user = new User();
  const { updatedAt } = await user.apply(op('update', 'book', 'b1', { notes: 'n' }));
  const { change } = await read(user, 'book', 'b1');
  assert.deepEqual([change.incomplete, change.data.updatedAt, change.data.notes], [true, updatedAt, 'n']);
});

test('what the server never heard of is a 404, also if another user has it', async () => {
  const user = new User(), other = new User();
  await other.send([book('b1')]);
  for (const [kind, id] of [['book', 'b1'], ['tag', 'b1'], ['userSettings', 'settings']]) {
    const reply = checkError(await user.request(target(kind, id)), 404, 'NOT_FOUND');
    assert.equal(reply.message, `there is no ${kind} with this id`);
  }
});

test('ids are percent-encoded once', async () => {
  const user = new User();
  const ids = ['a/b', '/', 'a b', '%2F', '%', 'ä', '日本', '?', '#', '&=+', "'\"", 'a/../b', '../..', 'https://x/y?z=1',
    '*', 'x'.repeat(255), '字'.repeat(255), '\u0001', 'a\\b'];
  await user.send(ids.map((id) => book(id)));
  for (const id of ids) {
    const reply = await user.request(target('book', id));
    assert.equal(reply.status, 200, `${id}: ${reply.text}`);
    assert.equal(reply.json.change.data.id, id);
  }
});

test('paths that name no entity, unknown kinds and long ids are refused', async () => {
  const user = new User();
  for (const path of ['/entities', '/entities/', '/entities/book', '/entities/book/', '/entities//b',
    '/entities/book/a/b', '/entities/book/a/', '/entities/book/%ff'])
    checkError(await user.request(path), 404, 'NOT_FOUND');
  for (const id of ['%00', '%zz', '%'])
    checkError(await user.request(`/entities/book/${id}`), 400, 'VALIDATION_ERROR');
  const kind = checkError(await user.request('/entities/books/b1'), 400, 'VALIDATION_ERROR');
  assert.match(kind.message, /^entity: unknown kind "books"; the kinds are book, rating, /);
  const long = checkError(await user.request(target('book', 'x'.repeat(256))), 400, 'VALIDATION_ERROR');
  assert.equal(long.message, 'entityId: must have at most 255 characters, has 256');
  const post = checkError(await user.request(target('book', 'b'), { method: 'POST' }), 405, 'METHOD_NOT_ALLOWED');
  assert.equal(post.message, 'this path answers GET, HEAD only');
});
