// Transactions and lists against the real server.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { User } from '../../../tests/http/lib.mjs';
import { closeAll, device, synced } from './lib.mjs';

afterEach(closeAll);

const bookIds = async ({ store }) => (await store.get('collection', 'c')).bookIds;
const pause = () => new Promise((resolve) => setTimeout(resolve, 20)); // timestamps may be ahead by milliseconds

test('an atomic transaction is applied as a whole', async () => {
  const user = new User(), phone = device(user), laptop = device(user);
  await phone.transaction((tx) => {
    tx.create('book', 'b1', { title: 'The Dispossessed' });
    tx.create('rating', 'r1', { bookId: 'b1', stars: 5 });
    tx.create('collection', 'c', { name: 'Utopias', bookIds: ['b0'] });
    tx.addTo('collection', 'c', 'bookIds', 'b1');
    tx.addTo('book', 'b1', 'tags', 'utopia');
  }, { atomic: true });
  for (const each of [phone, laptop]) await synced(each);
  assert.equal((await user.read('rating', 'r1')).stars, 5);
  assert.deepEqual(await bookIds(laptop), ['b0', 'b1']);
  assert.deepEqual((await laptop.store.get('book', 'b1')).tags, ['utopia']);
});

test('a refused atomic transaction changes nothing on the server, and is sent again as a whole', async () => {
  const user = new User(), phone = device(user);
  const operations = await phone.transaction((tx) => {
    tx.create('book', 'b1', { title: 'T' });
    tx.create('rating', 'r1', { bookId: 'b1', stars: 11 });
  }, { atomic: true });
  await phone.queueOperation('book', 'b2', 'create', { title: 'apart' });
  await synced(phone);
  const review = await phone.operations.getReview();
  assert.deepEqual(review.map(({ id, error }) => [id, error]), operations.map(({ id }) => [id, 'VALIDATION_ERROR']));
  assert.match(review[0].message, /atomic: 1 of 2/);
  assert.match(review[1].message, /must be between 0\.5 and 5/);
  const { changes } = await user.get('/changes?since=1970-01-01T00:00:00Z');
  assert.deepEqual(changes.map(({ data }) => data.id), ['b2']);
  await phone.operations.retry(operations[1].id, { bookId: 'b1', stars: 5 });
  await synced(phone);
  assert.deepEqual(await phone.operations.getReview(), []);
  assert.equal((await user.read('rating', 'r1')).stars, 5);
});

test('an atomic transaction with a conflict that a person must decide is refused as a whole', async () => {
  const user = new User(), laptop = device(user), phone = device(user, { conflictResolution: 'manual' });
  await laptop.queueOperation('book', 'b1', 'create', { title: 'A' });
  for (const each of [laptop, phone]) await synced(each);
  await laptop.queueOperation('book', 'b1', 'update', { title: 'of the laptop' });
  await synced(laptop);
  await phone.transaction((tx) => {
    tx.update('book', 'b1', { title: 'of the phone' });
    tx.create('tag', 't1', { name: 'N' });
  }, { atomic: true });
  await synced(phone);
  assert.deepEqual((await phone.operations.getReview()).map(({ error }) => error),
    ['CONFLICT_DETECTED', 'CONFLICT_DETECTED']);
  assert.equal((await user.read('book', 'b1')).title, 'of the laptop');
});

test('an atomic transaction whose reply is lost is applied once', async () => {
  const user = new User(), bodies = [];
  let lose = true;
  const flaky = async (url, init) => {
    const reply = await fetch(url, init);
    if (!url.endsWith('/operations')) return reply;
    bodies.push(init.body);
    if (lose) throw new TypeError('the reply is lost');
    return reply;
  };
  const phone = device(user, { fetch: flaky }), laptop = device(user);
  await phone.transaction((tx) => {
    tx.create('collection', 'c', { name: 'N', bookIds: ['a'] });
    tx.create('tag', 't', { name: 'N' });
  }, { atomic: true });
  assert.equal((await phone.sync()).ok, false);
  await synced(laptop);
  await laptop.addTo('collection', 'c', 'bookIds', 'b');
  await synced(laptop);
  lose = false;
  await synced(phone);
  assert.deepEqual([bodies.length, bodies[1]], [2, bodies[0]]);
  assert.deepEqual(await phone.operations.getPendingOperations(), []);
  for (const each of [phone, laptop]) assert.deepEqual(await bookIds(each), ['a', 'b']);
});

