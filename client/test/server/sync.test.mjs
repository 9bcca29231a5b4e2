// The client against the real server.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { afterEach, test } from 'node:test';
import { until, User } from '../../../tests/http/lib.mjs';
import { closeAll, device, synced } from './lib.mjs';

afterEach(closeAll);

const library = async ({ store }) => {
  const all = {};
  for (const kind of ['book', 'rating', 'tag', 'collection', 'readingLog', 'userSettings'])
    all[kind] = (await store.list(kind)).sort((a, b) => (a.id < b.id ? -1 : 1));
  return all;
};

/** Checks by `GET /digest` that the device has exactly what the server has. */
async function checkDigest(user, service) {
  const { kinds } = await user.get('/digest');
  for (const [kind, list] of Object.entries(await library(service))) {
    const lines = list.map(({ id, updatedAt }) => Buffer.from(`${id}@${updatedAt}`)).sort(Buffer.compare);
    const sha256 = createHash('sha256').update(lines.join('\n')).digest('hex');
    assert.deepEqual({ count: list.length, sha256 }, { count: kinds[kind].count, sha256: kinds[kind].sha256 }, kind);
  }
}

test('two devices of a user end with the same library', async () => {
  const user = new User(), phone = device(user), laptop = device(user);
  await phone.queueOperation('book', 'b1', 'create', { title: 'The Dispossessed', authors: ['Ursula K. Le Guin'] });
  await phone.queueOperation('rating', 'r1', 'create', { bookId: 'b1', stars: 4.5 });
  await phone.queueOperation('userSettings', 'mine', 'update', { theme: 'dark' });
  await synced(phone);
  await synced(laptop);
  assert.equal((await laptop.store.get('book', 'b1')).title, 'The Dispossessed');
  await laptop.queueOperation('book', 'b1', 'update', { notes: 'lent', externalIds: { oclc: '1' } });
  await phone.queueOperation('book', 'b1', 'update', { pageCount: 341, externalIds: { lccn: '2' } });
  await laptop.queueOperation('tag', 't1', 'create', { name: 'Utopia' });
  await phone.queueOperation('rating', 'r1', 'delete');
  for (const each of [laptop, phone, laptop]) await synced(each);
  assert.deepEqual(await library(phone), await library(laptop));
  const { notes, pageCount, externalIds } = await phone.store.get('book', 'b1');
  assert.deepEqual([notes, pageCount, externalIds], ['lent', 341, { oclc: '1', lccn: '2' }]);
  assert.deepEqual(await phone.store.list('rating'), []);
  await checkDigest(user, phone);
});

test('of an entity that the device holds, a pull brings only what has changed', async () => {
  const user = new User(), laptop = device(user);
  const bytes = [];
  const counting = async (...request) => {
    const response = await fetch(...request), text = await response.text();
    if (/\/changes/.test(request[0])) bytes.push(text.length);
    return new Response(text, response);
  };
  const phone = device(user, { fetch: counting });
  const ids = Array.from({ length: 10 }, (_, i) => `b${i}`), description = 'word '.repeat(4000);
  for (const id of ids) await laptop.queueOperation('book', id, 'create', { title: id, description });
  for (const each of [laptop, phone]) await synced(each);
  for (const id of ids) await laptop.queueOperation('book', id, 'update', { averageRating: 4.5, tags: ['x'] });
  for (const each of [laptop, phone]) await synced(each);
  assert.deepEqual(await library(phone), await library(laptop));
  assert.equal((await phone.store.get('book', 'b9')).description, description);
  assert.ok(bytes[0] > 200_000 && bytes[1] < 5000, `${bytes}`);
});

test('offline edits are sent when the network is back, and lose only where another edit is later', async () => {
  const user = new User();
  let offline = true;
  const failing = (...request) => (offline ? Promise.reject(new TypeError('fetch failed')) : fetch(...request));
  const phone = device(user, { fetch: failing }), laptop = device(user);
  for (let i = 0; i < 25; i++) await phone.queueOperation('book', `b${i}`, 'create', { title: `Book ${i}` });
  await phone.queueOperation('book', 'b1', 'update', { title: 'early', notes: 'on the train' });
  assert.equal((await phone.sync()).ok, false);
  assert.equal(phone.getOnlineStatus(), false);
  // The timestamps of the phone are a millisecond apart, so they may be ahead of the clock.
  await new Promise((resolve) => setTimeout(resolve, 50));
  await laptop.queueOperation('book', 'b1', 'create', { title: 'late' });
  await synced(laptop);
  offline = false;
  assert.equal((await synced(phone)).sent, 25);
  await synced(laptop);
  assert.deepEqual(await library(phone), await library(laptop));
  const { title, notes } = await laptop.store.get('book', 'b1');
  assert.deepEqual([title, notes], ['late', 'on the train']);
  assert.equal((await phone.operations.getConflicts()).length, 1);
  await checkDigest(user, laptop);
});

