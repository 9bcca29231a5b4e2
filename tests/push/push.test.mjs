// GET /events through nginx: which writes poke which streams, catching up, and access.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import http2 from 'node:http2';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test, { after } from 'node:test';
import { User, book, ca, checkError, mint, origin, patch, request, seconds, sleep, state,
  until } from '../http/lib.mjs';
import { closeAll, cursorOf, listen, listenWebSocket } from './lib.mjs';

after(closeAll);

// A ping is sent every 25 seconds; these streams wait for theirs while the other tests run.
const pinged = [listen(new User()), listenWebSocket(new User())];

const json = (value) => (
  { method: 'POST', body: JSON.stringify(value), headers: { 'content-type': 'application/json' } });

// Resolves to a user with a book and a stream that is up to date.
async function prepare(query = '?deviceId=laptop') {
  const user = new User();
  await user.apply(book('b1'), { deviceId: 'phone' });
  const stream = await listen(user, query, { headers: { 'last-event-id': await cursorOf(user) } });
  return { user, stream };
}

test('a stream has the header fields that prevent buffering', async () => {
  const { stream } = await prepare();
  assert.equal(stream.headers['content-type'], 'text/event-stream');
  assert.equal(stream.headers['cache-control'], 'no-store');
  assert.equal(stream.headers['x-accel-buffering'], 'no');
  assert.equal(stream.headers['content-encoding'], undefined);
  assert.match(stream.headers['x-request-id'], /^\w+$/);
  await until('the reconnection time', () => /^retry: \d+$/.test(stream.comments[0]));
});

test('`booky-sync user show` counts the open streams of a user, whatever the name', async () => {
  const user = new User(`push "ü" ${randomUUID()}`), nobody = new User();
  for (const one of [user, nobody]) await one.apply(book('b1'));
  const streams = [await listen(user), await listenWebSocket(user)];
  const show = (id) => JSON.parse(execFileSync(process.env.BOOKY_BIN,
    ['user', 'show', '--json', '--config', path.join(state, 'booky-sync.conf'), id]))[0].streams;
  assert.deepEqual([show(user.id), show(nobody.id)], [2, 0]);
  streams[1].close();
  await until('one is left', () => show(user.id) === 1);
});

test('a commit by another device causes a poke with the cursor that a pull then returns', async () => {
  const { user, stream } = await prepare();
  const delays = [];
  for (let i = 0; i < 50; i++) {
    await user.apply(patch('b1', { notes: `${i}` }), { deviceId: 'phone' });
    const answered = performance.now();
    const poke = await stream.next();
    delays.push(poke.at - answered);
    assert.equal(poke.cursor, await cursorOf(user));
    assert.equal(poke.id, poke.cursor);
    assert.deepEqual((await user.pull(`cursor=${poke.cursor}`)).changes, []);
  }
  delays.sort((a, b) => a - b);
  const [median, p95, longest] = [25, 47, 49].map((i) => delays[i].toFixed(2));
  console.log(`# poke after the writer's answer: median ${median} ms, p95 ${p95} ms, longest ${longest} ms`);
});

test('the device that wrote is not poked, and a device without a name always is', async () => {
  const { user, stream } = await prepare('?deviceId=phone');
  const nameless = await listen(user, '', { headers: { 'last-event-id': await cursorOf(user) } });
  await user.apply(patch('b1', { notes: 'mine' }), { deviceId: 'phone' });
  await nameless.next();
  await user.apply(patch('b1', { notes: 'whose?' }));
  await nameless.next();
  await stream.next();
  await stream.quiet();
});

test("a stream is never poked by another user's writes", async () => {
  const { user, stream } = await prepare();
  const other = await prepare();
  await other.user.apply(patch('b1', { notes: 'private' }));
  await other.stream.next();
  await stream.quiet();
  await user.apply(patch('b1', { notes: 'mine' }));
  await stream.next();
  await other.stream.quiet();
});

