// 410: what the device does before it pulls everything, by the reason.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, error, html, json, pending, remove, reply, Server, settle } from './lib.mjs';

afterEach(closeAll);

const gone = (reason, more) => json(410, { success: false, error: 'RESYNC_REQUIRED', message: 'm', reason, ...more });
const titles = async (d) => (await d.store.list('book')).map(({ title }) => title).sort();
const uploads = (d) => d.server.of('/full').map(({ body }) => body);
const uploaded = (d) => uploads(d).flatMap(({ changes }) => changes);

/** A server that takes `changes` back, and can be restored from a backup. */
class Restorable extends Server {
  backUp() {
    this.backup = new Map(this.rows);
    this.until = new Date(this.stamp).toISOString();
    this.seenThen = new Map(this.seen);
  }

  /** The next pull with a cursor gets a 410. */
  restore(reason = 'restored', more = { until: this.until }) {
    this.rows = this.backup;
    this.seen = this.seenThen;
    this.always = ({ path, query }) => {
      if (path !== '/changes' || !query.cursor) return undefined;
      this.always = undefined;
      return gone(reason, more);
    };
  }

  refuses = () => undefined;

  handle(request) {
    if (request.path !== '/full') return super.handle(request);
    const failed = [];
    request.body.changes.forEach((change, index) => {
      const { type, deleted, data } = change, refusal = this.refuses(change);
      if (refusal) failed.push({ index, type, id: data.id, ...refusal });
      else if (deleted) this.remove(type, data.id);
      else this.write(type, data.id, data);
    });
    return json(200, { success: true, failed });
  }
}

test('restored: what the backup does not hold is sent back before the pull, and nothing is removed', async () => {
  const server = new Restorable(), d = device({ server });
  server.write('book', 'a', { title: 'A' });
  server.backUp();
  server.write('book', 'b', { title: 'B' });
  await book(d, 'c', { title: 'C' });
  await d.service.sync();
  server.restore();
  server.requests = [];
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual(await titles(d), ['A', 'B', 'C']);
  assert.deepEqual([...server.rows.keys()].sort(), ['book a', 'book b', 'book c']);
  assert.deepEqual(uploads(d).map(({ mode }) => mode), ['merge']);
  assert.deepEqual(uploaded(d).map(({ data }) => data.id), ['b', 'c'], 'only what is later than `until`');
  assert.ok(uploaded(d).every(({ data }) => data.updatedAt));
  const requests = server.requests.map(({ path, query }) => path + (query.since ? ' all' : ''));
  assert.deepEqual(requests, ['/changes', '/full', '/changes all']);
  assert.deepEqual(d.emitted('resync'), [{ reason: 'restored', sent: 2, refused: 0, dropped: 0 }]);
});

for (const reason of ['restored', 'other_server'])
  test(`${reason} without \`until\`: everything is sent back, with the times of the members`, async () => {
    const server = new Restorable(), d = device({ server });
    server.backUp();
    const times = { base: 1, edited: 2, marks: { '/title': 2 } };
    server.write('book', 'a', { title: 'A' });
    server.rows.get('book a').times = times;
    await d.service.sync();
    server.restore(reason, {});
    await d.service.sync();
    const [{ type, data, times: sent }] = uploaded(d);
    assert.deepEqual([type, data.title, sent], ['book', 'A', times]);
    assert.deepEqual(await titles(d), ['A']);
    assert.equal(d.emitted('resync')[0].reason, reason);
  });

test('restored: deletions are sent back, also those of unknown entities, with what is beneath', async () => {
  const server = new Restorable(), d = device({ server });
  for (const id of ['a', 'b']) server.write('book', id, { title: id });
  await d.service.sync();
  server.backUp();
  server.remove('book', 'a');
  server.write('rating', 'r', { bookId: 'b', stars: 4 });
  server.remove('rating', 'r');
  Object.assign(server.rows.get('rating r'), { times: { base: 7 }, beneath: { bookId: 'b' } });
  await remove(d, 'b');
  await d.service.sync();
  const pulled = server.rows.get('rating r');
  server.restore();
  await d.service.sync();
  const [a, b, rating] = uploaded(d);
  assert.deepEqual([a.deleted, a.data.id, b.deleted, b.data.id], [true, 'a', true, 'b']);
  assert.ok(a.data.deletedAt && b.data.deletedAt && a.data.updatedAt);
  assert.deepEqual(rating, pulled);
  assert.deepEqual(await titles(d), []);
});

