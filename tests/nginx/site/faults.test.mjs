// A pool that does not answer, and clients that stall.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import net from 'node:net';
import test, { after, before, beforeEach } from 'node:test';
import { HOST, Site, checkError, sleep, until, values } from './lib.mjs';

// Timeouts of one second replace the shipped ones, which are repeated here so that a change of them is noticed.
const changes = {
  'fastcgi.conf': [['fastcgi_read_timeout    40s;', 'fastcgi_read_timeout 1s;']],
  'server.conf': [
    ['client_header_timeout      30s;', 'client_header_timeout 1s;'],
    ['client_body_timeout        30s;', 'client_body_timeout 1s;'],
  ],
};

let site; // one pool
let twin; // two of them
let alone; // none
const sites = () => [site, twin, alone];
before(async () => {
  site = await Site.start({ changes });
  twin = await Site.start({ pools: 2 });
  alone = await Site.start({ pools: 0 });
});
after(async () => {
  for (const each of sites()) await each?.stop();
});
beforeEach(() => {
  for (const each of sites()) each.taken();
});

const body = '{"operations":[]}';
const post = (where, options) => where.request('/api/sync/operations', { method: 'POST', body, ...options });

function checkRetry(reply, status, message, id) {
  const error = checkError(reply, status, 'SYNC_FAILED');
  assert.match(error.message, message);
  assert.equal(error.requestId, id);
  assert.deepEqual(values(reply, 'retry-after'), ['2']);
}

const requests = ['/api/sync/operations', '/sync/full', '/api/health']
  .flatMap((target) => [[target, {}], [target, { method: 'POST', body }]]);
const named = (where, id, [target, options]) => where.request(target, { headers: { 'x-request-id': id }, ...options });

for (const request of requests) {
  const name = `${request[1].method ?? 'GET'} ${request[0]}`;
  test(`${name} gets a 502 when the worker dies and is not repeated`, async () => {
    site.pool.answer = () => 'die';
    checkRetry(await named(site, 'worker-dies', request), 502, /broke off, perhaps to restart; retry/, 'worker-dies');
    assert.equal(site.taken().length, 1);
  });

  test(`${name} gets a 503 when the socket is missing`, async () => {
    checkRetry(await named(alone, 'no-socket', request), 503,
      /busy or restarting, and has not begun with the request; retry/, 'no-socket');
  });
}

test('a request gets a 504 when the worker never answers and is not repeated', async () => {
  site.pool.answer = () => 'never';
  const begun = performance.now();
  for (const reply of await Promise.all(requests.map((request) => named(site, 'never-ends', request))))
    checkRetry(reply, 504, /in time; retry/, 'never-ends');
  assert.ok(performance.now() - begun > 900);
  assert.equal(site.taken().length, requests.length);
});

test('a 503 of the application is passed on unchanged', async () => {
  const own = { success: false, error: 'BUSY', requestId: 'busy-12345' };
  site.pool.answer = () => ({ status: 503, headers: { 'Retry-After': '7' }, body: JSON.stringify(own) });
  const reply = await post(site, { headers: { 'x-request-id': 'busy-12345' } });
  assert.equal(reply.status, 503);
  assert.deepEqual(reply.json, own);
  assert.deepEqual(values(reply, 'retry-after'), ['7']);
  assert.deepEqual(values(reply, 'x-request-id'), ['busy-12345']);
});

test('a truncated reply is recognisably incomplete', async () => {
  for (const headers of [{ 'Content-Length': '1000' }, {}]) {
    site.pool.answer = () => ({ headers, body: '{"changes":[', cut: true });
    await assert.rejects(site.request('/api/sync/changes'), { code: 'ECONNRESET' });
  }
});

test('an invalid FastCGI reply is a 502', async () => {
  site.pool.answer = () => ({ status: 'nonsense' });
  checkError(await site.request('/api/sync/status'), 502, 'SYNC_FAILED');
});

// nginx chooses which of two pools it asks first, so whichever is asked first dies.
const firstDies = (where, after) => {
  let asked = 0;
  for (const pool of where.pools) pool.answer = () => (++asked === 1 ? 'die' : after);
};

test('a POST that a dying worker has read is not repeated', async () => {
  for (let i = 0; i < 6; i++) {
    firstDies(twin, { body: '{}' });
    checkError(await post(twin), 502, 'SYNC_FAILED');
    assert.equal(twin.taken().length, 1);
  }
});