test('a write causes a poke exactly when a pull shows it', async () => {
  const { user, stream } = await prepare();
  const poked = async (what, work) => {
    await work();
    assert.equal((await stream.next(what)).cursor, await cursorOf(user), what);
  };
  const silent = async (work) => {
    await work();
    await stream.quiet(100);
  };
  const one = patch('b1', { notes: 'once' });
  await poked('operations', () => user.send([one]));
  await silent(() => user.send([one])); // a repeat
  await silent(() => user.send([book('b2', { title: 7 })])); // refused
  await silent(
    () => user.request('/queue', json({ type: 'update', entity: 'book', entityId: 'b1', data: { notes: 'later' } })));
  await poked('pending/apply', () => user.request('/pending/apply', { method: 'POST' }));
  await silent(() => user.request('/clear', { method: 'DELETE' }));
  await silent(() => user.status());
  await poked('full', () => user.request('/full', json({ books: [{ id: 'b3', title: 'Three' }] })));
  await silent(() => user.request('/full?dryRun=true', json({ books: [] })));
  await poked('restore', async () => {
    const { snapshots } = await user.get('/snapshots');
    assert.equal((await user.request(`/snapshots/${snapshots[0].id}/restore`, { method: 'POST' })).status, 200);
  });
  await silent(() => user.send(
    [patch('b1', { notes: 'other' }, { conflictResolution: 'manual', timestamp: '2001-01-01T00:00:00Z' })]));
  await poked('resolve', async () => {
    const { conflicts } = await user.get('/conflicts?status=open');
    const reply = await user.request(`/conflicts/${conflicts[0].id}/resolve`, json({ resolution: 'keep_local' }));
    assert.equal(reply.status, 200, reply.text);
  });
  await poked('erasure', () => user.request('/account', { method: 'DELETE' }));
});

test('a client that is behind is poked when it connects, and one that is up to date is not', async () => {
  const { user } = await prepare();
  const before = await cursorOf(user);
  await user.apply(patch('b1', { notes: 'while away' }), { deviceId: 'phone' });
  const now = await cursorOf(user);
  const know = (last) => ({ headers: { 'last-event-id': last } });
  for (const [query, options] of [['', {}], ['', know(before)], [`?lastEventId=${before}`, {}],
    ['', know('not a cursor')]]) {
    const stream = await listen(user, query, options);
    assert.equal((await stream.next(query)).cursor, now);
    await stream.quiet(50);
  }
  for (const [query, options] of [['', know(now)], [`?lastEventId=${now}`, {}], [`?lastEventId=${before}`, know(now)]])
    await (await listen(user, query, options)).quiet(200);
  // A user who has never written.
  await (await listen(new User(), `?lastEventId=${await cursorOf(new User())}`)).quiet(100);
});

test('a client that connects during a write does not miss it', async () => {
  const { user } = await prepare();
  for (let i = 0; i < 30; i++) {
    const last = await cursorOf(user);
    const [stream] = await Promise.all([
      listen(user, '?deviceId=laptop', { headers: { 'last-event-id': last } }),
      user.apply(patch('b1', { notes: `${i}` }), { deviceId: 'phone' }),
    ]);
    const now = await cursorOf(user);
    while ((await stream.next(`the write ${i}`)).cursor !== now);
    stream.close();
  }
});

test('the last of many simultaneous writes causes a poke', async () => {
  const { user, stream } = await prepare();
  await Promise.all(
    Array.from({ length: 40 }, (_, i) => user.apply(patch('b1', { [`n${i}`]: i }), { deviceId: 'phone' })));
  const now = await cursorOf(user);
  while ((await stream.next('the last write')).cursor !== now);
  assert.ok(stream.pokes.length <= 40);
});

test('streams work below both base paths and over HTTP/2', async () => {
  const { user } = await prepare();
  await (await listen(user, '', { base: '/sync' })).next();
  const session = http2.connect(origin, { ca });
  const stream = session.request({ ':path': '/api/sync/events', authorization: `Bearer ${user.token}` });
  const text = await new Promise((resolve, reject) => {
    let all = '';
    stream.setEncoding('utf8').on('error', reject).on('data', (part) => (all += part).includes('data:') &&
      resolve(all));
  });
  session.destroy();
  assert.match(text, /^id: (\S+)\ndata: \{"cursor":"\1"\}\n\n/m);
});

