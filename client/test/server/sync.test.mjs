// The client against the real server, through nginx over TLS. IndexedDB is in memory, everything else is what a browser has.
// Needs BOOKY_URL and a key as tests/http/ does, and NODE_EXTRA_CA_CERTS for the certificate.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { afterEach, test } from 'node:test';
import { createSyncService } from '../../dist/index.js';
import { until, User } from '../../../tests/http/lib.mjs';

const open = [];
afterEach(() => Promise.all(open.splice(0).map((service) => service.close())));

function device(user, options = {}) {
  const service = createSyncService({ baseUrl: `${process.env.BOOKY_URL}/sync`, token: user.token, database: randomUUID(), realtime: false, ...options });
  open.push(service);
  return service;
}

const online = async (service) => {
  const result = await service.sync();
  assert.equal(result.ok, true, JSON.stringify(result.error));
  return result;
};
const library = async ({ store }) => {
  const all = {};
  for (const kind of ['book', 'rating', 'tag', 'collection', 'readingLog', 'userSettings'])
    all[kind] = (await store.list(kind)).sort((a, b) => (a.id < b.id ? -1 : 1));
  return all;
};

/** What the server says that a device in step holds. */
async function holdsAll(user, service) {
  const { kinds } = await user.get('/digest');
  for (const [kind, list] of Object.entries(await library(service))) {
    const lines = list.map(({ id, updatedAt }) => Buffer.from(`${id}@${updatedAt}`)).sort(Buffer.compare);
    const sha256 = createHash('sha256').update(lines.join('\n')).digest('hex');
    assert.deepEqual({ count: list.length, sha256 }, { count: kinds[kind].count, sha256: kinds[kind].sha256 }, kind);
  }
}

test('two devices of a user come to the same library', async () => {
  const user = new User(), phone = device(user), laptop = device(user);
  await phone.queueOperation('book', 'b1', 'create', { title: 'The Dispossessed', authors: ['Ursula K. Le Guin'] });
  await phone.queueOperation('rating', 'r1', 'create', { bookId: 'b1', stars: 4.5 });
  await phone.queueOperation('userSettings', 'mine', 'update', { theme: 'dark' });
  await online(phone);
  await online(laptop);
  assert.equal((await laptop.store.get('book', 'b1')).title, 'The Dispossessed');
  await laptop.queueOperation('book', 'b1', 'update', { notes: 'lent', externalIds: { oclc: '1' } });
  await phone.queueOperation('book', 'b1', 'update', { pageCount: 341, externalIds: { lccn: '2' } });
  await laptop.queueOperation('tag', 't1', 'create', { name: 'Utopia' });
  await phone.queueOperation('rating', 'r1', 'delete');
  for (const each of [laptop, phone, laptop]) await online(each);
  assert.deepEqual(await library(phone), await library(laptop));
  const { notes, pageCount, externalIds } = await phone.store.get('book', 'b1');
  assert.deepEqual([notes, pageCount, externalIds], ['lent', 341, { oclc: '1', lccn: '2' }]);
  assert.deepEqual(await phone.store.list('rating'), []);
  await holdsAll(user, phone);
});

test('what was edited offline is sent when the network is back, and a late edit loses only where it must', async () => {
  const user = new User();
  let away = true;
  const phone = device(user, { fetch: (...request) => (away ? Promise.reject(new TypeError('fetch failed')) : fetch(...request)) }), laptop = device(user);
  for (let i = 0; i < 25; i++) await phone.queueOperation('book', `b${i}`, 'create', { title: `Book ${i}` });
  await phone.queueOperation('book', 'b1', 'update', { title: 'early', notes: 'on the train' });
  assert.equal((await phone.sync()).ok, false);
  assert.equal(phone.getOnlineStatus(), false);
  await new Promise((resolve) => setTimeout(resolve, 50)); // the phone's timestamps are a millisecond apart, and ahead of the clock
  await laptop.queueOperation('book', 'b1', 'create', { title: 'late' });
  await online(laptop);
  away = false;
  assert.equal((await online(phone)).sent, 25);
  await online(laptop);
  assert.deepEqual(await library(phone), await library(laptop));
  const { title, notes } = await laptop.store.get('book', 'b1');
  assert.deepEqual([title, notes], ['late', 'on the train']);
  assert.equal((await phone.operations.getConflicts()).length, 1);
  await holdsAll(user, laptop);
});

