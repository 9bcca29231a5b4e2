// Transactions: stored as a whole, sent in one request, and refused as a whole if they are atomic.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, error, json, pending, remove, reply, sent } from './lib.mjs';

afterEach(closeAll);

const atomic = { atomic: true };
const shape = (ops) => ops.map(({ type, entityId }) => `${type} ${entityId}`);
const ids = (ops) => ops.map(({ id }) => id);
const requests = ({ server }) => server.of('/operations').map(({ body }) => body);
/** Three edits of a new book. */
const addBook = (id) => (tx) => {
  tx.create('book', id, { title: id });
  tx.create('rating', `r-${id}`, { bookId: id, stars: 5 });
  tx.addTo('collection', 'c', 'bookIds', id);
};
const refusal = (status, code, details) =>
  json(status, { success: false, error: code, message: 'atomic: 1 of 3 operations cannot be applied', details });
/** `answer` may answer requests to /operations. */
const failing = ({ server }, answer) =>
  (server.always = ({ path, body }) => (path === '/operations' && answer(body)) || undefined);

test('a transaction is stored as a whole, in its order, and shown at once', async () => {
  const d = device();
  const ops = await d.service.transaction(async (tx) => {
    tx.create('book', 'b', { title: 'T' });
    await null;
    tx.update('book', 'c', { notes: 'n' });
    tx.delete('book', 'd');
  });
  assert.deepEqual(shape(ops), ['create b', 'update c', 'delete d']);
  const times = ops.map(({ timestamp }) => timestamp);
  assert.deepEqual([...new Set(times)].sort(), times);
  assert.equal(new Set(ops.map(({ transaction }) => transaction)).size, 1);
  assert.ok(ops[0].transaction);
  assert.deepEqual(await pending(d), ops);
  assert.equal((await d.store.get('book', 'b')).title, 'T');
  assert.deepEqual(d.emitted('change').map(({ entities }) => entities.length), [3]);
  await d.service.close();
  assert.deepEqual(await pending(device({ database: d.database })), ops);
});

const faults = {
  'the function throws': (tx) => {
    tx.create('book', 'b', { title: 'T' });
    throw new Error('on purpose');
  },
  'the function rejects later': async (tx) => {
    tx.create('book', 'b', { title: 'T' });
    await null;
    throw new Error('on purpose');
  },
  'an argument is invalid': (tx) => {
    tx.create('book', 'b', { title: 'T' });
    tx.update('book', '', {});
  },
  'data cannot be sent': (tx) => {
    tx.create('book', 'b', { title: 'T' });
    tx.create('book', 'c', { title: 1n });
  },
};
for (const [name, work] of Object.entries(faults))
  test(`nothing is stored if ${name}`, async () => {
    const d = device();
    await assert.rejects(d.service.transaction(work));
    assert.deepEqual([await pending(d), await d.store.list('book'), d.emitted('change')], [[], [], []]);
  });

test('queueOperations stores all or nothing, too', async () => {
  const d = device();
  const one = { entity: 'book', entityId: 'a', type: 'create', data: { title: 'A' } };
  await assert.rejects(d.service.queueOperations([one, { ...one, type: 'upsert' }]), /type: must be one of/);
  assert.deepEqual(await pending(d), []);
  const ops = await d.service.queueOperations([one, { entity: 'tag', entityId: 't', type: 'delete' }]);
  assert.deepEqual(shape(ops), ['create a', 'delete t']);
  assert.deepEqual(await pending(d), ops);
  assert.deepEqual(await d.service.queueOperations([]), []);
});

test('an edit after the end of the transaction throws', async () => {
  const d = device();
  let late;
  await d.service.transaction((tx) => void (late = tx));
  assert.throws(() => late.delete('book', 'b'), /has ended/);
  assert.deepEqual(await pending(d), []);
});

test('a transaction is not split by the size of batches', async () => {
  const d = device();
  for (let i = 0; i < 8; i++) await book(d, `before${i}`);
  const ops = await d.service.transaction((tx) => {
    for (let i = 0; i < 25; i++) tx.create('book', `b${i}`, { title: 'T' });
  });
  await book(d, 'after');
  await d.service.sync();
  assert.deepEqual(requests(d).map(({ operations }) => operations.length), [8, 25, 1]);
  assert.deepEqual(sent(d.server)[1], ids(ops));
  assert.deepEqual(requests(d).map((request) => request.atomic), [undefined, undefined, undefined]);
});

test('small transactions share a request, an atomic one has its own', async () => {
  const d = device();
  await d.service.transaction(addBook('a'));
  await d.service.transaction(addBook('b'));
  await d.service.transaction(addBook('c'), atomic);
  await d.service.transaction(addBook('d'), atomic);
  await book(d, 'e');
  await d.service.sync();
  const all = requests(d).map((request) => [request.operations.length, request.atomic]);
  assert.deepEqual(all, [[6, undefined], [3, true], [3, true], [1, undefined]]);
  assert.deepEqual(await pending(d), []);
});

