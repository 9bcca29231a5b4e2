// The published rate limit, the limit of an address, and the limit of concurrent requests.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import test, { after, before, beforeEach } from 'node:test';
import { HOST, Site, checkError, sleep, until, values } from './lib.mjs';

let site;
before(async () => (site = await Site.start({ rate: 'rate' })));
after(() => site?.stop());
beforeEach(() => {
  site.taken();
  site.pool.answer = () => ({ body: '{}' });
});

// The pool of these tests checks no token, so a token is anything that looks like one.
const jwt = (payload, signature = 'sig') => `e30.${payload}.${signature}`;

// Every test uses its own addresses, so that other tests do not use up their limits.
let host = 0;
const address = () => `127.0.1.${++host}`;

// Sends one request after the other until the first 429; options(i) are those of request i. The first hundred must be
// allowed, and one more for every 60/7 seconds that they take on a slow machine.
async function checkHundred(options) {
  const begun = performance.now();
  let allowed = 0;
  for (; allowed < 200; allowed++) {
    const { target = '/api/sync/status', ...rest } = options(allowed);
    const { status } = await site.request(target, rest);
    if (status === 429) break;
    assert.equal(status, 200);
  }
  const more = ((performance.now() - begun) / 1000) * (7 / 60);
  assert.ok(allowed >= 100 && allowed <= 100 + more, `refused first: request ${allowed + 1}`);
  assert.equal(site.taken().length, allowed, 'a refused request does not reach the pool');
}

test('request 101 of one token is a 429, and other tokens from the same address are served', async () => {
  const from = address();
  await checkHundred(() => ({ from, token: jwt('one') }));
  const refused = await site.request('/api/sync/status',
    { from, token: jwt('one'), headers: { 'x-request-id': 'limited-one' } });
  const body = checkError(refused, 429, 'RATE_LIMITED');
  assert.match(body.message, /Retry-After/);
  assert.equal(body.requestId, 'limited-one');
  assert.deepEqual(values(refused, 'retry-after'), ['9']);
  assert.equal((await site.request('/api/sync/status', { from, token: jwt('two') })).status, 200);
  assert.equal((await site.request('/api/sync/status', { from })).status, 200);
  const line = await site.logged('limited-one');
  assert.equal(line.status, 429);
  assert.equal(line.limit, 'REJECTED');
  assert.equal(line.upstreamSeconds, '');
});

test('the limit of a token covers both prefixes, all paths and all addresses', async () => {
  const targets = ['/api/sync/status', '/sync/status', '/api/sync/full', '/api/sync/changes?since=1'];
  await checkHundred((i) => ({ target: targets[i % 4], from: `127.0.2.${1 + (i % 8)}`, token: jwt('moving') }));
});

test('the limit of requests without a token is per address', async () => {
  const from = address();
  await checkHundred(() => ({ from }));
  assert.equal((await site.request('/api/sync/status', { from, token: jwt('somebody') })).status, 200);
  assert.equal((await site.request('/api/sync/status', { from: address() })).status, 200);
});

test('health is never limited', async () => {
  const from = address();
  const targets = ['/api/health', '/api/sync/health', '/sync/health'];
  for (let i = 0; i < 150; i++)
    assert.equal((await site.request(targets[i % 3], { from, token: jwt('healthy') })).status, 200);
});

// Sends one request after the other on one connection until the first 429; resolves to the number of allowed ones.
async function flood(next, limit) {
  const client = site.h2();
  let allowed = 0;
  try {
    for (; allowed < limit; allowed++) {
      const stream = client.request(next());
      const status = await new Promise(
        (resolve, reject) => stream.on('response', (headers) => resolve(headers[':status'])).on('error', reject));
      await new Promise((resolve) => stream.resume().on('close', resolve));
      if (status === 429) return allowed;
      assert.equal(status, 200);
    }
    return allowed;
  } finally {
    client.close();
  }
}

test('an address is limited whatever its tokens and X-Forwarded-For, and another address is served', async () => {
  let i = 0;
  const begun = performance.now();
  const invented = () => ({
    ':path': '/api/sync/status', authorization: `Bearer ${jwt(`invented-${++i}`)}`,
    'x-forwarded-for': `198.51.100.${i % 250}`,
  });
  const allowed = await flood(invented, 3000);
  const seconds = (performance.now() - begun) / 1000;
  // The burst, the first request, and 50 more for each second that passed.
  assert.ok(allowed >= 201 && allowed <= 202 + 50 * seconds, `${allowed} in ${seconds} seconds`);
  assert.equal((await site.request('/api/sync/status', { from: address(), token: jwt('invented-too') })).status, 200);
});

// Other spellings of one header, all of which the application accepts, and the other valid form of an ES256 signature.
test('the limit of a token does not depend on the spelling of its header or on its signature', async () => {
  const words = ['Bearer', 'bearer', 'BEARER', 'bEaReR'];
  await checkHundred((i) => {
    const token = jwt('spelled', i % 3 ? `r-and-s-${i}` : 'r-and-n-minus-s');
    return { from: `127.0.3.${1 + (i % 8)}`,
      headers: { authorization: `${words[i % 4]}${' '.repeat(1 + (i % 300))}${token}` } };
  });
});

