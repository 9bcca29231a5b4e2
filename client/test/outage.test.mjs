// The service is unavailable, or at fault for a long time.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, error, html, pending, settle } from './lib.mjs';

afterEach(closeAll);

/** The server fails on every batch with an operation that `matches`. */
const poison = (d, matches, answer = () => error(500, 'SYNC_FAILED')) => {
  d.server.always = ({ path, body }) =>
    path === '/operations' && body.operations.some(matches) ? answer() : undefined;
};

test('a service that is away for a minute: nothing is given up, and everything is sent when it is back', async () => {
  for (const answer of [() => html(502), () => error(503, 'SYNC_FAILED')]) {
    const d = device();
    d.service.startMonitoring();
    await settle();
    d.server.always = answer;
    for (let i = 0; i < 12; i++) await book(d, `b${i}`);
    await d.clock.advance(60_000);
    assert.equal((await pending(d)).length, 12);
    d.server.always = undefined;
    await d.clock.advance(31_000);
    assert.deepEqual([await pending(d), await d.operations.getReview(), d.server.rows.size], [[], [], 12]);
    await d.service.close();
  }
});

test('an operation with which the service is never available does not block the others', async () => {
  const d = device();
  for (let i = 0; i < 12; i++) await book(d, `b${i}`);
  poison(d, ({ entityId }) => entityId === 'b2', () => html(504));
  d.service.startMonitoring();
  await d.clock.advance(600_000);
  assert.deepEqual((await pending(d)).map(({ entityId, attempts }) => [entityId, attempts]), [['b2', 0]]);
  assert.equal(d.server.rows.size, 11);
});

test('what was given up for a fault of the server is sent again after an hour', async () => {
  const d = device();
  poison(d, () => true);
  await book(d, 'b');
  d.service.startMonitoring();
  await d.clock.advance(60_000);
  assert.equal((await d.operations.getReview()).length, 1);
  d.service.stopMonitoring();
  await d.clock.advance(3_550_000);
  await d.service.sync();
  assert.equal((await d.operations.getReview()).length, 1, 'again without success');
  assert.equal(d.emitted('review').length, 1, 'the person is told once');
  d.server.always = undefined;
  await d.clock.advance(3_600_000);
  await d.service.sync();
  assert.deepEqual([await d.operations.getReview(), d.server.rows.size], [[], 1]);
});

test('what was given up for a fault of the server is sent again at the next start, the invalid is not', async () => {
  const d = device();
  poison(d, ({ entityId }) => entityId === 'fault');
  await book(d, 'fault');
  await d.service.sync();
  await d.clock.advance(60_000);
  d.server.always = undefined;
  await book(d, 'invalid');
  d.server.answers.push(() => error(400, 'VALIDATION_ERROR'));
  await d.service.sync();
  assert.equal((await d.operations.getReview()).length, 2);
  await d.service.close();
  const e = device({ server: d.server, clock: d.clock, database: d.database });
  await e.service.sync();
  assert.deepEqual((await e.operations.getReview()).map(({ entityId }) => entityId), ['invalid']);
  assert.ok(d.server.rows.has('book fault'));
});

test('a fault while a long pull goes on is retried at once, too', async () => {
  const d = device();
  for (let i = 0; i < 2500; i++) d.server.write('book', `theirs${i}`, { title: 'T' });
  await book(d, 'b');
  d.server.answers.push(() => error(500, 'SYNC_FAILED'));
  assert.equal((await d.service.sync()).received, 2500);
  await d.clock.advance(0);
  assert.deepEqual(await pending(d), []);
});