test('edits become one only within a transaction', async () => {
  const d = device();
  await book(d, 'b');
  const ops = await d.service.transaction((tx) => {
    tx.update('book', 'b', { notes: 'n' });
    tx.update('book', 'b', { genre: 'g' });
  });
  await edit(d, 'b', { language: 'l' });
  assert.deepEqual((await pending(d)).map(({ data }) => data), [
    { title: 'b' }, { notes: 'n', genre: 'g' }, { language: 'l' },
  ]);
  assert.equal(ops.length, 1);
});

test('an atomic transaction is repeated with the same bytes and nothing else after a lost answer', async () => {
  const d = device();
  await d.service.transaction(addBook('a'), atomic);
  d.server.answers.push(() => undefined, ({ body }) => { // the first request is for /config
    for (const op of body.operations) d.server.apply(op);
    throw new TypeError('connection reset');
  });
  await d.service.sync();
  await edit(d, 'a', { notes: 'typed meanwhile' });
  await d.service.sync();
  const [first, again, rest] = requests(d);
  assert.equal(JSON.stringify(again), JSON.stringify(first));
  assert.deepEqual([rest.atomic, shape(rest.operations)], [undefined, ['update a']]);
  assert.deepEqual(await pending(d), []);
});

const refusals = [
  ['an invalid operation', 400, 'VALIDATION_ERROR'],
  ['a conflict that a person must decide', 409, 'CONFLICT_DETECTED'],
  ['the quota', 413, 'QUOTA_EXCEEDED'],
];
for (const [name, status, code] of refusals)
  test(`refused for ${name}: all of an atomic transaction is on the review list, and nothing else`, async () => {
    const d = device();
    await book(d, 'before');
    const ops = await d.service.transaction(addBook('a'), atomic);
    await book(d, 'after');
    const details = [{ path: 'operations[1].data.stars', message: 'must be between 0.5 and 5' }];
    failing(d, (body) => body.atomic && refusal(status, code, status === 400 ? details : undefined));
    await d.service.sync();
    const review = await d.operations.getReview();
    assert.deepEqual(ids(review), ids(ops));
    assert.deepEqual(d.emitted('review').map(({ id }) => id), ids(ops));
    assert.deepEqual(new Set(review.map((item) => item.error)), new Set([code]));
    assert.deepEqual(new Set(review.map(({ transaction }) => transaction)), new Set([ops[0].transaction]));
    if (status === 400) assert.match(review[1].message, /between 0.5 and 5/);
    assert.match(review[0].message, /1 of 3/);
    assert.deepEqual(await pending(d), []);
    assert.equal(requests(d).filter((request) => request.atomic).length, 1, 'it is not halved');
    assert.deepEqual([...d.server.rows.keys()], ['book before', 'book after']);
    assert.equal((await d.store.get('book', 'a')).title, 'a', 'it is still shown');
  });

test('retry sends a refused atomic transaction again as a whole, with the correction', async () => {
  const d = device();
  const ops = await d.service.transaction(addBook('a'), atomic);
  failing(d, (body) => body.atomic && refusal(400, 'VALIDATION_ERROR'));
  await d.service.sync();
  d.server.always = undefined;
  await d.operations.retry(ops[1].id, { bookId: 'a', stars: 4 });
  assert.deepEqual(await d.operations.getReview(), []);
  await d.service.sync();
  const { atomic: whole, operations } = requests(d).at(-1);
  assert.deepEqual([whole, shape(operations)], [true, ['create a', 'create r-a', 'update c']]);
  assert.equal(d.server.rows.get('rating r-a').data.stars, 4);
});

test('drop removes an atomic transaction as a whole, and of another one a single operation', async () => {
  const d = device();
  const [whole, parts] = [await d.service.transaction(addBook('a'), atomic), await d.service.transaction(addBook('b'))];
  failing(d, (body) => (body.atomic ? refusal(400, 'VALIDATION_ERROR') :
    reply(body.operations.map(({ id }) => ({ id, status: 'failed', error: 'X' })))));
  await d.service.sync();
  assert.equal((await d.operations.getReview()).length, 6);
  await d.operations.drop(whole[2].id);
  assert.deepEqual(ids(await d.operations.getReview()), ids(parts));
  await d.operations.drop(parts[0].id);
  assert.deepEqual(ids(await d.operations.getReview()), ids(parts.slice(1)));
});

test('413 halves a batch between transactions, never within one', async () => {
  const d = device({ batchSize: 20 });
  for (const id of ['a', 'b', 'c']) await d.service.transaction(addBook(id));
  await book(d, 'd');
  failing(d, ({ operations }) => operations.length > 4 && error(413, 'PAYLOAD_TOO_LARGE'));
  await d.service.sync();
  assert.deepEqual(requests(d).map(({ operations }) => operations.length), [10, 6, 3, 3, 4]);
  assert.deepEqual(await pending(d), []);
});

