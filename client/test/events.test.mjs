// Change notifications: an event of the stream causes a pull.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { parseEvents } from '../dist/engine.js';
import { closeAll, device, error, html, settle, until } from './lib.mjs';

afterEach(closeAll);

/** A stream that the test writes to. It ends when the client disconnects. */
function makeStream() {
  const stream = { open: false };
  stream.answer = ({ signal }) => {
    const body = new ReadableStream({
      start(controller) {
        stream.open = true;
        stream.send = (text) => controller.enqueue(new TextEncoder().encode(text));
        stream.end = () => ((stream.open = false), controller.close());
        signal.addEventListener('abort', () => {
          stream.open = false;
          try { controller.error(signal.reason); } catch {}
        });
      },
      cancel: () => void (stream.open = false),
    });
    return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } });
  };
  return stream;
}

const streams = (d) => d.server.of('/events');
const rounds = (d) => d.server.of('/changes').length;

/** A device that has opened its stream; `answer` replies to /events. */
async function listening(answer, options) {
  const d = device({ realtime: true, deviceId: 'phone 1', ...options });
  d.server.always = (request) => (request.path === '/events' ? answer(request) : undefined);
  d.service.startMonitoring();
  await until('the stream is requested', () => streams(d).length);
  await settle();
  return d;
}

test('the leader opens the stream, with its token and device id', async () => {
  const stream = makeStream(), d = await listening(stream.answer);
  const { query, headers } = streams(d)[0];
  const { Authorization, Accept } = headers;
  assert.deepEqual([query.deviceId, Authorization, Accept], ['phone 1', 'Bearer token', 'text/event-stream']);
  const tab = device({ server: d.server, clock: d.clock, database: d.database, realtime: true });
  tab.service.startMonitoring();
  await settle();
  assert.equal(streams(d).length, 1);
});

test('an event causes a pull at once', async () => {
  const stream = makeStream(), d = await listening(stream.answer);
  d.server.write('book', 'b', { title: 'T' });
  stream.send('id: 7\ndata: {"cursor":"7"}\n\n');
  await until('the book is pulled', async () => (await d.store.list('book')).length);
});

test('an event on changes that are already pulled causes no request', async () => {
  const stream = makeStream(), d = await listening(stream.answer);
  const before = rounds(d);
  stream.send(`data: ${JSON.stringify({ cursor: new Date(d.server.stamp).toISOString() })}\n\n`);
  await settle();
  assert.equal(rounds(d), before);
});

test('a stream that ended is reopened with the cursor of the last pull as Last-Event-ID', async () => {
  const stream = makeStream(), d = await listening(stream.answer);
  d.server.write('book', 'b', { title: 'T' });
  stream.send('data: {"cursor":"7"}\n\n');
  await until('the book is pulled', async () => (await d.store.list('book')).length);
  await settle();
  stream.end();
  await d.clock.advance(1100);
  assert.equal(streams(d).length, 2);
  assert.equal(streams(d)[1].headers['Last-Event-ID'], d.server.rows.get('book b').data.updatedAt);
});

test('the stream is reopened after the time in the `retry` field', async () => {
  const stream = makeStream(), d = await listening(stream.answer);
  stream.send('retry: 3731\n\n');
  await settle();
  stream.end();
  await d.clock.advance(3700);
  assert.equal(streams(d).length, 1);
  await d.clock.advance(100);
  assert.equal(streams(d).length, 2);
});

test('a 503 to the stream is retried after Retry-After, and does not delay polls', async () => {
  const d = await listening(() => error(503, 'SYNC_FAILED', { 'Retry-After': '90' }));
  assert.equal((await d.service.sync()).ok, true);
  await d.clock.advance(89_000);
  assert.equal(streams(d).length, 1);
  await d.clock.advance(2000);
  assert.equal(streams(d).length, 2);
});

test('a stream stays open with pings, and is reopened after a minute of silence', async () => {
  const stream = makeStream(), d = await listening(stream.answer);
  for (let i = 0; i < 6; i++) {
    await d.clock.advance(25_000);
    stream.send(': ping\n\n');
    await settle();
  }
  assert.equal(streams(d).length, 1);
  await d.clock.advance(60_500);
  assert.equal(streams(d).length, 1);
  await d.clock.advance(2000);
  assert.equal(streams(d).length, 2);
});

test('a stream that fails is retried with growing waits of at most a minute', async () => {
  const d = await listening(() => Promise.reject(new TypeError('fetch failed')));
  const at = [];
  for (let ms = 0, count = 1; ms < 260_000; ms += 500) {
    await d.clock.advance(500);
    if (streams(d).length === count) continue;
    at.push(ms + 500);
    count = streams(d).length;
  }
  const gaps = at.map((time, i) => time - (at[i - 1] ?? 0));
  assert.deepEqual(gaps.slice(0, 6), [1000, 2000, 4000, 8000, 16_000, 32_000]);
  assert.ok(gaps.slice(6).every((gap) => gap === 60_000));
});