test('a WebSocket takes the token as a subprotocol, as browsers must send it, or from Authorization', async () => {
  const user = new User();
  await user.apply(book('b1'));
  const stream = await listenWebSocket(user, '?deviceId=laptop');
  assert.equal(stream.headers['sec-websocket-protocol'], 'booky.v1');
  assert.equal((await stream.next()).cursor, await cursorOf(user));
  await user.apply(patch('b1', { notes: '1' }), { deviceId: 'laptop' });
  await user.apply(patch('b1', { notes: '2' }), { deviceId: 'phone' });
  assert.equal((await stream.next()).cursor, await cursorOf(user));
  await stream.quiet(100);
  const other = await listenWebSocket(user, `?lastEventId=${await cursorOf(user)}`,
    { protocol: '', headers: { authorization: `Bearer ${user.token}` } });
  assert.equal(other.headers['sec-websocket-protocol'], undefined);
  await other.quiet(100);
  assert.equal((await listenWebSocket(user, '', { protocol: 'booky.v1' })).status, 401);
  assert.equal((await listenWebSocket(user, '', { protocol: `booky.v1, bearer.${user.token}x` })).status, 401);
  const log = readFileSync(path.join(state, 'log/nginx-access.log'), 'utf8') +
    readFileSync(path.join(state, 'log/nginx-error.log'), 'utf8');
  assert.ok(!log.includes(user.token), 'no token in a log');
});

test('a stream ends when its token expires', async () => {
  const user = new User();
  user.token = mint({ userId: user.id, exp: seconds(-27) }); // accepted for 30 seconds more
  const streams = [await listen(user), await listenWebSocket(user)];
  for (const stream of streams) {
    await stream.next();
    assert.equal(stream.over, false);
  }
  await Promise.race([Promise.all(streams.map(({ ended }) => ended)), sleep(20_000)]);
  assert.deepEqual(streams.map(({ over }) => over), [true, true]);
  assert.equal(streams[1].code, 1008);
  assert.equal((await listen(user)).status, 401);
});

test('a user has a maximum number of streams, and one more ends the oldest', async () => {
  const { user } = await prepare();
  const streams = [];
  for (let i = 0; i < 12; i++) streams.push(await listen(user)); // and the one of prepare()
  await until('the oldest end', () => streams.filter(({ over }) => over).length === 2);
  assert.deepEqual(streams.map(({ over }) => over), [true, true, ...Array(10).fill(false)]);
  await user.apply(patch('b1', { notes: 'to all' }));
  for (const stream of streams.slice(2)) {
    while ((await stream.next()).cursor !== (await cursorOf(user)));
    stream.close();
  }
});

test('a refused stream gets the shape of every error', async () => {
  const user = new User();
  checkError(await request('/api/sync/events'), 401, 'UNAUTHORIZED');
  checkError(await user.request('/events', { token: `${user.token}x` }), 401, 'UNAUTHORIZED');
  checkError(await user.request('/events', { method: 'POST' }), 405, 'METHOD_NOT_ALLOWED');
  checkError(await user.request('/events?deviceId='), 400, 'VALIDATION_ERROR');
});

test('a ticket that a client sends is ignored', async () => {
  const { user, stream } = await prepare();
  const other = await prepare();
  const b64 = Buffer.from(other.user.id).toString('base64url');
  const ticket = `${b64} ${await cursorOf(other.user)} 0000000000000000 ${seconds(3600)} -`;
  const headers = { 'x-booky-ticket': ticket, 'x-user-id': other.user.id };
  for (const target of ['/.booky-stream', '/api/sync/.booky-stream', '/stream'])
    checkError(await request(target, { headers }), 404, 'NOT_FOUND');
  checkError(await request('/api/sync/events', { headers }), 401, 'UNAUTHORIZED');
  const forged = await listen(user, '', { headers: { ...headers, 'last-event-id': await cursorOf(user) } });
  await other.user.apply(patch('b1', { notes: 'private' }));
  await other.stream.next();
  await forged.quiet();
  await stream.quiet(10);
});

test('HEAD is answered at once', async () => {
  const user = new User();
  assert.equal((await user.request('/events', { method: 'HEAD' })).status, 200);
});

test('an open stream is pinged', async () => {
  const [events, socket] = await Promise.all(pinged);
  await until('a comment', () => events.comments.includes(': ping') || sleep(1500));
  for (let i = 0; i < 300 && !(events.comments.includes(': ping') && socket.comments.includes(0x89)); i++)
    await sleep(100);
  assert.ok(events.comments.includes(': ping'), events.comments);
  assert.ok(socket.comments.includes(0x89), socket.comments);
});