test('a GET or DELETE that a dying worker has read is repeated with the other pool', async () => {
  for (const options of [{}, { method: 'DELETE', body: '{"a":1}' }]) {
    firstDies(twin, { body: '{}' });
    const reply = await twin.request('/api/sync/devices/1', { ...options, headers: { 'x-request-id': 'repeated-1' } });
    assert.equal(reply.status, 200);
    const taken = twin.taken();
    assert.equal(taken.length, 2);
    for (const request of taken) assert.equal(request.params.HTTP_X_REQUEST_ID, 'repeated-1');
    assert.equal(String(taken[0].body), String(taken[1].body));
  }
});

test('a POST goes to the other pool when the first cannot be reached', async () => {
  for (const pool of twin.pools) pool.answer = () => ({ body: '{}' });
  await twin.pools[0].close();
  assert.ok(!existsSync(twin.pools[0].file));
  for (let i = 0; i < 6; i++) assert.equal((await post(twin)).status, 200);
  assert.equal(twin.taken().length, 6);
  twin.pools.shift();
});

// Opens a connection, sends the text and nothing more; resolves to nginx's replies and the seconds until it closes.
async function stall(text) {
  const begun = performance.now();
  const replies = await site.send(text);
  return { replies, seconds: (performance.now() - begun) / 1000 };
}

const head = `POST /api/sync/operations HTTP/1.1\r\nHost: ${HOST}\r\nAuthorization: Bearer t\r\n`;
const stalls = {
  'before the first byte': '',
  'in the request line': 'POST /api/sync/oper',
  'in the header': head,
  'before the body': `${head}Content-Length: 100\r\n\r\n`,
  'in the body': `${head}Content-Length: 100\r\n\r\n{"operations"`,
  'in a chunk': `${head}Transfer-Encoding: chunked\r\n\r\n20\r\n{"operations"`,
  'before the last chunk': `${head}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n`,
};
let begun = 0; // the number of requests that reached the pool at least partly
beforeEach(() => (begun = site.pool.begun));

test('a client that stalls is disconnected without a reply, and its request does not reach the pool', async () => {
  await Promise.all(Object.entries(stalls).map(async ([name, text]) => {
    const { replies, seconds } = await stall(text);
    assert.deepEqual(replies, [], name);
    assert.ok(seconds > 0.8 && seconds < 8, `${name}: after ${seconds} seconds`);
  }));
  assert.equal(site.pool.begun - begun, 0);
});

test('a client that sends its header byte by byte is disconnected by the timeout of the whole header', async () => {
  const socket = await site.connect();
  let closed = false;
  socket.on('close', () => (closed = true)).on('error', () => {});
  socket.resume();
  const start = performance.now();
  for (let i = 0; !closed && i < 100; i++) {
    socket.write(i < head.length ? head[i] : 'x');
    await sleep(100);
  }
  assert.ok(closed && performance.now() - start < 8000);
  assert.equal(site.pool.begun - begun, 0);
});

test('a client without a TLS handshake is disconnected', async () => {
  const socket = net.connect(site.port, '127.0.0.1');
  const start = performance.now();
  socket.resume();
  await once(socket, 'close');
  assert.ok(performance.now() - start < 8000);
});

for (const [name, framing] of [
  ['with a length', 'Content-Length: 100\r\n\r\n{"operations"'],
  ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n20\r\n{"operations"'],
]) {
  test(`a request whose client disconnects within a body ${name} does not reach the pool`, async () => {
    const id = `goes-away-${framing.length}`;
    const socket = await site.connect();
    socket.end(`${head}X-Request-Id: ${id}\r\n${framing}`);
    socket.resume();
    await site.logged(id);
    assert.equal(site.pool.begun - begun, 0);
  });
}

test('a worker whose client disconnects may finish its work', async () => {
  const wait = [];
  site.pool.answer = () => new Promise((resolve) => wait.push(resolve));
  const socket = await site.connect();
  socket.write(`GET /api/sync/status HTTP/1.1\r\nHost: ${HOST}\r\nX-Request-Id: gone-at-work\r\n\r\n`);
  await until('the worker has it', () => wait.length === 1);
  socket.destroy();
  await sleep(300);
  assert.ok(!site.log().some((line) => line.requestId === 'gone-at-work'), 'nginx still waits');
  wait[0]({ body: '{}' });
  assert.equal((await site.logged('gone-at-work')).status, 200);
  site.pool.answer = () => ({ body: '{}' });
});