const notOffered = [
  ['404', () => error(404, 'NOT_FOUND')],
  ['501', () => error(501, 'NOT_FOUND')],
  ['503', () => error(503, 'SYNC_FAILED')],
  ['a captive portal', () => html()],
  ['no body', () => new Response(null, { headers: { 'Content-Type': 'text/event-stream' } })],
];
for (const [name, answer] of notOffered)
  test(`no stream (${name}): polls continue, and the stream is tried again after ten minutes`, async () => {
    const d = await listening(answer);
    await d.clock.advance(590_000);
    assert.equal(streams(d).length, 1);
    assert.ok(rounds(d) >= 19);
    await d.clock.advance(20_000);
    assert.equal(streams(d).length, 2);
  });

test('a 429 to the stream is retried after Retry-After', async () => {
  const stream = makeStream(), refusals = [error(429, 'RATE_LIMITED', { 'Retry-After': '20' })];
  const d = await listening((request) => refusals.pop() ?? stream.answer(request));
  await d.clock.advance(19_000);
  assert.equal(streams(d).length, 1);
  await d.clock.advance(2000);
  assert.equal(stream.open, true);
});

test('stopMonitoring closes the stream, which does not count as offline', async () => {
  const stream = makeStream(), d = await listening(stream.answer);
  d.service.stopMonitoring();
  await until('the stream is closed', () => !stream.open);
  await d.clock.advance(120_000);
  assert.deepEqual([streams(d).length, d.service.getOnlineStatus()], [1, true]);
});

test('a network that cuts streams: they are opened less and less, and no listener is left behind', async (t) => {
  const counts = new Map(), prototype = EventTarget.prototype;
  const { addEventListener, removeEventListener } = prototype;
  const count = (target, by) => target instanceof AbortSignal && counts.set(target, (counts.get(target) ?? 0) + by);
  prototype.addEventListener = function (...args) {
    count(this, 1);
    return addEventListener.apply(this, args);
  };
  prototype.removeEventListener = function (...args) {
    count(this, -1);
    return removeEventListener.apply(this, args);
  };
  t.after(() => Object.assign(prototype, { addEventListener, removeEventListener }));
  const cut = () => new Response(': ping\n\n', { headers: { 'Content-Type': 'text/event-stream' } });
  const d = await listening(cut);
  for (let i = 0; i < 60; i++) await d.clock.advance(60_000);
  assert.ok(streams(d).length < 30, `${streams(d).length} streams in an hour`);
  assert.ok(Math.max(...counts.values()) < 5, [...counts.values()].join());
});

test('a service that is full is asked less and less', async () => {
  const d = await listening(() => error(503, 'SYNC_FAILED', { 'Retry-After': '60' }));
  for (let i = 0; i < 60; i++) await d.clock.advance(60_000);
  assert.ok(streams(d).length <= 7, `${streams(d).length} streams in an hour`);
});

test('a stream that lasted for long is opened again soon', async () => {
  const stream = makeStream(), d = await listening(stream.answer);
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 4; i++) {
      await d.clock.advance(20_000);
      stream.send(': ping\n\n');
      await settle();
    }
    const before = streams(d).length;
    stream.end();
    await d.clock.advance(1500);
    assert.equal(streams(d).length, before + 1);
  }
});

test('with realtime: false no stream is requested', async () => {
  const d = device({ realtime: false });
  d.service.startMonitoring();
  await until('a round', () => rounds(d));
  await settle();
  assert.equal(streams(d).length, 0);
});

// Name, pieces of text, data of the events.
const texts = [
  ['one event', ['id: 1\ndata: x\n\n'], ['x']],
  ['in pieces', ['i', 'd: 1\nda', 'ta: x\n', '\n'], ['x']],
  ['with CRLF', ['id: 1\r\ndata: x\r\n\r\n'], ['x']],
  ['comments are not events', [': ping\n\n: ping\n\n'], []],
  ['two lines of data', ['data: a\ndata: b\n\n'], ['a\nb']],
  ['without a space after the colon', ['data:x\n\n'], ['x']],
  ['two events at once', ['data: x\n\ndata: y\n\n'], ['x', 'y']],
  ['an incomplete event is not reported', ['data: x\n'], []],
];
for (const [name, pieces, expected] of texts)
  test(`parsing: ${name}`, () => {
    const received = [];
    const parse = parseEvents((data) => received.push(data), () => {});
    pieces.forEach(parse);
    assert.deepEqual(received, expected);
  });
