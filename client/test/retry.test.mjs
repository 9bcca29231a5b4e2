// What happens when it does not work: retries, waits, refusals, the review list.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, error, html, json, pending, sent, settle, until } from './lib.mjs';

afterEach(closeAll);

const fault = () => error(500, 'SYNC_FAILED');
const sends = (d) => d.server.of('/operations').length;
/** The server fails on every operation that `matches`. */
const poison = (d, matches, answer = fault) => (d.server.always = ({ path, body }) => (path === '/operations' && body.operations.some(matches) ? answer() : undefined));

test('a failure is retried at once, then after 1, 2, 4 and 8 s; then it waits for a person', async () => {
  const d = device();
  poison(d, () => true);
  const { id } = await book(d, 'b');
  await d.service.sync();
  const at = [[sends(d), 0]];
  for (let ms = 0; ms <= 20_000; ms += 100) {
    await d.clock.advance(ms && 100);
    if (sends(d) !== at.at(-1)[0]) at.push([sends(d), ms]);
  }
  assert.deepEqual(at, [[1, 0], [2, 0], [3, 1000], [4, 3000], [5, 7000], [6, 15_000]]);
  assert.deepEqual(await pending(d), []);
  const [item] = await d.operations.getReview();
  assert.deepEqual([item.id, item.error, item.message, item.attempts], [id, 'SYNC_FAILED', 'says SYNC_FAILED', 6]);
  assert.equal(d.told('review')[0].id, id);
  assert.equal((await d.service.getStatus()).status, 'error');
});

test('attempts are kept across a reload', async () => {
  const d = device();
  poison(d, () => true);
  await book(d, 'b');
  await d.service.sync();
  await d.clock.advance(3000);
  await d.service.close();
  const e = device({ server: d.server, clock: d.clock, database: d.database });
  assert.deepEqual((await pending(e)).map(({ attempts }) => attempts), [4]);
  await d.clock.advance(10_000);
  await e.service.sync();
  await d.clock.advance(10_000);
  assert.equal(sends(d), 6);
  assert.equal((await e.operations.getReview()).length, 1);
});

test('jitter moves a delay by at most a fifth', async () => {
  for (const [random, soonest] of [[0, 800], [0.999, 1200]]) {
    const d = device();
    d.clock.random = () => random;
    poison(d, () => true);
    await book(d, 'b');
    await d.service.sync();
    await d.clock.advance(0);
    await d.clock.advance(soonest - 5);
    assert.equal(sends(d), 2);
    await d.clock.advance(10);
    assert.equal(sends(d), 3);
  }
});

// Costs no attempt, however often it happens.
const free = [
  ['being offline', () => Promise.reject(new TypeError('fetch failed')), 'OFFLINE'],
  ['an expired token', () => error(401, 'UNAUTHORIZED'), 'UNAUTHORIZED'],
  ['a 429', () => error(429, 'RATE_LIMITED', { 'Retry-After': '1' }), 'RATE_LIMITED'],
  ['a captive portal', () => html(), 'OFFLINE'],
];
for (const [name, answer, code] of free)
  test(`uses up no attempt: ${name}`, async () => {
    const d = device();
    d.server.always = answer;
    await book(d, 'b');
    for (let i = 0; i < 10; i++) {
      assert.equal((await d.service.sync()).error.code, code);
      await d.clock.advance(1100);
    }
    assert.deepEqual((await pending(d)).map(({ attempts }) => attempts), [0]);
    d.server.always = undefined;
    await d.clock.advance(1100);
    await d.service.sync();
    assert.deepEqual(await pending(d), []);
  });

test('after a 401 the token is asked for afresh, once, and the request repeated', async () => {
  const asked = [];
  const d = device({ token: async (refresh) => (asked.push(refresh), refresh ? 'new' : 'old'), onUnauthorized: () => assert.fail('it was fresh') });
  d.server.always = ({ headers }) => (headers.Authorization === 'Bearer new' ? undefined : error(401, 'UNAUTHORIZED'));
  await book(d, 'b');
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual(asked.slice(0, 2), [false, true]);
});

test('a fresh token that is refused too is told to the app, and nothing more is sent', async () => {
  let told = 0;
  const d = device({ token: (refresh) => (refresh ? 'b' : 'a'), onUnauthorized: () => told++ });
  d.server.always = () => error(401, 'UNAUTHORIZED');
  await book(d, 'b');
  assert.equal((await d.service.sync()).error.code, 'UNAUTHORIZED');
  assert.deepEqual([told, d.server.requests.length], [1, 2]);
});

test('without a token nothing is sent', async () => {
  const d = device({ token: () => null });
  await book(d, 'b');
  assert.equal((await d.service.sync()).error.code, 'UNAUTHORIZED');
  assert.equal(d.server.requests.length, 0);
});