/** A proxy that forwards requests. It truncates the reply to each request for which `truncate` returns true. */
async function proxy(t) {
  const state = { truncate: () => false, seen: [] };
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const headers = { ...request.headers };
    for (const name of ['host', 'connection', 'content-length', 'transfer-encoding', 'accept-encoding'])
      delete headers[name];
    const reply = await fetch(new URL(request.url, process.env.BOOKY_URL), {
      method: request.method, headers, body: chunks.length ? Buffer.concat(chunks) : undefined,
    });
    const body = Buffer.from(await reply.arrayBuffer());
    state.seen.push(`${request.method} ${request.url.replace(/\?.*/, '')} ${reply.status}`);
    response.writeHead(reply.status, { 'Content-Type': 'application/json', 'Content-Length': body.length });
    if (!state.truncate(request)) return response.end(body);
    response.write(body.subarray(0, 20), () => request.socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => (server.closeAllConnections(), server.close()));
  const { pathname } = new URL(process.env.BOOKY_URL);
  return Object.assign(state, { url: `http://127.0.0.1:${server.address().port}${pathname}/sync` });
}

test('an operation whose reply is lost is applied once, also if another device edits before the repeat', async (t) => {
  const user = new User(), network = await proxy(t);
  const phone = device(user, { baseUrl: network.url }), laptop = device(user);
  await phone.queueOperation('book', 'b1', 'create', { title: 'first' });
  network.truncate = ({ method }) => method === 'POST';
  assert.equal((await phone.sync()).error.code, 'OFFLINE');
  assert.deepEqual(network.seen, ['POST /api/sync/operations 200'], 'the server has applied it');
  await synced(laptop);
  await laptop.queueOperation('book', 'b1', 'update', { title: 'second' });
  await synced(laptop);
  network.truncate = () => false;
  await synced(phone);
  assert.equal((await phone.store.get('book', 'b1')).title, 'second');
  assert.deepEqual(await phone.operations.getPendingOperations(), []);
  await checkDigest(user, phone);
});

test('a rejected operation goes to the review list, is corrected and sent again', async () => {
  const user = new User(), phone = device(user);
  await phone.queueOperation('book', 'b1', 'create', { title: 'T' });
  await phone.queueOperation('rating', 'r1', 'create', { bookId: 'b1', stars: 11 });
  await synced(phone);
  const [item] = await phone.operations.getReview();
  assert.match(item.message, /stars: must be between 0\.5 and 5/);
  await phone.operations.retry(item.id, { bookId: 'b1', stars: 5 });
  await synced(phone);
  assert.equal((await user.read('rating', 'r1')).stars, 5);
});

test('after the account was erased, the next pull is a resync, and queued operations are sent', async () => {
  const user = new User(), phone = device(user);
  for (const id of ['a', 'b']) await phone.queueOperation('book', id, 'create', { title: id });
  await synced(phone);
  const reply = await user.request('/account', { method: 'DELETE' });
  assert.equal(reply.status, 200);
  await phone.queueOperation('book', 'c', 'create', { title: 'c' });
  await synced(phone);
  assert.deepEqual((await phone.store.list('book')).map(({ id }) => id), ['c']);
  await checkDigest(user, phone);
});

test('a manual conflict is decided by a person, and all devices get the decision', async () => {
  const user = new User(), laptop = device(user), phone = device(user, { conflictResolution: 'manual' });
  await laptop.queueOperation('book', 'b1', 'create', { title: 'A' });
  await synced(laptop);
  await synced(phone);
  await phone.queueOperation('book', 'b1', 'update', { title: 'phone' });
  await laptop.queueOperation('book', 'b1', 'update', { title: 'laptop' });
  await synced(laptop);
  await synced(phone);
  const [conflict] = await phone.operations.getConflicts();
  const { status, localData, serverData } = conflict;
  assert.deepEqual([status, localData.title, serverData.title], ['open', 'phone', 'laptop']);
  assert.deepEqual((await laptop.operations.fetchConflicts()).map(({ id }) => id), [conflict.id]);
  await phone.operations.resolveConflict(conflict.id, 'keep_local');
  for (const each of [phone, laptop]) await synced(each);
  for (const each of [phone, laptop]) assert.equal((await each.store.get('book', 'b1')).title, 'phone');
});