test('restored: a resync that is interrupted keeps the old cursor and continues after the last part', async () => {
  const server = new Restorable(), d = device({ server });
  server.backUp();
  for (let i = 0; i < 1500; i++) server.write('book', `b${1000 + i}`, { title: `${i}` });
  await d.service.sync();
  server.restore('restored', {});
  server.answers.push(() => undefined, () => undefined, () => error(503, 'SYNC_FAILED'));
  assert.equal((await d.service.sync()).ok, false);
  assert.equal((await titles(d)).length, 1500, 'nothing is removed');
  assert.equal(uploads(d).length, 2);
  await d.service.close();
  const e = device({ server, clock: d.clock, database: d.database });
  assert.equal((await e.service.sync()).ok, true);
  assert.equal((await titles(e)).length, 1500);
  assert.deepEqual(uploads(d).map(({ changes }) => changes.length), [1000, 500, 500]);
  assert.deepEqual(e.emitted('resync'), [{ reason: 'restored', sent: 1500, refused: 0, dropped: 0 }]);
});

test('restored: what the quota refuses stays on the device as an edit that waits for the person', async () => {
  const server = new Restorable(), d = device({ server });
  server.backUp();
  for (const id of ['a', 'b']) server.write('book', id, { title: id });
  await d.service.sync();
  server.restore();
  server.refuses = ({ data }) => data.id === 'b' && { error: 'QUOTA_EXCEEDED', message: 'quota.bytes is 1000' };
  await d.service.sync();
  assert.deepEqual(await titles(d), ['a', 'b']);
  const review = (await d.operations.getReview()).map((op) => [op.type, op.entityId, op.error, op.message]);
  assert.deepEqual(review, [['create', 'b', 'QUOTA_EXCEEDED', 'quota.bytes is 1000']]);
  const [{ reason, sent, refused }] = d.emitted('resync');
  assert.deepEqual([reason, sent, refused], ['restored', 1, 1]);
  assert.equal(d.emitted('review')[0].entityId, 'b');
  server.refuses = () => undefined;
  await d.operations.retry();
  await d.service.sync();
  assert.equal(server.rows.get('book b').data.title, 'b');
});

test('restored: edits that wait or were refused stay, and go to the restored server', async () => {
  const server = new Restorable(), d = device({ server });
  server.write('book', 'a', { title: 'A' });
  await d.service.sync();
  server.backUp();
  await edit(d, 'a', { notes: 'refused' });
  server.answers.push(({ body }) => reply(body.operations.map(({ id }) =>
    ({ id, status: 'failed', error: 'QUOTA_EXCEEDED', message: 'm', retryable: false }))));
  await d.service.sync();
  await book(d, 'new');
  server.restore();
  server.answers.push(() => error(503, 'SYNC_FAILED'));
  await d.service.sync();
  await d.service.sync();
  assert.equal((await d.operations.getReview()).length, 1);
  assert.deepEqual([await titles(d), await pending(d)], [['A', 'new'], []]);
  assert.equal((await d.store.get('book', 'a')).notes, 'refused');
});

test('restored: an operation that was answered but not pulled is sent again under its id', async () => {
  const server = new Restorable(), d = device({ server });
  server.write('book', 'a', { title: 'A' });
  await d.service.sync();
  server.backUp();
  const { id } = await edit(d, 'a', { notes: 'n' });
  server.answers.push(() => undefined, () => html());
  await d.service.sync();
  server.restore();
  server.requests = [];
  await d.service.sync();
  assert.deepEqual(server.of('/operations').map(({ body }) => body.operations.map((op) => op.id)), [[id]]);
  const { title, notes } = await d.store.get('book', 'a');
  assert.deepEqual([title, notes], ['A', 'n']);
});

test('restored: a part that is too large is halved; an item that is too large alone waits for the person', async () => {
  const server = new Restorable(), d = device({ server });
  server.backUp();
  for (let i = 0; i < 8; i++) server.write('book', `b${i}`, { title: `${i}` });
  await d.service.sync();
  server.restore();
  const handle = server.handle.bind(server);
  server.handle = (request) => {
    const { changes = [] } = request.body ?? {};
    return changes.length > 3 || changes.some(({ data }) => data.id === 'b5') ? html(413) : handle(request);
  };
  assert.equal((await d.service.sync()).ok, true);
  assert.equal(server.rows.size, 7);
  const review = (await d.operations.getReview()).map((op) => [op.entityId, op.error]);
  assert.deepEqual(review, [['b5', 'PAYLOAD_TOO_LARGE']]);
  assert.equal((await titles(d)).length, 8);
});

test('restored: a full sync while the resync is due sends everything back first', async () => {
  const server = new Restorable(), d = device({ server });
  server.backUp();
  server.write('book', 'a', { title: 'A' });
  await d.service.sync();
  server.restore();
  server.answers.push(() => undefined, () => error(503, 'SYNC_FAILED'));
  assert.equal((await d.service.sync()).ok, false);
  assert.equal((await d.service.fullSync()).ok, true);
  assert.deepEqual([await titles(d), [...server.rows.keys()]], [['A'], ['book a']]);
});