/** A proxy that hands requests on and, while `cut` says so, breaks the reply off after some bytes. */
async function proxy(t) {
  const state = { cut: () => false, seen: [] };
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { host, connection, 'content-length': length, 'transfer-encoding': encoding, 'accept-encoding': accept, ...headers } = request.headers;
    const reply = await fetch(new URL(request.url, process.env.BOOKY_URL), { method: request.method, headers, body: chunks.length ? Buffer.concat(chunks) : undefined });
    const body = Buffer.from(await reply.arrayBuffer());
    state.seen.push(`${request.method} ${request.url.replace(/\?.*/, '')} ${reply.status}`);
    response.writeHead(reply.status, { 'Content-Type': 'application/json', 'Content-Length': body.length });
    if (!state.cut(request)) return response.end(body);
    response.write(body.subarray(0, 20), () => request.socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => (server.closeAllConnections(), server.close()));
  return Object.assign(state, { url: `http://127.0.0.1:${server.address().port}${new URL(process.env.BOOKY_URL).pathname}/sync` });
}

test('the answer is lost on the way: the repeat does nothing twice, also over another device\'s edit', async (t) => {
  const user = new User(), wire = await proxy(t), phone = device(user, { baseUrl: wire.url }), laptop = device(user);
  await phone.queueOperation('book', 'b1', 'create', { title: 'first' });
  wire.cut = ({ method }) => method === 'POST';
  assert.equal((await phone.sync()).error.code, 'OFFLINE');
  assert.deepEqual(wire.seen, ['POST /api/sync/operations 200'], 'the server has it');
  await online(laptop);
  await laptop.queueOperation('book', 'b1', 'update', { title: 'second' });
  await online(laptop);
  wire.cut = () => false;
  await online(phone);
  assert.equal((await phone.store.get('book', 'b1')).title, 'second');
  assert.deepEqual(await phone.operations.getPendingOperations(), []);
  await holdsAll(user, phone);
});

test('a refused operation comes to the review list, is corrected and sent again', async () => {
  const user = new User(), phone = device(user);
  await phone.queueOperation('book', 'b1', 'create', { title: 'T' });
  await phone.queueOperation('rating', 'r1', 'create', { bookId: 'b1', stars: 11 });
  await online(phone);
  const [item] = await phone.operations.getReview();
  assert.match(item.message, /stars: must be between 0\.5 and 5/);
  await phone.operations.retry(item.id, { bookId: 'b1', stars: 5 });
  await online(phone);
  assert.equal((await user.read('rating', 'r1')).stars, 5);
});

test('the account is erased: the next pull resyncs, and what is queued is sent', async () => {
  const user = new User(), phone = device(user);
  for (const id of ['a', 'b']) await phone.queueOperation('book', id, 'create', { title: id });
  await online(phone);
  const reply = await user.request('/account', { method: 'DELETE' });
  assert.equal(reply.status, 200);
  await phone.queueOperation('book', 'c', 'create', { title: 'c' });
  await online(phone);
  assert.deepEqual((await phone.store.list('book')).map(({ id }) => id), ['c']);
  await holdsAll(user, phone);
});

test('manual conflicts are decided by a person, and everybody hears of it', async () => {
  const user = new User(), laptop = device(user), phone = device(user, { conflictResolution: 'manual' });
  await laptop.queueOperation('book', 'b1', 'create', { title: 'A' });
  await online(laptop);
  await online(phone);
  await phone.queueOperation('book', 'b1', 'update', { title: 'phone' });
  await laptop.queueOperation('book', 'b1', 'update', { title: 'laptop' });
  await online(laptop);
  await online(phone);
  const [conflict] = await phone.operations.getConflicts();
  assert.deepEqual([conflict.status, conflict.localData.title, conflict.serverData.title], ['open', 'phone', 'laptop']);
  assert.deepEqual((await laptop.operations.fetchConflicts()).map(({ id }) => id), [conflict.id]);
  await phone.operations.resolveConflict(conflict.id, 'keep_local');
  for (const each of [phone, laptop]) await online(each);
  assert.deepEqual([(await phone.store.get('book', 'b1')).title, (await laptop.store.get('book', 'b1')).title], ['phone', 'phone']);
});