test('a token getter that throws loses nothing', async () => {
  const d = device({ token: () => Promise.reject(new Error('no refresh token')) });
  await book(d, 'b');
  assert.match((await d.service.sync()).error.message, /no refresh token/);
  assert.equal((await pending(d))[0].attempts, 0);
});

const jwt = (claims) => `h.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`;
test('the edits of one user are never sent as another\'s', async () => {
  let token = jwt({ userId: 'alice' });
  const d = device({ token: () => token });
  await d.service.sync();
  await book(d, 'b');
  token = jwt({ sub: 'bob' });
  assert.equal((await d.service.sync()).error.code, 'USER_CHANGED');
  assert.equal(sends(d), 0);
  await assert.rejects(d.service.clear(), { code: 'UNSENT' });
  await d.service.clear({ force: true });
  assert.deepEqual([await pending(d), await d.store.list('book')], [[], []]);
  assert.equal((await d.service.sync()).ok, true);
});

// Retry-After, and how long nobody sends.
const waits = [
  ['seconds', () => '20', 20_000],
  ['an HTTP date', (now) => new Date(now + 20_000).toUTCString(), 20_000],
  ['a date gone by', (now) => new Date(now - 60_000).toUTCString(), 0],
  ['nothing: an interval', () => undefined, 30_000],
  ['nonsense: an interval', () => 'soon', 30_000],
  ['a week: an hour, and then one looks', () => '604800', 3_600_000],
];
for (const [name, header, ms] of waits)
  test(`a 429 with Retry-After ${name}: all tabs wait`, async () => {
    const d = device(), value = header(d.clock.now());
    d.server.answers.push(() => error(429, 'RATE_LIMITED', value && { 'Retry-After': value }));
    await book(d, 'b');
    await d.service.sync();
    const tab = device({ server: d.server, clock: d.clock, database: d.database });
    if (ms) {
      await d.clock.advance(ms - 10);
      assert.equal((await tab.service.sync()).error.code, 'RATE_LIMITED');
      assert.equal(d.server.requests.length, 1);
    }
    await d.clock.advance(20);
    assert.equal((await tab.service.sync()).ok, true);
  });

test('a 429 is tried again by itself as soon as the server allows it', async () => {
  const d = device();
  d.server.answers.push(() => error(429, 'RATE_LIMITED', { 'Retry-After': '7' }));
  await book(d, 'b');
  await d.service.sync();
  await d.clock.advance(7001);
  assert.deepEqual(await pending(d), []);
});

test('a 503 with Retry-After is an attempt, and is waited for', async () => {
  const d = device();
  d.server.answers.push(() => error(503, 'SYNC_FAILED', { 'Retry-After': '5' }));
  await book(d, 'b');
  await d.service.sync();
  assert.equal((await pending(d))[0].attempts, 1);
  await d.clock.advance(4900);
  assert.equal(sends(d), 1);
  await d.clock.advance(200);
  assert.deepEqual(await pending(d), []);
});

test('a wait does not outlive a clock that jumped back', async () => {
  const d = device();
  d.server.answers.push(() => error(429, 'RATE_LIMITED', { 'Retry-After': '60' }));
  await d.service.sync();
  d.clock.jump(-86_400_000);
  assert.equal((await d.service.sync()).ok, true);
});

test('413: the batch is halved until it fits, also the ones behind it', async () => {
  const d = device();
  for (let i = 0; i < 20; i++) await book(d, `b${i}`);
  poison(d, () => false);
  d.server.always = ({ path, body }) => (path === '/operations' && body.operations.length > 3 ? html(413) : undefined);
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual(sent(d.server).map((ids) => ids.length), [10, 5, 2, 3, 5, 2, 3, 2, 2, 2, 2, 2]);
  assert.equal(d.server.rows.size, 20);
});

test('413: a single operation that is too large goes to the review list, the others are stored', async () => {
  const d = device();
  for (let i = 0; i < 10; i++) await book(d, `b${i}`);
  poison(d, ({ entityId }) => entityId === 'b6', () => error(413, 'PAYLOAD_TOO_LARGE'));
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual((await d.operations.getReview()).map((op) => [op.entityId, op.error]), [['b6', 'PAYLOAD_TOO_LARGE']]);
  assert.equal(d.server.rows.size, 9);
});

test('a 400 for a whole batch is narrowed down to the operation at fault', async () => {
  const d = device();
  for (let i = 0; i < 10; i++) await book(d, `b${i}`);
  poison(d, ({ entityId }) => entityId === 'b3' || entityId === 'b7', () => error(400, 'VALIDATION_ERROR'));
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual((await d.operations.getReview()).map((op) => op.entityId), ['b3', 'b7']);
  assert.equal(d.server.rows.size, 8);
});

