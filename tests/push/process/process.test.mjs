// The push process stopped, started, hung, and one of several; nginx reloaded. Writes are never affected. These tests
// affect every user of the stack, hence the separate folder: run them alone.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { User, book, checkError, patch, request, seconds, sleep, sql, state, until } from '../../http/lib.mjs';
import { closeAll, cursorOf, isAlive, listen, listenWebSocket, listening, pushPid, startPush,
  stopPush } from '../lib.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'booky-push-'));
const started = [];

after(async () => {
  closeAll();
  for (const child of started) child.kill();
  if (!isAlive(pushPid())) await startPush();
  rmSync(folder, { recursive: true });
});

async function prepare() {
  const user = new User();
  await user.apply(book('b1'), { deviceId: 'phone' });
  return user;
}

// The ticket that nginx gets from a worker and passes to the push process: user, cursor, device, expiry, cursor of the
// client.
const ticketOf = async (user) =>
  [Buffer.from(user.id).toString('base64url'), await cursorOf(user), '0'.repeat(16), seconds(3600),
    await cursorOf(user)].join(' ');
const upToDate = async (user) => ({ headers: { 'last-event-id': await cursorOf(user) } });
const write = (user, notes) => user.apply(patch('b1', { notes }), { deviceId: 'phone' });

async function metric(target, name, labels = '') {
  const { text } = await request(target);
  return Number(text.match(new RegExp(`^${name}${labels.replace(/[{}]/g, '\\$&')} (\\d+)$`, 'm'))?.[1] ?? 0);
}

test('a reload of nginx ends no stream', async () => {
  const user = await prepare();
  const streams = [];
  for (let i = 0; i < 4; i++) streams.push(await listen(user, '', await upToDate(user)),
    await listenWebSocket(user, `?lastEventId=${await cursorOf(user)}`));
  process.kill(Number(readFileSync(path.join(state, 'pid/nginx'), 'utf8')), 'SIGHUP');
  await sleep(1000);
  await write(user, 'after the reload');
  for (const stream of streams) {
    await stream.next();
    assert.equal(stream.over, false);
    stream.close();
  }
});

test('a restart ends the streams but delays no write, and a client that reconnects is poked', async () => {
  const user = await prepare();
  const last = await cursorOf(user);
  const events = await listen(user, '', { headers: { 'last-event-id': last } }), socket = await listenWebSocket(user);
  await socket.next();
  await stopPush();
  await Promise.all([events.ended, socket.ended]);
  assert.equal(socket.code, 1001, 'going away');
  const dropped = await metric('/metrics', 'booky_sync_pokes_total', '{outcome="dropped"}');
  for (let i = 0; i < 10; i++) assert.equal((await write(user, `${i}`)).status, 'success');
  assert.equal(await metric('/metrics', 'booky_sync_pokes_total', '{outcome="dropped"}'), dropped + 10);
  const refused = await listen(user);
  checkError(refused, 503, 'SYNC_FAILED');
  assert.match(refused.headers['retry-after'], /^\d+$/);
  await startPush();
  const again = await listen(user, '', { headers: { 'last-event-id': last } });
  assert.equal((await again.next()).cursor, await cursorOf(user));
  await write(user, 'as before');
  assert.equal((await again.next()).cursor, await cursorOf(user));
});