test('full sync: a replacing upload is rejected after another write, and otherwise returns a snapshot', async () => {
  const user = new User(), laptop = device(user);
  let beforeUpload;
  const hooked = async (url, init) => {
    if (url.endsWith('/full')) await beforeUpload?.();
    return fetch(url, init);
  };
  const phone = device(user, { fetch: hooked });
  beforeUpload = async () => {
    await laptop.queueOperation('tag', 't0', 'create', { name: 'unseen' });
    await synced(laptop);
    beforeUpload = undefined;
  };
  const refused = await phone.fullSync({ upload: { tags: [] }, mode: 'replace' });
  assert.deepEqual([refused.ok, refused.error.code], [false, 'CONFLICT_DETECTED']);
  assert.ok(await user.read('tag', 't0'));
  await phone.queueOperation('book', 'old', 'create', { title: 'old' });
  await synced(phone);
  const result = await phone.fullSync({ upload: { books: [{ id: 'new', title: 'new' }] }, mode: 'replace' });
  assert.equal(result.ok, true, JSON.stringify(result.error));
  assert.ok(result.snapshot);
  assert.deepEqual((await phone.store.list('book')).map(({ id }) => id), ['new']);
  const addition = { books: [{ id: 'more', title: 'more' }], tags: [{ id: 't', name: 'N' }] };
  const merged = await phone.fullSync({ upload: addition });
  assert.equal(merged.ok, true, JSON.stringify(merged.error));
  assert.equal((await phone.store.list('book')).length, 2);
  await checkDigest(user, phone);
});

test('a device restores on the server what the server has lost', async () => {
  const user = new User(), phone = device(user);
  await phone.queueOperation('book', 'b1', 'create', { title: 'kept' });
  await synced(phone);
  await user.request('/account', { method: 'DELETE' });
  const result = await phone.fullSync({ upload: 'local' });
  assert.equal(result.ok, true, JSON.stringify(result.error));
  assert.equal((await user.read('book', 'b1')).title, 'kept');
  await checkDigest(user, phone);
});

test('after the server lost its data, a device gives back what it holds, with deletions and times', async () => {
  const user = new User();
  let replies = [];
  const restored = async (url, init) => {
    const reply = await fetch(url, init);
    if (url.endsWith('/full')) replies.push(await reply.clone().json());
    if (reply.status !== 410) return reply;
    const body = { success: false, error: 'RESYNC_REQUIRED', message: 'made up', reason: 'restored' };
    return new Response(JSON.stringify(body), { status: 410 });
  };
  const phone = device(user, { fetch: restored }), events = [];
  phone.on('resync', (event) => events.push(event));
  for (let i = 0; i < 30; i++) await phone.queueOperation('book', `b${i}`, 'create', { title: `Book ${i}` });
  await phone.queueOperation('rating', 'r1', 'create', { bookId: 'b1', stars: 4 });
  await phone.queueOperation('userSettings', 'mine', 'update', { theme: 'dark' });
  await synced(phone);
  await phone.queueOperation('book', 'b0', 'delete');
  await phone.queueOperation('rating', 'r1', 'delete');
  await phone.queueOperation('book', 'b2', 'update', { notes: 'n' });
  await synced(phone);
  const before = await library(phone);
  // The account is empty now. The 410 is turned into that of a restored server.
  await user.request('/account', { method: 'DELETE' });
  await synced(phone);
  assert.deepEqual(replies.flatMap(({ failed }) => failed), []);
  assert.deepEqual(events, [{ reason: 'restored', sent: 32, refused: 0, dropped: 0 }]);
  const withoutVersions = (all) => JSON.stringify(all, (name, value) => (name === 'updatedAt' ? undefined : value));
  assert.equal(withoutVersions(await library(phone)), withoutVersions(before));
  await checkDigest(user, phone);
  // The deletions are remembered: an older edit does not bring the book back.
  const late = { id: 'late', type: 'create', entity: 'book', entityId: 'b0', data: { title: 'T' } };
  const operations = [{ ...late, timestamp: '2020-01-01T00:00:00Z' }];
  await user.request('/operations', {
    method: 'POST', body: JSON.stringify({ operations }), headers: { 'content-type': 'application/json' },
  });
  await synced(phone);
  assert.equal(await phone.store.get('book', 'b0'), undefined);
});