test('a failed result goes to the review list at once, with what the server says', async () => {
  const d = device();
  await book(d, 'good');
  await book(d, 'bad');
  d.server.answers.push(({ body: { operations } }) =>
    json(200, { success: true, results: [d.server.apply(operations[0]), { id: operations[1].id, status: 'failed', error: 'VALIDATION_ERROR', message: 'operations[1].data.stars: must be between 0.5 and 5', retryable: false }] }));
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual((await d.operations.getReview()).map((op) => [op.entityId, op.message]), [['bad', 'operations[1].data.stars: must be between 0.5 and 5']]);
});

test('one operation that the server always fails on blocks nobody, and takes nobody along', async () => {
  const d = device({ batchSize: 4 });
  for (let i = 0; i < 12; i++) await book(d, `b${i}`);
  poison(d, ({ entityId }) => entityId === 'b2');
  await d.service.sync();
  await d.clock.advance(60_000);
  assert.deepEqual((await d.operations.getReview()).map((op) => op.entityId), ['b2']);
  assert.equal(d.server.rows.size, 11);
  assert.equal(d.server.of('/operations').at(-1).body.operations.length, 1, 'the last attempt is made alone');
});

test('a fault with the sending does not keep us from hearing what is new', async () => {
  const d = device();
  poison(d, () => true);
  d.server.write('book', 'other', { title: 'T' });
  await book(d, 'b');
  assert.deepEqual([(await d.service.sync()).received, (await d.store.get('book', 'other')).title], [1, 'T']);
});

test('edits of one entity keep their order while the first waits for its retry', async () => {
  const d = device();
  poison(d, () => true);
  await book(d, 'b');
  await d.service.sync();
  await d.clock.advance(0);
  await edit(d, 'b', { notes: 'later' });
  d.server.always = undefined;
  await d.service.sync();
  assert.equal(sends(d), 2, 'neither is due');
  await d.clock.advance(1000);
  assert.deepEqual(d.server.of('/operations').at(-1).body.operations.map(({ type }) => type), ['create', 'update']);
});

test('the review list: retry sends again under the same id', async () => {
  const d = device();
  const { id } = await book(d, 'b');
  d.server.answers.push(() => error(400, 'VALIDATION_ERROR'));
  await d.service.sync();
  await d.operations.retry(id);
  await d.service.sync();
  assert.deepEqual([sent(d.server), await d.operations.getReview(), d.server.rows.size], [[[id], [id]], [], 1]);
});

test('the review list: retry with data sends what was corrected', async () => {
  const d = device();
  const { id } = await book(d, 'b', { title: '' });
  d.server.answers.push(() => error(400, 'VALIDATION_ERROR'));
  await d.service.sync();
  await d.operations.retry(id, { title: 'T' });
  await d.service.sync();
  assert.equal(d.server.rows.get('book b').data.title, 'T');
});

test('the review list: an id that the server knows for another operation is replaced', async () => {
  const d = device();
  const { id } = await book(d, 'b');
  d.server.answers.push(() => json(200, { success: true, results: [{ id, status: 'failed', error: 'OPERATION_ID_REUSED', message: 'used', retryable: false }] }));
  await d.service.sync();
  await d.operations.retry();
  await d.service.sync();
  assert.notEqual(sent(d.server)[1][0], id);
  assert.equal(d.server.rows.size, 1);
});

test('the review list: drop forgets the edit, and the store shows the server\'s row again', async () => {
  const d = device();
  d.server.write('book', 'b', { title: 'T' });
  await d.service.sync();
  const { id } = await edit(d, 'b', { title: 'U' });
  d.server.answers.push(() => error(400, 'VALIDATION_ERROR'));
  await d.service.sync();
  assert.equal((await d.store.get('book', 'b')).title, 'U', 'what was typed is shown until it is dropped');
  await d.operations.drop(id);
  assert.equal((await d.store.get('book', 'b')).title, 'T');
});

test('a request without an answer ends after a minute', async () => {
  const d = device();
  await book(d, 'b');
  d.server.answers.push(({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))));
  const round = d.service.sync();
  await until('it is sent', () => sends(d) === 1);
  await d.clock.advance(60_001);
  assert.equal((await round).error.code, 'OFFLINE');
  assert.equal((await pending(d)).length, 1);
  await settle();
});

test('a wrong address is an error, and loses nothing', async () => {
  const d = device();
  d.server.always = () => error(404, 'NOT_FOUND');
  await book(d, 'b');
  assert.equal((await d.service.sync()).error.code, 'NOT_FOUND');
  assert.deepEqual((await pending(d)).map(({ attempts }) => attempts), [0]);
});

test('what no retry can help with is not asked for faster than the interval', async () => {
  const d = device();
  d.server.always = ({ path }) => (path === '/operations' ? error(405, 'METHOD_NOT_ALLOWED') : undefined);
  await book(d, 'b');
  d.service.startMonitoring();
  await d.clock.advance(20_000);
  const before = sends(d);
  await d.clock.advance(300_000);
  assert.ok(before <= 7 && sends(d) - before <= 11, `${before}, ${sends(d)}`);
  assert.equal((await pending(d)).length, 1);
});
