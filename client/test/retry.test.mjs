// Failures: retries, waits, rejected operations, the review list.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, error, html, pending, reply, sent, settle, until } from './lib.mjs';

afterEach(closeAll);

const fault = () => error(500, 'SYNC_FAILED');
const sends = (d) => d.server.of('/operations').length;
/** The server fails on every batch with an operation that `matches`. */
const poison = (d, matches, answer = fault) => {
  d.server.always = ({ path, body }) =>
    path === '/operations' && body.operations.some(matches) ? answer() : undefined;
};

test('a failure is retried at once, then after 1, 2, 4 and 8 s; then it goes to the review list', async () => {
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
  assert.equal(d.emitted('review')[0].id, id);
  assert.equal((await d.service.getStatus()).status, 'error');
});

test('the number of attempts survives a reload', async () => {
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

test('jitter changes a delay by at most a fifth', async () => {
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

// These cost no attempt, however often they happen.
const free = [
  ['being offline', () => Promise.reject(new TypeError('fetch failed')), 'OFFLINE'],
  ['an expired token', () => error(401, 'UNAUTHORIZED'), 'UNAUTHORIZED'],
  ['a 429', () => error(429, 'RATE_LIMITED', { 'Retry-After': '1' }), 'RATE_LIMITED'],
  ['a captive portal', () => html(), 'OFFLINE'],
  ['a service that is busy', () => error(503, 'SYNC_FAILED'), 'SYNC_FAILED'],
  ['a service that is restarted', () => error(502, 'SYNC_FAILED'), 'SYNC_FAILED'],
  ['a service that does not answer in time', () => error(504, 'SYNC_FAILED'), 'SYNC_FAILED'],
  ['the page of a proxy', () => html(502), 'SYNC_FAILED'],
  ['the page of another proxy', () => html(522), 'SYNC_FAILED'],
  ['a 500 that is not the server\'s', () => html(500), 'SYNC_FAILED'],
];
for (const [name, answer, code] of free)
  test(`costs no attempt: ${name}`, async () => {
    const d = device();
    await d.service.sync();
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

test('after a 401 the client asks once for a new token and repeats the request', async () => {
  const asked = [];
  const token = async (refresh) => {
    asked.push(refresh);
    return refresh ? 'new' : 'old';
  };
  const d = device({ token, onUnauthorized: () => assert.fail('the new token is valid') });
  d.server.always = ({ headers }) =>
    headers.Authorization === 'Bearer new' ? undefined : error(401, 'UNAUTHORIZED');
  await book(d, 'b');
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual(asked.slice(0, 2), [false, true]);
});

test('if the new token is rejected too, onUnauthorized is called and nothing more is sent', async () => {
  let calls = 0;
  const d = device({ token: (refresh) => (refresh ? 'b' : 'a'), onUnauthorized: () => calls++ });
  d.server.always = () => error(401, 'UNAUTHORIZED');
  await book(d, 'b');
  assert.equal((await d.service.sync()).error.code, 'UNAUTHORIZED');
  assert.deepEqual([calls, d.server.requests.length], [1, 2]);
});

test('without a token nothing is sent', async () => {
  const d = device({ token: () => null });
  await book(d, 'b');
  assert.equal((await d.service.sync()).error.code, 'UNAUTHORIZED');
  assert.equal(d.server.requests.length, 0);
});

test('an exception in the token function loses nothing and counts as offline, until there is a token', async () => {
  let token = () => Promise.reject(new TypeError('Failed to fetch'));
  const d = device({ token: () => token() });
  await book(d, 'b');
  const { error: { code, message } } = await d.service.sync();
  assert.deepEqual([code, message], ['OFFLINE', 'token() has failed: TypeError: Failed to fetch']);
  assert.equal((await pending(d))[0].attempts, 0);
  assert.equal((await d.service.getStatus()).status, 'offline');
  token = () => null; // asked, and nobody is signed in
  assert.equal((await d.service.sync()).error.code, 'UNAUTHORIZED');
  token = () => 'token';
  assert.equal((await d.service.sync()).ok, true);
  assert.equal((await d.service.getStatus()).status, 'ready');
});

const jwt = (claims) => `h.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`;
test('the edits of one user are never sent with the token of another user', async () => {
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

// Name, Retry-After, the time in which no tab sends.
const waits = [
  ['seconds', () => '20', 20_000],
  ['an HTTP date', (now) => new Date(now + 20_000).toUTCString(), 20_000],
  ['a date in the past', (now) => new Date(now - 60_000).toUTCString(), 0],
  ['absent: an interval', () => undefined, 30_000],
  ['invalid: an interval', () => 'soon', 30_000],
  ['a week: at most an hour', () => '604800', 3_600_000],
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

test('a 429 is retried automatically as soon as the server allows it', async () => {
  const d = device();
  d.server.answers.push(() => error(429, 'RATE_LIMITED', { 'Retry-After': '7' }));
  await book(d, 'b');
  await d.service.sync();
  await d.clock.advance(7001);
  assert.deepEqual(await pending(d), []);
});

test('a 503 with Retry-After costs no attempt, and is retried after that time', async () => {
  const d = device();
  d.server.answers.push(() => error(503, 'SYNC_FAILED', { 'Retry-After': '5' }));
  await book(d, 'b');
  await d.service.sync();
  assert.equal((await pending(d))[0].attempts, 0);
  await d.clock.advance(4900);
  assert.equal(sends(d), 1);
  await d.clock.advance(200);
  assert.deepEqual(await pending(d), []);
});

test('a wait ends when the clock is set back', async () => {
  const d = device();
  d.server.answers.push(() => error(429, 'RATE_LIMITED', { 'Retry-After': '60' }));
  await d.service.sync();
  d.clock.jump(-86_400_000);
  assert.equal((await d.service.sync()).ok, true);
});

test('413: the batch and the following ones are halved until they fit', async () => {
  const d = device();
  for (let i = 0; i < 20; i++) await book(d, `b${i}`);
  poison(d, () => false);
  d.server.always = ({ path, body }) => (path === '/operations' && body.operations.length > 3 ? html(413) : undefined);
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual(sent(d.server).map((ids) => ids.length), [10, 5, 2, 3, 5, 2, 3, 2, 2, 2, 2, 2]);
  assert.equal(d.server.rows.size, 20);
});

test('413: an operation that is too large alone goes to the review list, the others are stored', async () => {
  const d = device();
  for (let i = 0; i < 10; i++) await book(d, `b${i}`);
  poison(d, ({ entityId }) => entityId === 'b6', () => error(413, 'PAYLOAD_TOO_LARGE'));
  assert.equal((await d.service.sync()).ok, true);
  const review = (await d.operations.getReview()).map((op) => [op.entityId, op.error]);
  assert.deepEqual(review, [['b6', 'PAYLOAD_TOO_LARGE']]);
  assert.equal(d.server.rows.size, 9);
});

test('400 for a whole batch: only the operations at fault go to the review list', async () => {
  const d = device();
  for (let i = 0; i < 10; i++) await book(d, `b${i}`);
  poison(d, ({ entityId }) => entityId === 'b3' || entityId === 'b7', () => error(400, 'VALIDATION_ERROR'));
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual((await d.operations.getReview()).map((op) => op.entityId), ['b3', 'b7']);
  assert.equal(d.server.rows.size, 8);
});

test('an operation with the result failed goes to the review list at once, with the server\'s message', async () => {
  const d = device();
  await book(d, 'good');
  await book(d, 'bad');
  const message = 'operations[1].data.stars: must be between 0.5 and 5';
  const failed = { status: 'failed', error: 'VALIDATION_ERROR', message, retryable: false };
  d.server.answers.push(({ body: { operations: [good, bad] } }) =>
    reply([d.server.apply(good), { ...failed, id: bad.id }]));
  assert.equal((await d.service.sync()).ok, true);
  assert.deepEqual((await d.operations.getReview()).map((op) => [op.entityId, op.message]), [['bad', message]]);
});

test('an operation on which the server always fails neither blocks nor fails the others', async () => {
  const d = device({ batchSize: 4 });
  for (let i = 0; i < 12; i++) await book(d, `b${i}`);
  poison(d, ({ entityId }) => entityId === 'b2');
  await d.service.sync();
  await d.clock.advance(60_000);
  assert.deepEqual((await d.operations.getReview()).map((op) => op.entityId), ['b2']);
  assert.equal(d.server.rows.size, 11);
  assert.equal(d.server.of('/operations').at(-1).body.operations.length, 1, 'the last retry is made alone');
});

test('changes are pulled although sending failed', async () => {
  const d = device();
  poison(d, () => true);
  d.server.write('book', 'other', { title: 'T' });
  await book(d, 'b');
  assert.deepEqual([(await d.service.sync()).received, (await d.store.get('book', 'other')).title], [1, 'T']);
});

test('edits of one entity keep their order while the first waits for a retry', async () => {
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

test('the review list: retry with data sends the corrected data', async () => {
  const d = device();
  const { id } = await book(d, 'b', { title: '' });
  d.server.answers.push(() => error(400, 'VALIDATION_ERROR'));
  await d.service.sync();
  await d.operations.retry(id, { title: 'T' });
  await d.service.sync();
  assert.equal(d.server.rows.get('book b').data.title, 'T');
});

test('the review list: an id that the server has for another operation is replaced', async () => {
  const d = device();
  const { id } = await book(d, 'b');
  const failed = { id, status: 'failed', error: 'OPERATION_ID_REUSED', message: 'used', retryable: false };
  d.server.answers.push(() => reply([failed]));
  await d.service.sync();
  await d.operations.retry();
  await d.service.sync();
  assert.notEqual(sent(d.server)[1][0], id);
  assert.equal(d.server.rows.size, 1);
});

test('the review list: drop removes the edit, and the store shows the version of the server again', async () => {
  const d = device();
  d.server.write('book', 'b', { title: 'T' });
  await d.service.sync();
  const { id } = await edit(d, 'b', { title: 'U' });
  d.server.answers.push(() => error(400, 'VALIDATION_ERROR'));
  await d.service.sync();
  assert.equal((await d.store.get('book', 'b')).title, 'U', 'the edit is shown until it is dropped');
  await d.operations.drop(id);
  assert.equal((await d.store.get('book', 'b')).title, 'T');
});

test('the review list: what the quota refused stays and is shown, also after a pull from the beginning', async () => {
  const d = device();
  d.server.write('book', 'old', { title: 'Old' });
  await d.service.sync();
  await book(d, 'new', { title: 'New' });
  await edit(d, 'old', { notes: 'n' });
  const refused = { status: 'failed', error: 'QUOTA_EXCEEDED', message: 'quota.bytes is 1000', retryable: false };
  d.server.answers.push(({ body }) => reply(body.operations.map(({ id }) => ({ ...refused, id }))));
  assert.equal((await d.service.sync()).ok, true);
  const check = async () => {
    assert.deepEqual((await d.operations.getReview()).map((op) => [op.entityId, op.error, op.message]),
      [['new', refused.error, refused.message], ['old', refused.error, refused.message]]);
    assert.equal((await d.store.get('book', 'old')).notes, 'n');
    assert.equal((await d.store.get('book', 'new')).title, 'New');
    assert.deepEqual(await pending(d), [], 'it is not sent again by itself');
  };
  await check();
  assert.equal(d.emitted('review').length, 2);
  const before = sends(d);
  d.server.answers.push(() => error(410, 'RESYNC_REQUIRED'));
  await d.service.sync();
  await check();
  assert.equal(sends(d), before);
  await d.operations.retry(); // after the person has deleted something
  await d.service.sync();
  assert.deepEqual([await d.operations.getReview(), d.server.rows.size], [[], 2]);
});

test('a request without an answer is aborted after a minute', async () => {
  const d = device();
  await book(d, 'b');
  d.server.answers.push(({ signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))));
  const round = d.service.sync();
  await until('the request is sent', () => sends(d) === 1);
  await d.clock.advance(60_001);
  assert.equal((await round).error.code, 'OFFLINE');
  assert.equal((await pending(d)).length, 1);
  await settle();
});

test('a wrong base URL is an error, and loses nothing', async () => {
  const d = device();
  d.server.always = () => error(404, 'NOT_FOUND');
  await book(d, 'b');
  assert.equal((await d.service.sync()).error.code, 'NOT_FOUND');
  assert.deepEqual((await pending(d)).map(({ attempts }) => attempts), [0]);
});

test('an error that retries cannot help is not retried faster than the interval', async () => {
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