test('a second Authorization header does not hide the first one', async () => {
  const both = (i) => [`Bearer ${jwt('doubled')}`, `Bearer ${jwt(`decoy-${i}`)}`];
  for (const order of [(list) => list, (list) => list.reverse()]) {
    const replies = [];
    for (let i = 0; i < 3; i++) {
      const lines = order(both(i)).map((value) => `Authorization: ${value}\r\n`).join('');
      replies.push(...await site.send(
        `GET /api/sync/status HTTP/1.1\r\nHost: ${HOST}\r\n${lines}Connection: close\r\n\r\n`));
    }
    // nginx refuses the request, or the pool sees the header by which nginx counts, and no other one.
    for (const { status } of replies) assert.ok([200, 400].includes(status), String(status));
    for (const { params } of site.taken()) assert.doesNotMatch(params.HTTP_AUTHORIZATION, /,/);
  }
});

test('a header that holds no token is counted by its address, whatever it holds', async () => {
  const from = address();
  const garbage = ['', 'Bearer', 'Bearer ', 'Bearer x', 'Basic dTpw', 'Bearer\te30.tab.s', 'Token e30.e30.s',
    'Bearer e30.two words.s', 'Bearer e30.e30.s=', '\u00fc', `Bearer e30.${'x'.repeat(3900)}.s`];
  await checkHundred((i) => {
    const text = garbage[i % garbage.length];
    return { from, headers: text ? { authorization: `${text}${i % 2 ? '' : '!'.repeat(i)}` } : {} };
  });
});

test('a token as a subprotocol of a WebSocket is the same token', async () => {
  const from = address();
  await checkHundred((i) => ({ from, target: i % 2 ? '/api/sync/events' : '/api/sync/status',
    headers: i % 4 ? { authorization: `Bearer ${jwt('socket')}` }
      : { 'sec-websocket-protocol': `booky.v1, bearer.${jwt('socket')}` } }));
});

const IN_FLIGHT = 3; // limit_conn in burst.conf

// Sends as many requests of `token` as may be in flight, which the pool holds; resolves to their replies' promises and
// to the functions that let the pool answer.
async function hold(from, token) {
  const wait = [];
  site.pool.answer = () => new Promise((resolve) => wait.push(() => resolve({ body: '{}' })));
  const held = Array.from({ length: IN_FLIGHT }, () => site.request('/api/sync/status', { from, token }));
  await until('all are with the pool', () => wait.length === IN_FLIGHT);
  return { held, wait };
}

test(`a token may have ${IN_FLIGHT} requests in flight, however they are spelled`, async () => {
  const from = address();
  const { held, wait } = await hold(from, jwt('busy'));
  for (const authorization of [`Bearer ${jwt('busy')}`, `BEARER   ${jwt('busy', 'another')}`]) {
    const refused = await site.request('/api/sync/status',
      { from, headers: { authorization, 'x-request-id': 'busy-refused' } });
    checkError(refused, 429, 'RATE_LIMITED');
    assert.deepEqual(values(refused, 'retry-after'), ['2']);
  }
  assert.equal((await site.logged('busy-refused')).limit, 'REJECTED_CONN');
  const other = site.request('/api/sync/status', { from, token: jwt('other') });
  await until("another token's request is with the pool, too", () => wait.length === IN_FLIGHT + 1);
  for (const go of wait) go();
  for (const reply of await Promise.all([...held, other])) assert.equal(reply.status, 200);
  site.pool.answer = () => ({ body: '{}' });
  assert.equal((await site.request('/api/sync/status', { from, token: jwt('busy') })).status, 200);
});

test('a request whose client has gone is in flight until the pool has answered it', async () => {
  const from = address(), token = jwt('gone');
  const wait = [];
  site.pool.answer = () => new Promise((resolve) => wait.push(() => resolve({ body: '{}' })));
  const client = site.h2();
  client.on('error', () => {});
  const headers = { ':path': '/api/sync/status', authorization: `Bearer ${token}` };
  const streams = Array.from({ length: IN_FLIGHT - 1 }, () => client.request(headers).on('error', () => {}));
  const socket = await site.connect();
  socket.write(`GET /api/sync/status HTTP/1.1\r\nHost: ${HOST}\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  await until('all are with the pool', () => wait.length === IN_FLIGHT);
  streams[0].close(http2.constants.NGHTTP2_CANCEL);
  socket.destroy();
  client.destroy();
  await sleep(300);
  checkError(await site.request('/api/sync/status', { from, token }), 429, 'RATE_LIMITED');
  for (const go of wait) go();
  site.pool.answer = () => ({ body: '{}' });
  await until('they have ended', async () => (await site.request('/api/sync/status', { from, token })).status === 200);
});

test('nginx waits longer than a worker may run', async () => {
  const read = (file) => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');
  const [, nginx] = /^fastcgi_read_timeout +(\d+)s;/m.exec(read('nginx/booky-sync/fastcgi.conf'));
  const [, worker] = /^;request_timeout = (\d+)$/m.exec(read('docs/examples/booky-sync.conf'));
  const [, grace] = /CANCEL_GRACE_US = (\d+)000000/.exec(read('fcgi-app/serve/members.c'));
  assert.ok(Number(nginx) > Number(worker) + Number(grace), `${nginx} > ${worker} + ${grace}`);
});

test('rate-off.conf limits nothing', async () => {
  const open = await Site.start({ rate: 'rate-off' });
  try {
    const token = jwt('one');
    for (let i = 0; i < 320; i++) assert.equal((await open.request('/api/sync/status', { token })).status, 200);
  } finally {
    await open.stop();
  }
});
