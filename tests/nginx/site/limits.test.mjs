// The published rate limit, the limit of an address, and requests in flight.
import assert from 'node:assert/strict';
import test, { after, before, beforeEach } from 'node:test';
import { Site, checkError, until, values } from './lib.mjs';

let site;
before(async () => (site = await Site.start({ rate: 'rate' })));
after(() => site?.stop());
beforeEach(() => {
  site.taken();
  site.pool.answer = () => ({ body: '{}' });
});

// Every test calls from addresses of its own, so that no other test has used up their limits.
let host = 0;
const address = () => `127.0.1.${++host}`;

// Asks one request after the other until the first 429: options(i) are those of request i. The first hundred are allowed,
// and one more for every 60/7 seconds that a slow machine takes over them.
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
  assert.equal(site.taken().length, allowed, 'what is refused does not reach the pool');
}

test('request 101 of one token is a 429; other tokens go on, and so does the same address', async () => {
  const from = address();
  await checkHundred(() => ({ from, token: 'one' }));
  const refused = await site.request('/api/sync/status', { from, token: 'one', headers: { 'x-request-id': 'limited-one' } });
  const body = checkError(refused, 429, 'RATE_LIMITED');
  assert.match(body.message, /Retry-After/);
  assert.equal(body.requestId, 'limited-one');
  assert.deepEqual(values(refused, 'retry-after'), ['9']);
  assert.equal((await site.request('/api/sync/status', { from, token: 'two' })).status, 200);
  assert.equal((await site.request('/api/sync/status', { from })).status, 200);
  const line = await site.logged('limited-one');
  assert.equal(line.status, 429);
  assert.equal(line.limit, 'REJECTED');
  assert.equal(line.upstreamSeconds, '');
});

test('a token is counted over both prefixes, all paths and all addresses', async () => {
  const targets = ['/api/sync/status', '/sync/status', '/api/sync/full', '/api/sync/changes?since=1'];
  await checkHundred((i) => ({ target: targets[i % 4], from: `127.0.2.${1 + (i % 8)}`, token: 'moving' }));
});

test('without a token the address is counted', async () => {
  const from = address();
  await checkHundred(() => ({ from }));
  assert.equal((await site.request('/api/sync/status', { from, token: 'somebody' })).status, 200);
  assert.equal((await site.request('/api/sync/status', { from: address() })).status, 200);
});

test('health is never limited', async () => {
  const from = address();
  for (let i = 0; i < 150; i++) assert.equal((await site.request('/api/health', { from, token: 'healthy' })).status, 200);
});

// Asks until the first 429, one request after the other on one connection; resolves to the number of those allowed.
async function flood(next, limit) {
  const client = site.h2();
  let allowed = 0;
  try {
    for (; allowed < limit; allowed++) {
      const stream = client.request(next());
      const status = await new Promise((resolve, reject) => stream.on('response', (headers) => resolve(headers[':status'])).on('error', reject));
      await new Promise((resolve) => stream.resume().on('close', resolve));
      if (status === 429) return allowed;
      assert.equal(status, 200);
    }
    return allowed;
  } finally {
    client.close();
  }
}

test('many tokens from one address are a flood, whatever X-Forwarded-For says; another address goes on', async () => {
  let i = 0;
  const begun = performance.now();
  const invented = () => ({
    ':path': '/api/sync/status', authorization: `Bearer invented-${++i}`, 'x-forwarded-for': `198.51.100.${i % 250}`,
  });
  const allowed = await flood(invented, 3000);
  const seconds = (performance.now() - begun) / 1000;
  // The burst and the first, and 50 more for each second that passed.
  assert.ok(allowed >= 201 && allowed <= 202 + 50 * seconds, `${allowed} in ${seconds} seconds`);
  assert.equal((await site.request('/api/sync/status', { from: address(), token: 'invented-too' })).status, 200);
});

test('a token may have 16 requests in flight', async () => {
  const from = address();
  const wait = [];
  site.pool.answer = () => new Promise((resolve) => wait.push(() => resolve({ body: '{}' })));
  const held = Array.from({ length: 16 }, () => site.request('/api/sync/status', { from, token: 'busy' }));
  await until('all are with the pool', () => wait.length === 16);
  const refused = await site.request('/api/sync/status', { from, token: 'busy' });
  checkError(refused, 429, 'RATE_LIMITED');
  assert.deepEqual(values(refused, 'retry-after'), ['9']);
  const other = site.request('/api/sync/status', { from, token: 'other' });
  await until("another token's is, too", () => wait.length === 17);
  for (const go of wait) go();
  for (const reply of await Promise.all([...held, other])) assert.equal(reply.status, 200);
  site.pool.answer = () => ({ body: '{}' });
  assert.equal((await site.request('/api/sync/status', { from, token: 'busy' })).status, 200);
});

test('rate-off.conf limits nothing', async () => {
  const open = await Site.start({ rate: 'rate-off' });
  try {
    for (let i = 0; i < 320; i++) assert.equal((await open.request('/api/sync/status', { token: 'one' })).status, 200);
  } finally {
    await open.stop();
  }
});