test('a correction wins over what was seen, although the clock of the device is slow', async () => {
  const user = new User(), laptop = device(user);
  const clock = {
    now: () => Date.now() - 240_000, random: Math.random,
    setTimeout: (fn, ms) => setTimeout(fn, ms), clearTimeout: (timer) => clearTimeout(timer),
  };
  const phone = device(user, { clock });
  await laptop.queueOperation('book', 'b1', 'create', { title: 'with a typo' });
  await synced(laptop);
  await synced(phone);
  await phone.queueOperation('book', 'b1', 'update', { title: 'corrected' });
  await synced(phone);
  await synced(laptop);
  for (const each of [phone, laptop]) assert.equal((await each.store.get('book', 'b1')).title, 'corrected');
  await phone.queueOperation('book', 'b2', 'create', { title: 'T' });
  const [{ timestamp }] = await phone.operations.getPendingOperations();
  assert.ok(Math.abs(Date.parse(timestamp) - Date.now()) < 60_000, 'the clock is corrected');
  await synced(phone);
  await checkDigest(user, phone);
});

test('the device whose edit has lost is told', async () => {
  const user = new User(), laptop = device(user), phone = device(user), told = [];
  phone.on('conflict', (conflict) => told.push(conflict));
  await laptop.queueOperation('book', 'b1', 'create', { title: 'A' });
  for (const each of [laptop, phone]) await synced(each);
  await laptop.queueOperation('book', 'b1', 'update', { title: 'of the laptop' });
  await phone.queueOperation('book', 'b1', 'update', { title: 'of the phone' });
  await synced(phone);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await laptop.queueOperation('book', 'b1', 'update', { title: 'later, of the laptop' });
  await synced(laptop);
  await synced(phone);
  assert.deepEqual(told.map(({ entityId, status }) => [entityId, status]), [['b1', 'resolved']]);
  assert.equal(told[0].serverData.title, 'of the phone');
  assert.equal((await phone.operations.fetchConflicts({ settled: true })).length, 1);
});

test('10,000 books: the first pull reports progress, the next one receives nothing', async () => {
  const book = (i) => ({ id: `book-${i}`, title: `Book ${i}`, authors: ['A. Author'], pageCount: i });
  const user = new User(), books = Array.from({ length: 10_000 }, (_, i) => book(i));
  const reply = await user.request('/full', {
    method: 'POST', body: JSON.stringify({ books }), headers: { 'content-type': 'application/json' },
  });
  assert.equal(reply.status, 200, reply.text);
  const phone = device(user), progress = [];
  phone.on('progress', ({ phase, done }) => progress.push(`${phase} ${done}`));
  assert.equal((await synced(phone)).received, 10_000);
  assert.deepEqual(progress, Array.from({ length: 20 }, (_, i) => `pull ${(i + 1) * 500}`));
  await checkDigest(user, phone);
  assert.equal((await synced(phone)).received, 0);
});

test('three devices edit at random over an unreliable network, and end with the same library', async (t) => {
  const seed = Number(process.env.BOOKY_SEED ?? Date.now() % 1e9);
  t.diagnostic(`BOOKY_SEED=${seed}`);
  let state = seed;
  const random = (n) => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % n;
  const pick = (list) => list[random(list.length)];
  let bad = true;
  const flaky = async (url, init) => {
    const fate = bad ? random(10) : 9;
    if (fate === 0) throw new TypeError('no network');
    const reply = await fetch(url, init);
    const text = await reply.text();
    if (fate === 1) throw new TypeError('the reply is lost');
    return new Response(fate === 2 ? text.slice(0, text.length / 2) : text, { status: reply.status });
  };
  const user = new User();
  const devices = Array.from({ length: 3 }, () => device(user, { fetch: flaky, batchSize: 3 }));
  const values = [1, 'text', null, [1, 2], {}, { x: 1 }, { y: { z: 2 } }];
  const ids = ['a', 'b', 'c', 'd'];
  for (const id of ids) await devices[0].queueOperation('book', id, 'create', { title: id });
  for (let step = 0; step < 150; step++) {
    const one = pick(devices), id = pick(ids);
    const action = random(8);
    if (action < 2) await one.sync();
    else if (action === 2) await one.queueOperation('book', id, 'delete');
    else if (action === 3) await one.queueOperation('book', id, 'create', { title: `${step}`, own: pick(values) });
    else await one.queueOperation('book', id, 'update', { [pick(['own', 'mine'])]: pick(values), notes: `${step}` });
  }
  bad = false;
  for (const each of [...devices, ...devices])
    await until('everything is sent', async () =>
      (await each.sync()).ok && !(await each.operations.getPendingOperations()).length);
  assert.deepEqual(await Promise.all(devices.map((each) => each.operations.getReview())), [[], [], []]);
  const [first, ...others] = await Promise.all(devices.map(library));
  for (const other of others) assert.deepEqual(other, first);
  for (const each of devices) await checkDigest(user, each);
});
