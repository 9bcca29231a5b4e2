// Real time: the stream rings, a pull brings the news.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { parseEvents } from '../dist/events.js';
import { closeAll, device, error, html, settle, until } from './lib.mjs';

afterEach(closeAll);

/** A stream that the test writes to. It ends when the client goes away. */
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

async function listening(answer, options) {
  const d = device({ realtime: true, deviceId: 'phone 1', ...options });
  d.server.always = (request) => (request.path === '/events' ? answer(request) : undefined);
  d.service.startMonitoring();
  await until('it listens', () => streams(d).length);
  await settle();
  return d;
}

test('the leader listens, with its token and device id', async () => {
  const stream = makeStream(), d = await listening(stream.answer);
  const { query, headers } = streams(d)[0];
  assert.deepEqual([query.deviceId, headers.Authorization, headers.Accept], ['phone 1', 'Bearer token', 'text/event-stream']);
  const tab = device({ server: d.server, clock: d.clock, database: d.database, realtime: true });
  tab.service.startMonitoring();
  await settle();
  assert.equal(streams(d).length, 1);
});

test('an event brings the news at once', async () => {
  const stream = makeStream(), d = await listening(stream.answer);
  d.server.write('book', 'b', { title: 'T' });
  stream.send('id: 7\ndata: {"cursor":"7"}\n\n');
  await until('it is there', async () => (await d.store.list('book')).length);
});

test('an event of what is pulled already costs no request', async () => {
  const stream = makeStream(), d = await listening(stream.answer);
  const before = rounds(d);
  stream.send(`data: ${JSON.stringify({ cursor: new Date(d.server.stamp).toISOString() })}\n\n`);
  await settle();
  assert.equal(rounds(d), before);
});

test('after the stream ends it is made again, with the cursor of the last pull as Last-Event-ID', async () => {
  const stream = makeStream(), d = await listening(stream.answer);
  d.server.write('book', 'b', { title: 'T' });
  stream.send('data: {"cursor":"7"}\n\n');
  await until('it is there', async () => (await d.store.list('book')).length);
  await settle();
  stream.end();
  await d.clock.advance(1100);
  assert.equal(streams(d).length, 2);
  assert.equal(streams(d)[1].headers['Last-Event-ID'], d.server.rows.get('book b').data.updatedAt);
});

test('the server says when to come back', async () => {
  const stream = makeStream(), d = await listening(stream.answer);
  stream.send('retry: 3731\n\n');
  await settle();
  stream.end();
  await d.clock.advance(3700);
  assert.equal(streams(d).length, 1);
  await d.clock.advance(100);
  assert.equal(streams(d).length, 2);
});

test('a stream for which there is no room is tried after Retry-After, and holds up no poll', async () => {
  const d = await listening(() => error(503, 'SYNC_FAILED', { 'Retry-After': '90' }));
  assert.equal((await d.service.sync()).ok, true);
  await d.clock.advance(89_000);
  assert.equal(streams(d).length, 1);
  await d.clock.advance(2000);
  assert.equal(streams(d).length, 2);
});

test('pings keep a stream; silent for more than a minute, it is cut and made again', async () => {
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

test('what fails is tried again, waiting longer each time, a minute at most', async () => {
  const d = await listening(() => Promise.reject(new TypeError('fetch failed')));
  const at = [];
  for (let ms = 0, count = 1; ms < 260_000; ms += 500) {
    await d.clock.advance(500);
    if (streams(d).length > count) at.push(ms + 500), (count = streams(d).length);
  }
  const gaps = at.map((time, i) => time - (at[i - 1] ?? 0));
  assert.deepEqual(gaps.slice(0, 6), [1000, 2000, 4000, 8000, 16_000, 32_000]);
  assert.ok(gaps.slice(6).every((gap) => gap === 60_000));
});

const notOffered = [
  ['404', () => error(404, 'NOT_FOUND')],
  ['501', () => error(501, 'NOT_FOUND')],
  ['503', () => error(503, 'SYNC_FAILED')],
  ['a page', () => html()],
  ['no streaming', () => Object.assign(new Response(null, { headers: { 'Content-Type': 'text/event-stream' } }))],
];
for (const [name, answer] of notOffered)
  test(`${name}: the polls do, and after ten minutes one looks again`, async () => {
    const d = await listening(answer);
    await d.clock.advance(590_000);
    assert.equal(streams(d).length, 1);
    assert.ok(rounds(d) >= 19);
    await d.clock.advance(20_000);
    assert.equal(streams(d).length, 2);
  });

test('a 429 to the stream is waited for', async () => {
  let first = true;
  const stream = makeStream();
  const d = await listening((request) => (first ? ((first = false), error(429, 'RATE_LIMITED', { 'Retry-After': '20' })) : stream.answer(request)));
  await d.clock.advance(19_000);
  assert.equal(streams(d).length, 1);
  await d.clock.advance(2000);
  assert.equal(stream.open, true);
});

test('stopMonitoring and close hang up, and that does not count as offline', async () => {
  const stream = makeStream(), d = await listening(stream.answer);
  d.service.stopMonitoring();
  await until('it hangs up', () => !stream.open);
  await d.clock.advance(120_000);
  assert.deepEqual([streams(d).length, d.service.getOnlineStatus()], [1, true]);
});

test('realtime: false asks for no stream', async () => {
  const d = device({ realtime: false });
  d.service.startMonitoring();
  await until('a round', () => rounds(d));
  await settle();
  assert.equal(streams(d).length, 0);
});

// Text as it arrives → the data of each event.
const texts = [
  ['one event', ['id: 1\ndata: x\n\n'], ['x']],
  ['in pieces', ['i', 'd: 1\nda', 'ta: x\n', '\n'], ['x']],
  ['with CRLF', ['id: 1\r\ndata: x\r\n\r\n'], ['x']],
  ['comments are no events', [': ping\n\n: ping\n\n'], []],
  ['two lines of data', ['data: a\ndata: b\n\n'], ['a\nb']],
  ['without the space', ['data:x\n\n'], ['x']],
  ['two events at once', ['data: x\n\ndata: y\n\n'], ['x', 'y']],
  ['unfinished: not yet', ['data: x\n'], []],
];
for (const [name, pieces, expected] of texts)
  test(`parsing: ${name}`, () => {
    const heard = [];
    const parse = parseEvents((data) => heard.push(data), () => {});
    pieces.forEach(parse);
    assert.deepEqual(heard, expected);
  });
