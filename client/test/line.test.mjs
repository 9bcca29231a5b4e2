// Long queues, long pulls and slow lines.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, error, json, pending, settle, until } from './lib.mjs';

afterEach(closeAll);

const batches = (d) => d.server.of('/operations').map(({ body }) => body.operations.length);
const edits = (d, count, data) =>
  Promise.all(Array.from({ length: count }, (_, i) => book(d, `b${i}`, { title: `${i}`, ...data })));

test('1,200 edits of a new device go in few requests, and the pull follows at once', async () => {
  const d = device();
  await edits(d, 1200);
  d.server.write('book', 'theirs', { title: 'theirs' });
  assert.equal((await d.service.sync()).sent, 1200);
  assert.ok(batches(d).length <= 6, batches(d).join());
  assert.equal((await d.store.get('book', 'theirs')).title, 'theirs');
});

test('batches are not larger than the limit of the server', async () => {
  const d = device();
  const config = { success: true, limits: { operations: 150 } };
  d.server.always = ({ path }) => (path === '/config' ? json(200, config) : undefined);
  await edits(d, 600);
  assert.equal((await d.service.sync()).sent, 600);
  assert.ok(Math.max(...batches(d)) <= 150, batches(d).join());
  assert.ok(batches(d).length <= 6, batches(d).join());
});

test('a long queue and a pull take turns', async () => {
  const d = device();
  d.server.always = ({ path, body }) =>
    path === '/operations' && body.operations.length > 10 ? error(413, 'PAYLOAD_TOO_LARGE') : undefined;
  await edits(d, 400);
  await d.service.sync();
  const paths = d.server.requests.map(({ path }) => path);
  const turn = paths.indexOf('/changes');
  assert.ok(turn > 0 && paths.lastIndexOf('/operations') > turn, paths.join());
  assert.deepEqual(await pending(d), []);
});

test('an edit made during a long pull is sent before its end', async () => {
  const d = device();
  for (let i = 0; i < 4000; i++) d.server.write('book', `b${i}`, { title: `${i}` });
  d.server.answers.push(async () => void (await book(d, 'mine')));
  await d.service.sync();
  const paths = d.server.requests.map(({ path }) => path);
  assert.ok(paths.indexOf('/operations') < paths.lastIndexOf('/changes') - 2, paths.join());
});

/** A body that comes in pieces, one each `gap` milliseconds. */
const trickle = (clock, text, pieces, gap, signal) => {
  const size = Math.ceil(text.length / pieces);
  let at = 0;
  const body = new ReadableStream({
    async pull(controller) {
      await new Promise((resolve) => clock.setTimeout(resolve, gap));
      if (signal.aborted) return controller.error(signal.reason);
      controller.enqueue(new TextEncoder().encode(text.slice(at, (at += size))));
      if (at >= text.length) controller.close();
    },
  }, { highWaterMark: 0 });
  return new Response(body, { status: 200 });
};

test('a reply that takes minutes but never stops is read to its end, and the next page is smaller', async () => {
  const d = device();
  for (let i = 0; i < 20; i++) d.server.write('book', `b${i}`, { title: 'Bücher '.repeat(20) });
  d.server.answers.push(async (request) =>
    trickle(d.clock, await d.server.handle(request).text(), 10, 30_000, request.signal));
  const round = d.service.sync();
  await until('the request', () => d.server.requests.length);
  await d.clock.advance(310_000);
  assert.equal((await round).ok, true);
  const list = await d.store.list('book');
  assert.deepEqual([list.length, list[0].title], [20, 'Bücher '.repeat(20)]);
  await d.service.sync();
  const [first, second] = d.server.of('/changes').map(({ query }) => +query.maxBytes);
  assert.equal(second, first / 2);
});

test('a reply that stops is given up after a minute of silence', async () => {
  const d = device();
  d.server.answers.push(({ signal }) => trickle(d.clock, '{"success":true}', 3, 61_000, signal));
  const round = d.service.sync();
  await until('the request', () => d.server.requests.length);
  await d.clock.advance(62_000);
  assert.equal((await round).error.code, 'OFFLINE');
  await settle();
});

test('a batch that takes long is followed by smaller ones', async () => {
  const d = device();
  await edits(d, 60, { description: 'x'.repeat(20_000) });
  d.server.answers.push(() => void d.clock.jump(40_000));
  await d.service.sync();
  const sizes = d.server.of('/operations').map(({ body }) => JSON.stringify(body).length);
  const [first, second] = sizes;
  assert.ok(first > 300_000 && second < 500_000, sizes.join());
  assert.deepEqual(await pending(d), []);
});

test('an upload that is never answered on a slow line is tried again with fewer operations', async () => {
  const d = device();
  await edits(d, 30, { description: 'x'.repeat(20_000) });
  d.server.answers.push(({ signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))));
  const round = d.service.sync();
  await until('the request', () => d.server.requests.length);
  await d.clock.advance(200_000);
  assert.equal((await round).error.code, 'OFFLINE');
  await d.service.sync();
  const [first, second] = batches(d);
  assert.equal(second, first / 2);
  assert.deepEqual(await pending(d), []);
});
