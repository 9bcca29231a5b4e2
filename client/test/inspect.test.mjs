// What an app can show of the sync: the state for a bug report, rounds in the console, and the activity.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, error, json, jwt, until } from './lib.mjs';

afterEach(closeAll);

test('inspect returns the state of the device as JSON', async () => {
  const d = device({ deviceId: 'phone', entities: ['tag', 'book'] });
  d.server.write('tag', 't', { name: 'gone' });
  d.server.remove('tag', 't');
  await book(d, 'a');
  await d.service.sync();
  await book(d, 'b');
  await book(d, 'c');
  d.server.answers.push(({ body }) => json(200, {
    success: true, results: body.operations.map(({ id }) =>
      ({ id, status: 'failed', error: 'VALIDATION_ERROR', message: 'no', retryable: false })),
  }));
  await d.service.sync();
  await edit(d, 'a', { notes: 'n' });
  d.server.always = () => error(503, 'SYNC_FAILED');
  await d.service.sync();
  const state = await d.service.inspect();
  assert.deepEqual(JSON.parse(JSON.stringify(state)), state);
  assert.match(state.version, /^\d+\.\d+\.\d+$/);
  assert.deepEqual([state.schema, state.deviceId, state.storage.kind], [1, 'phone', 'indexeddb']);
  assert.deepEqual(state.status, await d.service.getStatus());
  assert.deepEqual(state.queue, {
    waiting: 1, oldest: new Date(d.clock.now() + 4).toISOString(), types: { 'book update': 1 }, tried: 1,
    errors: { none: 1 },
  });
  assert.deepEqual([state.review, state.entities], [{ VALIDATION_ERROR: 2 }, { book: 1 }]);
  assert.deepEqual([state.pull.begun, state.pull.complete], [true, true]);
  assert.deepEqual(state.rounds.map(({ ok, sent, error }) => [ok, sent, error?.code]), [
    [true, 1, undefined], [true, 2, undefined], [false, 0, 'SYNC_FAILED'],
  ]);
  assert.deepEqual(state.errors.map(({ code, message }) => [code, message]), [['SYNC_FAILED', 'says SYNC_FAILED']]);
});

test('inspect has neither the token nor contents, also not in the message of an exception of the app', async () => {
  const secret = 'Confessions', token = 'a-token-of-alice';
  const d = device({ token, apply: (changes) => { throw new TypeError(`cannot store ${changes[0].data.title}`); } });
  d.server.write('book', 'id-of-a', { title: secret });
  await book(d, 'id-of-b', { title: secret });
  await d.service.sync();
  const text = JSON.stringify(await d.service.inspect());
  assert.match(text, /TypeError/);
  for (const part of [secret, token, 'id-of-']) assert.equal(text.includes(part), false, part);
});

test('inspect works before the first round, and in a database of another user', async () => {
  const d = device();
  const state = await d.service.inspect();
  assert.deepEqual([state.rounds, state.errors, state.queue.waiting], [[], [], 0]);
    const alice = device({ token: jwt('alice') });
  await book(alice, 'a');
  await alice.service.close();
  const bob = device({ token: jwt('bob'), database: alice.database });
  await bob.service.sync();
  assert.deepEqual((await bob.service.inspect()).errors.map(({ code }) => code), ['USER_CHANGED']);
});

test('debug logs each round, to the console or the logger', async (t) => {
  const debug = t.mock.method(console, 'log', () => {}), logged = [];
  await device().service.sync();
  assert.equal(debug.mock.callCount(), 0);
  const d = device({ debug: true });
  await book(d, 'a');
  await d.service.sync();
  const [[name, { ok, sent, at, ms }]] = debug.mock.calls.map(({ arguments: args }) => args);
  assert.deepEqual([name, ok, sent, at, ms], ['round', true, 1, d.clock.now(), 0]);
  await device({ debug: true, logger: { debug: (...args) => logged.push(args) } }).service.sync();
  assert.deepEqual([debug.mock.callCount(), logged.length], [1, 1]);
});

/** The activity so far, without the kind of the entities. */
const activity = (d) =>
  d.emitted('activity').map(({ kind, entities, ...more }) => [kind, entities.map((it) => it.entityId).join(), more]);

test('activity: an edit is queued, sent and confirmed; what other devices write is received', async () => {
  const d = device(), tab = device({ server: d.server, clock: d.clock, database: d.database });
  await tab.service.getStatus();
  await book(d, 'a');
  await book(d, 'b');
  d.server.answers.push(async () => void (await d.clock.advance(120)));
  d.server.write('tag', 't', { name: 'T' });
  await d.service.sync();
  const expected = [
    ['queued', 'a', {}], ['queued', 'b', {}], ['sent', 'a,b', {}], ['confirmed', 'a,b', { ms: 120 }],
    ['received', 't', {}],
  ];
  assert.deepEqual(activity(d), expected);
  await until('the other tab is told', () => activity(tab).length === expected.length);
  assert.deepEqual(activity(tab), expected);
});

test('activity: an edit is refused', async () => {
  const d = device();
  await book(d, 'a');
  await book(d, 'b');
  d.server.answers.push(({ body: { operations: [a, b] } }) => json(200, {
    success: true, results: [
      { id: a.id, status: 'success', updatedAt: d.server.version() },
      { id: b.id, status: 'failed', error: 'VALIDATION_ERROR', message: 'no', retryable: false },
    ],
  }));
  await d.service.sync();
  assert.deepEqual(activity(d).slice(2), [
    ['sent', 'a,b', {}], ['refused', 'b', {}], ['confirmed', 'a', { ms: 0 }],
  ]);
});

test('activity: a conflict is found, and how it was settled', async () => {
  const d = device({ conflictResolution: 'manual' });
  await book(d, 'a');
  const conflict = { id: '1-0', entity: 'book', entityId: 'a', reason: 'stale', localData: {}, serverData: {} };
  d.server.answers.push(({ body }) => json(200, {
    success: true, results: [{ id: body.operations[0].id, status: 'conflict', conflict }],
  }));
  await d.service.sync();
  d.server.answers.push(() => json(200, { success: true, conflict: { resolution: 'keep_server' } }));
  await d.operations.resolveConflict('1-0', 'keep_server');
  assert.deepEqual(activity(d).filter(([kind]) => kind === 'conflict'), [
    ['conflict', 'a', { resolution: 'open' }], ['conflict', 'a', { resolution: 'keep_server' }],
  ]);
});