test('full sync: an upload that replaces is refused when somebody wrote meanwhile, and tells its snapshot when not', async () => {
  const user = new User(), laptop = device(user);
  let between = async () => {};
  const phone = device(user, { fetch: async (url, init) => (url.endsWith('/full') && (await between()), fetch(url, init)) });
  between = async () => {
    await laptop.queueOperation('tag', 't0', 'create', { name: 'unseen' });
    await online(laptop);
    between = async () => {};
  };
  const refused = await phone.fullSync({ upload: { tags: [] }, mode: 'replace' });
  assert.deepEqual([refused.ok, refused.error.code], [false, 'CONFLICT_DETECTED']);
  assert.ok(await user.read('tag', 't0'));
  await phone.queueOperation('book', 'old', 'create', { title: 'old' });
  await online(phone);
  const result = await phone.fullSync({ upload: { books: [{ id: 'new', title: 'new' }] }, mode: 'replace' });
  assert.equal(result.ok, true, JSON.stringify(result.error));
  assert.ok(result.snapshot);
  assert.deepEqual((await phone.store.list('book')).map(({ id }) => id), ['new']);
  const merged = await phone.fullSync({ upload: { books: [{ id: 'more', title: 'more' }], tags: [{ id: 't', name: 'N' }] } });
  assert.equal(merged.ok, true, JSON.stringify(merged.error));
  assert.equal((await phone.store.list('book')).length, 2);
  await holdsAll(user, phone);
});

test('the server goes back to a backup: a device gives it back what it has lost', async () => {
  const user = new User(), phone = device(user);
  await phone.queueOperation('book', 'b1', 'create', { title: 'kept' });
  await online(phone);
  await user.request('/account', { method: 'DELETE' });
  const result = await phone.fullSync({ upload: 'local' });
  assert.equal(result.ok, true, JSON.stringify(result.error));
  assert.equal((await user.read('book', 'b1')).title, 'kept');
  await holdsAll(user, phone);
});

test('ten thousand books: a first pull with progress, then next to nothing', async () => {
  const user = new User(), books = Array.from({ length: 10_000 }, (_, i) => ({ id: `book-${i}`, title: `Book ${i}`, authors: ['A. Author'], pageCount: i }));
  const reply = await user.request('/full', { method: 'POST', body: JSON.stringify({ books }), headers: { 'content-type': 'application/json' } });
  assert.equal(reply.status, 200, reply.text);
  const phone = device(user), progress = [];
  phone.on('progress', ({ phase, done }) => progress.push(`${phase} ${done}`));
  assert.equal((await online(phone)).received, 10_000);
  assert.deepEqual(progress, Array.from({ length: 20 }, (_, i) => `pull ${(i + 1) * 500}`));
  await holdsAll(user, phone);
  assert.equal((await online(phone)).received, 0);
});

test('three devices edit at random over a bad network, and end with the same library', async (t) => {
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
    if (fate === 1) throw new TypeError('the answer is lost');
    return new Response(fate === 2 ? text.slice(0, text.length / 2) : text, { status: reply.status });
  };
  const user = new User(), devices = Array.from({ length: 3 }, () => device(user, { fetch: flaky, batchSize: 3 }));
  const values = [1, 'text', null, [1, 2], {}, { x: 1 }, { y: { z: 2 } }];
  const ids = ['a', 'b', 'c', 'd'];
  for (const id of ids) await devices[0].queueOperation('book', id, 'create', { title: id });
  for (let step = 0; step < 150; step++) {
    const one = pick(devices), id = pick(ids);
    const what = random(8);
    if (what < 2) await one.sync();
    else if (what === 2) await one.queueOperation('book', id, 'delete');
    else if (what === 3) await one.queueOperation('book', id, 'create', { title: `${step}`, own: pick(values) });
    else await one.queueOperation('book', id, 'update', { [pick(['own', 'mine'])]: pick(values), notes: `${step}` });
  }
  bad = false;
  for (const each of [...devices, ...devices]) await until('everything is sent', async () => (await each.sync()).ok && !(await each.operations.getPendingOperations()).length);
  assert.deepEqual(await Promise.all(devices.map((each) => each.operations.getReview())), [[], [], []]);
  const [first, ...others] = await Promise.all(devices.map(library));
  for (const other of others) assert.deepEqual(other, first);
  for (const each of devices) await holdsAll(user, each);
});