test('a hung push process does not delay writes and pokes about the latest one when it continues', async () => {
  const user = await prepare();
  const stream = await listen(user, '', await upToDate(user));
  const pid = pushPid();
  let took;
  try {
    process.kill(pid, 'SIGSTOP');
    const from = performance.now();
    for (let i = 0; i < 600; i += 20) {
      const results = await Promise.all(Array.from({ length: 20 }, (_, j) => write(user, `${i + j}`)));
      for (const { status } of results) assert.equal(status, 'success');
    }
    took = performance.now() - from;
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  console.log(`# 600 writes during a hung push process: ${took.toFixed(0)} ms`);
  await stream.next();
  await write(user, 'and on');
  const now = await cursorOf(user);
  while ((await stream.next()).cursor !== now);
});

test('the metrics count streams and pokes', async () => {
  const before = await metric('/metrics/push', 'booky_sync_push_streams', '{protocol="sse"}');
  const user = await prepare();
  const stream = await listen(user);
  await stream.next();
  assert.equal(await metric('/metrics/push', 'booky_sync_push_streams', '{protocol="sse"}'), before + 1);
  assert.ok((await metric('/metrics/push', 'booky_sync_push_pokes_sent_total')) >= 1);
  stream.close();
  await until('the closed stream is no longer counted',
    async () => (await metric('/metrics/push', 'booky_sync_push_streams', '{protocol="sse"}')) === before);
});

test('a client that does not read delays nobody and is disconnected after a minute', async () => {
  const user = await prepare();
  const ended = () => metric('/metrics/push', 'booky_sync_push_streams_ended_total', '{reason="slow"}');
  const coalesced = () => metric('/metrics/push', 'booky_sync_push_pokes_coalesced_total');
  const before = { ended: await ended(), coalesced: await coalesced() };
  // Not through nginx, whose buffers would hold all pokes.
  const deaf = net.connect(path.join(state, 'sock/push.sock')).pause();
  const over = new Promise((resolve) => deaf.on('close', resolve).on('error', () => {}));
  deaf.write(`GET /stream HTTP/1.1\r\nHost: push\r\nX-Booky-Ticket: ${await ticketOf(user)}\r\n\r\n`);
  const reader = await listen(user, '', await upToDate(user));
  for (let i = 0; (await coalesced()) < before.coalesced + 200; i++) {
    assert.ok(i < 3000, 'its socket never becomes full');
    await write(user, `${i}`);
    assert.equal((await reader.next('a poke for the reader')).cursor, await cursorOf(user));
  }
  await until('it is disconnected', async () => (await ended()) === before.ended + 1, 90);
  deaf.resume();
  await over;
  assert.ok(!reader.over);
});

// Another host: a push process with its own sockets on the same database, used without nginx.
async function another(settings = {}) {
  const name = path.join(folder, `${started.length}`);
  const env = { ...process.env, BOOKY_PUSH_SOCKET: `${name}.sock`, BOOKY_PUSH_POKES_SOCKET: `${name}.pokes`,
    ...settings };
  const child = spawn(process.env.BOOKY_BIN, ['push', '--config', path.join(state, 'booky-sync.conf')],
    { env, stdio: ['ignore', 'inherit', 'inherit'] });
  started.push(child);
  await listening(`${name}.sock`);
  return {
    child, env,
    listen: async (user) => listen(user, '', { at: { socketPath: `${name}.sock`, path: '/stream', agent: false,
      headers: { 'x-booky-ticket': await ticketOf(user) } } }),
  };
}

const hosts = `application_name = 'booky-sync push'`;
const listeners = `SELECT count(*) FROM pg_stat_activity
  WHERE ${hosts} AND query LIKE '%LISTEN%' OR ${hosts} AND query LIKE '%notify%'`;
const connected = (count) => until(`${count} listen`, async () => Number((await sql(listeners))[0]) >= count);

test('a commit on one host causes a poke on the other, in both directions, also after a lost connection', async () => {
  const user = new User('zwei Hosts; "user" \'name\', \u{1F4DA}');
  await user.apply(book(`b${process.pid}`, {}, { timestamp: undefined }));
  const host = await another();
  const both = async (round) => {
    await connected(2);
    const there = await host.listen(user), here = await listen(user, '', await upToDate(user));
    await user.apply(patch('b1', { round, title: 'T' }, { timestamp: undefined }));
    const cursor = await cursorOf(user);
    assert.equal((await there.next('a poke from this host')).cursor, cursor);
    assert.equal((await here.next()).cursor, cursor);
    // The command line sends pokes, too; here it belongs to the other host.
    const file = path.join(folder, 'operations.json');
    writeFileSync(file, JSON.stringify(patch('b1', { round: -round, title: 'T' }, { timestamp: undefined })));
    execFileSync(process.env.BOOKY_BIN,
      ['replay', '--user', user.id, '--config', path.join(state, 'booky-sync.conf'), file], { env: host.env });
    const next = await cursorOf(user);
    assert.equal((await there.next()).cursor, next);
    assert.equal((await here.next('a poke from the other host')).cursor, next);
    there.close();
    here.close();
  };
  await both(1);
  await sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${hosts}`);
  await sleep(200);
  await both(2);
});

test('streams beyond push.streams are refused until another one ends', async () => {
  const host = await another({ BOOKY_PUSH_STREAMS: '2', BOOKY_PUSH_CHANNEL: '' });
  const streams = [await host.listen(new User()), await host.listen(new User())];
  assert.equal((await host.listen(new User())).status, 503);
  streams[0].close();
  await until('a stream is accepted', async () => !(await host.listen(new User())).status);
});

test('an invalid ticket is refused with 403, and the process stops cleanly', async () => {
  const host = await another({ BOOKY_PUSH_CHANNEL: '' });
  const at = (ticket) => ({ at: { socketPath: host.env.BOOKY_PUSH_SOCKET, path: '/stream', agent: false, headers: ticket
    ? { 'x-booky-ticket': ticket } : {} } });
  for (const ticket of ['', 'x', 'dQ x 0000000000000000 1 -', `dQ MSAwIDAgLTEgIA zz 1 -`,
    `dQ MSAwIDAgLTEgIA 0000000000000000 1 - -`, 'a'.repeat(3000)])
    assert.equal((await listen(null, '', at(ticket))).status, 403, ticket);
  const ended = new Promise((resolve) => host.child.on('exit', (code, signal) => resolve({ code, signal })));
  host.child.kill();
  assert.deepEqual(await ended, { code: 0, signal: null });
});