test('a transaction beyond the limits of /config is rejected at once', async () => {
  const user = new User(), phone = device(user);
  const { limits } = await user.get('/config');
  await phone.transaction((tx) => tx.create('tag', 't', { name: 'N' }));
  await synced(phone);
  const titles = (count, title) => (tx) => {
    for (let i = 0; i < count; i++) tx.create('book', `b${i}`, { title: 'T', notes: title });
  };
  const code = 'PAYLOAD_TOO_LARGE';
  await assert.rejects(phone.transaction(titles(limits.operations + 1, '')), { code });
  await assert.rejects(phone.transaction(titles(20, 'x'.repeat(limits.bodyBytes / 20))), { code });
  await phone.transaction(titles(200, 'x'.repeat(4000)), { atomic: true });
  await synced(phone);
  assert.equal((await phone.store.list('book')).length, 200);
  assert.deepEqual(await phone.operations.getReview(), []);
});

test('whole lists and changes of three devices are merged element by element', async () => {
  const user = new User(), [a, b, c] = [device(user), device(user), device(user)];
  await a.queueOperation('collection', 'c', 'create', { name: 'N', bookIds: ['x', 'y'] });
  for (const each of [a, b, c]) await synced(each);
  await a.addTo('collection', 'c', 'bookIds', 'of-a');
  await pause();
  await b.queueOperation('collection', 'c', 'update', { bookIds: ['y', 'of-b'] });
  await pause();
  await c.removeFrom('collection', 'c', 'bookIds', 'y');
  assert.deepEqual(await bookIds(b), ['y', 'of-b']);
  for (const each of [c, b, a, b, c]) await synced(each);
  for (const each of [a, b, c]) assert.deepEqual(await bookIds(each), ['of-a', 'of-b']);
  assert.deepEqual((await user.read('collection', 'c')).bookIds, ['of-a', 'of-b']);
});

test('random edits of lists on three devices end with the same lists', async (t) => {
  const seed = Number(process.env.BOOKY_SEED ?? Date.now() % 1e9);
  t.diagnostic(`BOOKY_SEED=${seed}`);
  let state = seed;
  const random = (n) => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % n;
  const some = () => Array.from({ length: random(4) }, () => ['a', 'b', 1, { x: 1 }, null, 'c'][random(6)]);
  const user = new User(), devices = [device(user), device(user), device(user)];
  await devices[0].queueOperation('collection', 'c', 'create', { name: 'N' });
  for (const each of devices) await synced(each);
  for (let step = 0; step < 120; step++) {
    const one = devices[random(3)], action = random(6);
    if (action < 2) await synced(one);
    else if (action === 2) await one.addTo('collection', 'c', 'bookIds', ...some());
    else if (action === 3) await one.removeFrom('collection', 'c', 'bookIds', ...some());
    else if (action === 4)
      await one.queueOperation('collection', 'c', 'update', { bookIds: random(4) ? some() : null });
    else await one.transaction((tx) => {
      tx.addTo('collection', 'c', 'bookIds', ...some());
      tx.update('collection', 'c', { name: `${step}` });
    }, { atomic: random(2) === 0 });
  }
  for (const each of [...devices, ...devices]) await synced(each);
  const stored = (await user.read('collection', 'c')).bookIds;
  for (const each of devices) {
    assert.deepEqual(await each.operations.getReview(), []);
    assert.deepEqual(await bookIds(each), stored);
  }
});