test('a transaction that is refused as too large goes to the review list as a whole', async () => {
  const d = device();
  const ops = await d.service.transaction(addBook('a'));
  failing(d, () => error(413, 'PAYLOAD_TOO_LARGE'));
  await d.service.sync();
  assert.deepEqual(ids(await d.operations.getReview()), ids(ops));
});

const many = (count, title = 'T') => (tx) => {
  for (let i = 0; i < count; i++) tx.create('book', `b${i}`, { title });
};

test('a transaction that is too large for a request is rejected at once', async () => {
  const d = device();
  await assert.rejects(d.service.transaction(many(1001)), { code: 'PAYLOAD_TOO_LARGE', message: /1001 operations/ });
  await assert.rejects(d.service.transaction(many(3, 'ä'.repeat(2_000_000))), { code: 'PAYLOAD_TOO_LARGE' });
  assert.deepEqual(await pending(d), []);
  assert.equal((await d.service.transaction(many(1000))).length, 1000);
});

test('the limits are those that the server has said at /config, also after a restart', async () => {
  const d = device();
  const limits = { operations: 20, bodyBytes: 8000 };
  d.server.always = ({ path }) => (path === '/config' ? json(200, { success: true, limits }) : undefined);
  await d.service.transaction(many(2));
  await d.service.sync();
  await d.service.close();
  const again = device({ database: d.database, server: d.server });
  await assert.rejects(again.service.transaction(many(21)), { code: 'PAYLOAD_TOO_LARGE', message: /takes 20/ });
  await assert.rejects(again.service.transaction(many(10, 'x'.repeat(600))), { code: 'PAYLOAD_TOO_LARGE' });
  assert.equal((await again.service.transaction(many(20))).length, 20);
  // Without `atomic`, edits that are stored together may be sent in several requests.
  const edits = Array.from({ length: 50 }, (_, i) => ({ entity: 'tag', entityId: `t${i}`, type: 'delete' }));
  assert.equal((await again.service.queueOperations(edits)).length, 50);
  await assert.rejects(again.service.queueOperations(edits, atomic), { code: 'PAYLOAD_TOO_LARGE' });
});

test('a transaction beyond the oldest 1000 operations is not cut', async () => {
  const d = device({ batchSize: 1000 });
  const edits = Array.from({ length: 995 }, (_, i) => ({ entity: 'tag', entityId: `t${i}`, type: 'delete' }));
  await d.service.queueOperations(edits);
  await d.service.transaction(many(20));
  await d.service.sync();
  const lengths = requests(d).map(({ operations }) => operations.length);
  assert.deepEqual(lengths.filter(Boolean), [995, 20]); // an empty request asks for the time
});

test('an operation of a transaction waits for an earlier edit of its entity, and the others wait with it', async () => {
  const d = device();
  await remove(d, 'a');
  failing(d, () => error(500, 'SYNC_FAILED'));
  for (let i = 0; i < 2; i++) await d.service.sync();
  await d.service.transaction(addBook('a'));
  await d.service.sync();
  assert.deepEqual(requests(d).map(({ operations }) => shape(operations)), [['delete a'], ['delete a']]);
  d.server.always = undefined;
  await d.clock.advance(20_000);
  await d.service.sync();
  assert.deepEqual(requests(d).slice(2).flatMap(({ operations }) => shape(operations)),
    ['delete a', 'create a', 'create r-a', 'update c']);
});

test('after the last attempt a transaction is given up, and sent again, as a whole', async () => {
  const d = device();
  const ops = await d.service.transaction(addBook('a'), atomic);
  failing(d, () => error(500, 'SYNC_FAILED'));
  for (let i = 0; i < 8; i++) {
    await d.service.sync();
    await d.clock.advance(20_000);
  }
  assert.deepEqual(ids(await d.operations.getReview()), ids(ops));
  d.server.always = undefined;
  await d.clock.advance(3_600_000);
  await d.service.sync();
  assert.deepEqual([requests(d).at(-1).atomic, ids(requests(d).at(-1).operations)], [true, ids(ops)]);
  assert.deepEqual(await d.operations.getReview(), []);
});

test('edits and transactions need no module that must be loaded', async () => {
  const d = device({ engine: () => new Promise(() => {}) }); // the network hangs
  await d.service.transaction(addBook('a'), atomic);
  await d.service.addTo('book', 'a', 'tags', 'x');
  await assert.rejects(d.service.transaction(many(1001)), { code: 'PAYLOAD_TOO_LARGE' });
  assert.deepEqual((await d.store.get('book', 'a')).tags, ['x']);
  const next = device({ database: d.database });
  await next.service.sync();
  assert.deepEqual(requests(next).map(({ operations }) => operations.length), [3, 1]);
});