const erased = (d, at) => d.server.answers.push(() => gone('erased', { erasedAt: new Date(at).toISOString() }));

test('erased: everything that was synced is dropped, and the edits from before', async () => {
  const d = device();
  for (const id of ['a', 'b']) d.server.write('book', id, { title: id });
  await d.service.sync();
  await edit(d, 'a', { notes: 'from before' });
  await d.clock.advance(3_600_000);
  d.server.rows.clear();
  erased(d, d.clock.now());
  await d.clock.advance(1000);
  await book(d, 'c');
  assert.equal((await d.service.sync()).ok, true);
  assert.equal(d.server.of('/operations').length, 0, 'nothing starts a new library');
  assert.deepEqual([await titles(d), await pending(d)], [[], []]);
  assert.deepEqual(d.emitted('resync'), [{ reason: 'erased', sent: 0, refused: 0, dropped: 4 }]);
});

test('erased: edits made after it are kept and sent if the app agrees', async () => {
  const asked = [];
  const onErased = async (at, edits) => (asked.push(at.getTime(), edits.map(({ entityId }) => entityId)), true);
  const d = device({ onErased });
  d.server.write('book', 'a', { title: 'a' });
  await d.service.sync();
  await edit(d, 'a', { notes: 'from before' });
  await d.clock.advance(3_600_000);
  d.server.rows.clear();
  const at = d.clock.now();
  erased(d, at);
  await d.clock.advance(1000);
  await book(d, 'c');
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual(asked, [at, ['c']]);
  assert.deepEqual(await titles(d), ['c']);
  assert.deepEqual([...d.server.rows.keys()], ['book c']);
});

test('erased: an atomic transaction that was begun before it is dropped as a whole', async () => {
  const d = device({ onErased: () => true });
  await d.service.sync();
  const edits = ['a', 'b'].map((entityId) => ({ entity: 'book', entityId, type: 'create', data: { title: entityId } }));
  const [first] = await d.service.queueOperations(edits, { atomic: true });
  await d.service.queueOperations(edits.map((edit) => ({ ...edit, entityId: `${edit.entityId}2` })));
  await d.clock.advance(3_600_000);
  erased(d, Date.parse(first.timestamp)); // the timestamp of the second one is later
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual([...d.server.rows.keys()], ['book a2', 'book b2']);
});

// An account that was erased while this device was away must not begin again with edits from before.
for (const [ms, paths] of [
  [59_000, ['/operations', '/changes']], [61_000, ['/changes', '/operations', '/changes']],
])
  test(`${ms / 1000} s after the last round, the client calls ${paths.join(', ')}`, async () => {
    const d = device();
    await d.service.sync();
    await book(d, 'a');
    await d.clock.advance(ms);
    d.server.requests = [];
    await d.service.sync();
    assert.deepEqual(d.server.requests.map(({ path }) => path), paths);
    await d.clock.advance(ms);
    d.server.requests = [];
    await d.service.sync();
    assert.deepEqual(d.server.requests.map(({ path }) => path), ['/changes'], 'one is enough if nothing waits');
  });

test('deletions_forgotten: everything is pulled again, nothing is sent', async () => {
  const d = device();
  for (const id of ['a', 'b']) d.server.write('book', id, { title: id });
  await d.service.sync();
  d.server.rows.delete('book b');
  d.server.answers.push(() => gone('deletions_forgotten'));
  await d.service.sync();
  assert.deepEqual([await titles(d), uploads(d)], [['a'], []]);
  assert.deepEqual(d.emitted('resync'), [{ reason: 'deletions_forgotten', sent: 0, refused: 0, dropped: 1 }]);
});

test('deletions are kept as long as the server says, also over a pull from the beginning', async () => {
  const server = new Restorable(), d = device({ server });
  server.backUp();
  for (const id of ['old', 'new']) server.write('book', id, { title: id });
  await d.service.sync();
  server.remove('book', 'old');
  await d.service.sync();
  await d.service.fullSync();
  await d.clock.advance(40 * 86_400_000);
  server.stamp = d.clock.now();
  server.remove('book', 'new');
  server.always = ({ path }) =>
    path === '/config' ? json(200, { success: true, retention: { tombstoneDays: 30 } }) : undefined;
  await d.service.sync();
  await settle();
  server.restore('restored', {});
  await d.service.sync();
  assert.deepEqual(uploaded(d).map(({ deleted, data }) => [deleted, data.id]), [[true, 'new']]);
});
